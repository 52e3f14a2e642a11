"""`llmock` as a process: an independent mock of the vendors' wires that also judges its client.

Who asks it is in the tests of providers, operations and tasks; our own strict servers are `orchestrator_v2/testing`.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def fetch(url: str, payload: Any = None) -> Any:
    """The JSON of an answer; a payload is posted."""
    data = None if payload is None else json.dumps(payload).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.loads(response.read() or b"{}")


@contextmanager
def running_llmock() -> Iterator[str]:
    """Its address, on a free port of this machine; it says back what it is asked."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binary = Path(sys.executable).with_name("llmock")
    command = [str(binary), "serve", "--port", str(port), "--log-level", "error", "--response-style", "echo"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                fetch(f"{url}/_llmock/requests")
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)
