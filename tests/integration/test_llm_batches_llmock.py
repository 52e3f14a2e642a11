"""The batch lane against a server that is not ours: `llmock`'s message batches, and its files and batches."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from random import Random
from sys import executable

import pytest

from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import BatchPendingError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger


@pytest.fixture(scope="module")
def mock_url():
    """A running llmock on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binary = Path(executable).with_name("llmock")
    command = [str(binary), "serve", "--port", str(port), "--log-level", "error", "--response-style", "echo"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_llmock/requests", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.mark.parametrize(
    ("provider", "path", "model"), [("anthropic", "/anthropic", "claude-haiku-4-5"), ("openai", "/v1", "gpt-6-luna")]
)
def test_a_batch_is_handed_in_and_collected(mock_url, provider, path, model):
    """The other server takes our batch, is at work on it for a while, and gives the echo of our prompt."""
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
