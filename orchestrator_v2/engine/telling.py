"""What happened in a run, in words: a sentence for each kind of event, the same wherever it is read.

How a line of it looks is each face's own (`cli/event_lines.py`, `api/web/timeline.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from orchestrator_v2.core import events as e
from orchestrator_v2.core.records import Receipt
from orchestrator_v2.core.text import count, money, one_line
from orchestrator_v2.core.usage import usd

# How a run stands, by its status. The last two are none of the engine's: marked as running, and driven by nobody.
INTERRUPTED, QUEUED = "interrupted", "queued"
STANDS: Mapping[str, str] = MappingProxyType(
    {
        "running": "running",
        "paused": "paused",
        "waiting_review": "waits for your review",
        "waiting_provider": "waits for the provider",
        "waiting_budget": "waits for more budget",
        "needs_credential": "needs a valid key",
        "needs_attention": "needs your attention",
        "blocked": "blocked",
        "completed": "completed",
        "failed": "failed",
        "cancelled": "cancelled",
        INTERRUPTED: "interrupted: nobody drives it; nothing is lost",
        QUEUED: "waits for its turn",
    }
)
# How a phase stands, by its status.
PHASE_STANDS: Mapping[str, str] = MappingProxyType(
    {
        "pending": "to come",
        "running": "works",
        "waiting_review": "waits for you",
        "done": "done",
        "skipped": "skipped",
        "failed": "failed",
    }
)


def sentence(event: e.Event) -> str:
    """What happened; foreign text in it is as it came, so put it on one line or escape it."""
    return _SAID[type(event)](event)


def mode_of(begun: e.RunStarted) -> str:
    """Who answers in this run, settled at its start."""
    model = "/".join(part for part in (begun.provider, begun.model) if part)
    return {
        "simulated": "simulated: no model is asked, $0.00",
        "real": f"real: {model}",
        "replay": f"replay of {model}: nothing is sent, $0.00",
    }.get(begun.mode, begun.mode)


class Counted(NamedTuple):
    """What was measured, in numbers: tests, and the checks beside them; `broken` names what did not pass."""

    passed: int
    failed: int
    checks: int
    broken: tuple[str, ...]


def counted(receipts: Sequence[Receipt]) -> Counted:
    """Tests and checks, each receipt counted once."""
    checks = [receipt for receipt in receipts if not receipt.tests_collected]
    broken = tuple(receipt.check for receipt in checks if not receipt.passed)
    return Counted(
        sum(receipt.tests_passed for receipt in receipts),
        sum(receipt.tests_failed for receipt in receipts),
        len(checks) - len(broken),
        broken,
    )


def measured(receipts: Sequence[Receipt]) -> str:
    """What the engine measured, in few words: tests first, then checks; empty when nothing was."""
    found = counted(receipts)
    parts = [
        f"{count(found.passed, 'test')} passed" if found.passed or found.failed else "",
        f"{found.failed} failed" if found.failed else "",
        f"{count(found.checks, 'check')} passed" if found.checks else "",
        f"not passed: {', '.join(found.broken)}" if found.broken else "",
    ]
    return ", ".join(part for part in parts if part)


def _started(event: e.RunStarted) -> str:
    phases = count(len(event.workflow.phases), "phase")
    ceiling = f", at most {usd(event.budget)}" if event.budget is not None else ""
    return f"accepted: {event.name} ({event.workflow.name}, {phases}{ceiling}); {mode_of(event)}"


def _task_started(event: e.TaskStarted) -> str:
    again = "".join(
        (f", round {event.round}" if event.round > 1 else "", f", attempt {event.attempt}" if event.attempt > 1 else "")
    )
    return f"{event.agent or 'the engine'} works{again}"


_GATE = {"passed": "done", "failed": "gate not passed", "waiting": "waits for a review"}


def _task_completed(event: e.TaskCompleted) -> str:
    parts = [
        _GATE[event.gate],
        count(len(event.artifacts), "file") if event.artifacts else "",
        measured(event.receipts),
        money(event.usage.cost) if event.usage.calls else "",
        "; ".join(event.reasons),
    ]
    return ": ".join([parts[0], ", ".join(part for part in parts[1:] if part)]).rstrip(": ")


def _error(event: Any) -> str:
    """What, why and what to do, each ended as a sentence: a message from elsewhere often is not."""
    parts = (part.rstrip() for part in (event.what, event.why, event.do))
    return " ".join(part if part.endswith((".", "?", "!", ":")) else f"{part}." for part in parts if part)


def _reviewed(event: e.ReviewDecided) -> str:
    verdict = "approved" if event.approved else "rejected"
    return f"{verdict} by {event.by}" + (f": {event.reason}" if event.reason else "")


def _again(event: Any) -> str:
    return f"; again: {', '.join(event.resets)}" if event.resets else ""


def _resumed(event: e.RunResumed) -> str:
    ceiling = f", at most {usd(event.budget)}" if event.budget is not None else ""
    again = f"; again: {', '.join(event.reset)}" if event.reset else ""
    return f"{_GOES_ON.get(event.by, f'goes on ({event.by})' if event.by else 'goes on')}{ceiling}{again}"


# Who resumed a run is a person's name, or one of these.
_GOES_ON = {
    "signal": "taken up again for what a person decided",
    "recovery": "goes on after an interruption",
    "resume": "goes on",
}


def _parked(event: e.RunParked) -> str:
    words, said = STANDS[event.status], _error(event)
    return said if said.lower().startswith(words.split()[0]) else f"{words}: {said}"


_SAID: Mapping[type, Callable[[Any], str]] = MappingProxyType(
    {
        e.RunStarted: _started,
        e.TaskStarted: _task_started,
        e.TaskCompleted: _task_completed,
        e.TaskFailed: lambda event: f"stopped: {_error(event)}",
        e.PhaseReopened: lambda event: f"opened again by {event.by}: {one_line(event.feedback, 200)}{_again(event)}",
        e.PhaseSkipped: lambda event: f"skipped: {event.reason}",
        e.ReviewDecided: _reviewed,
        e.ArtifactReplaced: lambda event: f"{event.artifact.path} replaced by hand",
        e.RunParked: _parked,
        e.RunResumed: _resumed,
        e.RunRolledBack: lambda event: f"back to before this phase{_again(event)}",
        e.RunCompleted: lambda event: "completed",
        e.RunFailed: lambda event: f"failed: {_error(event)}",
        e.RunCancelled: lambda event: f"cancelled{f' by {event.by}' if event.by else ''}",
    }
)
