"""Lets only whole answers through: cut ones are asked for once more with a larger cap, empty ones once more.

It stands outside the recording wrapper, so each sending has a key of its own and is found again on resume.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator_v2.core.errors import (
    BudgetError,
    EmptyOutputError,
    OutputTruncatedError,
    PromptTooLargeError,
    RefusalError,
)
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Delivery, Invoker, Sink, no_sink
from orchestrator_v2.llm.types import WINDOW_FULL, Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper

LONGER, AGAIN = "longer", "again"
# A recorded refusal is an answer that was paid for, so `resume` finds it again.
REFUSED = "`orchestrator retry RUN PHASE` asks anew; a new run can have another brief or model."


class WholeClient(Wrapper):
    """`max_output` is the model's own cap in tokens (None: unknown).

    `invoke` raises `OutputTruncatedError`, `RefusalError` or `EmptyOutputError` where there is no whole answer.
    """

    def __init__(self, inner: Invoker, *, max_output: int | None = None) -> None:
        super().__init__(inner)
        self._max_output = max_output

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        delivery = Delivery(sink)
        completion = await self.inner.invoke(messages, options, key=key, sink=delivery)
        if delivery.started:
            return _judged(completion, options)
        if completion.finish_reason == "length":
            first, larger = completion, self._larger(completion, options)
            if larger is None:
                raise _truncated(options, "The model cannot give more.")
            try:
                completion = await self.inner.invoke(messages, larger, key=_sub(key, LONGER), sink=sink)
            except (BudgetError, PromptTooLargeError) as error:
                raise _truncated(options, f"A longer one is not possible: {error.what}") from error
            completion = _added(first, completion)
            options = larger
        elif not completion.text.strip() and completion.finish_reason == "stop":
            first = completion
            completion = _added(first, await self.inner.invoke(messages, options, key=_sub(key, AGAIN), sink=sink))
        return _judged(completion, options)

    def _larger(self, completion: Completion, options: InvokeOptions) -> InvokeOptions | None:
        if WINDOW_FULL in completion.notes:
            return None
        cap = 2 * options.max_tokens if self._max_output is None else min(2 * options.max_tokens, self._max_output)
        return msgspec.structs.replace(options, max_tokens=cap) if cap > options.max_tokens else None


def _judged(completion: Completion, options: InvokeOptions) -> Completion:
    if completion.finish_reason == "length":
        raise _truncated(options, "It is not whole.")
    if completion.finish_reason == "refusal":
        said = f"It said: {completion.text.strip()[:300]}" if completion.text.strip() else ""
        raise RefusalError("The model refused to answer.", said, REFUSED)
    if not completion.text.strip() and not completion.tool_calls:
        raise EmptyOutputError("The model gave an empty answer, twice.", "", "Resume, or use another model.")
    return completion


def _added(first: Completion, second: Completion) -> Completion:
    return msgspec.structs.replace(
        second,
        usage=first.usage + second.usage,
        attempts=first.attempts + second.attempts,
        recorded=first.recorded and second.recorded,
        notes=(*first.notes, *second.notes),
        searches=first.searches + second.searches,
    )


def _sub(key: str, name: str) -> str:
    return f"{key}/{name}" if key else ""


def _truncated(options: InvokeOptions, why: str) -> OutputTruncatedError:
    do = "Raise max_tokens, or ask for less at once."
    if options.reasoning:
        do = f"{do} Thinking counts too: a level below '{options.reasoning}' leaves more room."
    return OutputTruncatedError(f"The answer was cut at {options.max_tokens} tokens.", why, do)
