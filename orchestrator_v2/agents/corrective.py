"""A question to a model whose answer has to fit: asked once, and once more with what was wrong with it.

What fits is the caller's to say (`read`); retries, budgets and recording are wrappers around the client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from orchestrator_v2.agents.base_agent import telling
from orchestrator_v2.core.errors import InvalidOutputError, OutputTruncatedError, RefusalError
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.usage import NO_USAGE, Usage
from orchestrator_v2.llm.base import Invoker
from orchestrator_v2.llm.structured import clean_text
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message

MAX_QUOTED_CHARS = 8_000  # of an answer that did not fit, shown back to its author

T = TypeVar("T")


class Question(msgspec.Struct, frozen=True):
    """`key` names the call within its run; the corrective turn's is `key/fix`."""

    client: Invoker
    key: str
    messages: Sequence[Message]
    options: InvokeOptions


class Asked(msgspec.Struct, Generic[T], frozen=True):
    """A parsed answer with what the calls for it used."""

    answer: T
    usage: Usage
    provenance: Provenance
    notes: tuple[str, ...]


async def ask_for(
    question: Question, read: Callable[[str], T], *, correction: Callable[[str], str], who: str
) -> Asked[T]:
    """The answer as `read` gives it; `correction` puts what was wrong into words for the second turn.

    The client's errors pass through. Raises `InvalidOutputError` for an answer that stays wrong.
    """
    client, options = question.client, question.options
    calls = [_whole(await client.invoke(question.messages, options, key=question.key))]
    try:
        return _asked(read(calls[-1].text), calls)
    except InvalidOutputError as problem:
        again = _corrective(question.messages, calls[-1], correction(problem.why or problem.what))
    calls.append(_whole(await client.invoke(again, options, key=f"{question.key}/fix")))
    try:
        return _asked(read(calls[-1].text), calls)
    except InvalidOutputError as problem:
        raise InvalidOutputError(
            f"The {who}'s answer to '{question.key}' did not fit, and neither did its correction.",
            problem.why or problem.what,
            "Ask again, or use a stronger model.",
        ) from None


def _corrective(messages: Sequence[Message], bad: Completion, words: str) -> list[Message]:
    shown = clean_text(bad.text[:MAX_QUOTED_CHARS]) + ("\n[cut]" if len(bad.text) > MAX_QUOTED_CHARS else "")
    return [*messages, Message("assistant", shown if shown.strip() else "(no answer)"), Message("user", words)]


def _whole(completion: Completion) -> Completion:
    """The completion, unless it is a part or a refusal; `llm/wrappers/whole.py` says so earlier where it stands."""
    if completion.finish_reason == "length":
        raise OutputTruncatedError(
            "The model's answer was cut off.", "It reached the limit of tokens.", "Raise max_tokens or ask for less."
        )
    if completion.finish_reason == "refusal":
        raise RefusalError("The model refused to answer.", "", "Ask anew, or change the brief or the model.")
    return completion


def _asked(answer: T, calls: Sequence[Completion]) -> Asked[T]:
    notes = tuple(note for one in calls for note in one.notes)
    usage = sum((one.usage for one in calls), NO_USAGE)
    return Asked(answer, usage, telling([one.provenance for one in calls]), notes)
