"""The batch lane on both wires that have one: handed in once, collected once, whatever happens in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import msgspec
import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    AuthenticationError,
    BatchLostError,
    BatchPendingError,
    BudgetExceededError,
    CallConflictError,
    OutputTruncatedError,
    ProviderError,
    ProviderUnavailableError,
    RefusalError,
    RequestRejectedError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.prices import PriceRow, price_row
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import Completion, InvokeOptions, LLMConfig, Message, ToolSpec
from orchestrator_v2.testing import fake_anthropic, fake_openai
from orchestrator_v2.testing.fake_anthropic_batches import FakeAnthropicBatches, result_of
from orchestrator_v2.testing.fake_openai_batches import FakeOpenAIBatches, line_of
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

KEY = Secret("sk-canary-0123456789abcdef-batch")
ASK = (Message("user", "Write the changelog."),)
OPTIONS = InvokeOptions(max_tokens=500, system_prompt="Be brief.")
MILLION = {"anthropic": {"input_tokens": 1000, "output_tokens": 100}, "openai": {
    "prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}  # fmt: skip


class Desk:
    """One wire's server, a ledger and a clock; `client()` is a new process each time."""

    def __init__(self, wire: str, server: Any, budget: int | None = None) -> None:
        self.wire = wire
        self.server = server
        self.clock = ManualClock(1_790_000_000.0, auto=True)
        self.ledger = MemoryCallLedger(budget=budget, now=self.clock.now)
        self.log: list[dict[str, Any]] = []

    def reply(self, text: str = "Done.", **more: Any) -> Any:
        module = fake_anthropic if self.wire == "anthropic" else fake_openai
        return module.Reply(text=text, usage=MILLION[self.wire], **more)

    async def ask(
        self, messages: Any = ASK, options: InvokeOptions = OPTIONS, *, batch: bool = True, key: str = "notes/act/1"
    ) -> Completion:
        factory = LLMFactory(clock=self.clock, random=Random(1))
        path = "/v1" if self.wire == "openai" else ""
        model = {"anthropic": "claude-haiku-4-5", "openai": "gpt-6-luna"}[self.wire]
        config = LLMConfig(self.wire, model, KEY, self.server.base_url + path)
        price = price_row(PriceRow(input=((0, 1_000_000_000),), output=((0, 5_000_000_000),)))
        client = factory.create_client(
            config,
            ledger=self.ledger,
            log=self.log.append,
            retry=RetryConfig(max_attempts=2, initial=0.01),
            prices={model: price},
            batch=batch,
        )
        try:
            return await client.invoke(messages, options, key=key)
        finally:
            await factory.aclose()

    async def pending(self, **more: Any) -> BatchPendingError:
        with pytest.raises(BatchPendingError) as caught:
            await self.ask(**more)
        return caught.value


Work = Callable[[Desk], Awaitable[None]]


@pytest.fixture(params=["anthropic", "openai"])
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def at(wire: str, work: Work, *ends: Any, polls: int = 0, budget: int | None = None) -> Desk:
    """Does `work` at a desk whose batches end as `ends` say; the wire's rules were kept by every request."""

    async def go() -> Desk:
        kind = {"anthropic": FakeAnthropicBatches, "openai": FakeOpenAIBatches}[wire]
        server = kind(lambda seen: desk.reply(), ends, polls=polls)
        async with server:
            desk = Desk(wire, server, budget)
            await work(desk)
            assert server.problems == []
            return desk

    return asyncio.run(go())


def test_a_call_is_handed_in_waited_for_and_collected_at_half_the_price(wire):
    """The ledger holds the batch's name at once; at its end the cost is half, and nothing was sent twice."""

    async def work(desk: Desk) -> None:
        first = await desk.pending()
        (row,) = desk.ledger.rows
        assert (row.outcome, row.handle) == ("submitted", next(iter(desk.server.desk.batches)))
        assert (first.parks_as, first.retry_after) == ("waiting_provider", 60.0)
        assert row.handle in str(first)
        desk.clock.advance(1000)
        assert (await desk.pending()).retry_after == 250.0
        desk.clock.advance(100_000)
        assert (await desk.pending()).retry_after == 900.0
        done = await desk.ask()
        assert (done.text, done.finish_reason, done.usage.input_tokens) == ("Done.", "stop", 1000)
        assert done.cost == (1000 * 1000 + 100 * 5000) // 2
        assert (str(done.provenance), done.latency) == (f"real ({desk.wire}/{done.provenance.model})", 101_000.0)
        assert [row.outcome for row in desk.ledger.rows] == ["done"]
        assert (desk.ledger.rows[0].reserved or 0) > (done.cost or 0)
        again = await desk.ask()
        assert (again.recorded, again.text) == (True, "Done.")
        assert len(desk.server.desk.batches) == 1
        assert [line["outcome"] for line in desk.log] == ["submitted", "done"]
        assert {line["key"] for line in desk.log} == {"notes/act/1"}

    at(wire, work, polls=2)


def test_the_request_is_the_one_that_would_have_been_streamed(wire):
    """The body in the batch equals the streamed one without its streaming, so both have one hash in the ledger."""

    async def work(desk: Desk) -> None:
        options = InvokeOptions(max_tokens=500, response_schema={"type": "object", "properties": {}})
        await desk.pending(options=options)
        desk.server.play([desk.reply("{}")])
        await desk.ask(options=options, batch=False, key="other")
        (batch,) = desk.server.desk.batches.values()
        body = desk.server.requests[-1].body
        assert {**batch.asked.body} == {k: v for k, v in body.items() if k not in ("stream", "stream_options")}
        assert desk.ledger.rows[0].request_hash == desk.ledger.rows[1].request_hash == batch.name

    at(wire, work)


def test_calls_of_tools_come_by_batch_too(wire):
    """A result that asks for a tool is read as the same stream would be."""

    async def work(desk: Desk) -> None:
        tool = ToolSpec("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})
        options = msgspec.structs.replace(OPTIONS, tools=(tool,))
        await desk.pending(options=options)
        done = await desk.ask(options=options)
        assert (done.finish_reason, [call.arguments for call in done.tool_calls]) == ("tool_use", [{"a": 2}])

    uses = ("call_1", "add", '{"a": 2}')
    module = fake_anthropic if wire == "anthropic" else fake_openai
    more = {"tool_uses": (uses,)} if wire == "anthropic" else {"tool_calls": (uses,), "stop_reason": "tool_calls"}
    at(wire, work, module.Reply(text="", usage=MILLION[wire], **more))


@pytest.mark.parametrize(
    ("end", "error"), [("canceled", RequestRejectedError), (400, RequestRejectedError), (401, AuthenticationError)]
)
def test_a_batch_that_ends_without_an_answer_fails_its_call(wire, end, error):
    """Cancelled or refused: the row is failed and cost nothing, and the next asking hands in anew."""

    async def work(desk: Desk) -> None:
        reply = desk.reply(status=end, message=f"no: {KEY.reveal()}") if isinstance(end, int) else end
        desk.server.desk.ends = [reply]
        await desk.pending()
        with pytest.raises(error) as caught:
            await desk.ask()
        (row,) = desk.ledger.rows
        assert (row.outcome, row.charged) == ("failed", 0)
        assert KEY.reveal() not in str(caught.value) + row.error
        await desk.pending()
        assert [row.outcome for row in desk.ledger.rows] == ["failed", "submitted"]
        assert (await desk.ask()).text == "Done."

    at(wire, work)


def test_a_batch_that_is_not_there_is_nobodys_end(wire):
    """Another key or address, or a vendor that forgot: a person has to look, and the call stays handed in."""

    async def work(desk: Desk) -> None:
        await desk.pending()
        with pytest.raises(BatchLostError, match="has no batch") as caught:
            await desk.ask()
        assert caught.value.parks_as == "needs_attention"
        assert [row.outcome for row in desk.ledger.rows] == ["submitted"]
        next(iter(desk.server.desk.batches.values())).end = desk.reply()
        assert (await desk.ask()).text == "Done."

    at(wire, work, "gone")


def test_a_result_of_another_call_is_no_answer(wire):
    """The custom_id is the request's hash; an answer under another is of no use, and charged as it may be."""

    async def work(desk: Desk) -> None:
        await desk.pending()
        (batch,) = desk.server.desk.batches.values()
        batch.name = "0" * 64
        await desk.pending()
        first, second = desk.ledger.rows
        assert (first.outcome, first.charged == first.reserved, second.outcome) == ("failed", True, "submitted")
        assert "another call" in first.error
        assert (await desk.ask()).text == "Done."

    at(wire, work)


def test_a_call_that_never_comes_back_is_handed_in_three_times_at_most(wire):
    """Over all resumes together: then a person has to look, and nothing more is paid."""

    async def work(desk: Desk) -> None:
        for _ in range(4):
            with pytest.raises((BatchPendingError, BatchLostError)):
                await desk.ask()
        for _ in range(3):
            with pytest.raises(BatchLostError, match="3 times"):
                await desk.ask()
        assert [row.outcome for row in desk.ledger.rows] == ["failed"] * 3
        assert len(desk.server.desk.batches) == 3

    module = fake_anthropic if wire == "anthropic" else fake_openai
    at(wire, work, *[module.Reply(text="x", usage=MILLION[wire], stop_reason="because")] * 9)


@pytest.mark.parametrize("end", ["expired", 529, 500])
def test_what_may_be_mended_is_handed_in_again_at_once(wire, end):
    """A batch that ran out of its day, or an overloaded server: the failed row cost nothing and a new batch waits."""

    async def work(desk: Desk) -> None:
        desk.server.desk.ends = [end if isinstance(end, str) else desk.reply(status=end)]
        await desk.pending()
        await desk.pending()
        assert [(row.outcome, row.charged) for row in desk.ledger.rows] == [("failed", 0), ("submitted", None)]
        assert (await desk.ask()).text == "Done."

    at(wire, work)


@pytest.mark.parametrize("status", [503, 429, 401, 403, 402, 200, 400, 302, 413])
def test_a_poll_that_fails_leaves_the_call_as_it_was(wire, status):
    """Only what the desk itself says ends a call; what a gateway says is asked past, and never fails the phase."""

    async def work(desk: Desk) -> None:
        await desk.pending()
        bad = desk.reply(status=status) if status != 200 else desk.reply(body=b"<html>no</html>")
        desk.server.play([bad, bad])
        with pytest.raises(ProviderError) as caught:
            await desk.ask()
        assert caught.value.parks_as is not None
        assert isinstance(caught.value, BatchPendingError) == (status in (400, 302, 413))
        assert [row.outcome for row in desk.ledger.rows] == ["submitted"]
        desk.server.play([])
        assert (await desk.ask()).text == "Done."

    at(wire, work)


def test_what_a_desk_says_is_kept_out_of_words_and_ledger(wire):
    """A state, a kind of end or a handle that holds the key: told in our own words, and no such handle is kept."""

    async def work(desk: Desk) -> None:
        odd = KEY.reveal()
        desk.server.play([desk.reply(body=json.dumps({"id": f"{odd} x"}).encode())] * 4)
        with pytest.raises(ProviderError) as no_handle:
            await desk.ask()
        desk.server.play([])
        await desk.pending(key="other")
        states = {"processing_status": odd, "status": odd}
        desk.server.play([desk.reply(body=json.dumps(states).encode())] * 2)
        with pytest.raises((ProviderError, BatchPendingError)) as odd_state:
            await desk.ask(key="other")
        told = f"{no_handle.value} {odd_state.value} {desk.ledger.rows} {desk.log}"
        assert odd not in told

    at(wire, work)


def test_a_desk_that_is_busy_for_long_is_waited_for(wire):
    """Refusals that cost nothing are no attempts of the call: after any number of them it is handed in."""

    async def work(desk: Desk) -> None:
        for _ in range(3):
            desk.server.play([desk.reply(status=529)] * 2)
            with pytest.raises(ProviderUnavailableError):
                await desk.ask()
        desk.server.play([])
        await desk.pending()
        assert [row.outcome for row in desk.ledger.rows] == ["failed"] * 6 + ["submitted"]
        assert (await desk.ask()).text == "Done."

    at(wire, work)


def test_each_handing_in_is_a_line_of_the_log(wire):
    """With the row that it is in the ledger: one that was handed in, and one that was refused."""

    async def work(desk: Desk) -> None:
        desk.server.play([desk.reply(status=529)])
        await desk.pending()
        assert [(line["outcome"], line["row"]) for line in desk.log] == [("failed", 1), ("submitted", 2)]
        assert desk.ledger.rows[1].handle in desk.log[1]["reason"]
        await desk.ask()
        assert [(line["outcome"], line["row"]) for line in desk.log[2:]] == [("done", 2)]

    at(wire, work)


def test_a_handing_in_that_breaks_off_is_charged_its_reservation(wire):
    """No answer to the post: the batch may be there and be billed, so the money is counted as gone."""

    async def work(desk: Desk) -> None:
        file = [desk.reply(body=b'{"id": "file-in-0"}')] if wire == "openai" else []
        broken = [*file, desk.reply(reset=True)]
        desk.server.play([*broken, *broken])
        with pytest.raises(ProviderUnavailableError):
            await desk.ask()
        assert [(row.outcome, row.charged == row.reserved) for row in desk.ledger.rows] == [("failed", True)] * 2

    at(wire, work)


def test_a_handing_in_that_is_refused_costs_nothing(wire):
    """An overloaded desk is asked again, and the attempt that it refused is a failed row of cost 0."""

    async def work(desk: Desk) -> None:
        desk.server.play([desk.reply(status=529)])
        await desk.pending()
        assert [(row.outcome, row.charged) for row in desk.ledger.rows] == [("failed", 0), ("submitted", None)]

    at(wire, work)


@pytest.mark.parametrize(
    ("reason", "error"),
    [({"anthropic": "max_tokens", "openai": "length"}, OutputTruncatedError),
     ({"anthropic": "refusal", "openai": "content_filter"}, RefusalError)],
)  # fmt: skip
def test_an_answer_that_is_cut_or_refused_is_treated_as_a_streamed_one(wire, reason, error):
    """A cut answer is paid and sent once more with a larger cap, by batch again; a refusal is shown."""

    async def work(desk: Desk) -> None:
        await desk.pending()
        if error is OutputTruncatedError:
            await desk.pending()
            assert [row.key for row in desk.ledger.rows] == ["notes/act/1", "notes/act/1/longer"]
        with pytest.raises(error):
            await desk.ask()
        assert {row.outcome for row in desk.ledger.rows} == {"done"}

    module = fake_anthropic if wire == "anthropic" else fake_openai
    reply = module.Reply(text="Half", usage=MILLION[wire], stop_reason=reason[wire])
    at(wire, work, reply, reply)


def test_another_prompt_under_the_same_name_is_a_conflict(wire):
    """While a batch is at work its call cannot be asked anything else, and nothing is sent."""

    async def work(desk: Desk) -> None:
        await desk.pending()
        with pytest.raises(CallConflictError):
            await desk.ask((Message("user", "Something else."),))
        assert len(desk.server.desk.batches) == 1

    at(wire, work)


def test_a_budget_holds_for_what_is_handed_in(wire):
    """The reservation is the lane's price; the second batch does not fit beside the first, which is still out."""

    async def work(desk: Desk) -> None:
        await desk.pending()
        with pytest.raises(BudgetExceededError):
            await desk.ask(key="notes/act/2")
        assert len(desk.server.desk.batches) == 1
        assert desk.ledger.rows[0].reserved == await desk.ledger.spent()

    probe = at(wire, lambda desk: desk.pending())
    reserved = probe.ledger.rows[0].reserved
    assert reserved is not None
    at(wire, work, budget=reserved * 2 - 1)


def test_a_provider_without_the_lane_refuses_before_anything_is_sent():
    """A vendor whose row has no batches, a client without a ledger: a clear error, in plain words."""
    factory = LLMFactory(clock=ManualClock(), random=Random(1))
    with pytest.raises(RequestRejectedError, match="groq has no batch lane"):
        factory.create_client(LLMConfig("groq", "llama-3.3-70b-versatile", KEY), ledger=MemoryCallLedger(), batch=True)
    with pytest.raises(RequestRejectedError, match="needs a ledger"):
        factory.create_client(LLMConfig("anthropic", "", KEY), batch=True)


def test_results_that_are_malformed_never_become_an_answer(wire):
    """Every single field of the result taken away or bent: an error or the same answer, and never another text."""

    async def work(desk: Desk) -> None:
        await desk.pending()
        (batch,) = desk.server.desk.batches.values()
        path = {"anthropic": "/results", "openai": "/content"}[wire]
        await desk.ask()
        good = json.loads(next(body for body in _bodies(desk, batch) if body))
        for bent in _bent(good):
            desk.ledger.rows[0] = msgspec.structs.replace(
                desk.ledger.rows[0], outcome="submitted", completion=None, charged=None
            )
            states = {"anthropic": b'{"processing_status": "ended"}', "openai": (
                b'{"status": "completed", "output_file_id": "f"}')}  # fmt: skip
            round_trip = [desk.reply(body=states[wire]), desk.reply(body=json.dumps(bent).encode())]
            desk.server.play(round_trip * 2)
            try:
                found = await desk.ask()
            except ProviderError:
                continue
            assert found.text in ("Done.", ""), (path, bent)

    at(wire, work)


def _bodies(desk: Desk, batch: Any) -> list[bytes]:
    if desk.wire == "anthropic":
        return [json.dumps({"custom_id": batch.name, "result": result_of(batch)}).encode()]
    return [json.dumps(line_of(batch)).encode()]


def _bent(value: Any) -> list[Any]:
    """The value with each of its parts, one at a time, left out, set to null, or of another type."""
    found: list[Any] = []
    if isinstance(value, dict):
        for name, inner in value.items():
            rest = {k: v for k, v in value.items() if k != name}
            found += [rest, *({**value, name: other} for other in (None, 7, "Done.", [], {}))]
            found += [{**value, name: other} for other in _bent(inner)]
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            found += [[*value[:place], other, *value[place + 1 :]] for other in _bent(inner)]
    return found
