"""The cost of one call before and after: its worst case, whether it fits the window, what it is charged.

Rows are written by `wrappers/recorded.py`, the check before sending is `wrappers/metered.py`; both ask here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from orchestrator_v2.core.errors import PromptTooLargeError
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.prices import price, worst_case
from orchestrator_v2.llm.tokens import estimate_tokens
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message

# Tokens beside the text: roles, separators, the provider's own instructions for structured answers.
_OVERHEAD_PER_CALL = 400
_OVERHEAD_PER_MESSAGE = 12
# More tokens than this for each byte sent, or over the cap asked for, is no honest count.
_ABSURD_INPUT_SLACK = 20_000
_ABSURD_OUTPUT_SLACK = 1_000


class Meter:
    """Reserves for all of `models` (the first, then its fallbacks) and settles for the one that answered."""

    def __init__(self, models: Sequence[ModelInfo]) -> None:
        self._models = tuple(models)
        self._by_name: Mapping[tuple[str, str], ModelInfo] = {(m.provider, m.name): m for m in models}

    def reserve(self, messages: Sequence[Message], options: InvokeOptions) -> int | None:
        """The worst case in nano-dollars: each model tried and each charged; None when a price is unknown.

        Raises what `check_window` raises: a call that cannot be sent has no worst case.
        """
        self.check_window(messages, options)
        total = 0
        for info in self._models:
            cost = worst_case(info.price, estimate_prompt(info, messages, options), capped(info, options).max_tokens)
            if cost is None:
                return None
            total += cost
        return total

    def check_window(self, messages: Sequence[Message], options: InvokeOptions) -> None:
        """Raises `PromptTooLargeError` when prompt and answer do not fit the first model's window."""
        info = self._models[0]
        if info.facts.window is None:
            return
        needed = estimate_prompt(info, messages, options) + capped(info, options).max_tokens
        over_by = needed - info.facts.window
        if over_by > 0:
            error = PromptTooLargeError(
                f"The prompt does not fit the model '{info.name}'.",
                f"Prompt and answer take about {needed} tokens, {over_by} more than its window of {info.facts.window}.",
                "Shorten the prompt, or use a model with a larger window.",
                over_by=over_by,
            )
            error.unbilled = True
            raise error

    def settle(self, completion: Completion, messages: Sequence[Message], options: InvokeOptions) -> Completion:
        """`completion` with its cost; a missing, negative or absurd usage is charged as its reservation, and noted."""
        made_by = (completion.provenance.provider, completion.provenance.model)
        info = self._by_name.get(made_by, self._models[0])
        flaw = _flaw(completion, messages, capped(info, options))
        if flaw:
            cost, usage = self.reserve(messages, options), Usage(calls=1)
            note = f"The provider's token count was {flaw}; the call is charged as its reservation."
            completion = msgspec.structs.replace(completion, notes=(*completion.notes, note))
        else:
            cost, usage = self._cost(info, completion, messages, options), completion.usage
        return msgspec.structs.replace(completion, usage=msgspec.structs.replace(usage, cost=cost))

    def _cost(
        self, info: ModelInfo, completion: Completion, messages: Sequence[Message], options: InvokeOptions
    ) -> int | None:
        total = price(info.price, completion.usage)
        for other in self._models:
            if f"{other.provider}/{other.name}" not in completion.unsettled:
                continue
            lost = worst_case(other.price, estimate_prompt(other, messages, options), options.max_tokens)
            total = None if total is None or lost is None else total + lost
        return total


def capped(info: ModelInfo, options: InvokeOptions) -> InvokeOptions:
    """`options` with `max_tokens` within what the model can give."""
    limit = info.facts.max_output
    if limit is None or options.max_tokens <= limit:
        return options
    return msgspec.structs.replace(options, max_tokens=limit)


def estimate_prompt(info: ModelInfo, messages: Sequence[Message], options: InvokeOptions) -> int:
    """Tokens of the whole request, as an upper guess."""
    factor = info.facts.tokenizer
    total = _OVERHEAD_PER_CALL + estimate_tokens(options.system_prompt, tokenizer=factor)
    if options.response_schema is not None:
        total += estimate_tokens(msgspec.json.encode(options.response_schema).decode(), tokenizer=factor)
    return total + sum(
        estimate_tokens(message.content, tokenizer=factor) + _OVERHEAD_PER_MESSAGE for message in messages
    )


def _flaw(completion: Completion, messages: Sequence[Message], options: InvokeOptions) -> str:
    usage = completion.usage
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    if min(counts) < 0:
        return "negative"
    if usage.input_tokens == 0 or (usage.output_tokens == 0 and completion.text):
        return "missing"
    schema = msgspec.json.encode(options.response_schema) if options.response_schema else b""
    sent = sum(len(m.content) for m in messages) * 4 + len(options.system_prompt) * 4 + len(schema)
    too_much = usage.input_tokens > sent + _ABSURD_INPUT_SLACK
    too_long = usage.output_tokens > options.max_tokens + _ABSURD_OUTPUT_SLACK
    return "absurd" if too_much or too_long else ""
