"""The JSON Schemas that come with the package, as data; how they are applied is `config/schema.py`."""
