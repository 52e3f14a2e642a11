"""An origin that does not answer is left alone, and found again by one call at a time."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    ConfigError,
    OrchestratorError,
    ProviderUnavailableError,
    RefusalError,
    RequestRejectedError,
    RunStateError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import no_sink
from orchestrator_v2.llm.circuit import Circuit, CircuitConfig
from orchestrator_v2.llm.errors import from_status, unsupported
from orchestrator_v2.llm.lane import RateLimits
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import Completion, LLMConfig, Message
from orchestrator_v2.llm.wrappers.circuit import CircuitClient
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger
from orchestrator_v2.testing.scripted_llm import ScriptedLLM, scripted_factory

START = 1_800_000_000.0
CONFIG = LLMConfig("anthropic", "claude-sonnet-5-5", Secret("sk-ant-api03-planted-canary-value"))
ASK = [Message("user", "Build a clock.")]
DOWN = from_status(503, None)
EXACT = CircuitConfig(jitter=0.0)


def circuit_with(answers, *, config=EXACT, clock=None, repeat=False):
    clock = clock or ManualClock(START)
    circuit = Circuit("https://a.test:443", config, clock, Random(1))
    scripted = ScriptedLLM(answers, repeat=repeat)
    return CircuitClient(scripted, circuit), circuit, scripted, clock


def ask(client, times=1):
    """What each of `times` calls gave: its text, or the error."""

    async def go():
        given = []
        for _ in range(times):
            try:
                given.append((await client.invoke(ASK)).text)
            except OrchestratorError as error:
                given.append(error)
        return given

    return asyncio.run(go())


def test_five_failures_in_a_row_open_the_circuit():
    """The fifth opens it: from then on nothing is sent, the error is unbilled and says when to come again."""
    client, circuit, scripted, _ = circuit_with([DOWN], repeat=True)
    assert circuit.health().state == "closed"
    ask(client, 4)
    assert (circuit.health().state, circuit.health().failures) == ("closed", 4)
    *_, refused = ask(client, 3)
    assert len(scripted.calls) == 5
    assert isinstance(refused, ProviderUnavailableError)
    assert (refused.unbilled, refused.retry_after, refused.retryable) == (True, 10.0, True)
    health = circuit.health()
    assert (health.origin, health.state, health.failures) == ("https://a.test:443", "open", 5)
    assert (health.last_error, health.since, health.retry_in) == ("provider_unavailable (HTTP 503)", START, 10.0)


def test_one_probe_closes_it_again():
    """After the pause one call goes out; its success closes the circuit and forgets the failures."""
    client, circuit, _, clock = circuit_with([DOWN] * 5 + ["Hello.", "Again."])
    ask(client, 5)
    clock.advance(9.75)
    assert isinstance(ask(client)[0], ProviderUnavailableError)
    clock.advance(0.5)
    assert ask(client, 2) == ["Hello.", "Again."]
    assert (circuit.health().state, circuit.health().failures, circuit.health().since) == ("closed", 0, START + 10.25)


def test_each_failed_probe_doubles_the_pause_up_to_the_longest():
    """10, 20, 40, … seconds, never over five minutes, however often it fails."""
    client, circuit, scripted, clock = circuit_with([DOWN], repeat=True)
    ask(client, 5)
    pauses = []
    for _ in range(50):
        pauses.append(circuit.health().retry_in)
        clock.advance(pauses[-1])
        ask(client, 2)
    assert pauses[:7] == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    assert max(pauses) == 300.0
    assert len(scripted.calls) == 5 + 50


def test_the_pause_is_jittered_by_the_given_random():
    """Two processes with other seeds probe at other moments, neither later than the plain pause."""
    pauses = []
    for seed in range(20):
        circuit = Circuit("o", CircuitConfig(failures=1), ManualClock(START), Random(seed))
        circuit.failed(circuit.admit(), DOWN)
        pauses.append(circuit.health().retry_in)
    assert len(set(pauses)) == 20
    assert 8.0 <= min(pauses) < max(pauses) <= 10.0


@pytest.mark.parametrize(
    "answer",
    [from_status(status, None) for status in (400, 401, 402, 404, 408, 409, 413, 422, 429)] + [RefusalError("no")],
    ids=repr,
)
def test_refusals_do_not_count(answer):
    """An origin that says no is there: no number of 4xx answers or refusals opens the circuit."""
    client, circuit, scripted, _ = circuit_with([answer], repeat=True)
    ask(client, 20)
    assert (circuit.health().state, circuit.health().failures, len(scripted.calls)) == ("closed", 0, 20)


def test_an_answer_in_between_breaks_the_series():
    """Four failures, an answer, four failures: still closed."""
    client, circuit, _, _ = circuit_with([DOWN] * 4 + [from_status(429, None)] + [DOWN] * 4)
    ask(client, 9)
    assert circuit.health().state == "closed"


class Slow:
    """A provider's client whose calls end when, and as, the test says."""

    provider, model = "anthropic", "claude-sonnet-5-5"

    def __init__(self):
        self.open_calls = []

    async def invoke(self, messages, options=None, *, key="", sink=no_sink):
        future = asyncio.get_running_loop().create_future()
        self.open_calls.append(future)
        return await future

    async def aclose(self):
        pass


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_only_one_probe_at_a_time_and_a_cancelled_one_makes_room():
    """While the probe is out others are refused; cancelled, or refused unsent, it leaves its place to the next."""
    clock = ManualClock(START)
    circuit = Circuit("o", CircuitConfig(failures=1, jitter=0.0), clock, Random(1))
    slow = Slow()
    client = CircuitClient(slow, circuit)

    async def go():
        circuit.failed(circuit.admit(), DOWN)
        clock.advance(10.0)
        for ending in (None, unsupported("no images", "")):
            probe = asyncio.ensure_future(client.invoke(ASK))
            await settle()
            assert circuit.health().state == "half_open"
            with pytest.raises(ProviderUnavailableError) as refused:
                await client.invoke(ASK)
            assert refused.value.retry_after > 0
            if ending is None:
                probe.cancel()
            else:
                slow.open_calls[-1].set_exception(ending)
            await asyncio.gather(probe, return_exceptions=True)
        last = asyncio.ensure_future(client.invoke(ASK))
        await settle()
        slow.open_calls[-1].set_result(Completion("Hello."))
        await last

    asyncio.run(go())
    assert len(slow.open_calls) == 3
    assert circuit.health().state == "closed"


def test_a_late_word_from_before_says_nothing_of_now():
    """A call sent before the circuit opened neither closes nor prolongs it when it ends."""
    clock = ManualClock(START)
    circuit = Circuit("o", CircuitConfig(failures=2, jitter=0.0), clock, Random(1))
    eras = [circuit.admit() for _ in range(4)]
    circuit.failed(eras[0], DOWN)
    circuit.failed(eras[1], DOWN)
    clock.advance(5.0)
    circuit.failed(eras[2], DOWN)
    assert circuit.health().retry_in == 5.0
    circuit.succeeded(eras[3])
    assert (circuit.health().state, circuit.health().failures) == ("open", 2)


STEPS = st.lists(
    st.one_of(st.just("call"), st.just("ok"), st.just("down"), st.just("no"), st.just("cancel"), st.floats(0.1, 40.0)),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(1, 4))
def test_nothing_is_ever_sent_while_it_is_open(steps, failures):
    """Calls in any order and overlap: none leaves before a pause is over, and half open there is one, not more."""
    clock = ManualClock(START)
    circuit = Circuit("o", CircuitConfig(failures=failures), clock, Random(1))
    sent_while = []
    useful = []

    class Watched(Slow):
        async def invoke(self, messages, options=None, *, key="", sink=no_sink):
            sent_while.append(circuit.health().state)
            return await super().invoke(messages, options, key=key, sink=sink)

    slow = Watched()
    client = CircuitClient(slow, circuit)
    endings = {"ok": lambda f: f.set_result(Completion("x")), "down": lambda f: f.set_exception(DOWN)}
    endings |= {"no": lambda f: f.set_exception(RequestRejectedError("no", status=400)), "cancel": lambda f: f.cancel()}

    async def go():
        tasks = []
        for step in steps:
            if isinstance(step, float):
                clock.advance(step)
            elif step == "call":
                before = circuit.health()
                sent = len(slow.open_calls)
                tasks.append(asyncio.ensure_future(client.invoke(ASK)))
                await settle()
                blocked = before.state == "half_open" or (before.state == "open" and before.retry_in > 0)
                assert len(slow.open_calls) - sent == (0 if blocked else 1)
                useful.append(blocked)
            elif waiting := [each for each in slow.open_calls if not each.done()]:
                endings[step](waiting[0])
                await settle()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(go())
    assert "open" not in sent_while
    assert len(sent_while) == useful.count(False)


def test_clients_of_one_origin_share_it_and_others_do_not():
    """Two keys at one server see the same circuit, another server has its own; `health` lists both."""
    factory, scripted = scripted_factory([DOWN] * 5 + ["Hello."], name="anthropic", clock=ManualClock(START))
    once = RetryConfig(max_attempts=1)

    def client(key, base_url):
        config = LLMConfig("anthropic", "claude", Secret(key), base_url)
        return factory.create_client(config, retry=once, circuit=CircuitConfig())

    first, same, other = (
        client("key-one-000000", "https://a.test/x"),
        client("key-two-000000", "https://a.test/y"),
        client("key-one-000000", "https://b.test"),
    )
    ask(first, 5)
    assert isinstance(ask(same)[0], ProviderUnavailableError)
    assert len(scripted.calls) == 5
    assert ask(other) == ["Hello."]
    assert [(each.origin, each.state) for each in factory.health()] == [
        ("https://a.test:443", "open"),
        ("https://b.test:443", "closed"),
    ]


def test_an_open_circuit_is_waited_for_like_any_pause_and_costs_nothing():
    """Retrying comes again when the probe may go; the refused attempt is a row that cost 0."""
    ledger = MemoryCallLedger()
    clock = ManualClock(START, auto=True)
    factory, scripted = scripted_factory([DOWN, "Hello."], name="anthropic", clock=clock)
    circuit = CircuitConfig(failures=1, jitter=0.0)
    client = factory.create_client(CONFIG, ledger=ledger, circuit=circuit, retry=RetryConfig(initial=0.01))
    completion = asyncio.run(client.invoke(ASK, key="a/1"))
    assert (completion.text, completion.attempts, len(scripted.calls)) == ("Hello.", 3, 2)
    assert [row.outcome for row in ledger.rows] == ["failed", "failed", "done"]
    assert ledger.rows[1].charged == 0
    assert clock.now() - START >= 10.0


def test_an_open_circuit_lets_the_fallback_answer_without_a_wait():
    """The other model answers at once, nothing is charged for the first, and the note names it; no slot is taken."""
    factory, scripted = scripted_factory([DOWN], name="anthropic", clock=ManualClock(START))
    factory.register_provider("scripted", ScriptedLLM(["a", "b"]))
    client = factory.create_client(
        CONFIG,
        fallbacks=(LLMConfig("scripted", "spare"),),
        circuit=CircuitConfig(failures=1),
        limits=RateLimits(requests_per_minute=1),
    )

    async def go():
        return await client.invoke(ASK), await client.invoke(ASK)

    _, second = asyncio.run(go())
    assert (len(scripted.calls), second.text, second.unsettled) == (1, "b", ())
    assert "provider_unavailable" in second.notes[0]
    assert "scripted/spare" in second.notes[0]


def test_what_is_no_fault_of_the_provider_is_not_counted():
    """An error of ours inside a call leaves the circuit as it was."""
    client, circuit, _, _ = circuit_with([RunStateError("empty")], repeat=True)
    ask(client, 9)
    assert circuit.health().state == "closed"


def test_settings_that_make_no_sense_are_refused():
    """No failures, a pause of nothing, a longest below the first."""
    for wrong in ({"failures": 0}, {"first_pause": 0.0}, {"longest_pause": 1.0}, {"jitter": 1.0}):
        with pytest.raises(ConfigError):
            CircuitConfig(**wrong)
