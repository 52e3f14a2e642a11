"""Every provider's wire when the connection fails it: cut at each byte, silent, dripping, bottomless, refused, forged.

What a whole answer holds is `test_provider_contract_answers.py`.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from provider_cases import LONG, ONCE, OPTIONS, WIRES, Bench, Talk, opened

from orchestrator_v2.core.errors import (
    BadGatewayError,
    ProviderError,
    ProviderUnavailableError,
    RequestRejectedError,
    StreamTruncatedError,
)
from orchestrator_v2.llm.provider import Timeouts
from orchestrator_v2.llm.types import InvokeOptions

MIB = 1024 * 1024
CUT_ERRORS = (StreamTruncatedError, BadGatewayError, ProviderUnavailableError)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@pytest.fixture(scope="module", params=WIRES, ids=lambda wire: wire.name)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with opened(request.param) as bench:
        yield bench


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A hundred megabytes in a tenth of one."""
    return gzip.compress(bytes(100 * MIB), compresslevel=1)


# A reset needs a connection of its own each time, so not every byte of it.
@pytest.mark.parametrize(("polite", "step"), [(True, 1), (False, 7)], ids=["in good order", "reset"])
def test_a_stream_cut_at_any_byte_is_never_a_completion(bench: Bench, polite: bool, step: int) -> None:
    """An error for every offset short of the whole answer, and the answer for all of it."""
    wire = bench.dialect
    whole = wire.body_of(wire.reply(text="Hi."))
    # A CR alone ends a line too: from there on nothing is missing.
    offsets = range(0, len(whole) - whole.endswith(b"\r\n"), step)
    cuts = [wire.reply(text="Hi.", cut_at=at, polite=polite) for at in offsets]

    async def each(client: Any, talk: Talk) -> Any:
        wrong = []
        for number, at in enumerate(offsets):
            try:
                wrong.append((at, await client.invoke("Say hi.", OPTIONS, key=f"a/{number}")))
            except CUT_ERRORS:
                continue
        return wrong, await client.invoke("Say hi.", OPTIONS, key="a/last")

    talk = bench.work([*cuts, wire.reply(text="Hi.")], each, retry=ONCE)
    wrong, last = talk.result
    assert (wrong, last.text) == ([], "Hi.")
    assert [row.outcome for row in talk.rows] == ["failed"] * len(offsets) + ["done"]
    assert all(row.charged == row.reserved for row in talk.rows[:-1])


def test_what_was_handed_out_is_never_sent_again(bench: Bench) -> None:
    """A caller who listens has heard a piece: the cut that follows is final."""
    wire = bench.dialect
    cut = wire.reply(text=LONG * 5, cut_at=len(wire.body_of(wire.reply(text=LONG * 5))) // 2)
    talk = bench.talk([cut, "again"], listen=True)
    assert type(talk.result) is StreamTruncatedError
    assert "".join(talk.heard) in LONG * 5
    assert talk.heard and len(talk.requests) == 1


def peak_kib() -> int:
    """The most memory that this process has held since the count was last set back."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text()).group(1))  # type: ignore[union-attr]


def test_hostile_bodies_are_cut_and_memory_stays_flat(bench: Bench, bomb: bytes) -> None:
    """A hundred megabytes of text, of one line, of an error, or unpacked, end in an error within a few megabytes."""
    wire = bench.dialect
    stream = {"content-type": wire.content_type}
    block = b"x" * MIB
    text = wire.text_event("y" * 60_000)
    bombs = [
        wire.reply(body=block, times=100, headers=stream),
        wire.reply(body=block, times=100, headers={"content-type": "text/html"}),
        wire.reply(status=500, body=block, times=100),
        wire.reply(body=text * 20, times=100, headers=stream),
        wire.reply(body=wire.event(b'{"type": "ping", "x": "%b"}' % (b"y" * 60_000)), times=2000, headers=stream),
        wire.reply(body=bomb, headers={**stream, "content-encoding": "gzip"}),
        wire.reply(status=500, body=bomb, headers={"content-encoding": "gzip"}),
    ]
    bench.talk(["warm up"])
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_kib()
    results = [bench.talk([each], retry=ONCE).result for each in bombs]
    assert all(isinstance(result, ProviderError) for result in results)
    assert "larger than" in results[4].why
    assert peak_kib() - before < 60_000


def test_a_packed_answer_is_read_and_one_packed_in_another_way_is_not(bench: Bench) -> None:
    """A gateway that packs although it was not asked to is understood."""
    wire = bench.dialect
    body = gzip.compress(wire.body_of(wire.reply(text="packed")))
    headers = {"content-type": wire.content_type, "content-encoding": "gzip"}
    assert bench.talk([wire.reply(body=body, headers=headers)]).result.text == "packed"
    other = wire.reply(body=body, headers={**headers, "content-encoding": "br"})
    assert type(bench.talk([other], retry=ONCE).result) is BadGatewayError


def test_characters_cut_in_halves_by_the_server_become_whole_again(bench: Bench) -> None:
    """An emoji whose two escaped halves arrive in two events is one character; a lone half becomes U+FFFD."""
    wire = bench.dialect
    events = wire.stream(wire.reply(text=""))
    half = len(events) // 2
    halves = [wire.text_event(part) for part in ("a\\ud83d", "\\ude00b", "\\ud800")]
    talk = bench.talk([wire.reply(events=(*events[:half], *halves, *events[half:]))])
    assert talk.result.text == "a\U0001f600b\ufffd"


@pytest.mark.parametrize("way", ["silent", "silent in the middle", "dripping", "dripping past the call's own deadline"])
def test_silence_and_slow_drips_end_at_their_deadlines(bench: Bench, way: str) -> None:
    """No byte for `idle` seconds, or an answer past `total`, is an error charged as reserved."""
    wire = bench.dialect
    # The second, which never comes, stands for any time.
    slow = wire.reply(text="word " * 400, pause=0.01, piece=20)
    reply, timeouts, options = {
        "silent": (wire.reply(silence=60), Timeouts(idle=0.05), OPTIONS),
        "silent in the middle": (wire.reply(text=LONG, pause=60, piece=200), Timeouts(idle=0.05), OPTIONS),
        "dripping": (slow, Timeouts(total=0.15), OPTIONS),
        "dripping past the call's own deadline": (slow, Timeouts(), InvokeOptions(timeout=0.15)),
    }[way]
    talk = bench.talk([reply], timeouts=timeouts, options=options, retry=ONCE)
    assert type(talk.result) in (ProviderUnavailableError, StreamTruncatedError)
    assert [row.charged for row in talk.rows] == [row.reserved for row in talk.rows]
    assert "took longer" in talk.result.why if way.startswith("dripping") else "silent for too long" in talk.result.why


def at_server(bench: Bench, serve: Handler, *, tls: ssl.SSLContext | None = None, timeouts: Timeouts) -> Talk:
    """One call to a server of another kind."""

    async def start() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)

    server = bench.runner.run(start())
    scheme = "http" if tls is None else "https"
    url = f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"
    try:
        return bench.talk([], base_url=url, timeouts=timeouts)
    finally:
        server.close()


def test_a_server_that_is_not_there_is_retried_for_free_and_said_plainly(bench: Bench) -> None:
    """A refused connection costs nothing; the error is one sentence each for what, why and what to do."""
    server = bench.runner.run(asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    server.close()
    talk = bench.talk([], base_url=f"http://127.0.0.1:{port}")
    assert type(talk.result) is ProviderUnavailableError
    assert [row.charged for row in talk.rows] == [0, 0, 0]
    assert str(talk.result) == (
        f"The provider is not available. http://127.0.0.1:{port} refused the connection: nothing listens there. "
        "Check the base_url and the network, then resume."
    )


def test_a_host_that_nobody_knows_is_said_plainly(bench: Bench) -> None:
    """The name is in the error, so that a slip of the pen is seen."""
    talk = bench.talk([], base_url="https://no-such-host.invalid", retry=ONCE)
    assert (type(talk.result), talk.rows[0].charged) == (ProviderUnavailableError, 0)
    assert "no-such-host.invalid" in talk.result.why
    assert "Errno" not in talk.result.why


def test_what_does_not_speak_http_is_an_error(bench: Bench) -> None:
    """Some other service behind the port: retried, and charged, as nobody knows what it did."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    talk = at_server(bench, serve, timeouts=Timeouts(idle=1.0))
    assert type(talk.result) is ProviderUnavailableError
    assert [row.charged for row in talk.rows] == [row.reserved for row in talk.rows]


@pytest.fixture(scope="module")
def forged(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A certificate for localhost that nobody has signed."""
    if shutil.which("openssl") is None:
        pytest.skip("a certificate is made with the openssl binary")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    subprocess.run([*make, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


def test_a_certificate_that_does_not_verify_is_neither_retried_nor_ignored(
    bench: Bench, forged: ssl.SSLContext
) -> None:
    """A self-signed server gets no byte of the request; the call fails at once and costs nothing."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read(1))

    talk = at_server(bench, serve, tls=forged, timeouts=Timeouts())
    assert (type(talk.result), [row.charged for row in talk.rows]) == (RequestRejectedError, [0])
    assert "certificate" in talk.result.why
    assert got == []


def test_a_tls_handshake_that_hangs_is_a_timeout_and_not_a_tls_failure(bench: Bench) -> None:
    """A server that never answers the handshake is retried, whatever TLS leaves in the chain of errors."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0)

    server = bench.runner.run(start())
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    talk = bench.talk([], base_url=url, timeouts=Timeouts(connect=0.05))
    server.close()
    assert type(talk.result) is ProviderUnavailableError
    assert [row.charged for row in talk.rows] == [0, 0, 0]
