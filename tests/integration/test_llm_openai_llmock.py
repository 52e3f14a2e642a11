"""The OpenAI-compatible provider against a server and a judge that are not ours: `llmock`."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from random import Random
from sys import executable

import pytest

from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import ProviderError, RequestRejectedError, StreamTruncatedError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message

QUICK = RetryConfig(initial=0.1)


def fetch(url, payload=None):
    data = None if payload is None else json.dumps(payload).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.loads(response.read() or b"{}")


@pytest.fixture(scope="module")
def mock_url():
    """A running llmock on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binary = Path(executable).with_name("llmock")
    command = [str(binary), "serve", "--port", str(port), "--log-level", "error", "--response-style", "echo"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                fetch(f"{url}/_llmock/requests")
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


OPENAI = ("openai", "gpt-6.1-terra", "/v1")


def call(mock_url, behaviors, prompt="Say something about clocks.", vendor=OPENAI):
    """One call under these faults: the Completion or error, and llmock's verdict on us."""
    fetch(f"{mock_url}/_llmock/reset", {})
    if behaviors:
        fetch(f"{mock_url}/_llmock/scenario", {"behaviors": behaviors})

    async def go():
        factory = LLMFactory(clock=SystemClock(), random=Random(3))
        provider, model, path = vendor
        config = LLMConfig(provider, model, Secret("llmock-key-000000"), mock_url + path)
        try:
            return await factory.create_client(config, retry=QUICK).invoke(
                [Message("user", prompt)], InvokeOptions(max_tokens=2000)
            )
        except ProviderError as error:
            return error
        finally:
            await factory.aclose()

    return asyncio.run(go()), settled_verdict(mock_url)


def settled_verdict(mock_url):
    """The verdict once the judge has noted the end of the last attempt, which it does a moment after we have it."""
    for _ in range(20):
        verdict = fetch(f"{mock_url}/_llmock/verdict")
        if not findings(verdict):
            break
        time.sleep(0.1)
    return verdict


def findings(verdict):
    return [finding for finding in verdict.get("findings", []) if finding]


VENDORS = [
    OPENAI,
    ("groq", "openai/gpt-oss-120b", "/groq/openai/v1"),
    ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "/together/v1"),
    ("mistral", "mistral-large-4", "/mistral/v1"),
    ("xai", "grok-4.7", "/xai/v1"),
]


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor[0])
def test_the_happy_path(mock_url, vendor):
    """The echoed prompt comes back whole with token counts, from each vendor that the mock knows."""
    completion, verdict = call(mock_url, [], "An unusual prompt 4711.", vendor)
    assert "4711" in completion.text
    # Mistral counts unasked, and refuses to be asked; its mock counts only where it was asked.
    is_counted = vendor[0] != "mistral"
    assert (completion.usage.input_tokens > 0) == is_counted
    assert (completion.usage.output_tokens > 0) == is_counted
    assert completion.finish_reason == "stop"
    assert findings(verdict) == []


@pytest.mark.parametrize(
    "behavior",
    [
        {"type": "fail", "status": 429, "retry_after": 0.3, "times": 2},
        {"type": "fail", "status": 529, "times": 2},
        {"type": "fail", "status": 503, "times": 1},
        {"type": "stream_fault", "kind": "disconnect", "after_chunks": 3},
        {"type": "stream_fault", "kind": "truncate", "after_chunks": 3},
        {"type": "stream_fault", "kind": "malformed", "after_chunks": 3},
    ],
    ids=lambda behavior: str(behavior.get("status") or behavior.get("kind")),
)
def test_passing_faults_are_overcome_and_the_judge_has_no_complaint(mock_url, behavior):
    """The answer comes after as many attempts as it took, and llmock finds no bad behaviour."""
    completion, verdict = call(mock_url, [behavior])
    assert not isinstance(completion, Exception), completion
    assert completion.attempts == 1 + behavior.get("times", 1)
    # A short stream may be sent to its end before we hang up on its bad chunk: then the judge takes our second
    # attempt, which the line above proves, for a call of its own.
    allowed = {"malformed_chunk_ignored"} if behavior.get("kind") == "malformed" else set()
    assert {finding["code"] for finding in findings(verdict)} <= allowed


def test_lasting_faults_end_in_errors(mock_url):
    """A rejected request is not sent again; a stream that always ends early is an error, never half an answer."""
    error, verdict = call(mock_url, [{"type": "fail", "status": 400, "times": None}])
    assert type(error) is RequestRejectedError
    assert findings(verdict) == []
    error, verdict = call(mock_url, [{"type": "stream_fault", "kind": "truncate", "after_chunks": 2, "times": None}])
    assert type(error) is StreamTruncatedError
    # The judge takes the last attempt for an accepted one, as nothing followed it: its other findings count.
    assert {finding["code"] for finding in findings(verdict)} <= {"truncated_stream_accepted"}
