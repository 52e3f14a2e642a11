"""A real server as a process of its own on folders of its own, and a client of it; what the API tests run.

What a provider says to it is `model_server.py`; the command line without a server is `cli_process.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx2
import msgspec

ROOT = Path(__file__).parents[2]
PROBLEM = "application/problem+json"
FIELDS = {"type", "title", "status", "code", "detail", "why", "do", "correlation_id"}
# Two phases without tests of their own: over in a moment.
SHORT = """
name: short
phases:
  - {id: intake, agent: architect, outputs: ["docs/intake.md"], gate: {evidence: [not-empty]}}
  - {id: planning, agent: architect, needs: [intake], outputs: ["docs/requirements.md"], gate: {evidence: [not-empty]}}
"""
REVIEWED = SHORT.replace("name: short", "name: reviewed").replace("[not-empty]}", "[not-empty], review: human}", 1)
UNDER_WAY = ("running",)
PATIENCE = 60.0


class Client:
    """One caller: every request bears `token`, where there is one."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self.token = token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx2.Client(base_url=url, headers=headers, timeout=PATIENCE, trust_env=False)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """The answer; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is None:
            return self.http.request(method, path, headers=named)
        return self.http.request(method, path, json=body, headers=named)

    def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON of an answer that went well; None where it has no body."""
        answer = self(method, path, body, **headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        return self.ok("GET", path)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.ok("POST", path, body, **headers)

    def project(self, name: str = "A tally counter", **wish: Any) -> Any:
        return self.post("/projects", {"project_name": name, **wish})

    def short(self, **wish: Any) -> str:
        """The id of a run that is over in a moment."""
        return str(self.project(**{"workflow_yaml": SHORT, "mode": "simulated", **wish})["run"]["id"])

    def standing(self, run_id: str, *, until: Callable[[Any], bool] | None = None, within: float = PATIENCE) -> Any:
        """The run's standing once it is as wanted; without a wish, once it is not under way any more."""
        wanted = until or (lambda it: it["run"]["status"] not in UNDER_WAY)
        end = time.monotonic() + within
        while not wanted(found := self.get(f"/runs/{run_id}")):
            assert time.monotonic() < end, f"the run stayed {found['run']}"
            time.sleep(0.05)
        return found

    def ended(self, run_id: str) -> str:
        return str(self.standing(run_id)["run"]["status"])

    def events(self, run_id: str) -> list[Any]:
        """All events, page by page."""
        found: list[Any] = []
        while items := self.get(f"/runs/{run_id}/events?after={len(found)}&limit=7")["items"]:
            found += items
        return found

    @contextlib.contextmanager
    def stream(self, run_id: str, query: str = "", **headers: str) -> Iterator[Iterator[Frame]]:
        """The frames of a run's event stream, as they come."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {"Accept": "text/event-stream", **named}
        with self.http.stream("GET", f"/runs/{run_id}/events{query}", headers=given) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield _frames(answer.iter_lines())


class Frame(msgspec.Struct, frozen=True):
    """An event of a stream as it came; `data` is its JSON."""

    id: int
    name: str
    data: Any


def _frames(lines: Iterator[str]) -> Iterator[Frame]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Frame(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}


def until_ended(frames: Iterator[Frame]) -> list[Frame]:
    """The frames up to the run's end."""
    found = []
    for frame in frames:
        found.append(frame)
        if frame.name in {"RunCompleted", "RunStopped", "RunFailed", "RunCancelled"}:
            break
    return found


class Server:
    """`orchestrator serve` in `home`; start it, or use it in `with`. Started again it has the same data."""

    # What Python runs.
    program: tuple[str, ...] = ("-m", "orchestrator_v2")

    def __init__(self, home: Path, *words: str, **environment: str) -> None:
        self.home = home
        self.words = words
        self.data = home / "data"
        self.log_file = home / "server.err"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "PYTHONPATH": str(ROOT),
            "ORCHESTRATOR_DATA_DIR": str(self.data),
            "ORCHESTRATOR_LOG_LEVEL": "info",
            "ORCHESTRATOR_DURABILITY": "normal",
            "LANG": "C.UTF-8",
            **environment,
        }
        self.url = ""
        self.said = home / "server.out"
        self._root = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *error: object) -> None:
        self.kill()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def start(self) -> Self:
        """Returns once the server has said where it is and answers there."""
        self.home.mkdir(parents=True, exist_ok=True)
        at = self.said.stat().st_size if self.said.exists() else 0
        with self.said.open("ab") as out, self.log_file.open("ab") as err:
            command = self.command("serve", "--port", "0", *self.words)
            self._process = subprocess.Popen(command, cwd=self.home, env=self.environment, stdout=out, stderr=err)
        end = time.monotonic() + PATIENCE
        while not (found := re.search(rb"http://\S+", self.said.read_bytes()[at:])):
            assert self._process.poll() is None, self.log_file.read_text()
            assert time.monotonic() < end
            time.sleep(0.02)
        self.url = found[0].decode()
        while not self._is_ready():
            assert time.monotonic() < end
            time.sleep(0.02)
        return self

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/ready", trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False

    def command(self, *words: str) -> list[str]:
        return [sys.executable, *self.program, *words]

    def cli(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        """A command on the same data, as the operator would give it."""
        done = subprocess.run(
            self.command(*words),
            input=stdin,
            capture_output=True,
            cwd=self.home,
            env=self.environment,
            timeout=60,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def kill(self) -> None:
        """As a power cut would; nothing is drained."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)

    def terminate(self, *, within: float = 32.0) -> tuple[int, float]:
        """SIGTERM; gives the exit code and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within), time.monotonic() - began

    def client(self, token: str = "") -> Client:
        return Client(self.url, token)

    @property
    def root(self) -> Client:
        """An administrator's client; from the first call on nobody is let in without a token."""
        if not self._root:
            done = self.cli("users", "add", "root", "--role", "admin")
            assert done.returncode == 0, done.stderr
            self._root = done.stdout.split()[0]
        return self.client(self._root)

    def user(self, name: str, role: str = "developer", **more: Any) -> Client:
        """A new user's client."""
        return self.client(self.root.post("/users", {"name": name, "role": role, **more})["token"])

    def log(self) -> list[dict[str, Any]]:
        """The lines of the log; each is a JSON object."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def raw(self, sent: bytes, *, within: float = 10.0) -> bytes:
        """What comes back over a bare connection until the server closes it or falls silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=within) as connection:
            connection.sendall(sent)
            return received(connection)


def received(connection: socket.socket) -> bytes:
    """Everything up to the connection's end, or to the silence that its timeout bears."""
    found = b""
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while part := connection.recv(65_536):
            found += part
    return found


def is_problem(answer: httpx2.Response, status: int, code: str = "") -> Any:
    """The problem that an answer is, with every field it must have."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert set(body) == FIELDS
    assert body["status"] == status
    assert body["title"] and body["detail"] and body["code"]
    assert body["correlation_id"] == answer.headers["x-correlation-id"] != ""
    assert code in ("", body["code"])
    return body
