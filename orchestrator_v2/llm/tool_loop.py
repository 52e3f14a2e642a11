"""A conversation in which the model may ask for tools: a bounded number of rounds, each of them in the ledger.

What a tool is and how it runs is `tools.py`; why results are recorded is docs/decisions/0007-tools.md.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from orchestrator_v2.core.errors import InvalidOutputError, RunStateError
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker
from orchestrator_v2.llm.client import LLMClient, Prompt
from orchestrator_v2.llm.ledger import CallIntent, CallLedger, RecordedAnswers
from orchestrator_v2.llm.tools import ToolRegistry
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message, ToolCall, ToolResult

MAX_ROUNDS = 8
# Wishes of one answer that are carried out; the others are answered with an error.
MAX_AT_ONCE = 32
# The provider's name in the rows of tools, which cost nothing.
PROVIDER = "tool"

UNKNOWN = (
    "The tool was under way when the process ended. Whether it took effect is not known, and it was not called again."
)
TOO_MANY = f"More than {MAX_AT_ONCE} tools were asked for at once: this one was not called."


async def run_with_tools(
    client: LLMClient | Invoker,
    prompt: Prompt,
    registry: ToolRegistry,
    options: InvokeOptions = DEFAULT_OPTIONS,
    *,
    max_rounds: int = MAX_ROUNDS,
    key: str = "",
) -> Completion:
    """The answer that the model gives once it asks for no more tools; its usage is that of all rounds.

    Round n is recorded as KEY/n and its i-th tool as KEY/n/tool/i, in the ledger of `client` where it has one: on
    resume neither is sent or called again. The tools of a round run at the same time. Raises what `invoke` raises, and
    `InvalidOutputError` when the model still asks for tools in the last round.
    """
    ledger = _ledger_of(client)
    messages = _with_images(prompt, options)
    asked = msgspec.structs.replace(options, tools=registry.specs, images=())
    total: Completion | None = None
    for number in range(1, max_rounds + 1):
        round_key = f"{key}/{number}" if key else ""
        completion = await client.invoke(messages, asked, key=round_key)
        total = completion if total is None else _added(total, completion)
        if completion.finish_reason != "tool_use" or not completion.tool_calls:
            return total
        if number < max_rounds:
            run = _Round(registry, ledger, round_key, resumed=completion.recorded)
            results = await run.results(completion.tool_calls)
            said = Message("assistant", completion.text, tool_calls=completion.tool_calls)
            messages = (*messages, said, Message("user", "", tool_results=results))
    raise InvalidOutputError(
        f"The model still asked for tools after {max_rounds} rounds.",
        f"Last: {', '.join(call.name for call in completion.tool_calls)[:300]}.",
        "Raise max_rounds, or ask for less at once.",
    )


class _Round:
    """The tools of one answer. `resumed`: the answer came from the ledger, so its tools may have been called."""

    def __init__(self, registry: ToolRegistry, ledger: RecordedAnswers | None, key: str, *, resumed: bool) -> None:
        self._registry = registry
        self._ledger = ledger
        self._key = key
        self._resumed = resumed

    async def results(self, calls: Sequence[ToolCall]) -> tuple[ToolResult, ...]:
        """One result for each call, in order. All have ended before an error of one of them is raised."""
        begun = await self._begun()
        work = (self._result(f"{self._key}/tool/{number}", call, begun) for number, call in enumerate(calls, start=1))
        found = await asyncio.gather(*work, return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return tuple(cast(list[ToolResult], found))

    async def _begun(self) -> frozenset[str]:
        """Keys of tools that were called before; only asked for where there can be some."""
        if not self._resumed or not isinstance(self._ledger, CallLedger):
            return frozenset()
        return frozenset(row.key for row in await self._ledger.calls() if row.provider == PROVIDER)

    async def _result(self, key: str, call: ToolCall, begun: frozenset[str]) -> ToolResult:
        if int(key.rpartition("/")[2]) > MAX_AT_ONCE:
            return ToolResult(call.id, TOO_MANY, is_error=True)
        if self._ledger is None:
            return await self._registry.run(call)
        hashed = _call_hash(call)
        known = await self._ledger.find(key, hashed)
        if known is not None:
            return ToolResult(call.id, known.text, known.finish_reason == "error")
        if not isinstance(self._ledger, CallLedger):
            raise RunStateError(
                f"The run has no recorded result for '{key}'.", "A replay calls no tools.", "Resume it."
            )
        call_id = await self._ledger.begin(CallIntent(key, hashed, PROVIDER, call.name[:64], 0))
        tool = self._registry.get(call.name)
        if key in begun and tool is not None and not tool.repeatable:
            result = ToolResult(call.id, UNKNOWN, is_error=True)
        else:
            result = await self._run(call_id, call, self._ledger)
        reason = "error" if result.is_error else "stop"
        await self._ledger.finish(call_id, Completion(result.content, reason), 0)
        return result

    async def _run(self, call_id: int, call: ToolCall, ledger: CallLedger) -> ToolResult:
        try:
            return await self._registry.run(call)
        except BaseException as error:
            await ledger.fail(call_id, type(error).__name__, 0)
            raise


def _ledger_of(client: Any) -> RecordedAnswers | None:
    """The ledger that a client of the chain records in, or replays from."""
    while client is not None:
        found = getattr(client, "ledger", None)
        if found is not None:
            return cast(RecordedAnswers, found)
        client = getattr(client, "chain", None) or getattr(client, "inner", None)
    return None


def _call_hash(call: ToolCall) -> str:
    return hashlib.sha256(msgspec.json.encode([call.name, call.arguments], order="sorted")).hexdigest()


def _with_images(prompt: Prompt, options: InvokeOptions) -> tuple[Message, ...]:
    """The messages with the options' images in the last user's turn, where they stay while turns are added."""
    messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
    if not options.images or not messages:
        return messages
    last = messages[-1]
    return (*messages[:-1], msgspec.structs.replace(last, images=(*last.images, *options.images)))


def _added(first: Completion, second: Completion) -> Completion:
    return msgspec.structs.replace(
        second,
        usage=first.usage + second.usage,
        latency=first.latency + second.latency,
        attempts=first.attempts + second.attempts,
        recorded=first.recorded and second.recorded,
        notes=(*first.notes, *second.notes),
        searches=first.searches + second.searches,
        sources=(*first.sources, *second.sources),
    )
