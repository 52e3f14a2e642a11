"""The journal's tables and writers on SQLite, PostgreSQL and in memory.

What an event means is `engine/transitions.py`.
"""
