"""A process that asks one agentic operation under an idempotency key; the tests kill it.

Called with a folder and the address of a model server; `CRASH_AT` says where it dies.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from operation_cases import CountWords, request, settings

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.operation_bootstrap import open_operations


async def main(home: Path, base_url: str) -> None:
    loaded = settings(home, mode="real", base_url=base_url, durability="full")
    key = Secret("sk-ant-chaos-0123456789")
    async with await open_operations(loaded, handlers=(CountWords,), key=key) as operations:
        answer = await operations.execute(request(mode="agentic", idempotency_key="the-one"))
        sys.stdout.write(answer.model_dump_json() + "\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
