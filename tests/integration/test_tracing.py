"""Traces as a collector gets them: a real OTLP/HTTP receiver, the real command line, real mode on a provider's wire."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cli_process import Cli
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from real_mode import KEY, SHORT, done_calls, opened, request

from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply
from orchestrator_v2.testing.fake_anthropic_batches import FakeAnthropicBatches
from orchestrator_v2.testing.fake_server import Seen
from orchestrator_v2.testing.worked_answers import BRIEF, worked_reply

SAID = "the-canary-in-what-the-provider-said"


class Collector:
    """Takes what is posted to /v1/traces, as it is and decoded."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.resources: list[dict[str, Any]] = []
        self.spans: list[Span] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.take(self.path, dict(self.headers), body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "ORCHESTRATOR_TRACES": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
        }

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        assert path == "/v1/traces"
        self.bodies.append(body)
        self.headers.append(headers)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(attributes(resource.resource))
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, beginning: str) -> list[Span]:
        found = [span for span in self.spans if span.name.startswith(beginning)]
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    def parent(self, span: Span) -> Span:
        return next(one for one in self.spans if one.span_id == span.parent_span_id)

    def holds(self, text: str) -> bool:
        return any(text.encode() in body for body in self.bodies)


def attributes(holder: Any) -> dict[str, Any]:
    """Plain values by name."""
    told = {}
    for pair in holder.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        told[pair.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return told


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


@pytest.fixture
def told(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Collector:
    """The collector that the traces of this process go to."""
    for name, value in collector.environment.items():
        monkeypatch.setenv(name, value)
    return collector


def test_a_simulated_run_arrives_as_one_trace(tmp_path: Path, collector: Collector) -> None:
    """`orchestrator run` in a process of its own: the run, its phases, also those at once, and its agents, nested; the
    brief, the key and the files are in none of it."""
    brief = "A canary-keeper for bird lovers with statistics"
    cli = Cli(tmp_path, ANTHROPIC_API_KEY=KEY, OTEL_SERVICE_NAME="my-team", **collector.environment)
    cli.environment |= {"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process", "OTEL_EXPORTER_OTLP_HEADERS": "x-team=blue"}
    done = cli("run", brief, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    (run,) = collector.named("invoke_workflow")
    assert (run.name, run.kind, run.parent_span_id) == ("invoke_workflow default", Span.SPAN_KIND_INTERNAL, b"")
    of_run = attributes(run)
    assert of_run["orchestrator.run.status"] == "completed"
    assert (of_run["orchestrator.mode"], of_run["gen_ai.workflow.name"]) == ("simulated", "default")
    assert (of_run["orchestrator.total.cost_usd"], of_run["orchestrator.total.input_tokens"]) == (0.0, 0)
    assert {span.trace_id for span in collector.spans} == {run.trace_id}
    phases, agents = collector.named("phase "), collector.named("invoke_agent ")
    assert {"phase planning", "phase architecture", "phase data"} <= {span.name for span in phases}
    assert {collector.parent(span).name for span in phases} == {run.name}
    assert len(agents) > len(phases)
    for span in agents:
        around = attributes(collector.parent(span))
        assert around["orchestrator.phase"] == attributes(span)["orchestrator.phase"]
        assert around["orchestrator.agent"] == attributes(span)["gen_ai.agent.name"]
    assert collector.named("chat") == []
    shown = cli.json("status", of_run["orchestrator.run.id"])
    assert shown["run_id"] == of_run["orchestrator.run.id"]
    assert collector.resources[0]["service.name"] == "my-team"
    assert not [name for name in collector.resources[0] if name.startswith("process.")], (
        "the command line has the brief"
    )
    assert collector.headers[0]["x-team"] == "blue"
    readme = (tmp_path / "out" / "README.md").read_text()
    for text in (brief, "canary", KEY, readme[:40]):
        assert not collector.holds(text), text
    assert collector.holds("architect"), "the measure sees what is sent"
    assert "canary" in readme.lower()


def test_a_real_run_tells_tokens_cost_and_retries_and_nothing_of_what_was_said(tmp_path: Path, told: Collector) -> None:
    """Retries are events of one call; the sum over all calls is what the ledger was charged; key, prompt, answer and
    the provider's words are nowhere, and no header of ours reached the provider."""

    async def go() -> tuple[Any, list[Any], list[Seen], int]:
        async with FakeAnthropic(default=worked_reply) as server:
            server.play([Reply(status=529, message=SAID), Reply(status=500, message=SAID)])
            async with opened(tmp_path, server, traces="otlp") as orchestrator:
                state = await orchestrator.run(request(workflow=SHORT))
                return state, await done_calls(orchestrator, state.run_id), server.requests, server.port

    state, rows, requests, port = asyncio.run(go())
    assert state.status == "completed"
    assert told.resources[0]["service.name"] == "orchestrator"
    calls = told.named("chat ")
    assert [attributes(span)["orchestrator.call"] for span in calls] == [row.key for row in rows]
    assert {span.kind for span in calls} == {Span.SPAN_KIND_CLIENT}
    assert [len(span.events) for span in calls] == [2, 0, 0, 0]
    assert [attributes(event)["http.response.status_code"] for event in calls[0].events] == [529, 500]
    assert attributes(calls[0])["orchestrator.sendings"] == 3
    assert sum(attributes(span)["orchestrator.cost_usd"] for span in calls) == pytest.approx(
        sum(row.completion.cost for row in rows) / 1e9
    )
    for span, row in zip(calls, rows, strict=True):
        of_call = attributes(span)
        assert of_call["gen_ai.usage.input_tokens"] == row.completion.usage.input_tokens
        assert of_call["gen_ai.usage.output_tokens"] == row.completion.usage.output_tokens
        assert (of_call["server.address"], of_call["server.port"]) == ("127.0.0.1", port)
        assert told.parent(span).name == f"invoke_agent {of_call['gen_ai.agent.name']}"
        assert told.parent(told.parent(span)).name == f"phase {of_call['orchestrator.phase']}"
    for seen in requests:
        assert seen.key == KEY or seen.headers["x-api-key"] == KEY
        assert not {"traceparent", "tracestate", "baggage"} & set(seen.headers)
    assert BRIEF[:40] in requests[-1].prompt
    for text in (KEY, SAID, BRIEF[:40], rows[0].completion.text[:30], "docs/first.md"):
        assert not told.holds(text), text
    assert told.holds("first/plan"), "the measure sees what is sent"


def test_a_failure_is_told_by_class_and_code_on_every_span_that_it_ended(tmp_path: Path, told: Collector) -> None:
    """What the provider said of it stands in the journal and not in the trace."""

    async def go() -> Any:
        refusing = FakeAnthropic(default=Reply(status=400, message=SAID))
        async with refusing as server, opened(tmp_path, server, traces="otlp") as orchestrator:
            return await orchestrator.run(request(workflow=SHORT))

    state = asyncio.run(go())
    assert state.status == "failed"
    assert SAID in repr(state)
    assert {span.name for span in told.spans} == {
        "invoke_workflow short", "phase first", "invoke_agent architect", "chat claude-sonnet-5-5",
    }  # fmt: skip
    for span in told.spans:
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert span.status.message == ""
        assert attributes(span)["orchestrator.error.code"] == "request_rejected"
    assert not told.holds(SAID)


def test_what_a_resumed_run_had_recorded_is_marked_as_not_sent(tmp_path: Path, told: Collector) -> None:
    """Each drive is a trace; the answer that was paid for in the first is no client's call in the second, and the sum
    over both is what the run cost."""

    async def go() -> Any:
        async with FakeAnthropic(default=worked_reply) as server:
            server.play([worked_reply, Reply(status=402, message=SAID)])
            async with opened(tmp_path, server, traces="otlp") as orchestrator:
                state = await orchestrator.run(request(workflow=SHORT))
                assert state.status == "needs_attention"
                state = await orchestrator.resume(state.run_id)
                return state, await done_calls(orchestrator, state.run_id)

    state, rows = asyncio.run(go())
    assert state.status == "completed"
    runs = told.named("invoke_workflow ")
    assert len({span.trace_id for span in runs}) == 2
    assert {attributes(span)["orchestrator.run.id"] for span in runs} == {state.run_id}
    plans = [span for span in told.named("chat ") if attributes(span)["orchestrator.call"] == "first/plan"]
    assert [span.kind for span in plans] == [Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL]
    assert [attributes(span)["orchestrator.recorded"] for span in plans] == [False, True]
    spent = sum(attributes(span).get("orchestrator.cost_usd", 0.0) for span in told.named("chat "))
    assert spent == pytest.approx(sum(row.completion.cost for row in rows) / 1e9)


def test_a_replay_is_traced_and_sends_nothing(tmp_path: Path, told: Collector) -> None:
    """Its calls are marked as recorded; nothing of it is a client's."""

    async def go() -> str:
        working = FakeAnthropic(default=worked_reply)
        async with working as server, opened(tmp_path, server, traces="otlp") as orchestrator:
            state = await orchestrator.run(request(workflow=SHORT))
            return (await orchestrator.replay(state.run_id)).run_id

    replayed = asyncio.run(go())
    calls = [span for span in told.named("chat ") if attributes(span)["orchestrator.run.id"] == replayed]
    assert len(calls) == 4
    assert {span.kind for span in calls} == {Span.SPAN_KIND_INTERNAL}
    assert all(attributes(span)["orchestrator.recorded"] for span in calls)


def test_a_call_by_batch_waits_and_is_no_failure(tmp_path: Path, told: Collector) -> None:
    """The drive that hands it in ends without an error; the one that collects it has the tokens."""

    async def go() -> Any:
        desk = FakeAnthropicBatches(worked_reply, polls=0)
        async with desk as server, opened(tmp_path, server, traces="otlp") as orchestrator:
            state = await orchestrator.run(request(workflow=SHORT, batch=True))
            assert state.status == "waiting_provider"
            await orchestrator.resume(state.run_id)

    asyncio.run(go())
    handed_in, collected = told.named("chat ")[:2]
    assert attributes(handed_in)["orchestrator.waits_for"] == "batch_pending"
    assert handed_in.kind == collected.kind == Span.SPAN_KIND_CLIENT
    assert attributes(collected)["gen_ai.usage.input_tokens"] > 0
    assert {span.status.code for span in told.spans} == {Status.STATUS_CODE_UNSET}


def test_a_collector_that_is_away_costs_a_warning_and_no_run(tmp_path: Path, collector: Collector) -> None:
    """The run is done as ever; the log has one line of it, and the process ends within the seconds that are allowed."""
    collector.close()
    cli = Cli(tmp_path, **collector.environment)
    started = time.monotonic()
    done = cli("run", "A pomodoro timer with statistics", "--workflow", cli.short_workflow())
    took = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    assert took < 5.0 + 8.0
    lines = (tmp_path / "data" / "logs" / "orchestrator.log").read_text().splitlines()
    assert len([line for line in lines if "traces cannot be sent" in line]) == 1
    assert len(lines) == 1
    assert "traces" not in done.stdout + done.stderr
