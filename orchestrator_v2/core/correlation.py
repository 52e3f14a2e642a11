"""What is being worked on right now, as log lines name it: a request's id, or a run's.

It is a context variable, so each task of the event loop has its own; who sets it is the server and its keeper.
"""

from __future__ import annotations

from contextvars import ContextVar

CORRELATION: ContextVar[str] = ContextVar("orchestrator_correlation", default="")
