"""The event stream against a real server: the same events as the JSON page, from any point on, whatever dies.

A thousand listeners at once are `test_thousand_listeners.py`; who may listen is `test_api_tenants.py`.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from server_process import REVIEWED, Client, Frame, Server, is_problem, until_ended


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return server.client()


@pytest.fixture(scope="module")
def ended(client: Client) -> str:
    run_id = client.short()
    assert client.ended(run_id) == "completed"
    return run_id


def as_page(frames: list[Frame]) -> list[Any]:
    """What the JSON page says of the same events."""
    assert all(frame.id == frame.data["seq"] and frame.name == frame.data["type"] for frame in frames)
    return [frame.data for frame in frames]


def begun(client: Client) -> str:
    """A run of a second or two, just started."""
    return str(client.project("Streamed", mode="simulated")["run"]["id"])


def test_a_stream_gives_what_the_pages_give(client: Client, ended: str) -> None:
    """From the start, in order, the frames are the events of the JSON pages, to the field."""
    with client.stream(ended) as frames:
        found = as_page(until_ended(frames))
    assert [each["seq"] for each in found] == list(range(1, len(found) + 1))
    assert found == client.events(ended)


def test_a_page_goes_on_after_what_one_has(client: Client, ended: str) -> None:
    """`after` and `limit` cut the list without a gap; past the end it is empty and `next` stays."""
    whole = client.events(ended)
    page = client.get(f"/runs/{ended}/events?after=2&limit=3")
    assert (page["items"], page["next"]) == (whole[2:5], 5)
    assert client.get(f"/runs/{ended}/events?after={len(whole)}") == {"items": [], "next": len(whole)}
    assert client.get(f"/runs/{ended}/events?after=99999")["items"] == []
    for query in ("after=-1", "limit=0", "limit=1001", "after=x", "after=99999999999999999999"):
        is_problem(client("GET", f"/runs/{ended}/events?{query}"), 422)


@pytest.mark.parametrize(
    ("query", "header", "first"),
    [("", "3", 4), ("?after=3", "", 4), ("?after=1", "4", 5), ("?after=2", "not a number", 3)],
)
def test_a_stream_starts_where_the_client_is(client: Client, ended: str, query: str, header: str, first: int) -> None:
    """By `Last-Event-ID`, which wins, or by `after`; a header that is no number is as none."""
    given = {"Last_Event_ID": header} if header else {}
    with client.stream(ended, query, **given) as frames:
        assert as_page(until_ended(frames)) == client.events(ended)[first - 1 :]


def test_reconnecting_in_the_middle_of_a_run_leaves_no_gap_and_no_double(client: Client) -> None:
    """A client that hangs up after every third event has all of them once in the end."""
    run_id, found = begun(client), list[Frame]()
    while not found or found[-1].name != "RunCompleted":
        with client.stream(run_id, Last_Event_ID=str(found[-1].id if found else 0)) as frames:
            for _, frame in zip(range(3), frames, strict=False):
                found.append(frame)
                if frame.name == "RunCompleted":
                    break
    assert as_page(found) == client.events(run_id)


def test_several_clients_see_the_same(server: Server) -> None:
    """Twelve who come at different times while the run goes on all have every event once."""
    run_id = begun(server.client())

    def listen(number: int) -> list[Any]:
        time.sleep(number * 0.1)
        with server.client().stream(run_id) as frames:
            return as_page(until_ended(frames))

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(listen, range(12)))
    assert all(each == found[0] for each in found)
    assert found[0] == server.client().events(run_id)


def test_a_stream_whose_client_is_gone_is_given_back(client: Client, ended: str) -> None:
    """The figure of open streams goes up with a client and down once it has hung up."""

    def streams() -> float:
        lines = client("GET", "/metrics").text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("orchestrator_streams "))

    before = streams()
    with client.stream(ended) as frames:
        next(frames)
        assert streams() == before + 1
    end = time.monotonic() + 10
    while streams() != before:
        assert time.monotonic() < end


def test_an_unknown_run_has_no_stream(client: Client) -> None:
    """It is a 404 before any byte of a stream."""
    is_problem(client("GET", "/runs/run_none/events", Accept="text/event-stream"), 404, "unknown_name")


class Follower:
    """A client that comes back with `Last-Event-ID` for as long as it takes, as a browser does."""

    def __init__(self, server: Server, run_id: str) -> None:
        self.found: list[Frame] = []
        self._server = server
        self._run_id = run_id
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self.found or self.found[-1].name not in {"RunCompleted", "RunFailed", "RunParked"}:
            last = str(self.found[-1].id if self.found else 0)
            try:
                with self._server.client().stream(self._run_id, Last_Event_ID=last) as frames:
                    self.found += _each_at_once(frames, self.found)
            except httpx2.HTTPError:
                time.sleep(0.05)

    def all(self) -> list[Any]:
        self._thread.join(60)
        assert not self._thread.is_alive(), [frame.name for frame in self.found]
        return as_page(self.found)


def _each_at_once(frames: Iterator[Frame], found: list[Frame]) -> list[Frame]:
    for frame in frames:
        found.append(frame)
        if frame.name in {"RunCompleted", "RunFailed"}:
            break
    return []


def test_a_killed_server_goes_on_with_the_run_when_it_is_back(tmp_path: Path) -> None:
    """After SIGKILL in mid-run the run ends by itself, and who follows it has every event once."""
    server = Server(tmp_path)
    with server:
        run_id = begun(server.client())
        follower = Follower(server, run_id)
        end = time.monotonic() + 20
        while sum(frame.name == "TaskCompleted" for frame in follower.found) < 4:
            assert time.monotonic() < end
            time.sleep(0.01)
        server.kill()
        seen = len(follower.found)
        server.start()
        client = server.client()
        standing = client.standing(run_id)
        assert standing["run"]["status"] == "completed"
        found = follower.all()
        assert 0 < seen < len(found)
        assert found == client.events(run_id)
        assert [each["seq"] for each in found] == list(range(1, len(found) + 1))
        done = [each["event"]["phase"] for each in found if each["type"] == "TaskCompleted"]
        assert len(done) == len(set(done)) == 12
        assert "RunResumed" in {each["type"] for each in found}


def test_sigterm_ends_streams_at_once_and_the_server_in_time(tmp_path: Path) -> None:
    """An open stream ends in order within moments; the process says what ended it and, started again, finishes."""
    server = Server(tmp_path)
    with server:
        client = server.client()
        waits = client.short(workflow_yaml=REVIEWED)
        client.standing(waits)
        run_id = begun(client)
        ends: list[float] = []

        def listen() -> None:
            with server.client().stream(waits) as frames:
                for _ in frames:
                    pass
            ends.append(time.monotonic())

        listener = threading.Thread(target=listen)
        listener.start()
        time.sleep(0.3)
        began = time.monotonic()
        code, seconds = server.terminate()
        listener.join(10)
        assert code == -signal.SIGTERM, server.log_file.read_text()
        assert seconds < 32
        assert ends and ends[0] - began < 3
        server.start()
        assert server.client().ended(run_id) == "completed"
        assert not [line for line in server.log() if line["level"] in ("error", "critical")]
