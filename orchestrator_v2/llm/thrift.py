"""Which of two models a call goes to, decided once before it is recorded: the chosen one, or a cheaper one.

The decision is made outside of the recording wrapper (`wrappers/budgeted.py`) and followed inside of it, by the sender
and by the meter; what a budget's thresholds are is `core/workflow.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from orchestrator_v2.core.usage import NANO
from orchestrator_v2.core.workflow import BudgetRules
from orchestrator_v2.llm.types import LLMConfig

_log = logging.getLogger(__name__)

# Why the call that is under way goes to the cheaper model; empty: it does not.
cheaper_because: ContextVar[str] = ContextVar("cheaper_because", default="")


@contextmanager
def decided(why: str) -> Iterator[None]:
    """What is sent meanwhile goes to the cheaper model where there is a `why`."""
    token = cheaper_because.set(why)
    try:
        yield
    finally:
        cheaper_because.reset(token)


class Thresholds:
    """The rules of one run's budget, and whether its alert was told; one for all clients of the run.

    `cheaper` is the model that the rules name, with its key.
    """

    def __init__(self, rules: BudgetRules, *, cheaper: LLMConfig | None = None, name: str = "") -> None:
        self._rules = rules
        self.cheaper = cheaper
        self._name = name
        self._told: bool | None = None

    def before(self, spent: int | None) -> str:
        """Why the call that is to be sent now goes to the cheaper model; empty where it does not."""
        rules = self._rules
        if self._told is None:
            # What was past the threshold when this process began was told by the one before.
            self._told = _reached(spent, rules.alert)
        if self.cheaper is None or not _reached(spent, rules.downgrade):
            return ""
        return f"{_usd(spent)} are spent, and from {_usd(rules.downgrade)} on calls go to the cheaper model"

    def after(self, spent: int | None) -> str:
        """The alert, the first time that so much is spent; empty else."""
        if self._told or not _reached(spent, self._rules.alert):
            return ""
        self._told = True
        words = f"{_usd(spent)} of the budget are spent; you asked to be told from {_usd(self._rules.alert)} on."
        _log.warning("%s%s", f"{self._name}: " if self._name else "", words)
        return words


def _reached(spent: int | None, threshold: int | None) -> bool:
    return threshold is not None and spent is not None and spent >= threshold


def _usd(nano: int | None) -> str:
    return f"${(nano or 0) / NANO:.4f}"
