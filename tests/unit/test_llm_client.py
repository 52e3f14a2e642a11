"""What a caller holds: prompts, streams, estimates, and what happens when a stream is left or breaks."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator_v2.core.errors import ProviderUnavailableError, RequestRejectedError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import no_sink
from orchestrator_v2.llm.types import Completion, InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger
from orchestrator_v2.testing.scripted_llm import scripted_factory

CONFIG = LLMConfig("anthropic", "claude-sonnet-5-5", Secret("sk-ant-api03-planted-canary-value"))


def collected(client, *, key="a/1"):
    """Everything that a stream gave, the error at its end included."""

    async def go():
        given = []
        try:
            async for piece in client.stream("Build a clock.", key=key):
                given.append(piece)
        except ProviderUnavailableError as error:
            given.append(error)
        return given

    return asyncio.run(go())


class Breaking:
    """A provider's client that hands out a piece and then fails, always."""

    needs_credential = False
    provider, model = "anthropic", "claude-sonnet-5-5"

    def __init__(self):
        self.sent = 0

    def missing_extra(self):
        return ""

    def connect(self, connection):
        return self

    async def invoke(self, messages, options=None, *, key="", sink=no_sink):
        self.sent += 1
        sink("Half an ")
        raise ProviderUnavailableError("down")

    async def aclose(self):
        pass


def test_a_stream_gives_the_text_and_ends_with_the_completion():
    """The pieces together are the completion's text, and the call is in the ledger like any other."""
    factory, _ = scripted_factory(["Half an answer, and the rest."], name="anthropic")
    ledger = MemoryCallLedger()
    *pieces, last = collected(factory.create_client(CONFIG, ledger=ledger))
    assert isinstance(last, Completion)
    assert "".join(pieces) == last.text == "Half an answer, and the rest."
    assert [row.outcome for row in ledger.rows] == ["done"]


def test_a_recorded_answer_streams_again_without_being_sent():
    """The same call streams its recorded text; the provider is asked once."""
    factory, scripted = scripted_factory(["Once."], name="anthropic")
    client = factory.create_client(CONFIG, ledger=MemoryCallLedger())
    first, second = collected(client), collected(client)
    assert first[0] == second[0] == "Once."
    assert second[-1].recorded
    assert len(scripted.calls) == 1


def test_nothing_is_sent_again_once_a_piece_was_handed_out():
    """Neither the retries nor the fallback models begin anew under a reader who has the first half already."""
    factory, _ = scripted_factory(["Whole."], name="openers")
    breaking = Breaking()
    factory.register_provider("anthropic", breaking)
    client = factory.create_client(CONFIG, fallbacks=(CONFIG,))
    pieces = collected(client)
    assert pieces[0] == "Half an "
    assert isinstance(pieces[-1], ProviderUnavailableError)
    assert (len(pieces), breaking.sent) == (2, 1)


def test_leaving_a_stream_early_cancels_the_call_and_settles_it():
    """A reader who stops reading leaves no open reservation and no task behind."""
    ledger = MemoryCallLedger()
    factory, _ = scripted_factory([], name="anthropic")
    started = asyncio.Event()

    class Endless(Breaking):
        async def invoke(self, messages, options=None, *, key="", sink=no_sink):
            sink("first")
            started.set()
            await asyncio.Event().wait()

    factory.register_provider("anthropic", Endless())

    async def go():
        stream = factory.create_client(CONFIG, ledger=ledger).stream("Go on.", key="a/1")
        assert await anext(stream) == "first"
        await stream.aclose()
        return len(asyncio.all_tasks())

    assert asyncio.run(go()) == 1
    assert [row.outcome for row in ledger.rows] == ["failed"]
    assert ledger.rows[0].charged == ledger.rows[0].reserved


def test_a_prompt_is_one_message_of_the_user():
    """A text, and the messages that say the same, are one request; `generate_content_async` gives its text."""
    factory, scripted = scripted_factory(["A.", "B.", "C."], name="anthropic")
    client = factory.create_client(CONFIG)

    async def go():
        await client.invoke("Hello", InvokeOptions(max_tokens=5))
        await client.invoke([Message("user", "Hello")], InvokeOptions(max_tokens=5))
        return await client.generate_content_async([Message("user", "Hello")])

    assert asyncio.run(go()) == "C."
    assert [call.messages for call in scripted.calls] == [(Message("user", "Hello"),)] * 3


def test_costs_and_tokens_are_estimated_without_asking_anyone():
    """A longer response costs more, an unknown price is None, and tokens are guessed where nobody counts them."""
    factory, scripted = scripted_factory([], name="anthropic")
    client = factory.create_client(CONFIG)
    assert 0 < client.estimate_cost("Hello", "A short answer.") < client.estimate_cost("Hello", 10_000)
    unknown = factory.create_client(LLMConfig("anthropic", "nobodys-model", CONFIG.credential, "https://example.com"))
    assert unknown.estimate_cost("Hello", "There.") is None
    assert asyncio.run(client.count_tokens("Hello")) > 0
    assert scripted.calls == []


def test_what_a_provider_cannot_do_is_said():
    """Embeddings of a provider that makes none are refused, unsent and uncharged."""
    factory, _ = scripted_factory([], name="anthropic")
    with pytest.raises(RequestRejectedError, match="makes no embeddings") as caught:
        asyncio.run(factory.create_client(CONFIG).embed(["a"]))
    assert caught.value.unbilled
