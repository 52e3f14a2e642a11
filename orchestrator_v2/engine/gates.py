"""Whether a phase may be called done: a pure verdict over what was measured.

Who measures is behind the `Evidence` port; what follows a failed gate is decided in `session.py`.
"""

from __future__ import annotations

import msgspec

from orchestrator_v2.core.records import Receipt
from orchestrator_v2.core.workflow import Phase
from orchestrator_v2.engine.patterns import matches
from orchestrator_v2.engine.state_models import TaskOutcome


class Verdict(msgspec.Struct, frozen=True):
    """`gate` is passed, failed or waiting; `reasons` say why it failed."""

    gate: str
    reasons: tuple[str, ...] = ()


PASSED = Verdict("passed")


def judge(phase: Phase, outcome: TaskOutcome, *, review: str) -> Verdict:
    """The verdict on one task. `review` is the run's reviewer: `human` makes every review wait for a person."""
    if not phase.gate.evidence and not phase.gate.review and not outcome.failures:
        return PASSED
    reasons = list(outcome.failures)
    measured = {receipt.check for receipt in outcome.receipts}
    reasons += [f"{check}: it was not measured" for check in phase.gate.evidence if check not in measured]
    reasons += [_why(receipt) for receipt in outcome.receipts if not receipt.passed]
    if reasons:
        return Verdict("failed", tuple(reasons))
    return _review(phase, outcome, review)


def _why(receipt: Receipt) -> str:
    """What was measured, with the tail of what the process printed: the agent that mends it needs to see it."""
    return f"{receipt.check}: {receipt.detail}" + (f"\n{receipt.output}" if receipt.output else "")


def _review(phase: Phase, outcome: TaskOutcome, review: str) -> Verdict:
    if not phase.gate.review:
        return PASSED
    if phase.gate.review == "human" or review == "human":
        return Verdict("waiting")
    if outcome.approved is None:
        return Verdict("failed", ("the review gave no verdict",))
    return PASSED if outcome.approved else Verdict("failed", (outcome.result or "rejected without a reason",))


def foreign_paths(phase: Phase, paths: list[str], owners: dict[str, str]) -> list[str]:
    """Why each of `paths` is not this phase's to write; `owners` maps a path to the phase that made it."""
    reasons = []
    for path in paths:
        if phase.outputs and not matches(path, phase.outputs):
            reasons.append(f"'{path}' is not one of this phase's outputs ({', '.join(phase.outputs)})")
        elif owners.get(path, phase.id) != phase.id:
            reasons.append(f"'{path}' belongs to phase '{owners[path]}'")
    return reasons
