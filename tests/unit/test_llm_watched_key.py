"""A stored key is asked for before each sending, and reported once it is refused; nothing goes out with a dead one."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    AuthenticationError,
    BatchPendingError,
    ConfigError,
    CredentialMissingError,
    ProviderUnavailableError,
    RateLimitedError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.circuit import CircuitConfig
from orchestrator_v2.llm.client import LLMClient
from orchestrator_v2.llm.factory import LLMFactory, ScriptedLLM
from orchestrator_v2.llm.lane import RateLimits
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message
from orchestrator_v2.llm.wrappers.watched_key import KeyWatch, WatchedKeyClient
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply
from orchestrator_v2.testing.fake_anthropic_batches import FakeAnthropicBatches
from orchestrator_v2.testing.fake_openai import FakeOpenAI
from orchestrator_v2.testing.fake_openai_batches import FakeOpenAIBatches
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

KEY = Secret("sk-canary-watched-0123456789abcdef")
ASK, OPTIONS = (Message("user", "Hi"),), InvokeOptions(max_tokens=50)


class Watch:
    """A key that is usable `lives` times (None: always), and what was said of it."""

    def __init__(self, lives: int | None = None) -> None:
        self.lives = lives
        self.asked = 0
        self.refusals: list[str] = []

    async def usable(self) -> None:
        self.asked += 1
        if self.lives is not None and self.asked > self.lives:
            raise CredentialMissingError("The key for anthropic was removed.", "It was revoked.", "Store a key.")

    async def refused(self, why: str) -> None:
        self.refusals.append(why)


def client(
    watch: KeyWatch, base_url: str, provider: str = "anthropic", model: str = "claude-haiku-4-5", **more: Any
) -> LLMClient:
    more.setdefault("retry", RetryConfig(max_attempts=3, initial=0.01))
    factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
    return factory.create_client(LLMConfig(provider, model, KEY, base_url), watch=watch, **more)


def test_each_attempt_asks_for_the_key():
    """A key that is revoked between two attempts is not sent again; the call ends as one without a key."""

    async def go() -> None:
        async with FakeAnthropic([Reply(status=529), Reply(status=529)]) as server:
            watch = Watch()
            assert (await client(watch, server.base_url).invoke(ASK, OPTIONS)).attempts == 3
            assert (watch.asked, watch.refusals) == (3, [])
        async with FakeAnthropic([Reply(status=529)] * 3) as server:
            watch = Watch(lives=1)
            with pytest.raises(CredentialMissingError) as caught:
                await client(watch, server.base_url).invoke(ASK, OPTIONS)
            assert caught.value.parks_as == "needs_credential"
            assert (watch.asked, len(server.requests)) == (2, 1)

    asyncio.run(go())


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_reported_redacted_and_goes_on(status):
    """The watch learns why, without the key that the server said back; the caller still gets the error."""

    async def go() -> None:
        said = Reply(status=status, message=f"the key {KEY.reveal()} is not valid")
        async with FakeAnthropic([said]) as server:
            watch = Watch()
            with pytest.raises(AuthenticationError):
                await client(watch, server.base_url).invoke(ASK, OPTIONS)
            (why,) = watch.refusals
            assert why.startswith(f"HTTP {status}")
            assert "[redacted]" in why
            assert KEY.reveal() not in why

    asyncio.run(go())


def test_a_refusal_in_the_middle_of_a_stream_is_reported():
    """Some servers say it after a 200."""

    async def go() -> None:
        event = b'event: error\ndata: {"type": "error", "error": {"type": "authentication_error", "message": "no"}}\n\n'
        async with FakeAnthropic([Reply(events=(event,))]) as server:
            watch = Watch()
            with pytest.raises(AuthenticationError):
                await client(watch, server.base_url).invoke(ASK, OPTIONS)
            assert len(watch.refusals) == 1

    asyncio.run(go())


@pytest.mark.parametrize("status", [400, 404, 429, 500, 529])
def test_no_other_failure_is_held_against_the_key(status):
    """An outage or a wrong request disables nobody's key."""

    async def go() -> None:
        async with FakeAnthropic(default=Reply(status=status)) as server:
            watch = Watch()
            with pytest.raises(Exception, match=str(status)):
                await client(watch, server.base_url, retry=RetryConfig(max_attempts=1)).invoke(ASK, OPTIONS)
            assert watch.refusals == []

    asyncio.run(go())


def test_a_recorded_answer_needs_no_key():
    """What was paid for once is given back to a user whose key is gone."""

    async def go() -> None:
        async with FakeAnthropic() as server:
            ledger, watch = MemoryCallLedger(), Watch(lives=1)
            asked = client(watch, server.base_url, ledger=ledger)
            await asked.invoke(ASK, OPTIONS, key="notes/act/1")
            again = await asked.invoke(ASK, OPTIONS, key="notes/act/1")
            assert (again.recorded, watch.asked) == (True, 1)
            with pytest.raises(CredentialMissingError):
                await asked.invoke(ASK, OPTIONS, key="notes/act/2")
            (unsent,) = (row for row in ledger.rows if row.key == "notes/act/2")
            assert (unsent.outcome, unsent.charged, len(server.requests)) == ("failed", 0, 1)

    asyncio.run(go())


def test_a_key_that_goes_while_a_call_waits_its_turn_is_not_sent():
    """The key is asked for behind the wait of the rate limit, right before the bytes."""

    async def go() -> None:
        clock = ManualClock(auto=True)
        factory = LLMFactory(clock=clock, random=Random(0))
        async with FakeAnthropic() as server:
            moments: list[float] = []

            class Timed(Watch):
                async def usable(self) -> None:
                    moments.append(clock.monotonic())

            asked = factory.create_client(
                LLMConfig("anthropic", "claude-haiku-4-5", KEY, server.base_url),
                limits=RateLimits(requests_per_minute=1),
                circuit=CircuitConfig(),
                watch=Timed(),
            )
            for _ in range(2):
                await asked.invoke(ASK, OPTIONS)
            assert moments[1] - moments[0] >= 60

    asyncio.run(go())


def test_a_missing_key_says_nothing_of_the_server():
    """The circuit of the origin, which others use too, stays closed."""

    async def go() -> None:
        factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
        async with FakeAnthropic() as server:
            config = LLMConfig("anthropic", "claude-haiku-4-5", KEY, server.base_url)
            gone = factory.create_client(config, circuit=CircuitConfig(), watch=Watch(lives=0))
            for _ in range(20):
                with pytest.raises(CredentialMissingError):
                    await gone.invoke(ASK, OPTIONS)
            await factory.create_client(config, circuit=CircuitConfig()).invoke(ASK, OPTIONS)

    asyncio.run(go())


def test_a_count_of_tokens_and_embeddings_ask_too():
    """They go past the chain of wrappers, and the key is theirs all the same."""

    async def go() -> None:
        async with FakeAnthropic(tokens=7) as server:
            watch = Watch(lives=1)
            asked = client(watch, server.base_url)
            assert await asked.count_tokens("Hi") == 7
            with pytest.raises(CredentialMissingError):
                await asked.count_tokens("Hi")
        async with FakeOpenAI() as server:
            with pytest.raises(CredentialMissingError):
                await client(Watch(lives=0), f"{server.base_url}/v1", "openai", "gpt-6-luna").embed(["a"])
            assert server.requests == []

    asyncio.run(go())


@pytest.mark.parametrize("wire", ["anthropic", "openai"])
@pytest.mark.parametrize("lives", [0, 1, 2, 3])
def test_a_batch_asks_for_its_handing_in_and_for_each_poll(wire, lives):
    """A batch of a revoked key is neither handed in nor asked for; what is in the ledger stays for its return."""
    kind, path, model = {
        "anthropic": (FakeAnthropicBatches, "", "claude-haiku-4-5"),
        "openai": (FakeOpenAIBatches, "/v1", "gpt-6-luna"),
    }[wire]

    async def go() -> None:
        async with kind(lambda seen: "Done.", (), polls=5) as server:
            ledger, watch = MemoryCallLedger(), Watch(lives=lives)
            more: dict[str, Any] = {"ledger": ledger, "batch": True, "retry": RetryConfig(max_attempts=1)}
            for _ in range(3):
                with pytest.raises((BatchPendingError, CredentialMissingError)):
                    await client(watch, server.base_url + path, wire, model, **more).invoke(ASK, OPTIONS, key="a/b/1")
            assert len(server.requests) == lives
            handed_in = {"anthropic": 1, "openai": 2}[wire]
            outcome = "submitted" if lives >= handed_in else "failed"
            assert {row.outcome for row in ledger.rows} == {outcome}

    asyncio.run(go())


@pytest.mark.parametrize("wire", ["anthropic", "openai"])
def test_a_desk_that_refuses_the_key_is_reported(wire):
    """Handing in with a key that is refused marks it, as a streamed call would."""
    kind, path, model = {
        "anthropic": (FakeAnthropic, "", "claude-haiku-4-5"),
        "openai": (FakeOpenAI, "/v1", "gpt-6-luna"),
    }[wire]

    async def go() -> None:
        body = b'{"error": {"type": "authentication_error", "message": "bad key"}}'
        async with kind(default=_reply(wire, status=401, body=body), strict=False) as server:
            watch = Watch()
            asked = client(watch, server.base_url + path, wire, model, ledger=MemoryCallLedger(), batch=True)
            with pytest.raises(AuthenticationError):
                await asked.invoke(ASK, OPTIONS, key="a/b/1")
            assert len(watch.refusals) == 1

    asyncio.run(go())


def _reply(wire: str, **fields: Any) -> Any:
    from orchestrator_v2.testing import fake_openai

    return (Reply if wire == "anthropic" else fake_openai.Reply)(**fields)


def test_a_key_that_goes_in_the_middle_of_a_paused_call_is_charged_what_came_before():
    """The second request of a call is not sent, and the first is not taken for free."""

    async def go() -> None:
        async with FakeAnthropic([Reply(stop_reason="pause_turn")]) as server:
            options = InvokeOptions(max_tokens=50, native_search=2)
            asked = client(Watch(lives=1), server.base_url, model="claude-sonnet-5")
            with pytest.raises(AuthenticationError) as caught:
                await asked.invoke(ASK, options)
            assert (caught.value.unbilled, caught.value.parks_as) == (False, "needs_credential")
            assert len(server.requests) == 1

    asyncio.run(go())


def test_a_provider_of_another_package_is_watched_from_around_it():
    """Its own connection is not ours to see, so the key is asked for around each of its calls, attempts too."""

    async def go() -> None:
        refusal = AuthenticationError("no", f"{KEY.reveal()} is bad.")
        foreign = ScriptedLLM([ProviderUnavailableError("down"), refusal, "Hello."])
        factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
        factory.register_provider("foreign", foreign)
        watch = Watch(lives=3)
        asked = factory.create_client(LLMConfig("foreign", "m", KEY), watch=watch)
        with pytest.raises(AuthenticationError):
            await asked.invoke(ASK, OPTIONS)
        assert (watch.asked, watch.refusals) == (2, ["[redacted] is bad."])
        assert (await asked.invoke(ASK, OPTIONS)).text == "Hello."
        with pytest.raises(CredentialMissingError):
            await asked.invoke(ASK, OPTIONS)
        assert len(foreign.calls) == 3

    asyncio.run(go())


def test_what_the_store_says_is_not_lost_behind_a_refusal():
    """A refusal that cannot be written down is an error of the store, with the refusal behind it."""

    class Broken(Watch):
        async def refused(self, why: str) -> None:
            raise RateLimitedError("the store is busy")

    async def go() -> None:
        asked = WatchedKeyClient(ScriptedLLM([AuthenticationError("no")]), Broken())
        with pytest.raises(RateLimitedError) as caught:
            await asked.invoke(ASK, OPTIONS)
        assert isinstance(caught.value.__context__, AuthenticationError)

    asyncio.run(go())


def test_a_watched_key_has_no_fallback_with_another_key():
    """Nobody would watch that other key; a fallback to another model under the same key is watched."""

    async def go() -> None:
        async with FakeAnthropic(default=Reply(status=529)) as server:
            other = LLMConfig("anthropic", "claude-sonnet-5", Secret("sk-another-0123456789"), server.base_url)
            with pytest.raises(ConfigError, match="watched"):
                client(Watch(), server.base_url, fallbacks=[other])
            watch = Watch()
            same = LLMConfig("anthropic", "claude-sonnet-5", KEY, server.base_url)
            asked = client(watch, server.base_url, fallbacks=[same], retry=RetryConfig(max_attempts=1))
            with pytest.raises(ProviderUnavailableError):
                await asked.invoke(ASK, OPTIONS)
            assert watch.asked == 2

    asyncio.run(go())
