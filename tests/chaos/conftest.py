"""The databases that faults are tried on."""

from __future__ import annotations

from database_fixtures import postgres, postgres_url, sqlite_url, stored_url

__all__ = ["postgres", "postgres_url", "sqlite_url", "stored_url"]
