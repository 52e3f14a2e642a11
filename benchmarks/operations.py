"""Typed operations beside the vendor's SDK: operations a second at 1 and 64 in flight, one local server.

Ours records the request, the call and the answer durably; the SDK sends the same prompt and reads the same answer.

    python operations.py CLIENT BASE_URL IN_FLIGHT N     [operations a second, CPU milliseconds each] as JSON
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from llm import model_server
from processes import ask

HERE = Path(__file__).parent
MODEL = "claude-sonnet-5-5"
KEY = "sk-ant-bench"
Operation = Callable[[int], Awaitable[bool]]


def measure(quick: bool, log: Callable[[str], None]) -> dict[str, Any]:
    """What `benchmarks/targets.py` reads under `operations`; the clients take turns."""
    found: dict[tuple[str, int], list[list[float]]] = {}
    with model_server() as address:
        for number in range(2 if quick else 5):
            log(f"operations: round {number + 1}")
            for client in ("ours", "sdk"):
                for in_flight, count in ((1, 60), (64, 640)):
                    command = [sys.executable, str(HERE / "operations.py")]
                    said = ask(command, client, address, str(in_flight), str(count))
                    found.setdefault((client, in_flight), []).append(said)
    middle = {key: [statistics.median(each) for each in zip(*rounds, strict=True)] for key, rounds in found.items()}
    return {
        "operations": {
            "alone": middle["ours", 1][0],
            "alone_to_sdk": middle["sdk", 1][0] / middle["ours", 1][0],
            "together": middle["ours", 64][0],
            "together_to_sdk": middle["sdk", 64][0] / middle["ours", 64][0],
            "cpu": middle["ours", 64][1],
            "cpu_to_sdk": middle["ours", 64][1] / middle["sdk", 64][1],
        }
    }


def _prompt(number: int) -> str:
    return f"bench.echo: say back the words of item {number}."


@asynccontextmanager
async def _ours(base_url: str, home: Path) -> AsyncIterator[Operation]:
    from typing import ClassVar

    from orchestrator_v2.config.loader import load_settings
    from orchestrator_v2.core.secrets import Secret
    from orchestrator_v2.operation_bootstrap import open_operations
    from orchestrator_v2.operations.handler import Answer, Data, OperationHandler
    from orchestrator_v2.operations.types import LLMRequest

    class Words(Data):
        words: str

    class Echoed(Answer):
        text: str

    class Echo(OperationHandler[Words, Echoed]):
        operation_id = "bench.echo"
        summary = "Says words back."
        request_schema = Words
        response_schema = Echoed
        template = "echo.md.j2"
        templates: ClassVar[Path] = home / "templates"

        def simulate(self, request: Words) -> Echoed:
            return Echoed(text=request.words)

    (home / "templates").mkdir()
    (home / "templates/echo.md.j2").write_text("bench.echo: say back the words of the data.\n")
    loaded = load_settings(
        {"data_dir": str(home / "data"), "mode": "real", "base_url": base_url, "model": MODEL}, {}, home, home
    )
    async with await open_operations(loaded, handlers=(Echo,), key=Secret(KEY)) as operations:

        async def operation(number: int) -> bool:
            request = LLMRequest(
                feature="bench", operation="echo", data={"words": _prompt(number)}, cache_policy="bypass"
            )
            return (await operations.execute(request)).success

        yield operation


@asynccontextmanager
async def _sdk(base_url: str, home: Path) -> AsyncIterator[Operation]:
    """The vendor's SDK with a schema, its answer read by pydantic: what one would write by hand, kept nowhere."""
    import anthropic
    from pydantic import BaseModel

    class Echoed(BaseModel):
        text: str

    schema = {**Echoed.model_json_schema(), "additionalProperties": False}

    async def operation(number: int) -> bool:
        message = await sdk.messages.create(
            model=MODEL,
            max_tokens=4000,
            messages=[{"role": "user", "content": _prompt(number)}],
            output_config={"format": {"type": "json_schema", "schema": schema}},
        )
        return bool(Echoed.model_validate_json(message.content[0].text).text)  # type: ignore[union-attr]

    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=base_url, max_retries=0) as sdk:
        yield operation


CLIENTS = {"ours": _ours, "sdk": _sdk}


async def _measured(client: str, base_url: str, in_flight: int, count: int) -> list[float]:
    """[a second, CPU milliseconds each], after a warm-up; every operation must have its answer."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with CLIENTS[client](base_url, Path(folder)) as operation:
            numbers = iter(range(1_000_000))

            async def worker(times: int) -> None:
                for _ in range(times):
                    if not await operation(next(numbers)):
                        raise RuntimeError("an operation without an answer")

            await asyncio.gather(*(worker(2) for _ in range(in_flight)))
            begun, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(worker(count // in_flight) for _ in range(in_flight)))
            wall, used = time.perf_counter() - begun, time.process_time() - cpu
    done = count // in_flight * in_flight
    return [done / wall, used * 1_000 / done]


if __name__ == "__main__":
    name, address, flying, number = sys.argv[1:]
    print(json.dumps(asyncio.run(_measured(name, address, int(flying), int(number)))))
