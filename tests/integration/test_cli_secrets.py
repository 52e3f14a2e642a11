"""A key in the environment is used and never shown: not in the view, not in any command, not in the log."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from cli_process import Cli

CANARY = "sk-ant-api03-CANARY0123456789abcdefghijkl"


class _Echoing(BaseHTTPRequestHandler):
    """Refuses every request with 401 and a body that repeats all its headers, the key among them."""

    seen: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.seen.append(str(self.headers))
        message = f"invalid key in {dict(self.headers)}"
        body = json.dumps({"type": "error", "error": {"type": "authentication_error", "message": message}}).encode()
        self.send_response(401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    _Echoing.seen.clear()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Echoing)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()


def test_a_key_is_in_no_output_even_when_the_provider_repeats_it(server: str, tmp_path: Path) -> None:
    """The key reaches the provider; the run parks with exit code 2; and no output or log holds the key."""
    cli = Cli(tmp_path, ANTHROPIC_API_KEY=CANARY, ORCHESTRATOR_BASE_URL=server, ORCHESTRATOR_LOG_LEVEL="debug")
    run = cli("run", "A todo list", "--real-llm", "--json")
    assert run.returncode == 2, run
    assert any(CANARY in headers for headers in _Echoing.seen), _Echoing.seen
    result = json.loads(run.stdout.splitlines()[-1])
    assert (result["status"], result["mode"]) == ("needs_credential", "real")
    run_id = result["run_id"]
    said = [run]
    for words in (("status",), ("show",), ("cost",), ("resume",)):
        said += [cli(*words, run_id), cli(*words, run_id, "--json"), cli("--debug", *words, run_id)]
    said += [cli("config", "show"), cli("config", "show", "--json"), cli("list")]
    texts = [text for done in said for text in (done.stdout, done.stderr)]
    texts += [path.read_text("utf-8", "replace") for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert sum(len(text) for text in texts) > 10_000
    assert not [text for text in texts if CANARY in text or CANARY[10:] in text]


def test_real_mode_is_named_at_the_start(server: str, tmp_path: Path) -> None:
    """Provider and model stand in the first line, and the end says what is needed to go on."""
    done = Cli(tmp_path, ANTHROPIC_API_KEY=CANARY, ORCHESTRATOR_BASE_URL=server)("run", "A todo list", "--mode", "auto")
    assert done.returncode == 2, done
    assert "real: anthropic/claude-" in done.stdout.splitlines()[0]
    assert "needs a valid key" in done.stdout
    assert "orchestrator resume run_" in done.stdout
