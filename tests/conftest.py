"""What holds for every test: laws are checked without a stopwatch, since two busy cores make any example slow."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
