"""Keys that must be nowhere: what a provider, a caller or a crash can do to bring one into a sink, and none does.

What the keys are, and where they are looked for, is `canaries.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from canaries import MASTER, OPERATORS, SHAPED, USERS, forms, hits, sinks
from model_server import ModelServer
from reliability_report import Tell
from server_process import SHORT, Client, Server

from orchestrator_v2.testing.fake_anthropic import Reply, event_bytes
from orchestrator_v2.testing.worked_answers import worked_reply

_MESSAGE = json.dumps(USERS)[1:-1]
_STARTED = event_bytes(
    {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "usage": {}}}
)


def _sse(kind: str, words: str) -> bytes:
    return event_bytes({"type": "error", "error": {"type": kind, "message": words}})


# What the provider answers to a call that bears the user's key.
PROVIDER: dict[str, Reply] = {
    "401 with the key in its message": Reply(status=401, message=f"invalid x-api-key: {USERS}"),
    "401 with the key in base64": Reply(status=401, message=base64.b64encode(USERS.encode()).decode()),
    "401 with the key quoted": Reply(status=401, message=quote(USERS, safe="")),
    "403 with the key escaped twice": Reply(status=403, message=_MESSAGE),
    "400 with the request in its body": Reply(status=400, message=f"authorization: Bearer {USERS}"),
    "402 with the key": Reply(status=402, message=f"no money for {USERS}"),
    "404 with the key": Reply(status=404, message=f"not found for {USERS}"),
    "413 that is not JSON": Reply(status=413, body=f"<html>{USERS}</html>".encode()),
    "422 that is half of a JSON": Reply(status=422, body=b'{"error": {"message": "' + USERS.encode()),
    "500 with the key": Reply(status=500, message=f"crashed on {USERS}"),
    "529 with the key": Reply(status=529, message=USERS),
    "a redirect with the key in its place": Reply(status=302, headers={"location": f"http://127.0.0.1:9/{USERS}"}),
    "200 with HTML": Reply(body=f"<h1>{USERS}</h1>".encode()),
    "200 with an error object": Reply(body=json.dumps({"error": {"message": USERS}}).encode()),
    "an error event": Reply(events=(_STARTED, _sse("authentication_error", f"bad key {USERS}"))),
    "an error event of a kind unknown": Reply(events=(_STARTED, _sse(USERS, "bad key"))),
    "a chunk that is no JSON": Reply(events=(_STARTED, b"event: x\ndata: {" + USERS.encode() + b"\n\n")),
    "a stream that is cut": Reply(text=USERS * 3, cut_at=900),
    "a header that echoes it beside a good answer": Reply("no JSON", headers={"x-key": USERS, "request-id": USERS}),
    # Last, as nothing is sent by that key for a while after it.
    "429 with the key in a header": Reply(status=429, headers={"retry-after": "1000", "x-echo": USERS}, message=USERS),
}


@pytest.fixture(scope="module")
def provider() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


def served(provider: ModelServer, home: Path, **environment: str) -> Server:
    """A server that says as much as it can be made to say."""
    return provider.server(
        home,
        **{
            "ANTHROPIC_API_KEY": OPERATORS,
            "ORCHESTRATOR_MASTER_KEY": MASTER,
            "ORCHESTRATOR_LOG_LEVEL": "debug",
            "ORCHESTRATOR_LOG_PROMPTS": "true",
            "ORCHESTRATOR_RETRY_MAX_ATTEMPTS": "2",
            **environment,
        },
    )


class Faults:
    """The faults one after the other against one server, and what was answered to them."""

    def __init__(self, provider: ModelServer, server: Server, client: Client) -> None:
        self.provider = provider
        self.server = server
        self.client = client
        self.answers: list[bytes] = []
        self.ended: dict[str, str] = {}
        self.is_on_postgres = "ORCHESTRATOR_DATABASE_URL" in server.environment

    def ask(self, method: str, path: str, **more: Any) -> httpx2.Response:
        answer = self.client.http.request(method, path, **more)
        self.answers.append(repr(answer.headers.raw).encode() + answer.content)
        return answer

    def by_provider(self) -> None:
        """Two trials, then a real run for each of the provider's faults."""
        for name in ("401 with the key in its message", "an error event"):
            self.provider.fresh(PROVIDER[name])
            self.store()
            assert self.ask("POST", "/users/me/provider-test", json={"llm_provider": "anthropic"}).status_code == 200
        for name, reply in PROVIDER.items():
            self.provider.fresh(reply)
            self.store()
            made = self.ask(
                "POST", "/projects", json={"project_name": name, "workflow_yaml": SHORT, "mode": "real"}
            ).json()
            self.ended[name] = self.client.ended(made["run"]["id"])
            assert self.provider.keys and set(self.provider.keys) == {USERS}, name
            self.ask("GET", "/users/me/provider-settings")

    def store(self) -> None:
        body = {"llm_provider": "anthropic", "api_key": USERS, "base_url": self.provider.url}
        assert self.ask("POST", "/users/me/provider-settings", json=body).status_code == 201

    def good(self) -> None:
        """A run that goes well, so that there are files, an archive and usage to look through."""
        self.provider.fresh(worked_reply)
        self.store()
        made = self.ask("POST", "/projects", json={"project_name": "good", "workflow_yaml": SHORT, "mode": "real"})
        assert self.client.ended(made.json()["run"]["id"]) == "completed"

    def by_caller(self) -> None:
        """Keys where they do not belong: wrong fields, paths, queries, headers, bodies that are none."""
        for key in (USERS, SHAPED):
            self.in_bodies(key)
            self.in_forms(key)
            self.in_addresses(key)
            self.in_headers(key)

    def in_bodies(self, key: str) -> None:
        settings, kind = "/users/me/provider-settings", {"content-type": "application/json"}
        wrong: list[dict[str, Any]] = [
            {"llm_provider": key, "api_key": key},
            {"llm_provider": "anthropic", "api_key": [key]},
            {"llm_provider": "anthropic", "api_key": key, "secret": key},
            {"llm_provider": "anthropic", "api_key": key, "default_model": key},
            {"llm_provider": "anthropic", "api_key": f"{key} {key}"},
            {"llm_provider": "anthropic", "api_key": key, "base_url": f"https://{key}@example.com"},
            {"llm_provider": "anthropic", "api_key": key, "base_url": f"https://example.com/?key={key}"},
            {key: key},
        ]
        for body in wrong:
            assert self.ask("POST", settings, json=body).status_code in (400, 404, 422), body
        for content in (f'{{"api_key": "{key}', key, f"api_key={key}"):
            assert self.ask("POST", settings, content=content, headers=kind).status_code == 422
        for field in ("mode", "workflow"):
            self.ask("POST", "/projects", json={"project_name": "a", field: key})

    def in_forms(self, key: str) -> None:
        mark = hashlib.sha256(b"form ").hexdigest()[:32]
        for form in ({"provider": key, "api_key": key}, {"provider": "anthropic", "api_key": f"{key} {key}"}):
            for path in ("/ui/settings/providers", "/ui/sign-in", "/ui/new"):
                self.ask("POST", path, data={**form, "csrf": mark, "token": key})

    def in_addresses(self, key: str) -> None:
        quoted = quote(key, safe="")
        for path in (f"/projects?api_key={quoted}", f"/projects?limit={quoted}", f"/runs?status={quoted}"):
            self.ask("GET", path)
        for path in (f"/runs/{quoted}", f"/projects/{quoted}/status", f"/nowhere/{quoted}", f"/users/{quoted}"):
            assert self.ask("GET", path).status_code in (403, 404, 422)
        self.ask("GET", f"/ui/settings?provider={quoted}")
        self.ask("DELETE", f"/users/me/provider-settings/{quoted}")

    def in_headers(self, key: str) -> None:
        foreign = {"Origin": f"https://{quote(key, safe='')}"}
        for headers in ({"Host": "evil.example"}, foreign, {"X-Api-Key": key}):
            self.ask("POST", "/users/me/provider-test", json={"llm_provider": key}, headers=headers)
        httpx2.get(self.server.url + "/projects", headers={"Authorization": f"Bearer {key}"}, trust_env=False)

    def words(self) -> dict[str, str]:
        return {
            "the user's key": USERS,
            "a key by its shape": SHAPED,
            "the operator's key": OPERATORS,
            "the master key": MASTER,
            "the master key's bytes": base64.b64decode(MASTER).decode("latin-1"),
            "the user's token": self.client.token,
            "root's token": self.server.root.token,
        }


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.chaos])]
)
def faults(
    provider: ModelServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Faults]:
    home = tmp_path_factory.mktemp("canaries")
    stored = request.param == "postgres"
    where = {"ORCHESTRATOR_DATABASE_URL": request.getfixturevalue("postgres").fresh_url()} if stored else {}
    with served(provider, home, **where) as server:
        met = Faults(provider, server, server.user("canary"))
        met.good()
        met.by_caller()
        met.by_provider()
        yield met


@pytest.fixture(scope="module")
def found(faults: Faults, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    time.sleep(0.2)
    return list(sinks(faults.server, [faults.client, faults.server.root], faults.answers, tmp_path_factory.mktemp("s")))


def test_no_key_is_in_any_sink_after_any_fault(faults: Faults, found: list[tuple[str, bytes]], tell: Tell) -> None:
    """More than 25 faults, each of which really was met, and not one key in one of six forms anywhere."""
    words = faults.words()
    in_answers = {answer[:300]: where for answer in faults.answers if (where := hits(answer, words))}
    in_sinks = {name: where for name, content in found if (where := hits(content, words))}
    planted = sum(_is_found(name, word, content) for name, word in words.items() for content in dict(found).values())
    tell(
        "promises",
        "keys after faults, in any sink and any of six encodings",
        where="PostgreSQL" if faults.is_on_postgres else "SQLite",
        faults_of_the_provider=len(PROVIDER),
        requests_of_callers=len(faults.answers),
        keys=len(words),
        encodings=len(forms("x")),
        sinks=len(dict(found)),
        megabytes=f"{sum(len(content) for _, content in found) / 1e6:.0f}",
        hits=len(in_answers) + len(in_sinks),
        planted_and_found=planted,
        planted=len(words) * len(dict(found)),
    )
    assert len(PROVIDER) + len(faults.answers) > 25
    assert "completed" not in faults.ended.values(), faults.ended
    assert (in_answers, in_sinks) == ({}, {})
    assert planted == len(words) * len(dict(found))


def _is_found(name: str, word: str, content: bytes) -> bool:
    """Whether the search sees that key in that sink once it stands there, escaped as JSON has it."""
    middle = len(content) // 2
    written = forms(word)["JSON-escaped"][0]
    return bool(hits(content[:middle] + written + content[middle:], {name: word}))


@pytest.mark.parametrize("form", list(forms("x")))
def test_a_planted_key_is_found_in_every_sink(faults: Faults, found: list[tuple[str, bytes]], form: str) -> None:
    """The search is able to fail: each word, in each form, in the midst of each sink, is named."""
    for name, word in faults.words().items():
        for _, content in dict(found).items():
            middle = len(content) // 2
            for written in forms(word)[form]:
                assert f"{name} ({form})" in hits(content[:middle] + written + content[middle:], {name: word})


_IN_FILES = {"file orchestrator.db": b"SQLite format 3", "file orchestrator.db-wal": b"TaskFailed"}
_IN_TABLES = {"table events": b"TaskFailed", "table model_calls": b"authentication", "table credentials": b"anthropic"}


def test_every_sink_was_looked_at(faults: Faults, found: list[tuple[str, bytes]]) -> None:
    """Each holds what it is known to hold, so none was empty by mistake."""
    known = {
        "standard output": b"Serving on",
        "standard error": b'"logger": "orchestrator_v2',
        "answers to the faults": b"invalid_request",
        "answer of /projects": b"a stream that is cut",
        "answer of /users/me/provider-settings": b"fingerprint",
        "answer of /users/me/tokens": b"last_four",
        "stream of events": b"event: RunStarted",
        "answer of /runs/id": b"needs_credential",
        "artifact": b"# ",
        "archive": b"requirements.md",
        "bundle": b"requirements.md",
        "metrics": b"orchestrator_requests",
        "file logs/llm-requests.log": b"anthropic",
        **(_IN_TABLES if faults.is_on_postgres else _IN_FILES),
    }
    for name, words in known.items():
        assert any(words in content for sink, content in found if sink == name), name


@pytest.mark.parametrize("point", ["intent-committed", "request-sent", "first-byte", "parsed-before-commit"])
def test_a_crash_leaves_no_key_behind(provider: ModelServer, tmp_path: Path, point: str) -> None:
    """Killed there, with the key in use: nothing of it in the database, its WAL, the logs, or in a core."""
    with served(provider, tmp_path, CRASH_AT=point) as server:
        met = Faults(provider, server, server.client())
        provider.fresh(worked_reply)
        met.store()
        with pytest.raises((httpx2.HTTPError, AssertionError)):
            met.client.ended(met.client.project(workflow_yaml=SHORT, mode="real")["run"]["id"])
        server.process.wait(10)
        assert server.process.returncode < 0
        met.server.environment.pop("CRASH_AT")
        words = {"the user's key": USERS, "the operator's key": OPERATORS, "the master key": MASTER}
        looked = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {path.name for path in looked} >= {"orchestrator.db", "orchestrator.db-wal", "server.err"}
        assert {str(path): where for path in looked if (where := hits(path.read_bytes(), words))} == {}
        assert not [path for path in looked if path.name.startswith("core")]


Spoil = Callable[[Server], None]


def _another_master(server: Server) -> None:
    server.environment["ORCHESTRATOR_MASTER_KEY"] = base64.b64encode(bytes(32)).decode()


def _no_master(server: Server) -> None:
    server.environment["ORCHESTRATOR_MASTER_KEY"] = f"{MASTER}not"


def _broken_seal(server: Server) -> None:
    with sqlite3.connect(server.data / "orchestrator.db") as database:
        database.execute("UPDATE credentials SET sealed = zeroblob(length(sealed))")


@pytest.mark.parametrize("spoil", [_another_master, _no_master, _broken_seal])
def test_a_seal_that_does_not_open_says_nothing_of_what_is_in_it(
    provider: ModelServer, tmp_path: Path, spoil: Spoil
) -> None:
    """A server that cannot open what it keeps does not start, or parks the run; neither shows a key."""
    server = served(provider, tmp_path)
    with server:
        Faults(provider, server, server.client()).store()
    spoil(server)
    done = ""
    if spoil is _broken_seal:
        with server:
            client = server.client()
            provider.fresh(worked_reply)
            run_id = client.project(workflow_yaml=SHORT, mode="real")["run"]["id"]
            assert client.ended(run_id) == "needs_credential"
            assert provider.keys == []
            done = str(client.get(f"/runs/{run_id}"))
    else:
        ended = server.cli("serve", "--port", "0")
        assert ended.returncode in (1, 3)
        assert "Serving" not in ended.stdout and "Traceback" not in ended.stderr
        done = ended.stdout + ended.stderr
        assert "master key" in done.lower() or "ORCHESTRATOR_MASTER_KEY" in done
    words = {"the user's key": USERS, "the operator's key": OPERATORS, "the master key": MASTER}
    assert hits(done.encode() + server.log_file.read_bytes(), words) == []
