"""The Anthropic provider over real HTTP, against a strict local server that breaks on demand."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import resource
import shutil
import ssl
import subprocess
import traceback
from random import Random

import msgspec
import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    ConfigError,
    OutputTruncatedError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusalError,
    RequestRejectedError,
    StreamTruncatedError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.call_log import VENDOR_LOGGERS
from orchestrator_v2.llm.catalog import resolve_model
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.lane import Lane
from orchestrator_v2.llm.pool import ClientPool
from orchestrator_v2.llm.provider import Connection, Timeouts
from orchestrator_v2.llm.providers.anthropic import build_headers, build_request
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing.anthropic_rules import Seen, broken_rules
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply, body_of, event_bytes, stream_events
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

KEY = Secret("sk-ant-api03-planted-canary-value")
TOKEN = Secret("sk-ant-oat01-planted-canary-token")
ASK = [Message("user", "Build a clock.")]
OPTIONS = InvokeOptions(max_tokens=1000)
ONCE = RetryConfig(max_attempts=1)


class Bench:
    """What one conversation with the fake server left behind."""

    def __init__(self):
        self.clock = ManualClock(auto=True)
        self.ledger = MemoryCallLedger()
        self.log = []
        self.probes = []
        self.server = None
        self.result = None


def talk(replies, *, options=OPTIONS, messages=ASK, retry=None, timeouts=None, path="", strict=True, **config):
    """Sends one call through the whole chain; the result is the Completion or the error."""
    bench = Bench()

    async def go():
        async with FakeAnthropic(replies, strict=strict) as server:
            bench.server = server
            factory = LLMFactory(clock=bench.clock, random=Random(0), probe=bench.probes.append, timeouts=timeouts)
            whole = LLMConfig("anthropic", "claude-sonnet-5-5", KEY, server.base_url + path)
            whole = msgspec.structs.replace(whole, **config)
            client = factory.create_client(whole, ledger=bench.ledger, log=bench.log.append, retry=retry)
            try:
                bench.result = await client.invoke(messages, options, key="a/1")
            except ProviderError as error:
                bench.result = error
            finally:
                await factory.aclose()

    asyncio.run(go())
    return bench


def test_an_answer_comes_whole_with_usage_cost_and_provenance():
    """Text in several pieces and scripts is put together; cached tokens count into the total; nothing breaks a rule."""
    usage = {
        "input_tokens": 100,
        "output_tokens": 50,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 20,
    }
    text = "Grüße aus der Küche: 漢字 \U0001f600 und noch etwas mehr."
    bench = talk([Reply(text=text, usage=usage)])
    completion = bench.result
    assert completion.text == text
    assert (completion.finish_reason, completion.request_id) == ("stop", "req_fake")
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (150, 50)
    assert (completion.usage.cache_write_tokens, completion.usage.cache_read_tokens) == (30, 20)
    assert completion.cost == 100 * 2000 + 30 * 2500 + 20 * 100 + 50 * 10_000
    assert str(completion.provenance) == "real (anthropic/claude-sonnet-5-5)"
    assert bench.server.problems == []
    assert bench.probes[:3] == ["request-sent", "first-byte", "last-byte-before-parse"]


def test_the_request_is_what_the_wire_asks_for():
    """System prompt, cap, schema and stop sequences stand where they belong; the last stable block is cached."""
    schema = {"type": "object", "properties": {"name": {"type": "string", "minLength": 1}}, "required": ["name"]}
    options = InvokeOptions(max_tokens=77, system_prompt="Be brief.", stop_sequences=("END",), response_schema=schema)
    messages = [
        Message("user", "The project {{7*7}}", stable=True),
        Message("user", "The task"),
        Message("assistant", "{}"),
        Message("user", "Once more."),
    ]
    body = talk(["{}"], options=options, messages=messages).server.requests[0].body
    assert (body["model"], body["max_tokens"], body["system"], body["stop_sequences"]) == (
        "claude-sonnet-5-5",
        77,
        "Be brief.",
        ["END"],
    )
    assert body["stream"] is True
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert body["output_config"]["format"]["schema"]["additionalProperties"] is False
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    first, second = body["messages"][0]["content"]
    assert (first["text"], first["cache_control"]) == ("The project {{7*7}}", {"type": "ephemeral"})
    assert "cache_control" not in second


def test_a_model_without_structured_output_gets_the_schema_in_words():
    """Behind a base_url an unknown model is asked in the prompt, and may be given a temperature."""
    options = InvokeOptions(max_tokens=10, response_schema={"type": "object"}, temperature=0.2)
    seen = talk(["{}"], options=options, model="glm-5.3").server.requests[0]
    assert "output_config" not in seen.body
    assert '{"type":"object"}' in seen.body["system"]
    assert seen.body["temperature"] == 0.2
    assert seen.headers["anthropic-version"] == "2023-06-01"


def test_sampling_is_refused_where_the_model_does_not_take_it():
    """A temperature for a model without sampling is an error before sending, charged with nothing."""
    bench = talk(["Hello."], options=InvokeOptions(temperature=0.5))
    assert isinstance(bench.result, RequestRejectedError)
    assert bench.server.requests == []
    assert bench.ledger.rows[0].charged == 0


def test_max_tokens_is_kept_within_the_models_own_cap():
    """More than the model can give is not asked for."""
    body = talk(["Hello."], options=InvokeOptions(max_tokens=500_000)).server.requests[0].body
    assert body["max_tokens"] == 128_000


FAULTS = [
    ("429", Reply(status=429), RateLimitedError, 3),
    ("429 spend limit", Reply(status=429, message="You reached your spend limit"), QuotaExhaustedError, 1),
    ("402", Reply(status=402), QuotaExhaustedError, 1),
    ("no credit", Reply(status=400, message="Your credit balance is too low"), QuotaExhaustedError, 1),
    ("500", Reply(status=500), ProviderUnavailableError, 3),
    ("502 html", Reply(status=502, body=b"<html>bad</html>"), ProviderUnavailableError, 3),
    ("503", Reply(status=503), ProviderUnavailableError, 3),
    ("504", Reply(status=504), ProviderUnavailableError, 3),
    ("529", Reply(status=529), ProviderUnavailableError, 3),
    ("408", Reply(status=408), ProviderUnavailableError, 3),
    ("409", Reply(status=409), ProviderUnavailableError, 3),
    ("should not retry", Reply(status=500, headers={"x-should-retry": "false"}), ProviderUnavailableError, 1),
    ("400", Reply(status=400), RequestRejectedError, 1),
    ("404", Reply(status=404), RequestRejectedError, 1),
    ("413", Reply(status=413), RequestRejectedError, 1),
    ("422", Reply(status=422), RequestRejectedError, 1),
    ("401", Reply(status=401), AuthenticationError, 1),
    ("403", Reply(status=403), AuthenticationError, 1),
    ("redirect", Reply(status=307, headers={"location": "/v1/messages"}), RequestRejectedError, 1),
    ("html 200", Reply(body=b"<html>login</html>", headers={"content-type": "text/html"}), BadGatewayError, 2),
    ("empty 200", Reply(body=b""), BadGatewayError, 2),
    ("empty stream", Reply(body=b"", headers={"content-type": "text/event-stream"}), BadGatewayError, 2),
    ("list 200", Reply(body=b"[]"), BadGatewayError, 2),
    ("error 200", Reply(body=b'{"error": {"message": "odd"}}'), BadGatewayError, 2),
    ("success false", Reply(body=b'{"success": false, "code": 500, "msg": "odd"}'), BadGatewayError, 2),
    ("connection reset", Reply(reset=True), ProviderUnavailableError, 3),
    ("cut", Reply(cut_at=300), StreamTruncatedError, 3),
    ("politely cut", Reply(cut_at=300, polite=True), StreamTruncatedError, 3),
    ("no stop reason", Reply(stop_reason=None), StreamTruncatedError, 3),
    ("unknown stop reason", Reply(stop_reason="novelty"), BadGatewayError, 2),
    (
        "overloaded after 200",
        Reply(
            events=(
                *stream_events(Reply())[:3],
                event_bytes({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
            )
        ),
        ProviderUnavailableError,
        3,
    ),
    (
        "rejected after 200",
        Reply(events=(event_bytes({"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}),)),
        RequestRejectedError,
        1,
    ),
    (
        "malformed chunk",
        Reply(events=(*stream_events(Reply())[:3], b"event: x\ndata: {nonsense\n\n", *stream_events(Reply())[3:])),
        StreamTruncatedError,
        3,
    ),
    ("malformed start", Reply(events=(b"data: {nonsense\n\n",)), BadGatewayError, 2),
]


@pytest.mark.parametrize(("reply", "expected", "attempts"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_each_fault_is_its_error_and_sent_as_often_as_the_table_says(reply, expected, attempts):
    """The fault table row by row: class, number of requests on the wire, all rows settled, no key in any text."""
    bench = talk([reply] * 5)
    assert type(bench.result) is expected
    assert len(bench.server.requests) == len(bench.ledger.rows) == attempts
    assert {row.outcome for row in bench.ledger.rows} == {"failed"}
    assert bench.server.problems == []
    assert len(bench.clock.slept) == attempts - 1
    assert "canary" not in repr(bench.result) + str(bench.result) + repr(bench.ledger.rows) + repr(bench.log)


@pytest.mark.parametrize(
    "reply", [row[1] for row in FAULTS if row[3] > 1], ids=[row[0] for row in FAULTS if row[3] > 1]
)
def test_after_a_passing_fault_the_answer_comes(reply):
    """Every fault that is retried ends well when the server has recovered; the attempts are counted."""
    bench = talk([reply, "All is well."])
    assert bench.result.text == "All is well."
    assert bench.result.attempts == 2


FREE = ["429", "402", "529", "400", "404", "401", "403", "redirect", "408", "429 spend limit"]
LOST = ["500", "cut", "politely cut", "overloaded after 200", "connection reset", "html 200", "malformed chunk"]


@pytest.mark.parametrize("name", [*FREE, *LOST])
def test_a_failed_call_is_charged_by_what_the_provider_may_have_done(name):
    """What was refused is free; what may have been worked on costs its reservation."""
    reply = next(row[1] for row in FAULTS if row[0] == name)
    row = talk([reply], retry=ONCE).ledger.rows[0]
    assert row.reserved > 0
    assert row.charged == (0 if name in FREE else row.reserved)


def test_retry_after_is_obeyed_and_a_long_one_is_not_waited_for():
    """Seconds and HTTP dates are slept exactly; ten minutes come out at once with the time in the error."""
    bench = talk([Reply(status=529, headers={"retry-after": "3"}), "ok"])
    assert bench.clock.slept == [3]
    date = "Fri, 15 Jan 2027 08:00:45 GMT"
    bench = talk([Reply(status=429, headers={"retry-after": "7"}), "ok"])
    assert bench.clock.slept == [7]
    bench = talk([Reply(status=429, headers={"retry-after": date}), "ok"])
    assert bench.clock.slept == [45]
    bench = talk([Reply(status=429, headers={"retry-after": "600"}), "ok"])
    assert (bench.result.retry_after, bench.clock.slept, len(bench.server.requests)) == (600, [], 1)


@pytest.mark.parametrize("polite", [False, True], ids=["reset", "polite"])
def test_a_stream_cut_at_any_byte_is_never_a_completion(polite):
    """For every offset of a stream short of its whole length there is an error, for the whole length the answer."""
    short = Reply(text="Hi.")
    size = len(body_of(short))

    async def go():
        wrong = []
        replies = [msgspec.structs.replace(short, cut_at=at, polite=polite) for at in range(size)]
        async with FakeAnthropic([*replies, short]) as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            config = LLMConfig("anthropic", "claude-sonnet-5-5", KEY, server.base_url)
            client = factory.create_client(config, retry=ONCE)
            for at in range(size):
                try:
                    wrong.append((at, await client.invoke(ASK, OPTIONS)))
                except (StreamTruncatedError, BadGatewayError, ProviderUnavailableError):
                    continue
            assert (await client.invoke(ASK, OPTIONS)).text == "Hi."
            assert len(server.requests) == size + 1
            await factory.aclose()
        return wrong

    assert asyncio.run(go()) == []


def test_hostile_bodies_are_cut_and_memory_stays_flat():
    """A hundred megabytes of text, of error body, or of unpacked gzip end in an error within a few megabytes."""
    block = b"x" * (1024 * 1024)
    delta = event_bytes({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "y" * 60_000}})
    packed = gzip.compress(b"z" * (100 * 1024 * 1024))
    sse = {"content-type": "text/event-stream"}
    bombs = [
        Reply(body=block, times=100, headers=sse),
        Reply(body=block, times=100, headers={"content-type": "text/html"}),
        Reply(status=500, body=block, times=100),
        Reply(body=event_bytes({"type": "message_start"}) + delta * 20, times=100, headers=sse),
        Reply(body=packed, headers={**sse, "content-encoding": "gzip"}),
        Reply(status=500, body=packed, headers={"content-encoding": "gzip"}),
    ]
    talk(["warm up"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for bomb in bombs:
        assert isinstance(talk([bomb], retry=ONCE).result, ProviderError)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000


def test_a_packed_answer_is_read():
    """A gateway that packs although it was not asked to is understood."""
    reply = Reply(
        body=gzip.compress(body_of(Reply(text="packed"))),
        headers={"content-type": "text/event-stream", "content-encoding": "gzip"},
    )
    assert talk([reply]).result.text == "packed"


def test_silence_and_slow_drips_end_at_their_deadlines():
    """No byte for `idle` seconds, or pings for ever past `total`, are errors; a refused connection is free."""
    quick = Timeouts(connect=1.0, idle=0.2, total=0.6)
    bench = talk([Reply(silence=5)], timeouts=quick, retry=ONCE)
    assert isinstance(bench.result, ProviderUnavailableError)
    assert bench.ledger.rows[0].charged == bench.ledger.rows[0].reserved
    dripping = Reply(text="word " * 2000, pause=0.05, piece=20)
    bench = talk([dripping], timeouts=quick, retry=ONCE)
    assert isinstance(bench.result, ProviderUnavailableError)
    bench = talk([dripping], options=InvokeOptions(timeout=0.3), retry=ONCE)
    assert isinstance(bench.result, ProviderUnavailableError)


async def call_at(base_url, timeouts=None):
    """The error's class and the charges of one call to `base_url`."""
    ledger = MemoryCallLedger()
    factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0), timeouts=timeouts)
    client = factory.create_client(LLMConfig("anthropic", "claude", KEY, base_url), ledger=ledger)
    with pytest.raises(ProviderError) as caught:
        await client.invoke(ASK, OPTIONS, key="a/1")
    await factory.aclose()
    return type(caught.value), [row.charged for row in ledger.rows]


def test_a_server_that_is_not_there_is_retried_for_free():
    """A refused connection is sent again up to the limit and costs nothing."""

    async def go():
        async with FakeAnthropic() as server:
            url = server.base_url
        return await call_at(url)

    assert asyncio.run(go()) == (ProviderUnavailableError, [0, 0, 0])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate is made with the openssl binary")
def test_a_certificate_that_does_not_verify_is_neither_retried_nor_ignored(tmp_path):
    """A self-signed server gets no byte of the request; the call fails at once and costs nothing."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    subprocess.run([*make, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    got = []

    async def serve(reader, writer):
        got.append(await reader.read(1))

    async def go():
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        async with server:
            return await call_at(f"https://localhost:{server.sockets[0].getsockname()[1]}")

    assert asyncio.run(go()) == (RequestRejectedError, [0])
    assert got == []


def test_a_tls_handshake_that_hangs_is_a_timeout_and_not_a_tls_failure():
    """A server that never answers the handshake is retried, whatever TLS leaves in the chain of errors."""

    async def go():
        hung = asyncio.Event()

        async def serve(reader, writer):
            await hung.wait()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            result = await call_at(url, Timeouts(connect=0.2))
            hung.set()
            return result

    assert asyncio.run(go()) == (ProviderUnavailableError, [0, 0, 0])


def test_a_cut_or_refused_answer_over_the_wire():
    """max_tokens twice is an error after two requests, a full window after one; a refusal is its own error."""
    bench = talk([Reply(stop_reason="max_tokens")] * 2)
    assert type(bench.result) is OutputTruncatedError
    assert [seen.body["max_tokens"] for seen in bench.server.requests] == [1000, 2000]
    bench = talk([Reply(stop_reason="model_context_window_exceeded")] * 2)
    assert type(bench.result) is OutputTruncatedError
    assert len(bench.server.requests) == 1
    assert type(talk([Reply(stop_reason="refusal")]).result) is RefusalError


def test_no_key_in_any_log_error_or_repr_when_the_server_echoes_it(caplog):
    """With all loggers but the vendors' at DEBUG, a key that the server echoes shows up in no log, error or record."""
    echo = f"you sent {KEY.reveal()}"
    faults = [
        Reply(status=401, message=echo),
        Reply(status=400, body=echo.encode()),
        Reply(status=500, message="x" * 495 + echo),
        Reply(body=json.dumps({"success": False, "msg": echo}).encode()),
        Reply(events=(event_bytes({"type": "error", "error": {"type": "api_error", "message": echo}}),)),
        Reply(body=f"<html>{echo}</html>".encode(), headers={"content-type": "text/html"}),
    ]
    shown = []
    caplog.set_level(logging.DEBUG)
    for name in VENDOR_LOGGERS:
        caplog.set_level(logging.WARNING, logger=name)
    for fault in faults:
        bench = talk([fault], retry=ONCE)
        error = bench.result
        shown += [str(error), repr(error), "".join(traceback.format_exception(error))]
        shown += [repr(bench.ledger.rows), json.dumps(bench.log)]
        assert bench.server.requests[0].key == KEY.reveal()
    assert "canary" not in "\n".join(shown) + caplog.text


def test_a_refused_oauth_token_gives_way_to_the_api_key_once_and_says_so():
    """The token is tried first and marked as one; after its refusal the key answers, and is used from then on."""

    async def go():
        async with FakeAnthropic([Reply(status=403, message="only authorized for use with Claude Code")]) as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            config = LLMConfig("anthropic", "claude", TOKEN, server.base_url, "oauth_token", spare_credential=KEY)
            client = factory.create_client(config)
            answers = [await client.invoke(ASK, OPTIONS), await client.invoke(ASK, OPTIONS)]
            await factory.aclose()
            return server, answers

    server, answers = asyncio.run(go())
    assert [seen.key for seen in server.requests] == [TOKEN.reveal(), KEY.reveal(), KEY.reveal()]
    assert server.problems == []
    assert all("OAuth token was refused" in answer.notes[0] for answer in answers)
    assert {answer.provenance.kind for answer in answers} == {"real"}


def test_stray_environment_variables_decide_nothing(monkeypatch):
    """Keys, addresses, headers and proxies of the environment reach no request of ours."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-of-somebody-else")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "somebody-elses-token")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "Authorization: Bearer stolen\nx-stray: 1")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    seen = talk(["Hello."]).server.requests[0]
    assert seen.key == KEY.reveal()
    assert "x-stray" not in seen.headers


def test_one_connection_serves_many_calls_and_each_loop_has_its_own():
    """Calls share a client and its connection; a factory that lives through two event loops works in both."""
    factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))

    async def go():
        async with FakeAnthropic() as server:
            config = LLMConfig("anthropic", "claude", KEY, server.base_url)
            for _ in range(5):
                await factory.create_client(config).invoke(ASK, OPTIONS)
            await factory.aclose()
            return server.connections, len(server.requests)

    assert asyncio.run(go()) == (1, 5)
    assert asyncio.run(go()) == (1, 5)


def test_characters_cut_in_halves_by_the_server_become_whole_again():
    """An emoji whose two escaped halves arrive in two events is one character; a lone half becomes U+FFFD."""
    halves = [
        b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"' + part + b'"}}\n\n'
        for part in (rb"a\ud83d", rb"\ude00b", rb"\ud800")
    ]
    whole = stream_events(Reply(text=""))
    assert talk([Reply(events=(*whole[:2], *halves, *whole[3:]))]).result.text == "a\U0001f600b\ufffd"


def test_what_is_not_sent_to_an_unsafe_base_url():
    """A base_url over plain http to another machine, or with a password in it, is refused before anything is made."""
    factory = LLMFactory(clock=ManualClock(), random=Random(0))
    for url in ("http://api.example.com", "https://me:secret-pass@api.example.com"):
        with pytest.raises(ConfigError) as caught:
            factory.create_client(LLMConfig("anthropic", "claude", KEY, url))
        assert "secret-pass" not in str(caught.value)


def test_under_the_vendors_own_address_the_present_version_is_spoken():
    """Only an own base_url, and a model that takes sampling and is given some, speak the older version."""
    now = 1_800_000_000.0
    info = resolve_model("anthropic", "claude", now=now)
    connection = Connection(
        LLMConfig("anthropic", "claude", KEY), info, ClientPool(), ManualClock(), lambda name: None, Timeouts(), Lane()
    )
    assert build_headers(connection, KEY)["anthropic-version"] == "2026-10-21"
    older = msgspec.structs.replace(connection, info=resolve_model("anthropic", "claude-opus-4-6", now=now))
    assert build_request(older, ASK, InvokeOptions(temperature=1.0))["temperature"] == 1.0
    assert build_headers(older, KEY, older=True)["anthropic-version"] == "2023-06-01"


def test_the_strict_server_can_say_no():
    """The fake's rules are alive: a request that breaks them all is told so."""
    bad = Seen("GET", "/v2", {"x-api-key": "k", "anthropic-version": "1"}, b'{"temperature": 1, "messages": []}')
    assert len(broken_rules(bad)) >= 8
