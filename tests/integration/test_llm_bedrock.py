"""Claude on Bedrock over real HTTP, against a local server that checks AWS's signature and frames its answers."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import logging
import struct
import traceback
import zlib
from random import Random

import anthropic
import msgspec
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    ConfigError,
    CredentialMissingError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRejectedError,
    StreamTruncatedError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.call_log import VENDOR_LOGGERS
from orchestrator_v2.llm.catalog import load_catalog
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.providers.aws_frames import CONTENT_TYPE, MAX_FRAME_BYTES, FrameDecoder
from orchestrator_v2.llm.providers.bedrock import INSTALL, BedrockProvider
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing import fake_anthropic
from orchestrator_v2.testing.fake_server import JSON, FakeServer, Fault, Seen, Speech
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

ACCESS, SECRET, TOKEN = "AKIDEXAMPLE", "planted-canary/secret+key", "planted-canary-session-token"
MODEL = "global.anthropic.claude-opus-4-6-v1:0"
ASK = [Message("user", "Build a clock.")]
OPTIONS = InvokeOptions(max_tokens=77, system_prompt="Be brief.", stop_sequences=("END",))
ONCE = RetryConfig(max_attempts=1)
REGION = {"AWS_REGION": "eu-central-1"}


class Reply(Fault, frozen=True):
    """A fault of the fake server; `parts` are the inner events, in bytes, of the answer's frames."""

    stop_reason: str | None = "end_turn"
    usage: dict[str, int] = msgspec.field(default_factory=lambda: {"input_tokens": 12, "output_tokens": 5})


def frame(payload, **headers):
    """One frame as AWS writes it: prelude, string headers, payload, two checksums."""
    head = b""
    for name, value in headers.items():
        told = f":{name.replace('_', '-')}".encode()
        head += bytes([len(told)]) + told + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return body + struct.pack(">I", zlib.crc32(body))


def chunk(event):
    payload = json.dumps({"bytes": base64.b64encode(event).decode(), "p": "abcdef"}).encode()
    return frame(payload, event_type="chunk", content_type="application/json", message_type="event")


def fault_frame(name, message):
    return frame(json.dumps({"message": message}).encode(), exception_type=name, message_type="exception")


def answer_frames(text="Hello.", stop_reason="end_turn", usage=None):
    inner = fake_anthropic.Reply(
        text=text, stop_reason=stop_reason, usage=usage or {"input_tokens": 12, "output_tokens": 5}
    )
    events = fake_anthropic.stream_events(inner)
    return tuple(chunk(event.split(b"data: ", 1)[1].strip()) for event in events)


def broken_rules(seen: Seen) -> list[str]:
    """What is wrong with the signature, computed anew by botocore over what arrived, or with path and body."""
    wrong = [] if seen.path.endswith("/invoke-with-response-stream") else ["the path"]
    wrong += [] if seen.body.get("anthropic_version") and not {"model", "stream"} & set(seen.body) else ["the body"]
    told = seen.headers.get("authorization", "")
    if told.startswith("Bearer "):
        return wrong
    names = told.split("SignedHeaders=")[-1].split(",")[0].split(";")
    request = AWSRequest(
        method=seen.method,
        url=f"http://{seen.headers['host']}{seen.path}",
        headers={name: seen.headers[name] for name in names if name != "host"},
        data=seen.raw,
    )
    request.context["timestamp"] = seen.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(ACCESS, SECRET, seen.headers.get("x-amz-security-token")), "bedrock", "eu-central-1")
    text = signer.string_to_sign(request, signer.canonical_request(request))
    age = abs(datetime.datetime.strptime(seen.headers["x-amz-date"], "%Y%m%dT%H%M%SZ") - utc_now())
    return wrong + ([] if told.endswith(signer.signature(text, request)) and age.seconds < 60 else ["the signature"])


def utc_now():
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def render(reply: Reply, seen: Seen):
    if reply.body is not None:
        return JSON, reply.body
    if reply.status != 200:
        return JSON, json.dumps({"message": reply.message}).encode()
    return CONTENT_TYPE, b"".join(reply.events or answer_frames(reply.text, reply.stop_reason, reply.usage))


SPEECH = Speech(Reply, broken_rules, render, {"x-amzn-requestid": "req_aws"})


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch, tmp_path):
    """AWS's own chain finds keys in the environment alone: no files, no server of the machine."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)


class Bench:
    def __init__(self):
        self.clock = ManualClock(auto=True)
        self.ledger = MemoryCallLedger()
        self.log = []
        self.server = None
        self.result = None


def talk(replies, *, options=OPTIONS, retry=None, model=MODEL, credential=None, strict=True):
    """Sends one call through the whole chain; the result is the Completion or the error."""
    bench = Bench()

    async def go():
        async with FakeServer(SPEECH, replies, strict=strict) as server:
            bench.server = server
            factory = LLMFactory(clock=bench.clock, random=Random(0))
            factory.register_provider("bedrock", BedrockProvider(REGION))
            config = LLMConfig("bedrock", model, credential, server.base_url)
            client = factory.create_client(config, ledger=bench.ledger, log=bench.log.append, retry=retry)
            try:
                bench.result = await client.invoke(ASK, options, key="a/1")
            except (ProviderError, CredentialMissingError) as error:
                bench.result = error
            finally:
                await factory.aclose()

    asyncio.run(go())
    return bench


def test_an_answer_comes_whole_with_usage_and_the_request_is_signed():
    """Text over several frames is put together; the server computes the same signature; the token is sent with it."""
    text = "Grüße aus der Küche: 漢字 und noch etwas mehr."
    bench = talk([Reply(text=text, usage={"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 20})])
    completion = bench.result
    assert completion.text == text
    assert (completion.finish_reason, completion.request_id) == ("stop", "req_aws")
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (120, 50)
    assert str(completion.provenance) == f"real (bedrock/{MODEL})"
    assert bench.server.problems == []
    seen = bench.server.requests[0]
    assert seen.headers["x-amz-security-token"] == TOKEN
    assert "/eu-central-1/bedrock/aws4_request" in seen.headers["authorization"]


def test_the_request_is_the_one_that_the_vendors_sdk_sends():
    """Path and body are the same as the SDK's, whose signature passes the same check and who reads our frames."""

    async def go():
        async with FakeServer(SPEECH, [Reply(), Reply()]) as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            factory.register_provider("bedrock", BedrockProvider(REGION))
            await factory.create_client(LLMConfig("bedrock", MODEL, None, server.base_url)).invoke(ASK, OPTIONS)
            await factory.aclose()
            sdk = anthropic.AsyncAnthropicBedrock(aws_region="eu-central-1", base_url=server.base_url, max_retries=0)
            stream = await sdk.messages.create(
                model=MODEL,
                max_tokens=77,
                system="Be brief.",
                stop_sequences=["END"],
                messages=[{"role": "user", "content": [{"type": "text", "text": "Build a clock."}]}],
                stream=True,
            )
            assert [event.type async for event in stream][-1] == "message_stop"
            await sdk.close()
            assert server.problems == []
            return server.requests

    mine, sdks = asyncio.run(go())
    assert (mine.method, mine.path, mine.body) == (sdks.method, sdks.path, sdks.body)
    for name in ("content-type", "x-amz-security-token"):
        assert mine.headers[name] == sdks.headers[name]


def test_a_temperature_speaks_the_older_version():
    """Under the present version sampling is an error, so the one before it is named."""
    body = talk(["Hello."], options=InvokeOptions(max_tokens=9, temperature=0.5)).server.requests[0].body
    assert (body["temperature"], body["anthropic_version"]) == (0.5, "bedrock-2023-05-31")


def test_a_bedrock_key_is_used_alone():
    """With a key of the user's own nothing of AWS's chain is sent."""
    bench = talk(["Hello."], credential=Secret("planted-canary-bearer"))
    seen = bench.server.requests[0]
    assert seen.headers["authorization"] == "Bearer planted-canary-bearer"
    assert "x-amz-security-token" not in seen.headers
    assert TOKEN not in str(seen.headers)


def test_without_credentials_nothing_is_sent(monkeypatch):
    """AWS's chain finds none: an error that says what to set, a ledger row that cost nothing."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    bench = talk(["Hello."])
    assert isinstance(bench.result, CredentialMissingError)
    assert "AWS_BEARER_TOKEN_BEDROCK" in str(bench.result)
    assert bench.server.requests == []
    assert bench.ledger.rows[0].charged == 0


def test_credentials_that_cannot_be_had_are_an_authentication_error(monkeypatch):
    """A profile that is not there is said at once, and not retried."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    bench = talk(["Hello."])
    assert type(bench.result) is AuthenticationError
    assert "nobody" in bench.result.why
    assert bench.server.requests == []
    assert [row.charged for row in bench.ledger.rows] == [0]


FAULTS = [
    ("429", Reply(status=429), RateLimitedError, 3),
    ("500", Reply(status=500), ProviderUnavailableError, 3),
    ("503", Reply(status=503), ProviderUnavailableError, 3),
    ("400", Reply(status=400), RequestRejectedError, 1),
    ("403", Reply(status=403), AuthenticationError, 1),
    ("404", Reply(status=404), RequestRejectedError, 1),
    ("redirect", Reply(status=307, headers={"location": "/x"}), RequestRejectedError, 1),
    ("html 200", Reply(body=b"<html>login</html>"), BadGatewayError, 2),
    ("html in disguise", Reply(body=b"<html>login</html>", headers={"content-type": CONTENT_TYPE}), BadGatewayError, 2),
    ("empty stream", Reply(body=b"", headers={"content-type": CONTENT_TYPE}), BadGatewayError, 2),
    ("connection reset", Reply(reset=True), ProviderUnavailableError, 3),
    ("cut", Reply(cut_at=600), StreamTruncatedError, 3),
    ("politely cut", Reply(cut_at=600, polite=True), StreamTruncatedError, 3),
    ("no stop reason", Reply(stop_reason=None), StreamTruncatedError, 3),
    ("unknown stop reason", Reply(stop_reason="novelty"), BadGatewayError, 2),
    (
        "throttled after 200",
        Reply(events=(*answer_frames()[:3], fault_frame("throttlingException", "slow"))),
        RateLimitedError,
        3,
    ),
    ("rejected after 200", Reply(events=(fault_frame("validationException", "no"),)), RequestRejectedError, 1),
    ("broken after 200", Reply(events=(fault_frame("modelStreamErrorException", "x"),)), ProviderUnavailableError, 3),
    (
        "a bit flipped",
        Reply(events=(*answer_frames()[:3], answer_frames()[3][:-1] + b"!", *answer_frames()[4:])),
        StreamTruncatedError,
        3,
    ),
    ("no event inside", Reply(events=(frame(b"[]", event_type="chunk", message_type="event"),)), BadGatewayError, 2),
]


@pytest.mark.parametrize(("reply", "expected", "attempts"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_each_fault_is_its_error_and_sent_as_often_as_the_table_says(reply, expected, attempts):
    """The fault table: class, number of requests on the wire, all rows settled, no key in any text."""
    bench = talk([reply] * 5)
    assert type(bench.result) is expected
    assert len(bench.server.requests) == len(bench.ledger.rows) == attempts
    assert {row.outcome for row in bench.ledger.rows} == {"failed"}
    assert bench.server.problems == []
    assert "canary" not in repr(bench.result) + str(bench.result) + repr(bench.ledger.rows) + repr(bench.log)


@pytest.mark.parametrize("polite", [False, True], ids=["reset", "polite"])
def test_a_stream_cut_at_any_byte_is_never_a_completion(polite):
    """For every tenth offset short of the last frame's end there is an error, and for the last one too."""
    whole = b"".join(answer_frames("Hi."))
    offsets = [*range(0, len(whole), 10), len(whole) - 1]

    async def go():
        replies = [Reply(text="Hi.", cut_at=at, polite=polite) for at in offsets]
        async with FakeServer(SPEECH, [*replies, Reply(text="Hi.")]) as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            factory.register_provider("bedrock", BedrockProvider(REGION))
            client = factory.create_client(LLMConfig("bedrock", MODEL, None, server.base_url), retry=ONCE)
            wrong = []
            for at in offsets:
                try:
                    wrong.append((at, await client.invoke(ASK, OPTIONS)))
                except (StreamTruncatedError, BadGatewayError, ProviderUnavailableError):
                    continue
            assert (await client.invoke(ASK, OPTIONS)).text == "Hi."
            await factory.aclose()
            return wrong

    assert asyncio.run(go()) == []


def test_frames_are_read_as_botocore_reads_them():
    """The same payloads and headers, whatever the pieces in which they come; a frame over 4 MiB is refused."""
    whole = b"".join([*answer_frames("Hello, you."), fault_frame("throttlingException", "slow")])
    theirs = EventStreamBuffer()
    theirs.add_data(whole)
    expected = [(event.headers, event.payload) for event in theirs]
    for size in (1, 7, 64, len(whole)):
        ours = FrameDecoder()
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert [(each.headers, each.payload) for piece in pieces for each in ours.feed(piece)] == expected
    prelude = struct.pack(">II", MAX_FRAME_BYTES + 1, 0)
    with pytest.raises(BadGatewayError):
        list(FrameDecoder().feed(prelude + struct.pack(">I", zlib.crc32(prelude))))


def test_no_key_in_any_log_error_or_repr_when_the_server_echoes_it(caplog):
    """Secret key and session token that the server echoes show up in no log, error or record."""
    echo = f"you sent {SECRET} and {TOKEN}"
    shown = []
    caplog.set_level(logging.DEBUG)
    for name in VENDOR_LOGGERS:
        caplog.set_level(logging.WARNING, logger=name)
    for fault in (
        Reply(status=403, message=echo),
        Reply(status=500, body=echo.encode()),
        Reply(events=(fault_frame("internalServerException", echo),)),
    ):
        bench = talk([fault], retry=ONCE)
        shown += [str(bench.result), "".join(traceback.format_exception(bench.result)), repr(bench.result)]
        shown += [repr(bench.ledger.rows), json.dumps(bench.log)]
    assert "canary" not in "\n".join(shown) + caplog.text


def connect(base_url, environ):
    factory = LLMFactory(clock=ManualClock(), random=Random(0))
    factory.register_provider("bedrock", BedrockProvider(environ))
    return factory.create_client(LLMConfig("bedrock", "claude", None, base_url))


def test_the_region_comes_from_the_address_or_the_environment():
    """AWS's host name says it, else AWS_REGION; without either, or with nonsense, it is an error that says so."""
    assert connect("https://bedrock-runtime.us-east-1.amazonaws.com", {}).model == "global.anthropic.claude-sonnet-5-5"
    assert connect("", {"AWS_DEFAULT_REGION": "us-gov-west-1"})
    for environ in ({}, {"AWS_REGION": "x/../evil.example#"}, {"AWS_REGION": " "}):
        with pytest.raises(ConfigError, match="AWS_REGION"):
            connect("", environ)
    with pytest.raises(ConfigError, match="travel in the open"):
        connect("http://bedrock.example.com", REGION)


def test_every_model_of_the_catalog_is_one_that_the_price_table_knows():
    """Names and windows are those of the installed table."""
    from genai_prices import data_snapshot

    snapshot = data_snapshot.get_snapshot()
    for name, facts in load_catalog()["bedrock"].models.items():
        known = snapshot.find_provider_model(name, None, "aws", None)[1]
        assert known.id == name
        assert known.context_window == facts.window
    assert INSTALL == "pip install 'orchestrator-v2[bedrock]'"
