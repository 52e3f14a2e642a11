"""Named points at which a process may be killed on purpose, so that a crash there can be tested.

`CRASH_AT=name[:n]` makes the n-th passage of that name end the process with SIGKILL. The list of names
is `CRASH_POINTS`; a name that is not in it is refused, so a test cannot wait for a point that is gone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping

from orchestrator_v2.core.errors import ConfigError

Probe = Callable[[str], None]

CRASH_POINTS = (
    "accepted-before-commit",
    "committed-before-response",
    "claimed",
    "intent-committed",
    "batch-handed-in",
    "request-sent",
    "first-byte",
    "last-byte-before-parse",
    "parsed-before-commit",
    "inside-result-transaction",
    "committed-before-artifact",
    "artifact-temp-written",
    "artifact-renamed",
    "retry-sleep",
    "cancel",
    "budget-settle",
    "key-rotation-row",
    "migration-statement",
    "recovery",
)


def no_probe(name: str) -> None:
    """The probe of ordinary use: nothing happens."""


class KillAt:
    """Kills this process at the `nth` passage of `name`."""

    def __init__(self, name: str, nth: int = 1) -> None:
        if name not in CRASH_POINTS:
            raise ConfigError(f"CRASH_AT names no crash point: '{name}'.", do=f"Use one of {', '.join(CRASH_POINTS)}.")
        self._name = name
        self._left = nth

    def __call__(self, name: str) -> None:
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def probe_from(environ: Mapping[str, str]) -> Probe:
    """The probe that `CRASH_AT` asks for, `no_probe` without it."""
    wanted = environ.get("CRASH_AT", "")
    if not wanted:
        return no_probe
    name, _, nth = wanted.partition(":")
    return KillAt(name, int(nth or 1))
