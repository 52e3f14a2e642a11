"""One wire format a file; each imports its vendor's SDK when it is first used.

Only `llm/factory.py` opens this package.
"""
