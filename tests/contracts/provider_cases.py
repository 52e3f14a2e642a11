"""The wires that the provider contract is held to: how each says the same things, and one conversation on it.

What a provider may do to us, fault by fault, is `provider_faults.py`.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.client import LLMClient
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.llm.pool import ClientPool
from orchestrator_v2.llm.provider import Timeouts
from orchestrator_v2.llm.providers.bedrock import BedrockProvider
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing import fake_anthropic, fake_bedrock, fake_google, fake_openai
from orchestrator_v2.testing.fake_server import EVENT_STREAM, FakeServer, Fault, Seen
from orchestrator_v2.testing.google_rules import key_of, text_of
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

# Of no vendor's shape: only its value gives it away.
KEY = Secret("planted.canary.key.0123456789")
CANARY = "canary"
ASK = (Message("user", "Build a clock."),)
OPTIONS = InvokeOptions(max_tokens=1000)
ONCE = RetryConfig(max_attempts=1)
LONG = "forty characters of a good plain answer."

Call = tuple[str, str, dict[str, Any]]


class Dialect(msgspec.Struct, frozen=True):
    """A wire, and a provider and model that are spoken to on it.

    `event` puts JSON text on the wire as one event of a stream, `failed` reports an error after a 200, `piece` is the
    JSON of an event that holds TEXT as a piece of its text. `ends` are the wire's words for an answer
    that is cut, refused, or has filled the window. `usage` counts (input in all, read from a cache, output), `calls`
    are the fields of a reply that wishes for tools. `cap` is the field of the body that holds max_tokens, by its path.
    `refused` are options that the model does not honour, `unknown` and `retired` names of models that there are none
    (and the successor).
    """

    name: str
    provider: str
    model: str
    serve: Callable[..., FakeServer[Any]]
    reply: type[Fault]
    stream: Callable[[Any], tuple[bytes, ...]]
    failed: Callable[[int, str], bytes]
    piece: str
    ends: Mapping[str, str]
    usage: Callable[[int, int, int], dict[str, Any]]
    calls: Callable[[Sequence[Call]], dict[str, Any]]
    cap: str
    refused: frozenset[str]
    event: Callable[[bytes], bytes] = lambda data: b"data: " + data + b"\n\n"
    content_type: str = EVENT_STREAM
    path: str = ""
    key_of: Callable[[Seen], str] = lambda seen: seen.key
    prompt_of: Callable[[Seen], str] = lambda seen: seen.prompt
    unknown: str = ""
    retired: tuple[str, str] = ("", "")

    def body_of(self, reply: Fault) -> bytes:
        return b"".join(self.stream(reply))

    def text_event(self, text: str) -> bytes:
        """A piece of text, given as JSON escapes it."""
        return self.event(self.piece.replace("TEXT", text).encode())

    def cap_of(self, seen: Seen) -> int:
        found: Any = seen.body
        for name in self.cap.split("."):
            found = found[name]
        return int(found)


class ScriptedAnthropic(fake_anthropic.FakeAnthropic):
    """Its count of tokens and its list of models can fail too: whatever is asked, what was scripted comes first."""

    def _next(self, seen: Seen) -> fake_anthropic.Reply:
        return FakeServer._next(self, seen) if self._replies else super()._next(seen)


def _anthropic_failed(status: int, message: str) -> bytes:
    return fake_anthropic.event_bytes({"type": "error", "error": {"type": _TYPES[status], "message": message}})


_TYPES = {
    **{400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 429: "rate_limit_error"},
    **{500: "api_error", 529: "overloaded_error"},
}
_EXCEPTIONS = {
    **{400: "validationException", 401: "accessDeniedException", 402: "accessDeniedException"},
    **{429: "throttlingException", 500: "internalServerException", 529: "serviceUnavailableException"},
}
_ANTHROPIC = Dialect(
    name="anthropic",
    provider="anthropic",
    model="claude-sonnet-5-5",
    serve=ScriptedAnthropic,
    reply=fake_anthropic.Reply,
    stream=fake_anthropic.stream_events,
    failed=_anthropic_failed,
    piece='{"type":"content_block_delta","delta":{"type":"text_delta","text":"TEXT"}}',
    ends={"length": "max_tokens", "refusal": "refusal", "window": "model_context_window_exceeded"},
    usage=lambda sent, read, given: {
        "input_tokens": sent - read,
        "cache_read_input_tokens": read,
        "output_tokens": given,
    },
    calls=lambda calls: {"tool_uses": tuple((known, name, json.dumps(given)) for known, name, given in calls)},
    cap="max_tokens",
    refused=frozenset({"temperature", "top_p", "seed"}),
    unknown="claude-sonet-5-5",
    retired=("claude-3-opus-latest", "claude-opus-5-5"),
)
_OPENAI = Dialect(
    name="openai",
    provider="openai",
    model="gpt-6.1-terra",
    serve=fake_openai.FakeOpenAI,
    reply=fake_openai.Reply,
    stream=fake_openai.stream_events,
    failed=lambda status, message: fake_openai.event_bytes({"error": {"code": status, "message": message}}),
    piece='{"choices":[{"index":0,"delta":{"content":"TEXT"}}]}',
    ends={"length": "length", "refusal": "content_filter", "window": "model_context_window_exceeded"},
    usage=lambda sent, read, given: {
        "prompt_tokens": sent,
        "completion_tokens": given,
        "prompt_tokens_details": {"cached_tokens": read},
    },
    calls=lambda calls: {
        "tool_calls": tuple((known, name, json.dumps(given)) for known, name, given in calls),
        "stop_reason": "tool_calls",
    },
    cap="max_completion_tokens",
    refused=frozenset({"temperature", "top_p", "stop_sequences"}),
    unknown="gpt-6.1-tera",
    retired=("gpt-4-turbo", "gpt-6.1-sol"),
)
_GOOGLE = Dialect(
    name="google",
    provider="google",
    model="gemini-3.8-flash",
    serve=fake_google.FakeGoogle,
    reply=fake_google.Reply,
    stream=fake_google.stream_events,
    failed=lambda status, message: fake_google.event_bytes({"error": {"code": status, "message": message}}),
    piece='{"candidates":[{"content":{"parts":[{"text":"TEXT"}]}}]}',
    ends={"length": "MAX_TOKENS", "refusal": "SAFETY"},
    usage=lambda sent, read, given: {
        "promptTokenCount": sent,
        "cachedContentTokenCount": read,
        "candidatesTokenCount": given,
    },
    calls=lambda calls: {
        "text": "",
        "parts": tuple({"functionCall": {"id": known, "name": name, "args": given}} for known, name, given in calls),
    },
    cap="generationConfig.maxOutputTokens",
    refused=frozenset({"temperature", "top_p"}),
    key_of=key_of,
    prompt_of=text_of,
    unknown="gemini-3.8-flahs",
    retired=("gemini-1.5-pro", "gemini-3.8-flash"),
)
WIRES = (
    _ANTHROPIC,
    # Anthropic's wire as others serve it: a model that the catalog does not know behind somebody's base_url.
    msgspec.structs.replace(
        _ANTHROPIC,
        name="zai",
        model="glm-5.3",
        path="/api/anthropic",
        refused=frozenset({"seed", "reasoning"}),
        unknown="",
        retired=("", ""),
    ),
    msgspec.structs.replace(
        _ANTHROPIC,
        name="bedrock",
        provider="bedrock",
        model="global.anthropic.claude-sonnet-5-5",
        serve=fake_bedrock.FakeBedrock,
        stream=fake_bedrock.answer_frames,
        event=fake_bedrock.chunk,
        content_type=fake_bedrock.EVENT_STREAM,
        failed=lambda status, message: fake_bedrock.fault_frame(_EXCEPTIONS[status], message),
        unknown="",
        retired=("", ""),
    ),
    _GOOGLE,
    _OPENAI,
    msgspec.structs.replace(
        _OPENAI,
        name="groq",
        provider="groq",
        model="openai/gpt-oss-120b",
        path="/openai/v1",
        refused=frozenset(),
        unknown="",
        retired=("", ""),
    ),
)


class Talk(msgspec.Struct):
    """What one conversation left behind; `result` is the Completion or the error."""

    clock: ManualClock
    ledger: MemoryCallLedger
    result: Any = None
    log: list[dict[str, Any]] = []
    heard: list[str] = []
    requests: list[Seen] = []

    @property
    def rows(self) -> list[CallRow]:
        return self.ledger.rows

    def shown(self) -> str:
        """Everything that a person or a file gets to see of it."""
        error = self.result if isinstance(self.result, BaseException) else None
        told = "".join(traceback.format_exception(error)) + repr(vars(error)) if error else repr(self.result)
        return f"{told}\n{self.result!s}\n{self.rows!r}\n{json.dumps(self.log)}"


class Bench:
    """A wire's server on an event loop of its own, and HTTP clients, which all conversations share: they are dear."""

    def __init__(self, dialect: Dialect, runner: asyncio.Runner, server: FakeServer[Any]) -> None:
        self.dialect = dialect
        self.runner = runner
        self.server = server
        self.pool = ClientPool()

    def config(self, **more: Any) -> LLMConfig:
        d = self.dialect
        given = {"provider": d.provider, "model": d.model, "credential": KEY, "base_url": self.server.base_url + d.path}
        return LLMConfig(**(given | more))

    def factory(self, clock: ManualClock, **more: Any) -> LLMFactory:
        made = LLMFactory(clock=clock, random=Random(0), **{"pool": self.pool, **more})
        made.register_provider("bedrock", BedrockProvider({"AWS_REGION": "eu-central-1"}))
        return made

    def talk(self, replies: Iterable[Any], **how: Any) -> Talk:
        """One call through the whole chain."""
        how = {"messages": ASK, "options": OPTIONS, **how}
        messages, options = how.pop("messages"), how.pop("options")

        async def ask(client: LLMClient, talk: Talk) -> Any:
            return await client.invoke(messages, options, key="a/1", sink=talk.heard.append)

        # Nobody listens to the pieces unless asked, as what was heard is never sent again.
        async def ask_deaf(client: LLMClient, talk: Talk) -> Any:
            return await client.invoke(messages, options, key="a/1")

        return self.work(replies, ask if how.pop("listen", False) else ask_deaf, **how)

    def work(
        self,
        replies: Iterable[Any],
        use: Callable[[LLMClient, Talk], Awaitable[Any]],
        *,
        retry: RetryConfig | None = None,
        timeouts: Timeouts | None = None,
        **config: Any,
    ) -> Talk:
        """What `use` gives or raises; whatever happens, no rule of the wire is broken and the key is nowhere."""
        clock = ManualClock(auto=True)
        talk = Talk(clock, MemoryCallLedger(now=clock.now))
        # Timeouts belong to an HTTP client, so others need one of their own.
        own = {} if timeouts is None else {"pool": ClientPool(), "timeouts": timeouts}

        async def go() -> None:
            factory = self.factory(clock, **own)
            try:
                client = factory.create_client(
                    self.config(**config), ledger=talk.ledger, log=talk.log.append, retry=retry
                )
                talk.result = await use(client, talk)
            except OrchestratorError as error:
                talk.result = error
            finally:
                if own:
                    await factory.aclose()

        self.server.play(replies)
        self.runner.run(go())
        talk.requests = list(self.server.requests)
        assert self.server.problems == []
        assert CANARY not in talk.shown()
        return talk


@contextmanager
def opened(dialect: Dialect) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        server = dialect.serve()
        runner.run(server.__aenter__())
        bench = Bench(dialect, runner, server)
        try:
            yield bench
        finally:
            runner.run(bench.pool.aclose())
            runner.run(server.__aexit__(None, None, None))
