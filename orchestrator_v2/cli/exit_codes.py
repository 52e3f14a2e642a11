"""What the process ends with, as data: one number for each way a command can end.

An error's own number is its `exit_code` in `core/errors.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

DONE = 0
FAILED = 1
WAITS = 2
BAD_INPUT = 3
# A process that ends on a signal says 128 and the signal's number: 129 hang-up, 130 Ctrl-C, 143 terminate.
SIGNALLED = 128
READER_GONE = SIGNALLED + 13

# By the status that a run has when the command ends; `running` means that another process drives it on.
OF_STATUS: Mapping[str, int] = MappingProxyType(
    {
        "completed": DONE,
        "running": DONE,
        "failed": FAILED,
        "cancelled": FAILED,
        "paused": WAITS,
        "waiting_review": WAITS,
        "waiting_provider": WAITS,
        "waiting_budget": WAITS,
        "needs_credential": WAITS,
        "needs_attention": WAITS,
        "blocked": WAITS,
    }
)
