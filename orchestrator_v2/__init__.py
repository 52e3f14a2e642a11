"""The front door. What is named in `__all__` is the public surface; everything else may move."""

__version__ = "0.1.0"
