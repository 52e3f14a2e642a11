"""Every wire against a second server that is not ours: `@copilotkit/aimock`, for Azure's and Ollama's shapes too.

It is a package for node, fetched once at a fixed version when the first of these tests runs, and kept in the virtual
environment; without node, npm or a network the tests are skipped, and say why.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRejectedError,
    StreamTruncatedError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message, ToolResult, ToolSpec

VERSION = "1.43.0"
WORDS = "Grüße! A clock shows 漢字 and the time. " * 3
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolSpec("weather", "What the sky does.", {**SCHEMA, "additionalProperties": False})
FIXTURES = [
    {
        "match": {"userMessage": "a clock"},
        "response": {"content": WORDS, "usage": {"prompt_tokens": 21, "completion_tokens": 34, "total_tokens": 55}},
    },
    {"match": {"userMessage": "busy"}, "response": {"error": {"message": "slow down"}, "status": 429}},
    {"match": {"userMessage": "down"}, "response": {"error": {"message": "oops"}, "status": 503}},
    {"match": {"userMessage": "wrong"}, "response": {"error": {"message": "no"}, "status": 400}},
    {"match": {"userMessage": "cut off"}, "response": {"content": WORDS}, "truncateAfterChunks": 3},
    {"match": {"hasToolResult": True}, "response": {"content": "It rains in Ulm."}},
    {
        "match": {"userMessage": "the sky", "hasToolResult": False},
        "response": {"toolCalls": [{"name": "weather", "arguments": {"city": "Ulm \"an\" der Donau"}}]},
    },
]  # fmt: skip
# Not Bedrock: its frames hold the events bare, where AWS's hold them in base64 as `bytes`.
WIRES = {
    "anthropic": ("anthropic", "claude-sonnet-5-5", ""),
    "google": ("google", "gemini-3.8-flash", ""),
    "openai": ("openai", "gpt-6.1-terra", "/v1"),
    "azure": ("azure", "my-deployment", "/openai/v1"),
    "azure deployment": ("azure", "my-deployment", "/openai/deployments/my-deployment"),
    "ollama": ("ollama", "llama3.3", "/v1"),
    "groq": ("groq", "openai/gpt-oss-120b", "/openai/v1"),
}


def installed() -> Path:
    """The program, fetched if it is not there yet; else the test is skipped."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("aimock needs node and npm, which are not here")
    home = Path(sys.prefix) / "share" / f"aimock-{VERSION}"
    program = home / "node_modules/@copilotkit/aimock/dist/cli.js"
    if not program.exists():
        # Beside its place and then moved there: another worker may be fetching it just now.
        with tempfile.TemporaryDirectory(dir=made(home.parent)) as beside:
            fetch(npm, Path(beside))
            with contextlib.suppress(OSError):
                Path(beside).rename(home)
            made(Path(beside))
    return program


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fetch(npm: str, folder: Path) -> None:
    command = [npm, "install", "--prefix", str(folder), "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        got = subprocess.run(
            [*command, f"@copilotkit/aimock@{VERSION}"], capture_output=True, text=True, timeout=30, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("aimock could not be fetched within 30 s")
    if got.returncode:
        pytest.skip(f"aimock could not be fetched: {got.stderr.strip()[-200:]}")


@pytest.fixture(scope="module")
def mock_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running aimock on a free port of this machine."""
    program = installed()
    fixtures = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    fixtures.write_text(json.dumps({"fixtures": FIXTURES}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["node", str(program), "--port", str(port), "--fixtures", str(fixtures), "--log-level", "silent"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                asked(url)
                break
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None:
                    pytest.skip("aimock does not run on the node that is here")
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def asked(url: str) -> list[dict[str, Any]]:
    """What the mock was asked so far."""
    with urllib.request.urlopen(f"{url}/__aimock/journal", timeout=5) as response:
        return list(json.loads(response.read()))


def call(url: str, wire: str, *messages: Message, tools: tuple[ToolSpec, ...] = ()) -> Any:
    """The Completion or the error of one call, and how many requests the mock saw of it."""
    provider, model, path = WIRES[wire]
    before = len(asked(url))

    async def go() -> Any:
        factory = LLMFactory(clock=ManualClock(auto=True), random=Random(3))
        client = factory.create_client(
            LLMConfig(provider, model, Secret("aimock-key-000000"), url + path), retry=RetryConfig(max_attempts=2)
        )
        try:
            return await client.invoke(messages, InvokeOptions(max_tokens=2000, tools=tools))
        except ProviderError as error:
            return error
        finally:
            await factory.aclose()

    return asyncio.run(go()), len(asked(url)) - before


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_comes_whole(mock_url: str, wire: str) -> None:
    """Text in many pieces, with counts, after one request."""
    done, requests = call(mock_url, wire, Message("user", "Tell me of a clock."))
    assert (done.text, done.finish_reason, requests) == (WORDS, "stop", 1)
    assert (done.usage.input_tokens, done.usage.output_tokens) == (21, 34)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("words", "errors", "sent"),
    [
        ("You are busy.", {RateLimitedError}, 2),
        ("You are down.", {ProviderUnavailableError}, 2),
        ("This is wrong.", {RequestRejectedError}, 1),
        # The connection is destroyed, at times before its first byte was sent.
        ("You are cut off.", {StreamTruncatedError, ProviderUnavailableError}, 2),
    ],
)
def test_faults_are_their_errors(mock_url: str, wire: str, words: str, errors: set[type], sent: int) -> None:
    """Sent as often as the table says; half an answer is never one."""
    result, requests = call(mock_url, wire, Message("user", words))
    assert type(result) in errors
    assert requests == sent


# Not Google: it ends such answers by `FUNCTION_CALL`, which is none of the vendor's words for an end.
@pytest.mark.parametrize("wire", [name for name in WIRES if name != "google"])
def test_a_tool_is_wished_for_and_answered(mock_url: str, wire: str) -> None:
    """The wish comes whole, goes back with its result, and the answer follows."""
    ask = Message("user", "How is the sky?")
    wish, _ = call(mock_url, wire, ask, tools=(WEATHER,))
    assert wish.finish_reason == "tool_use"
    assert [(each.name, each.arguments) for each in wish.tool_calls] == [("weather", {"city": 'Ulm "an" der Donau'})]
    results = (ToolResult(wish.tool_calls[0].id, "rain"),)
    turns = (ask, Message("assistant", "", tool_calls=wish.tool_calls), Message("user", "", tool_results=results))
    done, _ = call(mock_url, wire, *turns, tools=(WEATHER,))
    assert done.text == "It rains in Ulm."
