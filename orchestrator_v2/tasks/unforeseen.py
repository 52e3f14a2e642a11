"""What nobody foresaw, as an error of its one task: what was raised, where, and whose fault that is.

Errors that are foreseen are raised where they happen, as classes of `core/errors.py`.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path

from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.core.text import one_line

_PACKAGE = Path(__file__).parents[1]
_SHOWN = 400


def reason_of(problem: BaseException, secrets: Iterable[Secret] = ()) -> str:
    """Its class, its words, and the line that raised it, without `secrets`."""
    raised = Path((frame := _last_frame(problem)).filename).name
    words = redact(f"{type(problem).__name__}: {problem}", secrets)
    return f"{one_line(words, _SHOWN).rstrip('.')} (at {raised}:{frame.lineno})."


def unforeseen(problem: Exception, secrets: Iterable[Secret] = ()) -> OrchestratorError:
    """The error of a task that ended by `problem`."""
    frame = _last_frame(problem)
    is_ours = Path(frame.filename).is_relative_to(_PACKAGE)
    return OrchestratorError(
        "The task ended by an error that was not foreseen.",
        reason_of(problem, secrets),
        "That is a fault of orchestrator_v2: report it."
        if is_ours
        else f"Look into {frame.filename}, which raised it.",
    )


def _last_frame(problem: BaseException) -> traceback.FrameSummary:
    frames = traceback.extract_tb(problem.__traceback__)
    return frames[-1] if frames else traceback.FrameSummary("unknown", 0, "")
