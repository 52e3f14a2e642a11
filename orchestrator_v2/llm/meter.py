"""The cost of one call before and after: its worst case, whether it fits the window, what it is charged.

Rows are written by `wrappers/recorded.py`, the check before sending is `wrappers/metered.py`; both ask here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    PromptTooLargeError,
    ProviderError,
    RequestRejectedError,
)
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.base import Invoker, TokenCounter, innermost
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.prices import price, search_price, worst_case
from orchestrator_v2.llm.thrift import cheaper_because
from orchestrator_v2.llm.tokens import estimate_tokens
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message

# Tokens beside the text: roles, separators, the provider's own instructions for structured answers.
_OVERHEAD_PER_CALL = 400
_OVERHEAD_PER_MESSAGE = 12
# What a provider tells its model about tools: Anthropic's page on tool use names up to 700 tokens.
_OVERHEAD_OF_TOOLS = 800
# The most that a picture is scaled down to: 4,784 tokens, by Anthropic's page on vision (2026).
IMAGE_TOKENS = 5_000
# So near to the window, as a share of it, an estimate is not believed where the provider can count.
_NEAR = 0.2
# More tokens than this for each byte sent, or over the cap asked for, is no honest count.
_ABSURD_INPUT_SLACK = 20_000
_ABSURD_OUTPUT_SLACK = 1_000
# More searches of the model's own than any answer takes, where the wire takes no limit.
_ABSURD_SEARCHES = 100


class Meter:
    """Reserves for all of `models` (the first, then its fallbacks) and settles for the one that answered.

    `percent` is what is paid of the usual price, as in a batch lane. `cheaper` is asked in place of all of them where
    `llm/thrift.py` says so, and then reserved for alone.
    """

    def __init__(self, models: Sequence[ModelInfo], *, percent: int = 100, cheaper: ModelInfo | None = None) -> None:
        self._models = tuple(models)
        self._cheaper = cheaper
        self._percent = percent
        known = (*models, cheaper) if cheaper is not None else models
        self._by_name: Mapping[tuple[str, str], ModelInfo] = {(m.provider, m.name): m for m in known}
        # The request that was counted last: it passes here again on its way down, and with each retry.
        self._counted: tuple[Sequence[Message], InvokeOptions, int] | None = None

    @property
    def _tried(self) -> tuple[ModelInfo, ...]:
        """The models that the call under way may be sent to."""
        return (self._cheaper,) if self._cheaper is not None and cheaper_because.get() else self._models

    def reserve(self, messages: Sequence[Message], options: InvokeOptions) -> int | None:
        """The worst case in nano-dollars: each model tried and each charged; None when a price is unknown."""
        total = 0
        for info in self._tried:
            cost = _worst_case(info, messages, capped(info, options))
            if cost is None:
                return None
            total += cost
        return self._part(total, options)

    def _part(self, cost: int, options: InvokeOptions) -> int:
        """`cost` in this lane, rounded up; searches are nowhere said to be cheaper by batch."""
        return cost if options.native_search else -(-cost * self._percent // 100)

    async def check_window(self, messages: Sequence[Message], options: InvokeOptions, sender: Invoker) -> None:
        """Raises `PromptTooLargeError` when prompt and answer do not fit the first model's window.

        The estimate decides; within 20 % of the window the provider behind `sender` is asked, where it can count.
        Raises what the counting raises, where sending the call would not fare better.
        """
        info = self._tried[0]
        window = info.facts.window
        if window is None:
            return
        answer = capped(info, options).max_tokens
        needed = estimate_prompt(info, messages, options) + answer
        if abs(needed - window) <= _NEAR * window and info is self._models[0]:
            counted = await self._count(messages, options, sender)
            needed = needed if counted is None else counted + answer
        if needed > window:
            raise _too_large(info, needed, window)

    async def _count(self, messages: Sequence[Message], options: InvokeOptions, sender: Invoker) -> int | None:
        """Tokens of the prompt by the provider's own count; None where it has none."""
        counter = innermost(sender)
        if not isinstance(counter, TokenCounter):
            return None
        known = self._counted
        if known is not None and known[0] is messages and known[1] is options:
            return known[2]
        try:
            count = await counter.count_tokens(messages, options)
        except (RequestRejectedError, BadGatewayError, AuthenticationError):
            return None  # A compatible server without this endpoint; what is wrong with the call, the call will say.
        except ProviderError as error:
            error.unbilled = True
            raise
        self._counted = (messages, options, count)
        return count

    def settle(self, completion: Completion, messages: Sequence[Message], options: InvokeOptions) -> Completion:
        """`completion` with its cost; a missing, negative or absurd usage is charged as its reservation, and noted."""
        made_by = (completion.provenance.provider, completion.provenance.model)
        info = self._by_name.get(made_by, self._tried[0])
        flaw = _flaw(info, completion, messages, capped(info, options))
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
        total = _sum(price(info.price, completion.usage), search_price(info.price, completion.searches))
        for other in self._tried:
            if f"{other.provider}/{other.name}" in completion.unsettled:
                total = _sum(total, _worst_case(other, messages, options))
        return None if total is None else self._part(total, options)


def _worst_case(info: ModelInfo, messages: Sequence[Message], options: InvokeOptions) -> int | None:
    """The most that one model may charge, in nano-dollars. What it finds by searching may fill its window."""
    sent = estimate_prompt(info, messages, options)
    if not options.native_search:
        return worst_case(info.price, sent, options.max_tokens)
    if info.facts.window is None:
        return None
    searches = max(options.native_search, info.row.uncapped_searches)
    text = worst_case(info.price, max(sent, info.facts.window), options.max_tokens)
    return _sum(text, search_price(info.price, searches))


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def capped(info: ModelInfo, options: InvokeOptions) -> InvokeOptions:
    """`options` with `max_tokens` within what the model can give."""
    limit = info.facts.max_output
    if limit is None or options.max_tokens <= limit:
        return options
    return msgspec.structs.replace(options, max_tokens=limit)


def estimate_prompt(info: ModelInfo, messages: Sequence[Message], options: InvokeOptions) -> int:
    """Tokens of the whole request, as an upper guess: texts, tools and their results, images."""
    factor = info.facts.tokenizer
    overhead = _OVERHEAD_PER_CALL + len(messages) * _OVERHEAD_PER_MESSAGE + _OVERHEAD_OF_TOOLS * bool(options.tools)
    texts = sum(estimate_tokens(text, tokenizer=factor) for text in _texts(messages, options))
    return overhead + texts + IMAGE_TOKENS * _images(messages, options)


def _texts(messages: Sequence[Message], options: InvokeOptions) -> Iterator[str]:
    """Everything of a request that is read as text."""
    yield options.system_prompt
    if options.response_schema is not None:
        yield msgspec.json.encode(options.response_schema).decode()
    if options.tools:
        yield msgspec.json.encode(options.tools).decode()
    for message in messages:
        yield message.content
        yield from (result.content for result in message.tool_results)
        if message.tool_calls:
            yield msgspec.json.encode(message.tool_calls).decode()


def _images(messages: Sequence[Message], options: InvokeOptions) -> int:
    return len(options.images) + sum(len(message.images) for message in messages)


def _flaw(info: ModelInfo, completion: Completion, messages: Sequence[Message], options: InvokeOptions) -> str:
    if completion.provenance.kind == "simulated":
        return ""
    usage = completion.usage
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    if min(*counts, completion.searches) < 0:
        return "negative"
    if usage.input_tokens == 0 or (usage.output_tokens == 0 and (completion.text or completion.tool_calls)):
        return "missing"
    too_long = usage.output_tokens > options.max_tokens + _ABSURD_OUTPUT_SLACK
    too_often = completion.searches > (_ABSURD_SEARCHES if options.native_search else 0)
    too_much = usage.input_tokens > _most_input(info, completion, messages, options)
    return "absurd" if too_much or too_long or too_often else ""


def _most_input(info: ModelInfo, completion: Completion, messages: Sequence[Message], options: InvokeOptions) -> int:
    """Tokens over which a count is no honest one. With each search the model reads all that is there anew."""
    sent = 4 * sum(map(len, _texts(messages, options))) + IMAGE_TOKENS * _images(messages, options)
    read_again = (completion.searches + 1) * (info.facts.window or 1_000_000) if options.native_search else 0
    return sent + _ABSURD_INPUT_SLACK + read_again


def _too_large(info: ModelInfo, needed: int, window: int) -> PromptTooLargeError:
    error = PromptTooLargeError(
        f"The prompt does not fit the model '{info.name}'.",
        f"Prompt and answer take about {needed:,} tokens, {needed - window:,} more than its window of {window:,}.",
        "Shorten the prompt, or use a model with a larger window.",
        over_by=needed - window,
    )
    error.unbilled = True
    return error
