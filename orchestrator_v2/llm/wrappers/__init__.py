"""One concern a file, each a client around a client. The order in which they stand is set in `llm/chain.py`."""
