"""One line of plain words for each kind of event: who did what, and how it came out.

Where the lines are printed is `plain_view.py` and, as history, `read_commands.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from orchestrator_v2.cli.text import count, money, one_line
from orchestrator_v2.core import events as e
from orchestrator_v2.core.records import Receipt
from orchestrator_v2.core.usage import usd


def line_of(event: e.Event) -> tuple[str, str]:
    """(the phase it is about, or `run`; what happened)."""
    return getattr(event, "phase", "run"), one_line(_SAID[type(event)](event))


def mode_of(begun: e.RunStarted) -> str:
    """Who answers in this run, settled at its start."""
    model = "/".join(part for part in (begun.provider, begun.model) if part)
    return {
        "simulated": "simulated: no model is asked, $0.00",
        "real": f"real: {model}",
        "replay": f"replay of {model}: nothing is sent, $0.00",
    }.get(begun.mode, begun.mode)


def measured(receipts: Sequence[Receipt]) -> str:
    """What the engine measured, in few words: tests first, then checks; empty when nothing was."""
    passed = sum(receipt.tests_passed for receipt in receipts)
    failed = sum(receipt.tests_failed for receipt in receipts)
    checks = [receipt for receipt in receipts if not receipt.tests_collected]
    broken = [receipt.check for receipt in checks if not receipt.passed]
    parts = [
        f"{count(passed, 'test')} passed" if passed or failed else "",
        f"{failed} failed" if failed else "",
        f"{count(len(checks) - len(broken), 'check')} passed" if len(checks) > len(broken) else "",
        f"not passed: {', '.join(broken)}" if broken else "",
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
        money(event.usage.cost, None) if event.usage.calls else "",
        "; ".join(event.reasons),
    ]
    return ": ".join([parts[0], ", ".join(part for part in parts[1:] if part)]).rstrip(": ")


def _error(event: Any) -> str:
    return " ".join(part for part in (event.what, event.why, event.do) if part)


def _reviewed(event: e.ReviewDecided) -> str:
    verdict = "approved" if event.approved else "rejected"
    return f"{verdict} by {event.by}" + (f": {event.reason}" if event.reason else "")


def _again(event: Any) -> str:
    return f"; again: {', '.join(event.resets)}" if event.resets else ""


def _resumed(event: e.RunResumed) -> str:
    ceiling = f", at most {usd(event.budget)}" if event.budget is not None else ""
    again = f"; again: {', '.join(event.reset)}" if event.reset else ""
    return f"goes on{f' ({event.by})' if event.by else ''}{ceiling}{again}"


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
        e.RunParked: lambda event: f"{event.status}: {_error(event)}",
        e.RunResumed: _resumed,
        e.RunRolledBack: lambda event: f"back to before this phase{_again(event)}",
        e.RunCompleted: lambda event: "completed",
        e.RunFailed: lambda event: f"failed: {_error(event)}",
        e.RunCancelled: lambda event: f"cancelled{f' by {event.by}' if event.by else ''}",
    }
)
