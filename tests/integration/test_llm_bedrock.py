"""What is Bedrock's alone: AWS's keys, signature, frames and words for errors; over real HTTP.

What every wire does, faults above all, is `tests/contracts/test_provider_contract*.py`.
"""

from __future__ import annotations

import asyncio
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
from orchestrator_v2.llm.catalog import load_catalog
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.providers.aws_frames import MAX_FRAME_BYTES, FrameDecoder
from orchestrator_v2.llm.providers.bedrock import INSTALL, BedrockProvider
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing.fake_anthropic import Reply
from orchestrator_v2.testing.fake_bedrock import FakeBedrock, Signer, answer_frames, broken_rules, fault_frame, frame
from orchestrator_v2.testing.fake_server import Seen
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger

ACCESS, SECRET, TOKEN = "AKIDEXAMPLE", "planted-canary/secret+key", "planted-canary-session-token"
MODEL = "global.anthropic.claude-opus-4-6-v1:0"
ASK = [Message("user", "Build a clock.")]
OPTIONS = InvokeOptions(max_tokens=77, system_prompt="Be brief.", stop_sequences=("END",))
ONCE = RetryConfig(max_attempts=1)
REGION = {"AWS_REGION": "eu-central-1"}


SIGNER = Signer(ACCESS, SECRET, "eu-central-1")


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
        self.ledger = MemoryCallLedger()
        self.log = []
        self.server = None
        self.result = None


def talk(replies, *, options=OPTIONS, retry=None, credential=None):
    """Sends one call through the whole chain; the result is the Completion or the error. No rule is broken."""
    bench = Bench()

    async def go():
        async with FakeBedrock(replies, signer=SIGNER) as bench.server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            factory.register_provider("bedrock", BedrockProvider(REGION))
            config = LLMConfig("bedrock", MODEL, credential, bench.server.base_url)
            client = factory.create_client(config, ledger=bench.ledger, log=bench.log.append, retry=retry)
            try:
                bench.result = await client.invoke(ASK, options, key="a/1")
            except (ProviderError, CredentialMissingError) as error:
                bench.result = error
            finally:
                await factory.aclose()

    asyncio.run(go())
    assert bench.server.problems == []
    return bench


def test_the_request_is_signed_as_aws_signs_it():
    """The server computes the same signature over what arrived; the session's token is sent with it."""
    bench = talk(["Hello."])
    assert bench.result.text == "Hello."
    seen = bench.server.requests[0]
    assert seen.headers["x-amz-security-token"] == TOKEN
    assert "/eu-central-1/bedrock/aws4_request" in seen.headers["authorization"]
    sent = datetime.datetime.strptime(seen.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    assert abs(datetime.datetime.now(datetime.UTC) - sent) < datetime.timedelta(minutes=1)


def test_the_server_knows_a_wrong_signature():
    """The check is alive: another secret, a changed body and no signature at all are told so."""
    seen = talk(["Hello."]).server.requests[0]
    assert broken_rules(seen, SIGNER) == []
    assert broken_rules(seen, Signer(ACCESS, "another", "eu-central-1")) != []
    assert broken_rules(msgspec.structs.replace(seen, raw=seen.raw.replace(b"clock", b"cloak")), SIGNER) != []
    assert len(broken_rules(Seen("POST", "/x", {}, b"{}"), SIGNER)) == 3


def test_the_request_is_the_one_that_the_vendors_sdk_sends():
    """Path and body are the same as the SDK's, whose signature passes the same check and who reads our frames."""

    async def go():
        async with FakeBedrock([Reply(), Reply()], signer=SIGNER) as server:
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


def test_keys_that_are_renewed_leave_no_client_behind(monkeypatch):
    """AWS's keys last an hour: the next ones go over the connection that is there, signed anew."""
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", soon.isoformat())

    async def go():
        async with FakeBedrock(signer=SIGNER) as server:
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0))
            factory.register_provider("bedrock", BedrockProvider(REGION))
            client = factory.create_client(LLMConfig("bedrock", MODEL, None, server.base_url))
            for token in ("first-token", "second-token"):
                monkeypatch.setenv("AWS_SESSION_TOKEN", token)
                await client.invoke(ASK, OPTIONS)
            await factory.aclose()
            return server

    server = asyncio.run(go())
    assert [seen.headers["x-amz-security-token"] for seen in server.requests] == ["first-token", "second-token"]
    assert (server.connections, server.problems) == (1, [])


def test_credentials_that_cannot_be_had_are_an_authentication_error(monkeypatch):
    """A profile that is not there is said at once, and not retried."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    bench = talk(["Hello."])
    assert type(bench.result) is AuthenticationError
    assert "nobody" in bench.result.why
    assert bench.server.requests == []
    assert [row.charged for row in bench.ledger.rows] == [0]


GOOD = answer_frames(Reply())
# Beside those of the contract (tests/contracts/provider_faults.py).
FAULTS = [
    ("throttled", Reply(events=(*GOOD[:3], fault_frame("throttlingException", "slow"))), RateLimitedError, 3),
    ("rejected", Reply(events=(fault_frame("validationException", "no"),)), RequestRejectedError, 1),
    ("broken", Reply(events=(fault_frame("modelStreamErrorException", "x"),)), ProviderUnavailableError, 3),
    ("a bit flipped", Reply(events=(*GOOD[:3], GOOD[3][:-1] + b"!", *GOOD[4:])), StreamTruncatedError, 3),
    ("no event inside", Reply(events=(frame(b"[]", event_type="chunk", message_type="event"),)), BadGatewayError, 2),
]


@pytest.mark.parametrize(("reply", "expected", "attempts"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_each_fault_of_this_wire_is_its_error_and_sent_as_often_as_it_should(reply, expected, attempts):
    """AWS's exceptions inside a stream, and frames that do not hold; all may have been billed."""
    bench = talk([reply] * 5)
    assert type(bench.result) is expected
    assert len(bench.server.requests) == attempts
    assert [row.charged for row in bench.ledger.rows] == [bench.ledger.rows[0].reserved] * attempts


def test_frames_are_read_as_botocore_reads_them():
    """The same payloads and headers, whatever the pieces in which they come; a frame over 4 MiB is refused."""
    whole = b"".join([*answer_frames(Reply(text="Hello, you.")), fault_frame("throttlingException", "slow")])
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
    for name in ("botocore", "httpx2", "httpcore2"):
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
