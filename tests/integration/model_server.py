"""A model provider for the server's tests: the fake of Anthropic's wire on a thread of its own, told what to answer.

What it checks and how it breaks is `orchestrator_v2/testing/fake_anthropic.py`; the server itself is
`server_process.py`.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from server_process import Client, Server

from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Script
from orchestrator_v2.testing.fake_server import FakeServer
from orchestrator_v2.testing.worked_answers import worked_reply

# What `auto` comes to once there is a key; nobody bears these words elsewhere.
KEY = "sk-ant-api03-users-own-4f1d0b7e2a9c6835"
OPERATORS = "sk-ant-api03-operators-own-77d0c1ab93e2"


class ModelServer:
    """`answers` is changed by a test at will; `fake` has what was asked."""

    def __init__(self, wire: type[FakeServer[Any]] = FakeAnthropic, provider: str = "anthropic") -> None:
        self.answers: Any = worked_reply
        self.provider = provider
        self.fake = wire(default=self._answer)  # type: ignore[call-arg]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def _answer(self, seen: object) -> object:
        return self.answers(seen) if callable(self.answers) else self.answers

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.fake.__aenter__(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.fake.__aexit__(None, None, None), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return self.fake.base_url

    @property
    def keys(self) -> list[str]:
        """The key of each request that arrived."""
        return [seen.key for seen in self.fake.requests]

    def fresh(self, answers: Script = worked_reply) -> Self:
        """Forgets what was asked; answers so from here on."""
        self.answers = answers
        self.fake.play(())
        return self

    def server(self, home: Path, **environment: str) -> Server:
        """A server whose users may name this provider, and whose operator has a key of their own."""
        return Server(
            home,
            **{
                "ORCHESTRATOR_MODEL_ORIGINS": self.url,
                "ORCHESTRATOR_RETRY_INITIAL": "0.01",
                "ORCHESTRATOR_RETRY_MAX_DELAY": "0.05",
                "ANTHROPIC_API_KEY": OPERATORS,
                **environment,
            },
        )

    def stored(self, client: Client, key: str = KEY, **more: str) -> None:
        """The client's key for this provider."""
        client.post(
            "/users/me/provider-settings",
            {"llm_provider": self.provider, "api_key": key, "base_url": self.url, **more},
        )
