"""Every fault of a provider that whole runs are put through: its bytes, and what has to follow from it.

Which bytes a good answer is, and who serves these, is `raw_provider.py`; the bent answers of a provider that keeps to
HTTP are `tests/integration/run_faults.py`, and come to the same socket here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from email.utils import formatdate
from time import time

import msgspec
from raw_provider import POISON, Attack, Line, answer, chunk, head, poisoned, stream_of
from real_mode import KEY
from run_faults import FAULTS

from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import SPEECH, Reply

PARKED, FAILED, DONE, NO_KEY, ATTENTION = (
    "waiting_provider",
    "failed",
    "completed",
    "needs_credential",
    "needs_attention",
)


class Row(msgspec.Struct, frozen=True):
    """A fault and what follows: the run's end, the error's code, how many calls are sent, and what they may cost.

    `cost` is a ledger row's charge, or the charges of several: nothing (`free`), its reservation (`kept`), or the
    answer's own price (`paid`). `says` are words that the user reads about it. `after` is the call, from 0, at which it
    begins. `waits` is how long the run is told to wait, in seconds, `tls` that the attack needs TLS that nobody trusts.
    """

    attack: Attack
    status: str
    code: str
    sent: int
    cost: str
    says: str
    after: int = 3
    waits: float = 0.0
    tls: bool = False


def replied(make: Callable[[Seen], bytes]) -> Attack:
    """Reads the request, sends those bytes, hangs up in good order."""

    async def attack(line: Line) -> None:
        await line.send(make(await line.request()))

    return attack


def _said(status: int, message: str = POISON, kind: str = "", **headers: str) -> Attack:
    error = {"type": "error", "error": {"type": kind or f"error_{status}", "message": message}}
    body = json.dumps(error).encode()
    return replied(lambda seen: answer(body, status, content_type="application/json", **headers))


def _plain(body: bytes, content_type: str = "application/json") -> Attack:
    return replied(lambda seen: answer(body, content_type=content_type))


def _streamed(make: Callable[[bytes], bytes]) -> Attack:
    """The bytes of a good chunked stream, bent by `make`."""
    return replied(
        lambda seen: (
            head(content_type="text/event-stream", transfer_encoding="chunked") + make(stream_of(poisoned(seen)))
        )
    )


async def _reset_before(line: Line) -> None:
    await line.reset()


async def _reset_after(line: Line) -> None:
    await line.request()
    await line.reset()


async def _closed_after(line: Line) -> None:
    await line.request()


async def _reset_in_chunk(line: Line) -> None:
    body = stream_of(poisoned(await line.request()))
    promised = b"%x\r\n" % len(body)
    await line.send(head(content_type="text/event-stream", transfer_encoding="chunked"), promised, body[:-40])
    await line.reset()


async def _drip(line: Line, whole: bytes) -> None:
    for at in range(len(whole)):
        await line.send(whole[at : at + 1])
        await asyncio.sleep(0.1)


async def _dripping_body(line: Line) -> None:
    body = stream_of(poisoned(await line.request()))
    await line.send(head(content_type="text/event-stream", content_length=str(len(body))))
    await _drip(line, body)


async def _dripping_head(line: Line) -> None:
    await _drip(line, answer(stream_of(poisoned(await line.request()))))


async def _silent(line: Line) -> None:
    await line.request()
    await asyncio.sleep(60)


async def _silent_in_stream(line: Line) -> None:
    body = stream_of(poisoned(await line.request()))
    await line.send(head(content_type="text/event-stream", content_length=str(len(body))), body[:-60])
    await asyncio.sleep(60)


async def _informs_for_ever(line: Line) -> None:
    await line.request()
    while True:
        await line.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await asyncio.sleep(0.001)


async def _two_at_once(line: Line) -> None:
    """The answer, and right behind it one to a question that nobody has asked yet."""
    while True:
        seen = await line.request()
        stale = Reply(json.dumps({"summary": POISON, "files": [_file(path) for path in ("docs/second.md",)]}))
        good = SPEECH.render(_worked(seen), seen)[1]
        await line.send(answer(good), answer(stream_of(stale)))


def _file(path: str) -> dict[str, str]:
    return {"path": path, "content": f"{POISON}\n"}


def _worked(seen: Seen) -> Reply:
    from orchestrator_v2.testing.worked_answers import worked_reply

    return worked_reply(seen)


def _spoken(reply: Reply) -> Attack:
    """A bent answer of the other table, on this socket."""

    async def attack(line: Line) -> None:
        seen = await line.request()
        if reply.reset:
            return await line.reset()
        kind, body = SPEECH.render(reply, seen)
        whole = answer(body, reply.status, **{"content_type": kind, **_named(reply)})
        cut = len(whole) - len(body) + reply.cut_at if reply.cut_at is not None else len(whole)
        await line.send(whole[:cut])

    return attack


def _named(reply: Reply) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in reply.headers.items()}


_EVENT = b'event: error\ndata: {"type":"error","error":{"type":"%b","message":"poison-9b1f-from-a-broken-answer"}}\n\n'


def _late(kind: bytes) -> Attack:
    """An error event where the stop reason should be."""
    return replied(lambda seen: answer(_without_end(stream_of(poisoned(seen))) + _EVENT % kind))


def _without_end(body: bytes) -> bytes:
    """All of an answer but for the events that say that it has ended."""
    return body[: body.index(b"event: message_delta")]


def _statuses() -> Iterator[tuple[str, Row]]:
    for status in (500, 502, 503, 504):
        yield f"{status}", Row(_said(status), PARKED, "provider_unavailable", 3, "kept", "not available")
    for status in (408, 409, 529):
        yield f"{status}", Row(_said(status), PARKED, "provider_unavailable", 3, "free", "not available")
    for status in (400, 404, 413, 422):
        yield f"{status}", Row(_said(status), FAILED, "request_rejected", 1, "free", "rejected the request")
    for status in (301, 302, 307, 308):
        # To this server: followed, it would be a further connection.
        away = _said(status, location="/v1/elsewhere")
        yield f"{status}", Row(away, FAILED, "request_rejected", 1, "free", "no redirect is followed")
    for status in (401, 403):
        echo = _said(status, f"bad key {KEY}")
        yield f"{status} that echoes the key", Row(echo, NO_KEY, "authentication", 1, "free", "refused the key")
    yield "402", Row(_said(402), ATTENTION, "quota_exhausted", 1, "free", "no money or quota")
    quota = _said(429, "insufficient_quota", "insufficient_quota", retry_after="1")
    yield "429 insufficient_quota", Row(quota, ATTENTION, "quota_exhausted", 1, "free", "no money or quota")
    limit = _said(429, "You have reached your spend limit.")
    yield "429 spend limit", Row(limit, ATTENTION, "quota_exhausted", 1, "free", "no money or quota")


def _pauses() -> Iterator[tuple[str, Row]]:
    asks = "asks for a pause"
    yield "429", Row(_said(429), PARKED, "rate_limited", 3, "free", asks)
    yield (
        "429, retry after 0.2 s",
        Row(_said(429, retry_after="0.2"), PARKED, "rate_limited", 3, "free", asks, waits=0.2),
    )
    day = _said(429, retry_after="86400")
    yield "429, retry after a day", Row(day, PARKED, "rate_limited", 1, "free", asks, waits=86_400)
    date = _said(429, retry_after=formatdate(time() + 7_200, usegmt=True))
    yield "429, retry after a date", Row(date, PARKED, "rate_limited", 1, "free", asks, waits=7_200)


def _connections() -> Iterator[tuple[str, Row]]:
    gone = ("provider_unavailable", 3, "kept")
    yield "reset before the request is read", Row(_reset_before, PARKED, *gone, "hung up")
    yield "reset after the request", Row(_reset_after, PARKED, *gone, "hung up")
    yield "closed without an answer", Row(_closed_after, PARKED, *gone, "hung up")
    yield "no HTTP", Row(replied(lambda seen: b"SSH-2.0-poison\r\n\r\n"), PARKED, *gone, "does not speak HTTP")
    bomb = replied(lambda seen: b"HTTP/1.1 200 X\r\n" + b"x-bomb: " + b"a" * (1 << 21))
    yield "header bomb", Row(bomb, PARKED, *gone, "does not speak HTTP|hung up")
    yield "silence", Row(_silent, PARKED, *gone, "silent for too long")
    yield "head that drips", Row(_dripping_head, PARKED, *gone, "deadline")
    yield "body that drips", Row(_dripping_body, PARKED, *gone, "deadline")
    yield "100 Continue for ever", Row(_informs_for_ever, PARKED, *gone, "deadline")
    tls = ("request_rejected", 1, "free")
    unsure = replied(lambda seen: b"")
    yield "certificate that nobody signed", Row(unsure, FAILED, *tls, "does not verify", after=0, tls=True)


def _streams() -> Iterator[tuple[str, Row]]:
    cut = ("stream_truncated", 3, "kept", "broke off")
    yield "reset in a chunk", Row(_reset_in_chunk, PARKED, *cut)
    yield "silence in the stream", Row(_silent_in_stream, PARKED, *cut[:3], "silent for too long")
    yield "chunks without the last", Row(_streamed(lambda body: chunk(_without_end(body))), PARKED, *cut)
    yield "chunk that is cut", Row(_streamed(lambda body: chunk(body)[:-60]), PARKED, *cut)
    yield "size of a chunk that is no number", Row(_streamed(lambda body: b"zz\r\n" + body), PARKED, *cut)
    ended = _streamed(lambda body: chunk(_without_end(body)) + chunk(b"")[:3] + b"\r\n")
    yield "no stop reason", Row(ended, PARKED, *cut)
    short = replied(lambda seen: answer(stream_of(poisoned(seen)))[:-120])
    yield "shorter than its content-length", Row(short, PARKED, *cut)
    odd = replied(lambda seen: answer(_without_end(stream_of(poisoned(seen))) + b"data: {nonsense\n\n"))
    yield "malformed chunk", Row(odd, PARKED, *cut)
    broken = replied(lambda seen: answer(b"\xff\xfe\x00" * 400))
    yield "bytes that are no text", Row(broken, PARKED, "bad_gateway_content", 2, "kept", "no answer")
    unknown = replied(lambda seen: answer(stream_of(poisoned(seen, stop_reason="novelty"))))
    yield "unknown stop reason", Row(unknown, PARKED, "bad_gateway_content", 2, "kept", "no answer")
    for kind, code, status, sent, says in (
        (b"overloaded_error", "provider_unavailable", PARKED, 3, "not available"),
        (b"api_error", "provider_unavailable", PARKED, 3, "not available"),
        (b"rate_limit_error", "rate_limited", PARKED, 3, "pause"),
        (b"invalid_request_error", "request_rejected", FAILED, 1, "rejected"),
        (b"authentication_error", "authentication", NO_KEY, 1, "refused the key"),
    ):
        yield f"{kind.decode()} after 200", Row(_late(kind), status, code, sent, "kept", says)


def _contents() -> Iterator[tuple[str, Row]]:
    odd = ("bad_gateway_content", 2, "kept", "no answer")
    html = f"<html><body>{POISON}</body></html>".encode()
    yield "200 HTML", Row(_plain(html, "text/html"), PARKED, *odd)
    yield "200 HTML called a stream", Row(_plain(html, "text/event-stream"), PARKED, *odd)
    yield "200 empty", Row(_plain(b""), PARKED, *odd)
    yield "200 []", Row(_plain(b"[]"), PARKED, *odd)
    yield "200 error object", Row(_plain(json.dumps({"error": {"message": POISON}}).encode()), PARKED, *odd)
    packed = replied(lambda seen: answer(stream_of(poisoned(seen)), content_encoding="br"))
    yield "a packing that was not asked for", Row(packed, PARKED, *odd)
    # The second is refused, and its call sent again on another connection: paid, kept, paid.
    yield "two answers at once", Row(_two_at_once, DONE, "", 2, "paid and kept", "", after=2)


# How a run that keeps to HTTP is bent, with its costs and words; the rest of that table is covered above.
_BENT = {
    "max_tokens": ("paid", "was cut at"),
    "refusal": ("paid", "refused to answer"),
    "no JSON, twice": ("paid", "did not fit"),
    "wrong schema, twice": ("paid", "did not fit"),
    "empty answer": ("paid", "empty answer"),
}


def _bent() -> Iterator[tuple[str, Row]]:
    for name, (cost, says) in _BENT.items():
        fault = FAULTS[name]
        yield name, Row(_spoken(fault.reply), fault.status, fault.code, fault.tries, cost, says)


ROWS = dict([*_statuses(), *_pauses(), *_connections(), *_streams(), *_contents(), *_bent()])
