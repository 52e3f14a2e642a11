"""Answers that are meant to fill the memory of a server: each is cut, its run ends by the rule, and the memory is flat.

Faults that are about anything else are `raw_faults.py`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from raw_provider import Attack, Line, RawProvider, chunk, head, hosted
from reliability_report import Tell
from server_process import SHORT, Client, Server

from orchestrator_v2.testing.fake_anthropic import event_bytes

MIB = 1 << 20
SIZE = 100 * MIB
# What a server may grow by while a provider throws 100 MB at it: its own caps are 4 MiB, and two copies are made.
MOST_MIB = 24
KEY = "sk-ant-api03-bombed-4f1d0b7e2a9c6835"
EVENTS, JSON = "text/event-stream", "application/json"
_DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 60_000}}
_STARTED = event_bytes(
    {
        "type": "message_start",
        "message": {"id": "m", "type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 9}},
    }
) + event_bytes({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})


def _poured(piece: bytes, *, first: bytes = b"", status: int = 200, content_type: str = EVENTS, **more: str) -> Attack:
    """`first`, and then the piece until 100 MB have been sent or the client has had enough."""

    async def attack(line: Line) -> None:
        await line.request()
        await line.send(head(status, content_type=content_type, transfer_encoding="chunked", **more))
        if first:
            await line.send(chunk(first))
        for _ in range(SIZE // len(piece)):
            await line.send(chunk(piece))
        await line.send(chunk(b""))

    return attack


def _packed(plain: bytes) -> bytes:
    """A gzip of 100 MB of that, which is a hundred kilobytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(plain * (MIB // len(plain))) for _ in range(SIZE // MIB)) + packer.flush()


def _unpacks(status: int, content_type: str, plain: bytes) -> Attack:
    async def attack(line: Line) -> None:
        await line.request()
        packed = _packed(plain)
        length = str(len(packed))
        await line.send(head(status, content_type=content_type, content_encoding="gzip", content_length=length), packed)

    return attack


async def _endless_head(line: Line) -> None:
    await line.request()
    await line.send(b"HTTP/1.1 200 X\r\n")
    for number in range(SIZE // 1_000):
        await line.send(b"x-%d: %b\r\n" % (number, b"a" * 980))


_LINE = b"x" * (MIB - 1) + b"\n"
_PING = event_bytes({"type": "ping"})
BOMBS = {
    "100 MB of an error": (_poured(_LINE, status=500, content_type=JSON), "waiting_provider"),
    "100 MB of JSON": (_poured(_LINE, content_type=JSON), "waiting_provider"),
    "100 MB of pings": (_poured(_PING * 4_000, first=_STARTED), "waiting_provider"),
    "one event of 100 MB": (_poured(b"x" * MIB, first=_STARTED + b"data: "), "waiting_provider"),
    "100 MB of an answer": (_poured(event_bytes(_DELTA), first=_STARTED), "waiting_provider"),
    "gzip bomb as a stream": (_unpacks(200, EVENTS, _PING), "waiting_provider"),
    "gzip bomb as an error": (_unpacks(503, JSON, b"x" * 1_024), "waiting_provider"),
    "head of 100 MB": (_endless_head, "waiting_provider"),
}


class Met(msgspec.Struct, frozen=True):
    status: str
    sent: int
    grown: float


def _memory(pid: int, name: str) -> float:
    """In MiB: `VmRSS` is what the process holds, `VmHWM` the most since it was last reset."""
    return int(Path(f"/proc/{pid}/status").read_text().partition(f"{name}:")[2].split()[0]) / 1024


def _met(provider: RawProvider, server: Server, user: Client, attack: Attack) -> Met:
    """A real run against it, and by how much the server's memory rose above what it held before, at its highest."""
    provider.attack, provider.spoilt = attack, 0
    pid = server.process.pid
    before = _memory(pid, "VmRSS")
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    status = user.ended(user.project(workflow_yaml=SHORT, mode="real")["run"]["id"])
    return Met(status, provider.spoilt, _memory(pid, "VmHWM") - before)


@pytest.fixture(scope="module")
def provider() -> Iterator[RawProvider]:
    with hosted(RawProvider()) as running:
        yield running


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_a_hundred_megabytes_do_not_stand_in_memory(provider: RawProvider, tmp_path: Path, tell: Tell) -> None:
    """Whatever is poured in: cut and retried by the rule, never completed, and the server's peak hardly moves."""
    quick = {"ORCHESTRATOR_RETRY_INITIAL": "0.01", "ORCHESTRATOR_RETRY_MAX_DELAY": "0.05"}
    with Server(tmp_path, ORCHESTRATOR_MODEL_ORIGINS=provider.base_url, **quick) as server:
        user = server.user("bombed")
        body = {"llm_provider": "anthropic", "api_key": KEY, "base_url": provider.base_url}
        user.post("/users/me/provider-settings", body)
        provider.attack = None
        assert user.ended(user.project(workflow_yaml=SHORT, mode="real")["run"]["id"]) == "completed"
        found = {name: _met(provider, server, user, BOMBS[name][0]) for name in BOMBS}
        provider.attack = None
        peak = _memory(server.process.pid, "VmRSS")
    tell(
        "providers",
        "answers of 100 MB, packed and plain, to a real server",
        where="a raw socket, the server's process",
        faults=len(found),
        sent=sum(met.sent for met in found.values()),
        falsely_completed=sum(met.status == "completed" for met in found.values()),
        most_growth_MiB=f"{max(met.grown for met in found.values()):.0f}",
        held_at_the_end_MiB=f"{peak:.0f}",
    )
    assert all(met.sent for met in found.values()), found
    assert {name: met.status for name, met in found.items()} == {name: BOMBS[name][1] for name in BOMBS}, found
    assert max(met.grown for met in found.values()) < MOST_MIB, found
