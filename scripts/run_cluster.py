"""A whole cluster on this machine: PostgreSQL, Temporal, a server, workers; some projects, and a worker that is killed.

python scripts/run_cluster.py [--projects 20] [--workers 2]     exit code 0 when every project came to its end

All of it lives in a folder of its own and is gone at the end. How to run one for real is `docs/how-to/scale-out.md`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import psycopg

ROOT = Path(__file__).resolve().parent.parent

# How long all of it may take (seconds), and how long a process may take to start or end.
PATIENCE, START = 900.0, 60.0
_RUNS = """
    SELECT name, status, lease_owner,
           (SELECT count(*) FROM events WHERE id >> 32 = run_no AND type = 'TaskCompleted'),
           (SELECT count(*) FROM events WHERE id >> 32 = run_no AND type = 'RunResumed')
    FROM runs ORDER BY run_no
"""
_TWICE = """
    SELECT id >> 32, payload ->> 'phase', payload ->> 'round' FROM
    (SELECT id, convert_from(payload, 'UTF8')::json AS payload FROM events WHERE type = 'TaskCompleted') AS done
    GROUP BY 1, 2, 3 HAVING count(*) > 1
"""


def of_the_tests(name: str) -> Any:
    """A module of the tests' that starts a server out of a wheel."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "contracts" / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Row(NamedTuple):
    """A run as it stands: how many of its tasks are done, and how often it was taken over."""

    name: str
    status: str
    owner: str
    done: int
    taken_over: int

    @property
    def worker(self) -> int:
        """The process that holds it, 0 where none does."""
        parts = (self.owner or "").split("/")
        return int(parts[-2]) if len(parts) > 2 and parts[-2].isdigit() else 0


class Cluster:
    def __init__(self, folder: Path, database: str, temporal: str) -> None:
        self.folder = folder
        self.database = database
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "ORCHESTRATOR_DATA_DIR": str(folder / "data"),
            "ORCHESTRATOR_DATABASE_URL": database,
            "ORCHESTRATOR_DURABLE": "temporal",
            "ORCHESTRATOR_TEMPORAL_ADDRESS": temporal,
        }

    @contextmanager
    def process(self, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """One of ours, ready; its words are in `NAME.out` and `NAME.err`."""
        said = self.folder / f"{name}.out"
        with said.open("wb") as out, (self.folder / f"{name}.err").open("wb") as err:
            command = [sys.executable, "-m", "orchestrator_v2", *words]
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=out, stderr=err)  # noqa: S603
        try:
            end = time.monotonic() + START
            while not said.read_bytes():
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"{name} did not start: {(self.folder / f'{name}.err').read_text()[-800:]}")
                time.sleep(0.1)
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(START)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def rows(self) -> list[Row]:
        with psycopg.connect(self.database) as connection:
            return [Row(*row) for row in connection.execute(_RUNS)]

    def done_twice(self) -> int:
        with psycopg.connect(self.database) as connection:
            return len(connection.execute(_TWICE).fetchall())

    def order(self, url: str, number: int) -> None:
        body = {"project_name": f"Tally counter {number}", "mode": "simulated"}
        request = Request(f"{url}/projects", json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
            answer.read()


def drawn(rows: list[Row], workers: dict[int, str]) -> str:
    """The table: a line for each run, and how many stand how."""
    lines = [f"{'project':<20} {'status':<12} {'tasks':>5}  {'worker':<10} taken over"]
    for row in rows:
        holder = workers.get(row.worker, "") if row.status == "running" else ""
        lines.append(f"{row.name:<20} {row.status:<12} {row.done:>5}  {holder:<10} {row.taken_over or ''}")
    counted = ", ".join(f"{count} {status}" for status, count in sorted(Counter(row.status for row in rows).items()))
    return "\n".join([*lines, counted])


class Show:
    """Redraws in a terminal; elsewhere prints the last line when it changed."""

    def __init__(self) -> None:
        self._lines = 0
        self._last = ""

    def __call__(self, table: str) -> None:
        if sys.stdout.isatty():
            print(f"\033[{self._lines}A\033[J" if self._lines else "", table, sep="", flush=True)
            self._lines = table.count("\n") + 1
        elif (last := table.rpartition("\n")[2]) != self._last:
            self._last = last
            print(last, flush=True)

    def note(self, words: str) -> None:
        self._lines = 0
        print(words, flush=True)


def watch(cluster: Cluster, workers: dict[int, subprocess.Popen[bytes]], show: Show) -> tuple[list[Row], int]:
    """Until every run has ended; kills the worker that holds most once a third of the work is done."""
    names = {pid: f"worker {number}" for number, pid in enumerate(workers, 1)}
    killed, end = 0, time.monotonic() + PATIENCE
    while True:
        rows = cluster.rows()
        show(drawn(rows, names))
        if time.monotonic() > end or all(row.status not in {"running", "waiting_provider"} for row in rows):
            return rows, killed
        held = Counter(row.worker for row in rows if row.status == "running" and row.worker in workers)
        if not killed and held and sum(row.done for row in rows) >= 4 * len(rows):
            killed = held.most_common(1)[0][0]
            workers[killed].kill()
            show.note(f"SIGKILL for {names[killed]}, which holds {held[killed]} runs")
            names[killed] += " †"
        time.sleep(0.5)


def main() -> int:
    given = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    given.add_argument("--projects", type=int, default=20)
    given.add_argument("--workers", type=int, default=2)
    wanted = given.parse_args()
    show = Show()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cluster_")))
        postgres = stack.enter_context(of_the_tests("postgres_server").running_postgres())
        temporal = stack.enter_context(of_the_tests("temporal_server").running_temporal())
        cluster = Cluster(folder, postgres.fresh_url(), temporal.address)
        stack.enter_context(cluster.process("server", "serve", "--port", "0"))
        url = (folder / "server.out").read_text().split()[2]
        workers = {}
        for number in range(1, wanted.workers + 1):
            process = stack.enter_context(cluster.process(f"worker-{number}", "worker"))
            workers[process.pid] = process
        show.note(f"PostgreSQL, Temporal at {temporal.address}, a server at {url}, {wanted.workers} workers")
        for number in range(1, wanted.projects + 1):
            cluster.order(url, number)
        began = time.monotonic()
        rows, killed = watch(cluster, workers, show)
        completed = sum(row.status == "completed" for row in rows)
        over = sum(row.taken_over > 0 for row in rows)
        show.note(f"{completed} of {wanted.projects} projects completed in {time.monotonic() - began:.0f} s;")
        show.note(f"in {over} a task was under way when its worker was killed, and was begun anew by another.")
        twice = cluster.done_twice()
        show.note(f"tasks that were done twice: {twice}")
        return 0 if completed == wanted.projects and killed and not twice else 1


if __name__ == "__main__":
    sys.exit(main())
