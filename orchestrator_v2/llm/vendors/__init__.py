"""The catalog's data: one file for each vendor or family of vendors, read by `llm/catalog.py`; no code is here."""
