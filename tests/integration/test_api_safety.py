"""What every request passes before anybody reads it, and what a server refuses to be: RELIABILITY section 6.

Whose things are whose is `test_api_tenants.py`; keys that must be nowhere are `tests/chaos/test_canaries.py`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from app_routes import app_in, routes_of
from model_server import ModelServer
from server_process import SHORT, Client, Server, is_problem

from orchestrator_v2.api.guard import BODY, CSP, UPLOAD

HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), ORCHESTRATOR_ALLOWED_HOSTS="Studio.example, 10.1.2.3") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return server.client()


def head_of(server: Server, *lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode() + body


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:{port}", "127.0.0.1:1", "studio.example", "10.1.2.3:80"]
)
def test_the_server_answers_to_its_own_names(server: Server, host: str) -> None:
    """This machine's, with any port and in any case, and those that the operator listed."""
    host = host.format(port=server.port)
    assert status_of(server.raw(head_of(server, "GET /health HTTP/1.1", f"Host: {host}", "Connection: close"))) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "evil.example:{port}", "", "[::2]", "localhost@evil",
     "evil.example, localhost", "127.1", "localhost.", "[::1].evil.example", "0.0.0.0"],
)  # fmt: skip
def test_another_name_is_misdirected(server: Server, host: str) -> None:
    """A page of elsewhere whose name was made to lead here is not answered, whatever it asks for."""
    host = host.format(port=server.port)
    for first in ("GET /projects HTTP/1.1", "POST /projects HTTP/1.1", "GET /health HTTP/1.1"):
        answer = server.raw(head_of(server, first, f"Host: {host}", "Content-Length: 0", "Connection: close"))
        assert status_of(answer) in ((421,) if host else (400, 421))
        assert b"items" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "made-up"},
    ],
)
def test_another_sites_page_changes_nothing(client: Client, headers: dict[str, str]) -> None:
    """A form or a fetch of elsewhere is refused before its body is read, with any type a form can send."""
    before = client.get("/projects?limit=1")
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        answer = client.http.post(
            "/projects", content=b'{"project_name": "stolen"}', headers={"content-type": kind, **headers}
        )
        is_problem(answer, 403, "foreign_origin")
    for method, path in (("DELETE", "/users/me/provider-settings/anthropic"), ("PATCH", "/users/local")):
        is_problem(client.http.request(method, path, headers=headers), 403, "foreign_origin")
    assert client.get("/projects?limit=1") == before


def test_the_servers_own_page_may(client: Client, server: Server) -> None:
    """With its own origin, as a browser on it sends, a request is answered; reading needs no origin at all."""
    own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    answer = client.http.post("/projects", json={"project_name": "mine", "run": False}, headers=own)
    assert answer.status_code == 201
    assert client("GET", "/projects", Origin="https://evil.example").status_code == 200


def test_there_is_no_cors(client: Client) -> None:
    """No answer, a preflight's least of all, lets another site read it."""
    for method in ("GET", "OPTIONS"):
        answer = client.http.request(
            method, "/projects", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        )
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert client("OPTIONS", "/projects").status_code == 405


def test_every_answer_bears_the_headers(client: Client, server: Server, tmp_path: Path) -> None:
    """Good ones and all errors, of every route, files and streams too; nothing says what server it is."""
    run_id = client.short()
    client.standing(run_id)
    found = [client("GET", path) for path in ("/health", "/openapi.json", "/nothing", f"/runs/{run_id}/archive")]
    found += [client("GET", f"/runs/{run_id}/artifacts/docs/intake.md"), client("PUT", "/projects"), client("GET", "/")]
    found += [client("GET", "/health", Host="evil.example"), client("POST", "/projects", {}, Origin="https://evil")]
    found += [client("POST", "/projects", {}), client("HEAD", "/health"), client("GET", "/metrics")]
    for route in routes_of(app_in(tmp_path)):
        if not route.parameters and route.is_safe:
            found.append(client(route.method, route.path))
    with client.http.stream("GET", f"/runs/{run_id}/events", headers={"Accept": "text/event-stream"}) as stream:
        found.append(stream)
    for answer in found:
        told = {name: answer.headers.get(name) for name in HEADERS}
        assert told == HEADERS, answer.url
        assert answer.headers["x-correlation-id"].startswith("req_")
        assert "server" not in answer.headers and "x-powered-by" not in answer.headers
    assert "unsafe-inline" not in CSP and "unsafe-eval" not in CSP and "*" not in CSP


def test_an_answer_leaves_at_once(client: Client) -> None:
    """No answer on a kept connection waits for the acknowledgement of its own head, which takes 40 ms."""

    def seconds() -> float:
        began = time.perf_counter()
        client.get("/users/me")
        return time.perf_counter() - began

    # The first few of a connection are acknowledged at once, whatever the server does.
    assert min([seconds() for _ in range(30)][15:]) < 0.03


def test_a_body_over_its_limit_is_not_read(client: Client, server: Server) -> None:
    """1 MiB by its length, announced or found out while it comes in chunks; 10 MiB where files are sent."""
    is_problem(client("POST", "/projects", {"project_name": "a", "brief": "x" * BODY}), 413, "too_large")
    fits = {"project_name": "a", "brief": "x" * 990_000, "run": False}
    assert client("POST", "/projects", fits).status_code == 201
    pieces = (b"x" * 65_536 for _ in range(40))
    try:
        answer = client.http.post("/projects", content=pieces, headers={"content-type": "application/json"})
        assert answer.status_code == 413
    except httpx2.TransportError:
        pass  # the server hung up while there was more to come, which is as good
    upload = {"phase": "planning", "files": {"a": "x" * (2 * BODY)}}
    assert client("POST", "/runs/run_none/rollback", upload).status_code in (404, 422)
    body = b"x" * (UPLOAD + 1)
    refused = head_of(
        server, "POST /runs/run_none/rollback HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"
    )
    assert status_of(server.raw(refused, within=2)) == 413


@pytest.mark.parametrize(
    "lengths",
    [("Content-Length: -5",), ("Content-Length: 5, 6",), ("Content-Length: 0x10",),
     ("Content-Length: 5", "Transfer-Encoding: chunked")],
)  # fmt: skip
def test_a_length_that_is_none_is_refused(server: Server, lengths: tuple[str, ...]) -> None:
    """What two readers would take for different bodies reaches nobody."""
    sent = head_of(server, "POST /projects HTTP/1.1", "Host: localhost", *lengths, body=b"0\r\n\r\nGET /smuggled")
    answer = server.raw(sent, within=2)
    assert status_of(answer) in (0, 400, 422)
    assert answer.count(b"HTTP/1.1") <= 2 and b" 20" not in answer[:20]


def test_a_head_over_its_limit_is_refused(server: Server) -> None:
    """A megabyte of headers is not taken in, and the connection is closed."""
    lines = [f"X-{number}: {'x' * 1_000}" for number in range(1_000)]
    answer = server.raw(head_of(server, "GET /health HTTP/1.1", "Host: localhost", *lines), within=2)
    assert status_of(answer) in (0, 400, 431)


class Hasty(Server):
    program = (str(Path(__file__).with_name("hasty_server.py")),)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits a second for a head, and as long for a body."""
    with Hasty(tmp_path_factory.mktemp("hasty")) as running:
        yield running


def dribbled(server: Server, start: bytes, drop: bytes, *, most: float) -> tuple[bytes, float]:
    """Sends `start`, then `drop` four times a second; gives what came back, and when the connection was closed."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=0.25) as connection:
        connection.sendall(start)
        found = b""
        while time.monotonic() - began < most:
            try:
                part = connection.recv(65_536)
                if not part:
                    break
                found += part
            except TimeoutError:
                with contextlib.suppress(OSError):
                    connection.sendall(drop)
            except OSError:
                break
        return found, time.monotonic() - began


def test_a_head_that_dribbles_in_is_hung_up_on(hasty: Server) -> None:
    """However busily it drips: a head has its time, and a connection that says nothing has too."""
    _, seconds = dribbled(hasty, b"GET /health HTTP/1.1\r\nHost: localhost\r\n", b"X-A: b\r\n", most=8)
    assert 0.5 < seconds < 4
    _, seconds = dribbled(hasty, b"", b"", most=8)
    assert 0.5 < seconds < 4


def test_the_second_head_on_a_connection_has_its_time_too(hasty: Server) -> None:
    """A connection that was used well once is no way around it."""
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    found, seconds = dribbled(hasty, whole + b"GET /health HTTP/1.1\r\nHost: loc", b"a", most=8)
    assert found.count(b'"status":"ok"') == 1
    assert 0.5 < seconds < 4


def test_a_body_that_dribbles_in_is_given_up(hasty: Server) -> None:
    """It is a 408, and others were answered in the meantime."""
    start = b'POST /projects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{"project'
    others: list[int] = []
    asking = threading.Thread(target=lambda: others.append(hasty.client()("GET", "/health").status_code))
    asking.start()
    found, seconds = dribbled(hasty, start, b"_", most=8)
    asking.join(5)
    assert (status_of(found), others) == (408, [200])
    assert seconds < 5


def test_fields_that_nobody_knows_are_refused_without_an_echo(client: Client) -> None:
    """Every body: 422 with the field's place, and never what stood in it, key or not."""
    secret = "zq-canary-9d1f8e7c6b5a4032-never-said-back"
    bodies: list[tuple[str, str, Any]] = [
        ("POST", "/projects", {"project_name": "a", "api_key": secret}),
        ("POST", "/projects", {"project_name": {"a": secret}}),
        ("POST", "/projects", {"project_name": "a", "mode": secret}),
        ("POST", "/projects", {"project_name": "a", "answers": [secret]}),
        ("POST", "/projects", secret),
        ("POST", "/users/me/provider-settings", {"llm_provider": secret.upper(), "api_key": "k"}),
        ("POST", "/users/me/provider-settings", {"llm_provider": "anthropic", "api_key": secret, "key": secret}),
        ("POST", "/users/me/provider-settings", {"llm_provider": "anthropic", "api_key": [secret]}),
        ("POST", "/users/me/provider-settings", {"api_key": secret}),
        ("POST", "/users/me/provider-test", {"llm_provider": "anthropic", "api_key": secret}),
        ("POST", "/users/me/tokens", {"days": secret}),
        ("POST", "/users", {"name": "a", "role": secret}),
        ("PATCH", "/users/local", {"password": secret}),
        ("POST", "/runs/run_a/reviews", {"decision": secret, "content": secret}),
        ("POST", "/runs/run_a/rollback", {"phase": "a", "files": secret}),
        ("POST", "/runs/run_a/edit", {"path": "a", "content": "b", "seen": secret}),
        ("POST", "/runs/run_a/resume", {"budget": secret}),
        ("POST", "/runs/run_a/retry", {"phase": "a", "more": secret}),
    ]
    for method, path, body in bodies:
        said = client(method, path, body)
        assert is_problem(said, 422, "invalid_request")["why"], path
        assert secret not in said.text and secret.upper() not in said.text, path
    for content in (f'{{"project_name": "{secret}', f'"{secret}" {{', secret):
        said = client.http.post("/projects", content=content, headers={"content-type": "application/json"})
        is_problem(said, 422, "invalid_request")
        assert secret not in said.text
    assert secret not in client("GET", f"/projects?limit={secret}").text
    field = f"a{secret}"
    assert secret not in client("POST", "/projects", {"project_name": "a", field: 1}).text


def test_one_user_has_so_many_requests_in_flight(tmp_path: Path) -> None:
    """Past it: 429 with a time to wait; another user is answered as ever, and so is the first one later."""
    with Server(tmp_path, ORCHESTRATOR_REQUESTS_PER_USER="3") as server:
        busy, other = server.user("busy"), server.user("other")
        answers = flooded(busy, 30)
        assert {answer.status_code for answer in answers} == {200, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert is_problem(refused, 429, "limited")["do"]
        assert int(refused.headers["retry-after"]) >= 1
        assert other("GET", "/projects").status_code == 200
        assert busy("GET", "/projects").status_code == 200


def flooded(client: Client, count: int) -> list[httpx2.Response]:
    """So many requests by one user at once."""
    found: list[httpx2.Response] = []
    path = f"{client.url}/projects/estimate"
    headers = {"Authorization": f"Bearer {client.token}"}

    def ask() -> None:
        body = {"project_name": "much", "brief": "word " * 20_000}
        found.append(httpx2.post(path, json=body, headers=headers, trust_env=False, timeout=60))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_one_user_has_so_many_streams(tmp_path: Path) -> None:
    """The third of two is a 429; once one is closed there is room again, and requests are not held up by streams."""
    with Server(tmp_path, ORCHESTRATOR_STREAMS_PER_USER="2", ORCHESTRATOR_REQUESTS_PER_USER="1") as server:
        user, other = server.user("listener"), server.user("other")
        run_id, others = user.short(), other.short()
        with user.stream(run_id) as one, user.stream(run_id) as two:
            assert next(one).id == next(two).id == 1
            refused = user("GET", f"/runs/{run_id}/events", Accept="text/event-stream")
            is_problem(refused, 429, "limited")
            assert int(refused.headers["retry-after"]) >= 1
            assert user.get(f"/runs/{run_id}")["run"]["id"] == run_id
            with other.stream(others) as theirs:
                assert next(theirs).id == 1
        end = time.monotonic() + 10
        while user("GET", f"/runs/{run_id}/events?after=1", Accept="application/json").status_code != 200:
            assert time.monotonic() < end
        while True:
            try:
                with user.stream(run_id) as again:
                    assert next(again).id == 1
                break
            except AssertionError:
                assert time.monotonic() < end


def test_one_user_has_so_many_runs(tmp_path: Path) -> None:
    """Past what may wait for its turn: 429, nothing is made, another user's are taken, and all that were taken end."""
    with Server(tmp_path, ORCHESTRATOR_RUNS_PER_USER="3", ORCHESTRATOR_RUNS_AT_ONCE="1") as server:
        user, other = server.user("eager"), server.user("other")
        runs = [user.project(f"number {number}")["run"]["id"] for number in range(3)]
        refused = user("POST", "/projects", {"project_name": "one too many"})
        is_problem(refused, 429, "limited")
        assert int(refused.headers["retry-after"]) >= 1
        assert len(user.get("/projects")["items"]) == 3
        made = user.project("only wished for", run=False)
        for path in ("runs", "advance"):
            is_problem(user("POST", f"/projects/{made['id']}/{path}"), 429, "limited")
        theirs = other.short()
        for run_id in runs:
            user.post(f"/runs/{run_id}/cancel")
        assert [user.ended(run_id) for run_id in runs] == ["cancelled"] * 3
        assert other.ended(theirs) == "completed"
        assert user.ended(user.post(f"/projects/{made['id']}/advance")["id"]) == "paused"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "example.invalid"])
def test_without_users_no_other_address_is_listened_on(tmp_path: Path, host: str) -> None:
    """It ends with code 3 and says what to do, before it listens."""
    done = Server(tmp_path).cli("serve", "--host", host, "--port", "0")
    assert done.returncode == 3
    assert "without authentication" in done.stderr and "orchestrator users add" in done.stderr


def test_with_users_it_listens_elsewhere(tmp_path: Path) -> None:
    """Once somebody has a token; and then nobody is let in without one."""
    server = Server(tmp_path, "--host", "0.0.0.0")
    assert server.cli("users", "add", "ada", "--role", "admin").returncode == 0
    process_url = server.start().url.replace("0.0.0.0", "127.0.0.1")
    try:
        assert httpx2.get(f"{process_url}/health", trust_env=False).status_code == 200
        is_problem(httpx2.get(f"{process_url}/projects", trust_env=False), 401)
    finally:
        server.kill()


def test_a_port_that_is_taken_is_said(server: Server, tmp_path: Path) -> None:
    """In words, with code 3; nothing of a traceback."""
    done = Server(tmp_path).cli("serve", "--port", str(server.port))
    assert done.returncode == 3
    assert "cannot listen" in done.stderr and "Traceback" not in done.stderr


INTERNAL = [
    "http://127.0.0.1:8000",
    "https://127.0.0.1",
    "https://127.1",
    "https://2130706433",
    "https://0x7f000001",
    "https://0.0.0.0",
    "https://169.254.169.254",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://[64:ff9b::7f00:1]",
    "https://10.0.0.1",
    "https://192.168.1.1:8443",
    "https://100.64.0.1",
    "https://[fd00::1]",
    "https://[fe80::1]",
    "https://localhost",
    "https://ip6-localhost",
    "https://name-that-is-not-there.invalid",
    "https://224.0.0.1",
]
IN_THE_OPEN = ["http://example.com", "http://[::1]:11434", "http://169.254.169.254/latest/meta-data"]
NO_ADDRESS = ["ftp://example.com", "file:///etc/passwd", "https://", "https://user:pass@example.com", "not a url",
              "https://example.com/?key=1", "https://example.com/#x", "gopher://127.0.0.1:25/"]  # fmt: skip


@pytest.mark.parametrize("url", [*INTERNAL, *IN_THE_OPEN, *NO_ADDRESS])
def test_a_base_url_that_leads_inside_is_refused_at_save(client: Client, url: str) -> None:
    """Nothing is stored, and the key is not said back."""
    key = "sk-ant-api03-0123456789-not-to-be-sent"
    body = {"llm_provider": "anthropic", "api_key": key, "base_url": url}
    answer = client("POST", "/users/me/provider-settings", body)
    assert answer.status_code in (400, 422), answer.text
    assert key not in answer.text and "user:pass" not in answer.text
    assert client.get("/users/me/provider-settings") == []


def test_the_refusal_tells_nothing_of_what_is_inside(client: Client) -> None:
    """The same words for a host that is there, one that is not, and a name that nobody knows."""
    words = set()
    for url in (each for each in INTERNAL if each.startswith("https://")):
        body = {"llm_provider": "anthropic", "api_key": "sk-ant-api03-0123456789abcd", "base_url": url}
        said = is_problem(client("POST", "/users/me/provider-settings", body), 400)
        words.add((said["detail"].replace(url, "URL"), said["why"], said["do"]))
    assert len(words) == 1


def test_another_base_url_needs_the_key_again(server: Server) -> None:
    """A key is for the server it was given for: nothing but the key itself moves it to another."""
    own = server.home.parent / "bound"
    with Server(own, ORCHESTRATOR_MODEL_ORIGINS="http://127.0.0.1:9,http://127.0.0.1:10") as bound:
        client = bound.client()
        body = {"llm_provider": "anthropic", "api_key": "sk-ant-api03-0123456789abcd", "base_url": "http://127.0.0.1:9"}
        stored = client.post("/users/me/provider-settings", body)
        for other in ("http://127.0.0.1:10", ""):
            for key in ({}, {"api_key": ""}):
                change = {"llm_provider": "anthropic", "base_url": other, **key}
                is_problem(client("POST", "/users/me/provider-settings", change), 400, "invalid_config")
        assert client.get("/users/me/provider-settings") == [stored]


def test_a_run_keeps_to_the_server_it_began_with(tmp_path: Path) -> None:
    """A key that is stored for another address later is not sent there for a run that began elsewhere."""
    with ModelServer() as first, ModelServer() as second:
        origins = {"ORCHESTRATOR_MODEL_ORIGINS": f"{first.url},{second.url}"}
        with first.server(tmp_path, **origins) as server:
            client = server.client()
            first.stored(client)
            made = client.project(workflow_yaml=SHORT, mode="real", run=False)
            run_id = client.post(f"/projects/{made['id']}/advance")["id"]
            assert client.ended(run_id) == "paused"
            second.stored(client)
            client.post(f"/runs/{run_id}/resume")
            assert client.ended(run_id) == "needs_attention"
            assert (second.keys, len(first.keys)) == ([], 2)


def test_a_file_is_no_page(client: Client) -> None:
    """HTML that a run made is sent to be saved, under a name that breaks no header."""
    run_id = client.short()
    client.standing(run_id)
    evil = "<script>alert(1)</script>"
    client.post(f"/runs/{run_id}/rollback", {"phase": "planning", "files": {"docs/intake.md": evil}})
    client.standing(run_id)
    answer = client("GET", f"/runs/{run_id}/artifacts/docs/intake.md")
    assert answer.text == evil
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")
    made = client.project('a"\r\nX-Evil: 1'.replace("\r\n", " ") + "é", workflow_yaml=SHORT)
    client.standing(made["run"]["id"])
    disposition = client("GET", f"/runs/{made['run']['id']}/archive").headers["content-disposition"]
    assert disposition.startswith('attachment; filename="a-x-evil-1.zip"')


def test_a_redirect_leads_nowhere_else(client: Client) -> None:
    """A path with a slash too many, or two at its start, is no way to another host."""
    for path in ("//evil.example/projects/", "/projects/", "/%2f%2fevil.example", "/\\evil.example"):
        answer = client("GET", path)
        location = answer.headers.get("location", "")
        assert "evil.example" not in location.split("/projects")[0] or answer.status_code == 404, (path, location)


def test_no_core_is_written(server: Server) -> None:
    """A crash leaves no copy of the memory, in which keys may stand; what the server starts inherits that."""
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert line.split()[4:6] in (["0", "0"], ["1", "1"])


def test_the_log_is_json_and_has_neither_queries_nor_bodies(client: Client, server: Server) -> None:
    """A line for each request, by the route's pattern; what a caller puts in a path or a query is not in it."""
    client("GET", "/runs/run_seen-in-a-path?after=seen-in-a-query")
    client("POST", "/projects", {"project_name": "seen-in-a-body", "run": False})
    time.sleep(0.1)
    text = server.log_file.read_text()
    assert all(isinstance(json.loads(line), dict) for line in text.splitlines())
    assert "GET /runs/{run_id} 404" in text
    assert "seen-in" not in text
