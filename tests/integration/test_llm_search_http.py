"""The search engines over real HTTP, each against a local server with its vendor's answers and faults."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    ConfigError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRejectedError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.search.brave import BraveSearch
from orchestrator_v2.llm.search.google_cse import GoogleCustomSearch
from orchestrator_v2.llm.search.tavily import TavilySearch
from orchestrator_v2.llm.search.types import SearchHit

KEY = Secret("planted-canary-search-key")
ENGINE_ID = Secret("planted-canary-engine-id")
HITS = [SearchHit("One", "https://one.example", "First."), SearchHit("Two", "https://two.example", "Second.")]
ROWS = {
    "brave": {"web": {"results": [{"title": h.title, "url": h.url, "description": h.snippet} for h in HITS]}},
    "tavily": {"results": [{"title": h.title, "url": h.url, "content": h.snippet, "score": 0.9} for h in HITS]},
    "google_cse": {"items": [{"title": h.title, "link": h.url, "snippet": h.snippet} for h in HITS]},
}
MAKE = {
    "brave": lambda url: BraveSearch(KEY, base_url=url),
    "tavily": lambda url: TavilySearch(KEY, base_url=url),
    "google_cse": lambda url: GoogleCustomSearch(KEY, ENGINE_ID, base_url=url),
}
ENGINES = sorted(MAKE)


class FakeServer:
    """Answers every request with the same status, headers and body, and keeps what it was sent."""

    def __init__(self, body=b"{}", *, status=200, headers=None):
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.headers = {"content-type": "application/json", **(headers or {})}
        self.requests = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc):
        self._server.close()

    async def _serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append((first.split()[0], first.split()[1], headers, body))
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        writer.write(
            f"HTTP/1.1 {self.status} X\r\n{fields}content-length: {len(self.body)}\r\n\r\n".encode() + self.body
        )
        with contextlib.suppress(ConnectionError):  # The client may have seen enough: that is what a cap is for.
            await writer.drain()
        writer.close()


def search(engine, server, query="python größe & {{7*7}}", most=5):
    async def go():
        async with server:
            return await MAKE[engine](server.url).search(query, most)

    return asyncio.run(go())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_vendors_rows_become_hits(engine):
    """Each engine's own field names are read, and no more than asked for are given."""
    assert search(engine, FakeServer(ROWS[engine])) == HITS
    assert search(engine, FakeServer(ROWS[engine]), most=1) == HITS[:1]


def test_what_is_sent_is_what_the_vendors_document():
    """Path, key, query and number, each where its vendor wants it; no key stands in any URL."""
    servers = {name: FakeServer(ROWS[name]) for name in ENGINES}
    for name in ENGINES:
        search(name, servers[name], most=50)
    (method, path, headers, _), *_ = servers["brave"].requests
    assert (method, urlsplit(path).path) == ("GET", "/res/v1/web/search")
    assert headers["x-subscription-token"] == KEY.reveal()
    assert parse_qs(urlsplit(path).query) == {"q": ["python größe & {{7*7}}"], "count": ["20"]}
    (method, path, headers, body), *_ = servers["tavily"].requests
    assert (method, path, headers["authorization"]) == ("POST", "/search", f"Bearer {KEY.reveal()}")
    assert json.loads(body) == {"query": "python größe & {{7*7}}", "max_results": 20}
    (method, path, headers, _), *_ = servers["google_cse"].requests
    assert (method, urlsplit(path).path, headers["x-goog-api-key"]) == ("GET", "/customsearch/v1", KEY.reveal())
    wanted = {"cx": [ENGINE_ID.reveal()], "q": ["python größe & {{7*7}}"], "num": ["10"]}
    assert parse_qs(urlsplit(path).query) == wanted
    assert all(KEY.reveal() not in request[1] for server in servers.values() for request in server.requests)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RequestRejectedError),
        (401, AuthenticationError),
        (429, RateLimitedError),
        (432, RequestRejectedError),
        (500, ProviderUnavailableError),
        (503, ProviderUnavailableError),
    ],
)
def test_an_error_is_typed_and_holds_no_key(engine, status, error):
    """A body that echoes key and engine id comes out redacted, in the text and in the cause."""
    body = {
        "error": {"message": f"bad {KEY.reveal()} and {ENGINE_ID.reveal()}" if engine == "google_cse" else KEY.reveal()}
    }
    with pytest.raises(error) as caught:
        search(engine, FakeServer(body, status=status))
    assert "canary" not in f"{caught.value!r} {caught.value}"
    assert caught.value.__cause__ is None
    assert "[redacted]" in str(caught.value)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"web":', b"[" * 100_000, b"\xff\xfe"])
def test_what_is_no_json_object_is_an_error(engine, body):
    """Nothing half-read passes for a result, and nothing but our errors comes out."""
    with pytest.raises(BadGatewayError):
        search(engine, FakeServer(body))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "body",
    [{}, {"web": None, "results": None, "items": None}, {"web": {"results": "x"}, "results": {"a": 1}, "items": 7}],
)
def test_rows_of_another_shape_are_no_hits(engine, body):
    """An object without the rows is an empty result."""
    assert search(engine, FakeServer(body)) == []


def test_odd_rows_are_left_out_or_emptied():
    """A row without an address is left out; a title that is a number is empty."""
    rows = {"results": [None, 5, {"title": "x"}, {"title": 7, "url": "https://a.example", "content": None}]}
    assert search("tavily", FakeServer(rows)) == [SearchHit("", "https://a.example", "")]


def test_a_redirect_is_not_followed():
    """The key stays with the origin it was given for."""
    other = FakeServer(ROWS["tavily"])

    async def go():
        async with other, FakeServer(status=302, headers={"location": f"{other.url}/search"}) as server:
            with pytest.raises(RequestRejectedError):
                await TavilySearch(KEY, base_url=server.url).search("q", 5)

    asyncio.run(go())
    assert other.requests == []


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"results": "' + b"x" * 5_000_000 + b'"}', {}),
        (gzip.compress(b'{"results": "' + b"x" * 50_000_000 + b'"}'), {"content-encoding": "gzip"}),
    ],
    ids=["plain", "packed"],
)
def test_a_body_over_the_cap_is_cut(body, headers):
    """Five megabytes, or fifty packed into a few, are an error and not an answer."""
    with pytest.raises(BadGatewayError, match="larger"):
        search("tavily", FakeServer(body, headers=headers))


def test_the_environment_chooses_no_proxy(monkeypatch):
    """A proxy variable that points nowhere changes nothing."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert search("brave", FakeServer(ROWS["brave"])) == HITS


def test_a_server_that_is_not_there_is_one_of_our_errors():
    """Nobody listens: unavailable and unbilled."""
    with pytest.raises(ProviderError) as caught:
        asyncio.run(BraveSearch(KEY, base_url="http://127.0.0.1:9").search("q", 5))
    assert caught.value.unbilled


def test_a_key_is_sent_over_https_or_to_this_machine_only():
    """An address that would show the key on the way is refused when the engine is made."""
    for make in MAKE.values():
        with pytest.raises(ConfigError):
            make("http://search.example")
