"""Typed operations: one `feature.operation` at a time, a request with a schema in, an answer with a schema out.

The workflow of eight agents is not here (`orchestrator.py` of the package); models are the `llm` floor.
"""
