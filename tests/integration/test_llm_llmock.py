"""Every wire that it knows against a server and a judge that are not ours: `llmock`."""

from __future__ import annotations

import asyncio
import time
from random import Random

import pytest
from llmock_server import fetch, running_llmock

from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import BatchPendingError, ProviderError, RequestRejectedError, StreamTruncatedError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import innermost
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

QUICK = RetryConfig(initial=0.1)


@pytest.fixture(scope="module")
def mock_url():
    """A running llmock on a free port of this machine."""
    with running_llmock() as url:
        yield url


ANTHROPIC = ("anthropic", "claude-sonnet-5-5", "/anthropic")
GOOGLE = ("google", "gemini-3.8-flash", "/gemini")
OPENAI = ("openai", "gpt-6.1-terra", "/v1")
WIRES = [ANTHROPIC, GOOGLE, OPENAI]
VENDORS = [
    *WIRES,
    ("groq", "openai/gpt-oss-120b", "/groq/openai/v1"),
    ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "/together/v1"),
    ("mistral", "mistral-large-4", "/mistral/v1"),
    ("xai", "grok-4.7", "/xai/v1"),
]


def call(mock_url, behaviors, vendor, *, prompt="Say something about clocks.", allowed=frozenset()):
    """One call under these faults: the Completion or error, and what llmock finds wrong with us but for `allowed`."""
    fetch(f"{mock_url}/_llmock/reset", {})
    if behaviors:
        fetch(f"{mock_url}/_llmock/scenario", {"behaviors": behaviors})

    async def go():
        factory = LLMFactory(clock=SystemClock(), random=Random(3))
        provider, model, path = vendor
        config = LLMConfig(provider, model, Secret("llmock-key-000000"), mock_url + path)
        options = InvokeOptions(max_tokens=2000, system_prompt="Be brief.")
        try:
            return await factory.create_client(config, retry=QUICK).invoke([Message("user", prompt)], options)
        except ProviderError as error:
            return error
        finally:
            await factory.aclose()

    return asyncio.run(go()), complaints(mock_url, allowed)


def complaints(mock_url, allowed):
    """Once the judge has noted the end of the last attempt, which it does a moment after we have it."""
    for _ in range(20):
        findings = fetch(f"{mock_url}/_llmock/verdict").get("findings", [])
        found = {finding["code"] for finding in findings if finding} - set(allowed)
        if not found:
            break
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor[0])
def test_the_happy_path(mock_url, vendor):
    """The echoed prompt comes back whole with token counts, from each vendor that the mock knows."""
    completion, found = call(mock_url, [], vendor, prompt="An unusual prompt 4711.")
    assert "4711" in completion.text
    # Mistral counts unasked, and refuses to be asked; its mock counts only where it was asked.
    is_counted = vendor[0] != "mistral"
    assert (completion.usage.input_tokens > 0) == is_counted
    assert (completion.usage.output_tokens > 0) == is_counted
    assert completion.finish_reason == "stop"
    assert found == set()


@pytest.mark.parametrize("vendor", WIRES, ids=lambda vendor: vendor[0])
@pytest.mark.parametrize(
    "behavior",
    [
        {"type": "fail", "status": 429, "retry_after": 0.3, "times": 2},
        {"type": "fail", "status": 529, "times": 2},
        {"type": "fail", "status": 503, "times": 1},
        {"type": "stream_fault", "kind": "disconnect", "after_chunks": 1},
        {"type": "stream_fault", "kind": "truncate", "after_chunks": 1},
        {"type": "stream_fault", "kind": "malformed", "after_chunks": 1},
    ],
    ids=lambda behavior: str(behavior.get("status") or behavior.get("kind")),
)
def test_passing_faults_are_overcome_and_the_judge_has_no_complaint(mock_url, behavior, vendor):
    """The answer comes after as many attempts as it took, and llmock finds no bad behaviour."""
    # A short stream may be sent to its end before we hang up on its bad chunk: then the judge takes our second
    # attempt, which the last line proves, for a call of its own.
    allowed = {"malformed_chunk_ignored"} if behavior.get("kind") == "malformed" else set()
    completion, found = call(mock_url, [behavior], vendor, allowed=allowed)
    assert not isinstance(completion, Exception), completion
    assert found == set()
    assert completion.attempts == 1 + behavior.get("times", 1)


@pytest.mark.parametrize("vendor", WIRES, ids=lambda vendor: vendor[0])
def test_lasting_faults_end_in_errors(mock_url, vendor):
    """A rejected request is not sent again; a stream that always ends early is an error, never half an answer."""
    error, found = call(mock_url, [{"type": "fail", "status": 400, "times": None}], vendor)
    assert type(error) is RequestRejectedError
    assert found == set()
    cut = {"type": "stream_fault", "kind": "truncate", "after_chunks": 1, "times": None}
    # The judge takes the last attempt for an accepted one, as nothing followed it.
    error, found = call(mock_url, [cut], vendor, allowed={"truncated_stream_accepted"})
    assert (type(error), found) == (StreamTruncatedError, set())


def test_the_models_are_listed(mock_url):
    """The server's own list comes back by name."""

    async def go():
        factory = LLMFactory(clock=SystemClock(), random=Random(3))
        config = LLMConfig("google", "gemini", Secret("llmock-key-000000"), f"{mock_url}/gemini")
        try:
            return await innermost(factory.create_client(config).chain).list_models()
        finally:
            await factory.aclose()

    assert "gemini-2.5-pro" in asyncio.run(go())


@pytest.mark.parametrize("vendor", [ANTHROPIC, OPENAI], ids=lambda vendor: vendor[0])
def test_a_batch_is_handed_in_and_collected(mock_url, vendor):
    """The other server takes our batch, is at work on it for a while, and gives the echo of our prompt."""
    provider, model, path = vendor
    ledger = MemoryCallLedger(now=time.time)

    async def go():
        factory = LLMFactory(clock=SystemClock(), random=Random(3))
        config = LLMConfig(provider, model, Secret("llmock-key-000000"), mock_url + path)
        client = factory.create_client(config, ledger=ledger, batch=True)
        waits = 0
        try:
            while waits < 60:
                try:
                    messages = [Message("user", "An unusual prompt 4711.")]
                    return waits, await client.invoke(messages, InvokeOptions(max_tokens=2000), key="k")
                except BatchPendingError:
                    waits += 1
                    await asyncio.sleep(0.25)
        finally:
            await factory.aclose()
        raise AssertionError("the batch did not end")

    waits, completion = asyncio.run(go())
    assert waits > 1
    assert "4711" in completion.text
    assert completion.usage.input_tokens > 0
    assert [(row.outcome, bool(row.handle)) for row in ledger.rows] == [("done", True)]
