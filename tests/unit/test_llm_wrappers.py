"""The wrappers around a scripted model: recording, metering, whole answers, fallbacks, logging, and their order."""

from __future__ import annotations

import asyncio
import json
from random import Random

import msgspec
import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    AuthenticationError,
    BudgetExceededError,
    CallConflictError,
    CredentialMissingError,
    EmptyOutputError,
    OrchestratorError,
    OutputTruncatedError,
    PromptTooLargeError,
    ProviderUnavailableError,
    RateLimitedError,
    RefusalError,
    RequestRejectedError,
    RunStateError,
    StoreUnavailableError,
    UnknownNameError,
    UnknownPriceError,
)
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.base import no_sink
from orchestrator_v2.llm.call_log import CallLogFile
from orchestrator_v2.llm.errors import from_status
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import Completion, InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger
from orchestrator_v2.testing.scripted_llm import ScriptedLLM, scripted_factory

KEY = Secret("sk-ant-api03-planted-canary-value")
CONFIG = LLMConfig("anthropic", "claude-sonnet-5-5", KEY)
ASK = [Message("user", "Build a clock.")]
OPTIONS = InvokeOptions(max_tokens=1000)


def client(answers, *, repeat=False, **parts):
    """A client of the whole chain over a script under Anthropic's name, and the script."""
    factory, scripted = scripted_factory(answers, repeat=repeat, name="anthropic")
    return factory.create_client(CONFIG, **parts), scripted


def ask(chain, key="development/act/1", options=OPTIONS):
    return asyncio.run(chain.invoke(ASK, options, key=key))


def answer(text="Hello.", **fields):
    usage = fields.pop("usage", Usage(10, 20, calls=1, cost=None))
    return Completion(text, usage=usage, provenance=Provenance("real", "anthropic", "claude-sonnet-5-5"), **fields)


def test_a_recorded_answer_is_never_sent_again():
    """The second asking is answered from the ledger, says so, and keeps its provenance and cost."""
    ledger = MemoryCallLedger()
    chain, scripted = client(["Hello."], ledger=ledger)
    first, second = ask(chain), ask(chain)
    assert len(scripted.calls) == 1
    assert (first.recorded, second.recorded) == (False, True)
    assert second.text == first.text
    assert second.provenance.kind == "real"
    assert second.cost == first.cost > 0


def test_nothing_is_sent_before_the_intent_stands_and_nothing_used_before_the_answer_does():
    """At the moment of sending the ledger holds the intent; an answer that cannot be kept is not handed out."""
    ledger = MemoryCallLedger()
    seen = []

    def look(messages, options):
        seen.extend(row.outcome for row in ledger.rows)
        return "Hello."

    chain, _ = client([look], ledger=ledger)
    ledger.broken_finish = True
    with pytest.raises(StoreUnavailableError):
        ask(chain)
    assert seen == ["intent"]
    assert ledger.rows[0].outcome == "intent"
    assert ledger.rows[0].reserved > 0


def test_another_request_under_the_same_key_is_a_conflict():
    """A changed prompt is not silently sent; another timeout is the same request."""
    ledger = MemoryCallLedger()
    chain, scripted = client(["Hello."], ledger=ledger)
    ask(chain)
    assert ask(chain, options=InvokeOptions(max_tokens=1000, timeout=5)).recorded
    with pytest.raises(CallConflictError):
        ask(chain, options=InvokeOptions(max_tokens=1001))
    with pytest.raises(CallConflictError):
        ask(chain, key="")
    assert len(scripted.calls) == 1


def test_a_failed_call_is_charged_what_it_may_have_cost():
    """A refused request costs nothing, one that broke off after sending its reservation; both rows say why."""
    ledger = MemoryCallLedger()
    broke = ProviderUnavailableError("The provider is not available.", "timeout")
    chain, _ = client([from_status(429, None), broke, "Hello."], ledger=ledger)
    completion = ask(chain)
    charged = [(row.attempt, row.outcome, row.charged) for row in ledger.rows]
    reserved = ledger.rows[0].reserved
    assert charged == [(1, "failed", 0), (2, "failed", reserved), (3, "done", completion.cost)]
    assert ledger.rows[1].error.startswith("provider_unavailable")
    assert completion.attempts == 3


def test_a_cancelled_call_leaves_no_open_reservation():
    """Cancelling while the answer is awaited settles the row with its reservation."""
    ledger = MemoryCallLedger()
    clock = ManualClock()

    sending = asyncio.Event()

    class Slow(ScriptedLLM):
        async def invoke(self, messages, options=OPTIONS, *, key="", sink=no_sink):
            sending.set()
            await clock.sleep(60)
            return await super().invoke(messages, options, key=key, sink=sink)

    async def go():
        factory = LLMFactory(clock=clock, random=Random(0))
        factory.register_provider("anthropic", Slow(["Hello."]))
        chain = factory.create_client(CONFIG, ledger=ledger)
        task = asyncio.ensure_future(chain.invoke(ASK, OPTIONS, key="a/1"))
        await sending.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())
    assert (ledger.rows[0].outcome, ledger.rows[0].charged) == ("failed", ledger.rows[0].reserved)


def test_what_does_not_fit_the_budget_is_not_sent():
    """The worst case is held against the budget before sending; with a budget an unknown price refuses too."""
    chain, scripted = client(["Hello."], ledger=MemoryCallLedger(budget=1000))
    with pytest.raises(BudgetExceededError):
        ask(chain)
    factory, other = scripted_factory(["Hello."], name="nobody")
    unpriced = factory.create_client(LLMConfig("nobody", "mystery"), ledger=MemoryCallLedger(budget=10**12))
    with pytest.raises(UnknownPriceError):
        ask(unpriced)
    assert scripted.calls == other.calls == []


def test_without_a_budget_an_unknown_price_stays_unknown():
    """The answer comes, its cost is None in the answer and in the ledger, never 0."""
    factory, _ = scripted_factory(["Hello."], name="nobody")
    ledger = MemoryCallLedger()
    completion = ask(factory.create_client(LLMConfig("nobody", "mystery"), ledger=ledger))
    assert completion.cost is None
    assert ledger.rows[0].charged is None


@pytest.mark.parametrize(
    ("usage", "word"),
    [
        (Usage(0, 0), "missing"),
        (Usage(10, 0), "missing"),
        (Usage(-5, 20), "negative"),
        (Usage(10, 10**9), "absurd"),
        (Usage(10**7, 20), "absurd"),
    ],
)
def test_a_usage_that_cannot_be_true_is_charged_as_reserved(usage, word):
    """Missing, negative and absurd token counts cost the reservation, and the answer says so."""
    ledger = MemoryCallLedger()
    chain, _ = client([answer(usage=usage)], ledger=ledger)
    completion = ask(chain)
    assert completion.cost == ledger.rows[0].charged == ledger.rows[0].reserved > 0
    assert word in completion.notes[0]


def test_an_oversize_prompt_is_refused_before_sending():
    """The error says by how many tokens it is over; nothing is sent and nothing recorded."""
    ledger = MemoryCallLedger()
    chain, scripted = client(["Hello."], ledger=ledger)
    with pytest.raises(PromptTooLargeError) as caught:
        asyncio.run(chain.invoke([Message("user", "word " * 800_000)], OPTIONS, key="a/1"))
    assert caught.value.over_by > 100_000
    assert f"{caught.value.over_by:,} more than" in str(caught.value)
    assert caught.value.exit_code == 3
    assert scripted.calls == []
    assert ledger.rows == []


def test_a_cut_answer_is_asked_for_once_more_with_a_larger_cap():
    """The second sending has twice the cap and a key of its own; both are paid and counted; resume re-sends neither."""
    ledger = MemoryCallLedger()
    chain, scripted = client([answer("half", finish_reason="length"), answer("whole")], ledger=ledger)
    completion = ask(chain)
    assert completion.text == "whole"
    assert [call.options.max_tokens for call in scripted.calls] == [1000, 2000]
    assert [row.key for row in ledger.rows] == ["development/act/1", "development/act/1/longer"]
    assert completion.usage.calls == 2
    assert completion.cost == sum(row.charged for row in ledger.rows)
    again = ask(chain)
    assert (again.text, again.recorded, len(scripted.calls)) == ("whole", True, 2)


def test_a_cut_answer_never_passes_for_a_whole_one():
    """Cut twice, at the model's own cap, or without budget for more: OutputTruncatedError, never the half answer."""
    cut = answer("half", finish_reason="length")
    chain, scripted = client([cut, cut])
    with pytest.raises(OutputTruncatedError):
        ask(chain)
    assert len(scripted.calls) == 2
    chain, scripted = client([cut])
    with pytest.raises(OutputTruncatedError):
        ask(chain, options=InvokeOptions(max_tokens=128_000))
    assert len(scripted.calls) == 1
    chain, scripted = client([cut], ledger=MemoryCallLedger(budget=15_000_000))
    with pytest.raises(OutputTruncatedError) as caught:
        ask(chain)
    assert len(scripted.calls) == 1
    assert "Thinking" not in caught.value.do
    chain, scripted = client([cut, cut])
    with pytest.raises(OutputTruncatedError) as caught:
        ask(chain, options=InvokeOptions(max_tokens=1000, reasoning="high"))
    assert "a level below 'high'" in caught.value.do


def test_empty_answers_and_refusals():
    """White space is asked for once more, then an error; a refusal is an error at once and shows what was said."""
    chain, scripted = client(["  \n", "Hello."], ledger=MemoryCallLedger())
    assert ask(chain).text == "Hello."
    chain, scripted = client(["", " "])
    with pytest.raises(EmptyOutputError):
        ask(chain)
    assert len(scripted.calls) == 2
    chain, scripted = client([answer("I will not.", finish_reason="refusal")])
    with pytest.raises(RefusalError, match="I will not"):
        ask(chain)
    assert len(scripted.calls) == 1


def fallback_chain(first, second, **parts):
    factory, scripted = scripted_factory(first, name="anthropic")
    other = ScriptedLLM(second)
    factory.register_provider("scripted", other)
    spare = LLMConfig("scripted", "spare-model")
    return factory.create_client(CONFIG, fallbacks=(spare,), **parts), scripted, other


def test_a_fallback_is_visible():
    """The answer names the model that made it, the one that could not, and why; its kind is fallback."""
    chain, _, _ = fallback_chain([ProviderUnavailableError("down", "HTTP 529")], ["Hello."])
    completion = ask(chain)
    assert completion.provenance == Provenance("fallback", "scripted", "spare-model")
    assert "anthropic/claude-sonnet-5-5" in completion.notes[0]
    assert "provider_unavailable" in completion.notes[0]


def test_a_fallback_charges_for_the_one_that_may_have_billed():
    """The first model's reservation is on the bill when it broke off after sending, not when it was refused."""
    ledger = MemoryCallLedger()
    chain, _, _ = fallback_chain([ProviderUnavailableError("late", "timeout")], ["Hello."], ledger=ledger)
    assert ask(chain).cost == ledger.rows[0].reserved > 0
    chain, _, _ = fallback_chain([from_status(429, None)], ["Hello."], ledger=MemoryCallLedger())
    assert ask(chain).cost == 0


@pytest.mark.parametrize("second", [lambda: from_status(400, None), lambda: StoreUnavailableError("away")])
def test_a_fallback_that_is_not_asked_does_not_make_the_first_one_free(second):
    """The first model may have billed; that the next one refuses, or cannot be asked, gives nothing back."""
    for first, is_charged in ((ProviderUnavailableError("late", "timeout"), True), (from_status(429, None), False)):
        ledger = MemoryCallLedger()
        chain, _, other = fallback_chain([first], [second()], ledger=ledger, retry=RetryConfig(max_attempts=1))
        with pytest.raises(OrchestratorError):
            ask(chain)
        assert len(other.calls) == 1
        assert ledger.rows[0].charged == (ledger.rows[0].reserved if is_charged else 0)


def test_a_wrong_request_does_not_fall_back():
    """What is wrong with the request is wrong at another model too; when all fail the first error is shown."""
    chain, _, other = fallback_chain([from_status(400, None)], ["Hello."])
    with pytest.raises(RequestRejectedError):
        ask(chain)
    assert other.calls == []
    chain, _, _ = fallback_chain([from_status(401, None)], [from_status(402, None)])
    with pytest.raises(AuthenticationError):
        ask(chain)


def test_calls_on_one_credential_wait_together():
    """A Retry-After that one client was given holds the next client of the same key, and no other key's."""
    factory, _ = scripted_factory([RateLimitedError("slow", retry_after=300), "b", "c"], name="anthropic")
    first, same = factory.create_client(CONFIG), factory.create_client(CONFIG)
    other = factory.create_client(msgspec.structs.replace(CONFIG, credential=Secret("another-key-000000")))

    async def go():
        with pytest.raises(RateLimitedError):
            await first.invoke(ASK)
        with pytest.raises(RateLimitedError) as caught:
            await same.invoke(ASK)
        assert 0 < caught.value.retry_after <= 300
        assert (await other.invoke(ASK)).text == "b"

    asyncio.run(go())


def test_replay_answers_from_the_ledger_alone():
    """Every recorded answer comes back byte for byte, free and marked; a call that is not there is a clear error."""
    ledger = MemoryCallLedger()
    factory, scripted = scripted_factory(
        [answer("half", finish_reason="length"), answer("Größe: 漢\n")], name="anthropic"
    )
    original = ask(factory.create_client(CONFIG, ledger=ledger))
    replay = factory.create_replay(LLMConfig("anthropic", "claude-sonnet-5-5"), ledger)
    replayed = ask(replay)
    assert replayed.text == original.text
    assert replayed.provenance == Provenance("replayed", "anthropic", "claude-sonnet-5-5")
    assert (replayed.cost, replayed.usage.input_tokens) == (0, 0)
    assert len(scripted.calls) == 2
    with pytest.raises(RunStateError, match="development/act/9"):
        ask(replay, key="development/act/9")


def test_the_log_holds_each_sending_and_no_key(tmp_path):
    """One JSON line a sending with what issue and cost it had; texts are cut, the key is nowhere, old files rotate."""
    path = tmp_path / "logs" / "llm-requests.log"
    long = f"{KEY.reveal()} " + "x" * 2000
    chain, _ = client(
        [ProviderUnavailableError("down", f"echo {KEY.reveal()}"), long], log=CallLogFile(path, max_bytes=100_000)
    )
    asyncio.run(chain.invoke([Message("user", long)], OPTIONS, key="a/1"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["attempt"], line["outcome"]) for line in lines] == [(1, "failed"), (2, "done")]
    assert lines[0]["error"] == "provider_unavailable"
    assert lines[1]["cost_nano_usd"] > 0
    assert max(len(lines[1]["prompt"]), len(lines[1]["answer"])) <= 500
    assert "canary" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_log_files_rotate_and_keep_a_number(tmp_path):
    """The newest line is in the file itself, no more than `keep` old files stay, no line is torn."""
    path = tmp_path / "calls.log"
    sink = CallLogFile(path, max_bytes=100, keep=2)
    for number in range(30):
        sink({"n": number, "pad": "x" * 20})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["calls.log", "calls.log.1", "calls.log.2"]
    files = [path.with_name(f"calls.log{suffix}") for suffix in (".2", ".1", "")]
    kept = [json.loads(line)["n"] for file in files for line in file.read_text().splitlines()]
    assert kept == list(range(30 - len(kept), 30))


def test_excerpts_can_be_turned_off():
    """With excerpts off neither prompt nor answer stands in the record."""
    records = []
    chain, _ = client(["Hello."], log=records.append, excerpts=False)
    ask(chain)
    assert (records[0]["prompt"], records[0]["answer"]) == ("", "")


def test_the_wrappers_stand_in_their_order():
    """whole, retrying, keyless, recorded, metered, logged, fallback, rate_limited, provider: from the outside in."""
    factory, _ = scripted_factory([], name="anthropic")
    chain = factory.create_client(CONFIG, ledger=MemoryCallLedger(), log=lambda record: None, fallbacks=(CONFIG,)).chain
    names = []
    while chain is not None:
        names.append(type(chain).__name__.removesuffix("Client"))
        chain = getattr(chain, "inner", None)
    assert names == [
        "Whole",
        "Retrying",
        "Keyless",
        "Recorded",
        "Metered",
        "Logged",
        "Fallback",
        "RateLimited",
        "ScriptedLLM",
    ]


def test_unknown_names_and_a_missing_key_are_told_at_once():
    """Provider, model and key are checked when the client is made, with what would be right."""
    factory = LLMFactory(clock=ManualClock(), random=Random(0))
    with pytest.raises(UnknownNameError, match="anthropic"):
        factory.create_client(LLMConfig("antropic", "claude"))
    with pytest.raises(UnknownNameError, match="claude-sonnet-5-5"):
        factory.create_client(LLMConfig("anthropic", "claude-sonnet-5-6", KEY))
    with pytest.raises(CredentialMissingError):
        factory.create_client(LLMConfig("anthropic", "claude"))
    assert factory.list_providers()[0].missing == "no key in the environment"


def test_pinned_prices_are_used_in_place_of_todays():
    """A run's cost is counted by the row that was pinned when it started."""
    pinned = {"claude-sonnet-5-5": '{"input":[[0,1000000]],"output":[[0,1000000]]}'}
    chain, _ = client([answer()], prices=pinned)
    assert ask(chain).cost == 30


def test_retries_can_be_configured():
    """The caller's RetryConfig is the one that holds."""
    chain, scripted = client([ProviderUnavailableError("down")] * 9, retry=RetryConfig(max_attempts=5))
    with pytest.raises(ProviderUnavailableError):
        ask(chain)
    assert len(scripted.calls) == 5


def test_importing_the_factory_loads_nothing_heavy():
    """No SDK, no HTTP library, no pydantic, no tenacity comes with the import."""
    import subprocess
    import sys

    heavy = "{'pydantic','tenacity','anthropic','genai_prices','httpx','httpx2','orjson'}"
    code = f"import sys, orchestrator_v2.llm.factory; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
