"""The features that come with the package, a folder each; which are registered is `operations/registry.py`.

What a handler is stands in `operations/handler.py`.
"""
