"""The ways to ask a model, each as two coroutines: one call, and one stream of 229 deltas; run as a child process.

    python llm_clients.py CLIENT BASE_URL calls N     CPU milliseconds a call, 16 in flight, as JSON
    python llm_clients.py CLIENT BASE_URL streams N   the same for streams, one after the other
    python llm_clients.py CLIENT BASE_URL memory N    resident MB after a tenth of N calls, and after N
    python llm_clients.py CLIENT BASE_URL idle N      CPU of a call beside one idle connection, and beside 64

What is made of the figures is `llm.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

MODEL = "claude-sonnet-5-5"
KEY = "sk-ant-bench"
CALL, STREAM = "Say something.", "Say 229 things."
IN_FLIGHT = 16
Ask = Callable[[str], Awaitable[int]]


@asynccontextmanager
async def _raw(base_url: str) -> AsyncIterator[tuple[Ask, Ask]]:
    """httpx2 alone: the body is sent and read, nothing is made of it."""
    import httpx2

    async def ask(prompt: str, *, stream: bool) -> int:
        message = {"role": "user", "content": prompt}
        body = {"model": MODEL, "max_tokens": 1000, "messages": [message], "stream": stream}
        response = await http.post("/v1/messages", json=body)
        return len(response.content)

    async with httpx2.AsyncClient(base_url=base_url, trust_env=False) as http:
        yield lambda prompt: ask(prompt, stream=False), lambda prompt: ask(prompt, stream=True)


@asynccontextmanager
async def _ours(base_url: str) -> AsyncIterator[tuple[Ask, Ask]]:
    """All wrappers: whole, retrying, recorded (in memory), metered, logged to a file."""
    from random import Random

    from orchestrator_v2.core.clock import SystemClock
    from orchestrator_v2.core.secrets import Secret
    from orchestrator_v2.llm.call_log import CallLogFile
    from orchestrator_v2.llm.factory import LLMFactory
    from orchestrator_v2.llm.types import InvokeOptions, LLMConfig
    from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

    class Forgetful(MemoryCallLedger):
        """Keeps the last rows only, so that what grows is not the ledger of the benchmark."""

        async def begin(self, intent: Any) -> int:
            del self.rows[:-100]
            return await super().begin(intent)

    factory = LLMFactory(clock=SystemClock(), random=Random(0))
    options = InvokeOptions(max_tokens=1000)
    number = 0
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        config = LLMConfig("anthropic", MODEL, Secret(KEY), base_url)
        log = CallLogFile(Path(folder, "llm-requests.log"))
        client = factory.create_client(config, ledger=Forgetful(), log=log)

        def name() -> str:
            nonlocal number
            number += 1
            return f"bench/{number}"

        async def call(prompt: str) -> int:
            return len((await client.invoke(prompt, options, key=name())).text)

        async def stream(prompt: str) -> int:
            pieces = [piece async for piece in client.stream(prompt, options, key=name())]
            return len(pieces[-1].text)  # type: ignore[union-attr]

        yield call, stream
        await factory.aclose()


@asynccontextmanager
async def _sdk(base_url: str) -> AsyncIterator[tuple[Ask, Ask]]:
    """The vendor's SDK, used plainly: its default transport, its own streaming helper."""
    import anthropic

    async def call(prompt: str) -> int:
        message = await sdk.messages.create(
            model=MODEL, max_tokens=1000, messages=[{"role": "user", "content": prompt}]
        )
        return len(message.content[0].text)  # type: ignore[union-attr]

    async def stream(prompt: str) -> int:
        messages = [{"role": "user", "content": prompt}]
        async with sdk.messages.stream(model=MODEL, max_tokens=1000, messages=messages) as events:  # type: ignore[arg-type]
            return sum([len(text) async for text in events.text_stream])

    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=base_url, max_retries=0) as sdk:
        yield call, stream


@asynccontextmanager
async def _pydantic_ai(base_url: str) -> AsyncIterator[tuple[Ask, Ask]]:
    from pydantic_ai import Agent
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    agent = Agent(AnthropicModel(MODEL, provider=AnthropicProvider(api_key=KEY, base_url=base_url)))

    async def call(prompt: str) -> int:
        return len((await agent.run(prompt)).output)

    async def stream(prompt: str) -> int:
        async with agent.run_stream(prompt) as result:
            return sum([len(text) async for text in result.stream_text(delta=True, debounce_by=None)])

    yield call, stream


@asynccontextmanager
async def _langchain(base_url: str) -> AsyncIterator[tuple[Ask, Ask]]:
    from langchain_anthropic import ChatAnthropic

    model = ChatAnthropic(model=MODEL, api_key=KEY, base_url=base_url, max_tokens=1000, max_retries=0)  # type: ignore[call-arg]

    async def call(prompt: str) -> int:
        return len((await model.ainvoke(prompt)).text)

    async def stream(prompt: str) -> int:
        return sum([len(chunk.text) async for chunk in model.astream(prompt)])

    yield call, stream


CLIENTS = {"raw": _raw, "ours": _ours, "sdk": _sdk, "pydantic-ai": _pydantic_ai, "langchain": _langchain}


async def _cost(ask: Ask, prompt: str, number: int, in_flight: int) -> float:
    """CPU milliseconds each, after a warm-up; every answer must have come."""

    async def worker() -> None:
        for _ in range(number // in_flight):
            if not await ask(prompt):
                raise RuntimeError("an empty answer")

    await asyncio.gather(*(ask(prompt) for _ in range(in_flight)))
    before = time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return (time.process_time() - before) * 1_000 / (number // in_flight * in_flight)


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def _measured(client: str, base_url: str, what: str, number: int) -> Any:
    async with CLIENTS[client](base_url) as (call, stream):
        if what == "calls":
            return await _cost(call, CALL, number, IN_FLIGHT)
        if what == "streams":
            return await _cost(stream, STREAM, number, 1)
        if what == "memory":
            await _cost(call, CALL, number // 10, IN_FLIGHT)
            early = _resident()
            await _cost(call, CALL, number - number // 10, IN_FLIGHT)
            return [early, _resident()]
        alone = await _cost(call, CALL, number, 1)
        await asyncio.gather(*(call(CALL) for _ in range(64)))
        return [alone, await _cost(call, CALL, number, 1)]


if __name__ == "__main__":
    name, address, wanted, count = sys.argv[1:]
    print(json.dumps(asyncio.run(_measured(name, address, wanted, int(count)))))
