"""The views of `docs/how-to/operations-in-web-frameworks.md`, as they stand there, in the real Django and FastAPI."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cli_process import ROOT

from orchestrator_v2.core import operation_errors as oe

PAGE = (ROOT / "docs/how-to/operations-in-web-frameworks.md").read_text("utf-8")
FILES = dict(re.findall(r"^```\w+ ([\w./-]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
PILLARS = {"pillars": [{"name": "Calm", "description": "The player is never rushed."}]}
ASK = "/ask/pillars/validate"
DJANGO = '''
"""A Django project around the page's view; says what came back to each request as a line of JSON."""
import json, sys, threading
from pathlib import Path
from django.conf import settings

settings.configure(
    SECRET_KEY="a key of this test alone", ROOT_URLCONF="urls", ALLOWED_HOSTS=["testserver"], USE_TZ=True,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path("django.sqlite"))}},
)
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0)
clients = {"": Client(), "forged": Client(enforce_csrf_checks=True)}
for name in ("ada", "bob", "forged"):
    clients.setdefault(name, Client()).force_login(User.objects.create_user(name))

def ask(who, path, body, headers):
    given = clients[who].post(path, body, content_type="application/json", headers=headers)
    is_json = given["Content-Type"] == "application/json"
    return [given.status_code, json.loads(given.content) if is_json else None, dict(given.headers)]

answers = [ask(*one) for one in json.loads(sys.stdin.read())]
at_once = [None] * int(sys.argv[3])
def one(number):
    at_once[number] = ask("ada", sys.argv[1], sys.argv[2], {"Idempotency-Key": f"k{number % 2}"})
threads = [threading.Thread(target=one, args=(number,)) for number in range(len(at_once))]
[it.start() for it in threads]
[it.join() for it in threads]
print(json.dumps([answers, at_once]))
'''


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the files of the page, in which applications run."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def environment(site: Path, **more: str) -> dict[str, str]:
    home = {"PATH": os.environ["PATH"], "HOME": str(site), "ORCHESTRATOR_DATA_DIR": str(site / "data")}
    return {**home, "PYTHONPATH": f"{ROOT}:{site}", "PYTHONDONTWRITEBYTECODE": "1", **more}


def in_django(site: Path, *asked: tuple[str, str, Any, dict[str, str]], at_once: int = 0, **more: str) -> Any:
    """Status, body and headers of each (user, path, body, headers), and of those that were asked `at_once`."""
    requests = [(who, path, it if isinstance(it, str) else json.dumps(it), headers) for who, path, it, headers in asked]
    done = subprocess.run(
        [sys.executable, "-c", DJANGO, ASK, json.dumps(PILLARS), str(at_once)],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        cwd=site,
        env=environment(site, **more),
        timeout=100,
        check=False,
    )
    # An error while the process ends would stand here, too.
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    return json.loads(done.stdout)


def test_a_django_view_answers_and_maps_errors(site: Path) -> None:
    """Answers, each kind of wrong request, forged ones, owners apart, and eight threads with two keys."""
    key = {"Idempotency-Key": "one"}
    other = {"pillars": [{"name": "Loud"}]}
    answers, at_once = in_django(
        site,
        ("ada", ASK, PILLARS, key),
        ("ada", f"{ASK}?mode=agentic", PILLARS, {}),
        ("ada", ASK, other, key),
        ("bob", ASK, other, key),
        ("", ASK, PILLARS, {}),
        ("forged", ASK, PILLARS, {}),
        ("ada", "/ask/pillars/validat", PILLARS, {}),
        ("ada", ASK, {"pillars": [{"name": ""}], "more": 1}, {}),
        ("ada", ASK, "[1", {}),
        ("ada", ASK, "[1]", {}),
        ("ada", f"{ASK}?mode=loud", "[" * 100_000, {}),
        ("ada", ASK, {"pillars": [{"name": "\x00"}]}, {}),
        at_once=8,
    )
    assert [status for status, _, _ in answers] == [200, 200, 409, 200, 401, 403, 400, 400, 400, 400, 400, 400]
    bodies = [body for _, body, _ in answers]
    assert bodies[0]["results"]["pillars"][0]["name"] == "Calm"
    assert len(bodies[1]["metadata"]["agents_used"]) == 4
    assert (bodies[2]["code"], bodies[2]["context"]["run_id"]) == (
        "idempotency_conflict",
        bodies[0]["metadata"]["run_id"],
    )
    assert bodies[6] == json.loads(FILES["error.json"])
    assert [one["field"] for one in bodies[7]["context"]["problems"]] == ["pillars.0.name", "more"]
    assert bodies[7]["suggestion"]
    assert [status for status, _, _ in at_once] == [200] * 8
    assert len({body["metadata"]["run_id"] for _, body, _ in at_once}) <= 2


class _Busy(BaseHTTPRequestHandler):
    """A provider that asks everybody to wait."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(429)
        self.send_header("Retry-After", "7")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *words: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def busy() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def at(url: str) -> dict[str, str]:
    """Real mode at a server of this machine, with one try for each call."""
    given = {"MODE": "real", "PROVIDER": "openai", "MODEL": "gpt-6.1-terra", "BASE_URL": url, "RETRY_MAX_ATTEMPTS": "1"}
    return {f"ORCHESTRATOR_{name}": value for name, value in given.items()} | {"OPENAI_API_KEY": "sk-of-a-test-000000"}


def test_a_django_view_tells_how_long_to_wait(site: Path, busy: str) -> None:
    """A provider's 429 is the view's, with the seconds in its header."""
    answers, _ = in_django(site, ("ada", ASK, PILLARS, {}), **at(busy))
    status, body, headers = answers[0]
    assert (status, body["code"]) == (429, "rate_limit")
    assert 1 <= int(headers["Retry-After"]) <= 60
    assert "sk-of-a-test" not in json.dumps(body)


@pytest.fixture
def served(site: Path) -> Iterator[int]:
    """The page's FastAPI application under uvicorn; its end is orderly."""
    yield from _serve(site)


@pytest.fixture
def served_without_key(site: Path) -> Iterator[int]:
    yield from _serve(site, ORCHESTRATOR_MODE="real", ORCHESTRATOR_PROVIDER="openai")


@pytest.fixture
def served_busy(site: Path, busy: str) -> Iterator[int]:
    yield from _serve(site, **at(busy))


def _serve(site: Path, **more: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
    given = environment(site, APP_TOKENS='{"s3cret": "ada", "other": "bob"}', **more)
    process = subprocess.Popen(command, cwd=site, env=given, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        _, words = process.communicate(timeout=20)
    assert "Traceback" not in words, words


def fetch(
    port: int, path: str, body: Any = None, token: str = "s3cret", key: str = ""
) -> tuple[int, Any, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"} if token else {}
    headers |= {"Idempotency-Key": key} if key else {}
    connection.request(
        "POST" if body is not None else "GET", path, json.dumps(body) if body is not None else None, headers
    )
    response = connection.getresponse()
    found = response.status, json.loads(response.read()), {name.lower(): value for name, value in response.getheaders()}
    connection.close()
    return found


def test_a_fastapi_route_answers_and_maps_errors(served: int) -> None:
    """Answers in both modes, each kind of wrong request, and the answer again for its owner alone."""
    asked = {"data": PILLARS}
    status, first, _ = fetch(served, ASK, asked, key="one")
    assert (status, first["results"]["pillars"][0]["name"]) == (200, "Calm")
    assert len(fetch(served, ASK, {**asked, "mode": "agentic"})[1]["metadata"]["agents_used"]) == 4
    run_id = first["metadata"]["run_id"]
    assert fetch(served, f"/answers/{run_id}")[1]["results"] == first["results"]
    statuses = {
        "another owner's": fetch(served, f"/answers/{run_id}", token="other"),
        "another request": fetch(served, ASK, {"data": {"pillars": [{"name": "Loud"}]}}, key="one"),
        "nobody": fetch(served, ASK, asked, token="made up"),
        "no data": fetch(served, ASK, {"data": {}}),
        "a name that is none": fetch(served, "/ask/a%20b/c", asked),
        "half a character": fetch(served, ASK, {"data": {"pillars": [{"name": "\ud800"}]}}),
    }
    assert {name: (status, body["code"]) for name, (status, body, _) in statuses.items()} == {
        "another owner's": (404, "run_not_found"),
        "another request": (409, "idempotency_conflict"),
        "nobody": (401, "authentication_failed"),
        "no data": (400, "validation"),
        "a name that is none": (400, "invalid_operation"),
        "half a character": (400, "invalid_operation"),
    }
    assert fetch(served, "/ask/pillars/validat", asked)[:2] == (400, json.loads(FILES["error.json"]))
    assert fetch(served, ASK, asked, token="")[0] == 401


def test_a_fastapi_route_without_a_key_says_so(served_without_key: int) -> None:
    """Real mode without a key is 401, and never a simulated answer."""
    status, body, _ = fetch(served_without_key, ASK, {"data": PILLARS})
    assert (status, body["code"]) == (401, "authentication_failed")
    assert body["suggestion"]


def test_a_fastapi_route_tells_how_long_to_wait(served_busy: int) -> None:
    """A provider's 429 is the route's, with the seconds in its header."""
    status, body, headers = fetch(served_busy, ASK, {"data": PILLARS})
    assert (status, body["code"]) == (429, "rate_limit")
    assert 1 <= int(headers["retry-after"]) <= 60


def test_each_of_the_fourteen_errors_has_its_status(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code, context and suggestion come through for every error, and only a 429 says how long to wait."""
    monkeypatch.syspath_prepend(str(site))
    space: dict[str, Any] = {}
    exec(compile(FILES["asking.py"], "asking.py", "exec"), space)
    kinds = [it for it in vars(oe).values() if isinstance(it, type) and issubclass(it, oe.OperationError)]
    kinds = [it for it in kinds if it is not oe.OperationError and not it.__name__.startswith("_")]
    assert len(kinds) == 14
    named = [oe.UnknownFeatureError("x", ["y"]), oe.UnknownOperationError("x", ["y"], feature="f")]
    unknown = {type(error): error for error in named}
    for kind in kinds:
        error = unknown.get(kind) or kind("What.", "Why.", "Do.", context={"run_id": "r"})
        body, status, headers = space["answer_of"](error)
        assert (status, body["code"], body["context"]) == (kind.http_status, kind.code, error.context)
        assert body["suggestion"] == error.do
        assert ("Retry-After" in headers) == (status == 429)
