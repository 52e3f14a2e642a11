"""The drivers that the contract is held to, each as real processes behind a real server: who drives can be killed.

Embedded, the server drives; with Temporal workers do, and the server only takes requests.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from model_server import ModelServer
from server_process import Client
from temporal_server import TemporalServer

from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import Reply
from orchestrator_v2.testing.worked_answers import worked_reply

PATIENCE = 60.0
# Two phases at once between two others: eight calls in real mode, up to two of them in flight.
DIAMOND = """
name: diamond
phases:
  - {id: top, agent: architect, outputs: ["docs/top.md"], gate: {evidence: [not-empty]}}
  - {id: left, agent: data, needs: [top], outputs: ["docs/left.md"], gate: {evidence: [not-empty]}}
  - {id: right, agent: developer, needs: [top], outputs: ["docs/right.md"], gate: {evidence: [not-empty]}}
  - {id: bottom, agent: reviewer, needs: [left, right], outputs: ["docs/bottom.md"], gate: {evidence: [not-empty]}}
"""
# The first phase waits for a person.
REVIEWED = """
name: reviewed
phases:
  - {id: top, agent: architect, outputs: ["docs/top.md"], gate: {evidence: [not-empty], review: human}}
  - {id: bottom, agent: developer, needs: [top], outputs: ["docs/bottom.md"], gate: {evidence: [not-empty]}}
"""


def slowly(seconds: float) -> Any:
    """A provider that answers well, after so long."""

    def answer(seen: Seen) -> Reply:
        reply = worked_reply(seen)
        return Reply(reply.text, usage=reply.usage, silence=seconds)

    return answer


class Driven:
    """A server, and who drives its runs; `start` it."""

    def __init__(
        self, home: Path, provider: ModelServer, database: str, temporal: TemporalServer | None, **environment: str
    ) -> None:
        self.database = database
        self.provider = provider
        self.temporal = temporal
        more = {} if temporal is None else of_temporal(temporal, home.name)
        self.server = provider.server(
            home,
            **{
                "ORCHESTRATOR_DATABASE_URL": database,
                "ORCHESTRATOR_RETRY_MAX_ATTEMPTS": "1",
                "ORCHESTRATOR_RUNS_AT_ONCE": "8",
                **more,
                **environment,
            },
        )
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """The server is there, and who drives."""
        if self.temporal is not None:
            self.worker()
        if self.server.url == "" or self.server.process.poll() is not None:
            self.server.start()

    def worker(self, *words: str) -> subprocess.Popen[bytes]:
        self.workers.append(self._spawn("worker", *words))
        return self.workers[-1]

    def doomed(self, point: str) -> subprocess.Popen[bytes]:
        """One that drives and kills itself when it gets to that point; nobody asks it anything."""
        words = ("serve", "--port", "0") if self.temporal is None else ("worker",)
        return self._spawn(*words, CRASH_AT=point)

    def _spawn(self, *words: str, **more: str) -> subprocess.Popen[bytes]:
        with (self.server.home / "worker.err").open("ab") as log:
            command, environment = self.server.command(*words), {**self.server.environment, **more}
            return subprocess.Popen(command, cwd=self.server.home, env=environment, stdout=log, stderr=log)

    @property
    def client(self) -> Client:
        return self.server.client()

    @property
    def driving(self) -> subprocess.Popen[bytes]:
        """The process that drives runs; with several workers the one that was started first."""
        return self.server.process if self.temporal is None else self.workers[0]

    def kill(self) -> None:
        """SIGKILL for whoever drives."""
        process = self.driving
        process.kill()
        process.wait(PATIENCE)
        self.workers = [each for each in self.workers if each is not process]

    def kill_all(self) -> None:
        """SIGKILL for all that drive."""
        for _ in range(max(1, len(self.workers))):
            self.kill()

    def log(self) -> str:
        """What the workers have logged."""
        return (self.server.home / "worker.err").read_text()

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait(PATIENCE)
        self.workers.clear()
        if self.server.url:
            self.server.kill()

    def begin(self, workflow: str = DIAMOND, mode: str = "simulated", **wish: Any) -> str:
        return str(self.client.project(workflow_yaml=workflow, mode=mode, **wish)["run"]["id"])

    def unstarted(self, workflow: str) -> str:
        """A run that is recorded, and that nobody has been told of: as of a server that died in between."""
        import asyncio

        from orchestrator_v2 import RunRequest, open_orchestrator
        from orchestrator_v2.config.loader import load_settings
        from orchestrator_v2.settling import read_workflow
        from orchestrator_v2.workspace.evidence import CHECKS

        async def record() -> str:
            loaded = load_settings({}, self.server.environment, self.server.home, self.server.home)
            async with await open_orchestrator(loaded) as orchestrator:
                graph = read_workflow(workflow, checks=CHECKS)
                session = await orchestrator.start(RunRequest("A counter", workflow=graph, owner_id=self.owner))
                await orchestrator.put_by(session)
                return session.state.run_id

        return asyncio.run(record())

    @property
    def owner(self) -> str:
        return str(self.rows("SELECT user_id FROM users")[0][0])

    def until(self, run_id: str, *statuses: str, within: float = PATIENCE) -> Any:
        """The standing once the run has one of these statuses."""
        return self.client.standing(run_id, until=lambda it: it["run"]["status"] in statuses, within=within)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        if self.database.startswith("sqlite"):
            with contextlib.closing(sqlite3.connect(self.database.removeprefix("sqlite:///"))) as connection:
                return connection.execute(query).fetchall()
        with psycopg.connect(self.database) as connection:
            return connection.execute(query.encode()).fetchall()

    def events(self, run_id: str) -> list[Any]:
        """All events of the run, after making sure that they have no gap and no task was done twice."""
        found = self.client.events(run_id)
        assert [each["seq"] for each in found] == list(range(1, len(found) + 1))
        done = Counter(
            (each["event"]["phase"], each["event"].get("round", 1)) for each in found if each["type"] == "TaskCompleted"
        )
        assert set(done.values()) <= {1}, done
        return found

    def paid(self) -> dict[str, int]:
        """How many model calls ended in which way, over all runs, after making sure that none was answered twice."""
        twice = "SELECT run_no, key FROM model_calls WHERE outcome = 'done' GROUP BY 1, 2 HAVING count(*) > 1"
        assert self.rows(twice) == []
        return dict(self.rows("SELECT outcome, count(*) FROM model_calls GROUP BY 1"))


def of_temporal(server: TemporalServer, queue: str) -> dict[str, str]:
    """The settings of a process that drives by this server."""
    return {
        "ORCHESTRATOR_DURABLE": "temporal",
        "ORCHESTRATOR_TEMPORAL_ADDRESS": server.address,
        "ORCHESTRATOR_TEMPORAL_TASK_QUEUE": queue,
    }


def names(events: list[Any]) -> list[str]:
    """Each event in a word or two: `TaskStarted left`."""
    return [f"{each['type']} {each['event'].get('phase', '')}".strip() for each in events]


def died(process: subprocess.Popen[bytes], within: float = PATIENCE) -> bool:
    """Whether the process was ended by SIGKILL in that time."""
    try:
        return process.wait(within) == -9
    except subprocess.TimeoutExpired:
        return False


@contextlib.contextmanager
def driven(
    home: Path, provider: ModelServer, database: str, temporal: TemporalServer | None = None, **environment: str
) -> Iterator[Driven]:
    """A server with whoever drives, and a key for the provider."""
    found = Driven(home, provider.fresh(), database, temporal, **environment)
    try:
        found.start()
        provider.stored(found.client)
        yield found
    finally:
        found.stop()


def wait_for(what: Any, within: float = PATIENCE) -> None:
    end = time.monotonic() + within
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
