"""A local server that speaks Bedrock's wire for Claude: it checks AWS's signature, and frames its answers.

The events inside the frames are those of `fake_anthropic.py`, how they are served is `fake_server.py`. Signatures are
computed anew by botocore, which is the extra `bedrock`.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any

import msgspec

from orchestrator_v2.testing.fake_anthropic import Reply, stream_events
from orchestrator_v2.testing.fake_server import JSON, FakeServer, Seen, Speech

EVENT_STREAM = "application/vnd.amazon.eventstream"

Script = Reply | str | Callable[[Seen], "Reply | str"]


class Signer(msgspec.Struct, frozen=True):
    """Whose signature a request must have."""

    access: str
    secret: str
    region: str


class FakeBedrock(FakeServer[Reply]):
    """Gives `replies` in order, then `default` for ever. A request that breaks a rule is answered with 400.

    Without a `signer` nothing but a Bedrock key is good enough, with one a signature is too.
    """

    def __init__(
        self,
        replies: Iterable[Script] = (),
        *,
        default: Script = "Hello.",
        strict: bool = True,
        signer: Signer | None = None,
    ) -> None:
        rules = partial(broken_rules, signer=signer)
        speech = Speech(Reply, rules, _render, {"x-amzn-requestid": "req_fake"})
        super().__init__(speech, replies, default=default, strict=strict)


def broken_rules(seen: Seen, signer: Signer | None = None) -> list[str]:
    """A sentence for each rule that the request breaks."""
    wrong = [] if seen.path.endswith("/invoke-with-response-stream") else ["the path names model and operation"]
    if not seen.body.get("anthropic_version") or {"model", "stream"} & set(seen.body):
        wrong.append("the body names the version, and neither model nor stream")
    is_key = seen.headers.get("authorization", "").startswith("Bearer ")
    if not is_key and not (signer and _is_signed(seen, signer)):
        wrong.append("a Bedrock key, or the signature that AWS computes too")
    return wrong


def _is_signed(seen: Seen, signer: Signer) -> bool:
    told = seen.headers.get("authorization", "")
    if "SignedHeaders=" not in told:
        return False
    names = told.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = import_module("botocore.awsrequest").AWSRequest(
        method=seen.method,
        url=f"http://{seen.headers.get('host', '')}{seen.path}",
        headers={name: seen.headers.get(name, "") for name in names if name != "host"},
        data=seen.raw,
    )
    request.context["timestamp"] = seen.headers.get("x-amz-date", "")
    keys = import_module("botocore.credentials").Credentials(
        signer.access, signer.secret, seen.headers.get("x-amz-security-token")
    )
    own = import_module("botocore.auth").SigV4Auth(keys, "bedrock", signer.region)
    text = own.string_to_sign(request, own.canonical_request(request))
    return told.endswith(str(own.signature(text, request)))


def frame(payload: bytes, **headers: str) -> bytes:
    """One frame as AWS writes it: prelude, string headers (`message_type` is `:message-type`), payload, checksums."""
    head = b""
    for name, value in headers.items():
        told = f":{name.replace('_', '-')}".encode()
        head += bytes([len(told)]) + told + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return body + struct.pack(">I", zlib.crc32(body))


def chunk(event: bytes) -> bytes:
    """The frame around one inner event, given as JSON."""
    payload = json.dumps({"bytes": base64.b64encode(event).decode(), "p": "abcdef"}).encode()
    return frame(payload, event_type="chunk", content_type="application/json", message_type="event")


def fault_frame(name: str, message: str) -> bytes:
    """What breaks a stream off, such as a `throttlingException`."""
    return frame(json.dumps({"message": message}).encode(), exception_type=name, message_type="exception")


def answer_frames(reply: Reply) -> tuple[bytes, ...]:
    """The frames of a whole answer."""
    if reply.events is not None:
        return reply.events
    return tuple(chunk(event.partition(b"data: ")[2].strip()) for event in stream_events(reply))


def body_of(reply: Reply) -> bytes:
    """The bytes of the reply's body before any cut."""
    if reply.body is not None:
        return reply.body
    if reply.status != 200:
        return json.dumps({"message": reply.message}).encode()
    return b"".join(answer_frames(reply))


def _render(reply: Reply, seen: Seen) -> tuple[str, Any]:
    is_stream = reply.status == 200 and reply.body is None
    return EVENT_STREAM if is_stream else JSON, body_of(reply)
