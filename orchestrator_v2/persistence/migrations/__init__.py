"""The journal's schema from version to version, forward only; run by `upgrade.py` through Alembic.

A new or current database needs none of it: see `schema.py`.
"""
