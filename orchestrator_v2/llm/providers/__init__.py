"""One wire format a file; what a wire needs beside HTTP is imported when it is first used.

Only `llm/factory.py` opens this package.
"""
