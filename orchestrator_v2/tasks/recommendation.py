"""Which agent fits a task best, and why: a filter, then an order, both the same for the same agents.

Who there is, is `agent_registry.py`; what a task may ask for is `agent_task.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Generic, Protocol, TypeVar

import msgspec

from orchestrator_v2.core.errors import InputError
from orchestrator_v2.tasks.agent_task import AgentTask
from orchestrator_v2.tasks.interface import Interface


class Candidate(Protocol):
    """An agent as far as it matters here."""

    @property
    def name(self) -> str: ...

    @property
    def agent_type(self) -> str: ...

    @property
    def interface(self) -> Interface: ...

    @property
    def capabilities(self) -> frozenset[str]: ...

    @property
    def priority(self) -> int: ...


A = TypeVar("A", bound=Candidate)


class Recommendation(msgspec.Struct, Generic[A], frozen=True):
    """The agent, and in one sentence why it and no other."""

    agent: A
    reason: str

    @property
    def name(self) -> str:
        return self.agent.name


def recommend(task: AgentTask, agents: Sequence[A], agent_type: str) -> Recommendation[A]:
    """Of those that have all required capabilities, the type and an allowed interface: the one with the highest
    priority, then the fewest capabilities beside, then the first by name.

    Raises `InputError` that says what each one lacks where none fits, and which is nearest.
    """
    wanted = frozenset(one.strip().casefold() for one in task.required_capabilities)
    lacks = {agent.name: _lacks(task, agent, agent_type, wanted) for agent in agents}
    fit = [agent for agent in agents if not lacks[agent.name]]
    if not fit:
        raise _none_fits(lacks, wanted, agents)
    best = min(fit, key=lambda agent: _order(agent, wanted))
    return Recommendation(best, _reason(best, fit, wanted))


def _lacks(task: AgentTask, agent: Candidate, agent_type: str, wanted: frozenset[str]) -> list[str]:
    found = [f"lacks {one}" for one in sorted(wanted - agent.capabilities)]
    if agent_type and agent.agent_type != agent_type:
        found.append(f"is a {agent.agent_type}, not a {agent_type}")
    if not task.ways_of(agent.interface):
        found.append(f"is reached by {agent.interface}")
    return found


def _order(agent: Candidate, wanted: frozenset[str]) -> tuple[int, int, str]:
    return -agent.priority, len(agent.capabilities - wanted), agent.name


def _reason(best: Candidate, fit: Sequence[Candidate], wanted: frozenset[str]) -> str:
    if len(fit) == 1:
        return "It is the only one that fits."
    second = min((agent for agent in fit if agent is not best), key=lambda agent: _order(agent, wanted))
    ours, theirs = _order(best, wanted), _order(second, wanted)
    words = ("has the higher priority", "has fewer capabilities that are not needed", "comes first by name")
    deciding = next(word for word, mine, other in zip(words, ours, theirs, strict=True) if mine != other)
    return f"Of {len(fit)} that fit it {deciding}; the next is '{second.name}'."


def _none_fits(lacks: dict[str, list[str]], wanted: frozenset[str], agents: Sequence[Candidate]) -> InputError:
    if not agents:
        return InputError("No agent fits the task.", "None is registered.", "Register one.")
    nearest = sorted(lacks, key=lambda name: (len(lacks[name]), name))
    shown = [f"'{name}' {' and '.join(lacks[name])}" for name in nearest[:10]]
    if len(nearest) > len(shown):
        shown.append(f"and {len(nearest) - len(shown)} more")
    known = sorted({one for agent in agents for one in agent.capabilities})
    meant = {one: get_close_matches(one, known, n=1) for one in sorted(wanted - set(known))}
    guesses = [f"did you mean '{near[0]}' by '{one}'?" for one, near in meant.items() if near]
    nearest_one = f"The nearest is '{nearest[0]}'."
    do = " ".join([nearest_one, *(f"{guess[:1].upper()}{guess[1:]}" for guess in guesses)])
    return InputError("No agent fits the task.", f"{'; '.join(shown)}.", do)
