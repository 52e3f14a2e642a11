"""What is in a span and what never is, where it stands, and that nobody who wants no traces pays for them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes
from walk_cases import Watched, raising

from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.factory import create_agent, run_agent
from orchestrator_v2.agents.traced_agent import traced_agents
from orchestrator_v2.config.loader import load_settings
from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import (
    BatchPendingError,
    BudgetExceededError,
    ConfigError,
    InvalidOutputError,
    RateLimitedError,
    RefusalError,
    RequestRejectedError,
    RunStateError,
)
from orchestrator_v2.core.secrets import REDACTED, Secret
from orchestrator_v2.core.tracing import NO_TRACER
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.core.workflow import Gate, Phase
from orchestrator_v2.durable.embedded import EmbeddedDriver
from orchestrator_v2.engine.state_models import PhaseStatus, TaskDefinition, TaskOutcome
from orchestrator_v2.llm.catalog import ModelInfo, load_catalog
from orchestrator_v2.llm.types import Completion, InvokeOptions, LLMConfig, Message, ToolCall, ToolSpec
from orchestrator_v2.llm.wrappers.traced import PROVIDERS, SendingClient, TracedClient
from orchestrator_v2.persistence.journal import open_journal
from orchestrator_v2.telemetry.trace_export import VENDORS_LOGGER, ToldOnce
from orchestrator_v2.telemetry.traced_runs import TracedDriver
from orchestrator_v2.telemetry.tracing import LONGEST, OtelTracer, open_tracer
from orchestrator_v2.testing.engines import Bench
from orchestrator_v2.testing.memory_ledger import MemoryCallLedger
from orchestrator_v2.testing.scripted_llm import ScriptedLLM, scripted_factory

KEY = "sk-ant-api03-planted-canary-value"
PLAIN_KEY = "a key of no known shape"
PROMPT = "the-canary-of-the-prompt"
# The ends of the conventions' names for what holds texts.
CAPTURED = ("prompt", "completion", "messages", "instructions", "definitions", "arguments", "result", "sequences")
CONFIG = LLMConfig("anthropic", "claude-sonnet-5-5", Secret(KEY))
USED = Usage(10, 20, cache_read_tokens=4, cache_write_tokens=3, calls=1, cost=None)


class Traces:
    """A tracer whose spans stay here, in the order of their beginning."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = OtelTracer(provider, secrets=[Secret(PLAIN_KEY)])

    @property
    def spans(self) -> list[ReadableSpan]:
        return sorted(self._kept.get_finished_spans(), key=lambda span: span.start_time or 0)

    @property
    def tree(self) -> dict[str, str]:
        """Each span's name, and the name of the one around it."""
        names = {span.context.span_id: span.name for span in self.spans}
        return {span.name: names[span.parent.span_id] if span.parent else "" for span in self.spans}

    def __getitem__(self, name: str) -> ReadableSpan:
        return next(span for span in self.spans if span.name == name)


@pytest.fixture
def traces() -> Traces:
    return Traces()


def test_the_names_are_those_of_the_conventions(traces: Traces) -> None:
    """Every `gen_ai`, `server`, `error` and `http` attribute that is sent stands in the installed conventions."""
    chain = client(traces, ["Hello.", RefusalError("no", status=400)])
    options = InvokeOptions(max_tokens=100, seed=7, temperature=0.5, response_schema={"type": "object"})
    asyncio.run(chain.invoke([Message("user", PROMPT)], options, key="a"))
    with pytest.raises(RefusalError):
        ask(chain)
    modules = (gen_ai_attributes, server_attributes, error_attributes, http_attributes)
    known = {value for module in modules for value in vars(module).values() if isinstance(value, str)}
    sent = {name for span in traces.spans for name in span.attributes if not name.startswith("orchestrator.")}
    assert len(sent) >= 12
    assert sent <= known
    operations = values(gen_ai_attributes.GenAiOperationNameValues)
    assert {"chat", "invoke_agent", "invoke_workflow"} <= operations
    assert set(PROVIDERS.values()) <= values(gen_ai_attributes.GenAiProviderNameValues)
    assert set(PROVIDERS) <= set(load_catalog())


def values(words: type[Enum]) -> set[str]:
    return {word.value for word in words}


def test_spans_nest_and_carry_what_is_known_of_the_whole(traces: Traces) -> None:
    """What stands on a run stands on all spans inside, also in tasks that were started there; siblings share none."""

    async def inside(name: str) -> None:
        with traces.tracer.span(name, carried={"orchestrator.phase": name}):
            await asyncio.sleep(0)
            with traces.tracer.call(f"chat {name}"):
                await asyncio.sleep(0)

    async def go() -> None:
        with traces.tracer.span("run", carried={"orchestrator.run.id": "r1"}, root=True):
            await asyncio.gather(inside("one"), inside("two"))

    asyncio.run(go())
    assert traces.tree == {"run": "", "one": "run", "two": "run", "chat one": "one", "chat two": "two"}
    assert len({span.context.trace_id for span in traces.spans}) == 1
    assert dict(traces["chat two"].attributes) == {"orchestrator.run.id": "r1", "orchestrator.phase": "two"}


def test_a_run_begins_a_trace_that_is_linked_to_who_asked_for_it(traces: Traces) -> None:
    """It outlives the request: the request's span is no parent of it, and is found from it all the same."""
    web = TracerProvider(shutdown_on_exit=False).get_tracer("web")
    asking = web.start_as_current_span("POST /projects")
    with asking as request, traces.tracer.span("around"), traces.tracer.span("run", root=True):
        pass
    span = traces["run"]
    assert span.parent is None
    assert [link.context.span_id for link in span.links] == [request.get_span_context().span_id]
    assert span.context.trace_id != request.get_span_context().trace_id


def test_no_other_library_sees_our_spans(traces: Traces) -> None:
    """What puts OpenTelemetry's present span into the headers of what it sends finds none of ours."""
    with traces.tracer.span("run", root=True), traces.tracer.call("chat"):
        assert not trace.get_current_span().get_span_context().is_valid


def test_an_error_is_told_by_its_class_and_code(traces: Traces) -> None:
    """Its text, which may hold a prompt or a key, is nowhere in the span, and it passes on unchanged."""
    with pytest.raises(RateLimitedError), traces.tracer.span("work"):
        raise RateLimitedError(PROMPT, KEY, PROMPT)
    with pytest.raises(ValueError, match=PROMPT), traces.tracer.call("chat"):
        raise ValueError(PROMPT)
    told = traces["work"].attributes
    assert (told["error.type"], told["orchestrator.error.code"]) == ("RateLimitedError", "rate_limited")
    assert told["http.response.status_code"] == 429
    assert traces["chat"].attributes["error.type"] == "ValueError"
    for span in traces.spans:
        assert span.status.status_code is trace.StatusCode.ERROR
        assert span.status.description is None
        assert not span.events
        assert PROMPT not in span.to_json()
    with traces.tracer.span(PROMPT):
        pass
    assert PROMPT in traces.spans[-1].to_json(), "the check above is able to fail"


def test_a_batch_that_is_not_answered_yet_is_no_failure(traces: Traces) -> None:
    """The run sleeps until it is; a trace full of errors would say that something is broken."""
    with pytest.raises(BatchPendingError), traces.tracer.span("phase"), traces.tracer.call("chat"):
        raise BatchPendingError("later", retry_after=60.0)
    for span in traces.spans:
        assert span.status.status_code is trace.StatusCode.UNSET
        assert span.attributes["orchestrator.waits_for"] == "batch_pending"


def test_a_name_with_a_key_in_it_is_redacted_and_a_long_one_is_cut(traces: Traces) -> None:
    """A name comes from somebody's file: it may be a key by mistake, or no Unicode, and is sent all the same."""
    with traces.tracer.span(f"phase {KEY}", {"a": PLAIN_KEY, "b": ("\ud800", KEY), "c": "x" * 9_999}) as span:
        span.event("noted", {"d": PLAIN_KEY})
    told = traces.spans[0]
    assert told.name == f"phase {REDACTED}"
    assert dict(told.attributes) == {"a": REDACTED, "b": ("?", REDACTED), "c": "x" * LONGEST}
    assert dict(told.events[0].attributes) == {"d": REDACTED}


def client(traces: Traces, answers: list[object], **parts: object):
    """A client of the whole chain over a script under Anthropic's name."""
    factory, _ = scripted_factory(answers, name="anthropic")
    return factory.create_client(CONFIG, tracer=traces.tracer, **parts)


def ask(chain, key: str = "development/act/1") -> Completion:
    return asyncio.run(chain.invoke([Message("user", PROMPT)], InvokeOptions(max_tokens=100), key=key))


def test_a_model_call_is_one_span_with_its_tokens_and_its_cost(traces: Traces) -> None:
    """However often it is sent: each failed sending is an event, and the figures are those of the answer."""
    answer = Completion("Hello.", usage=USED)
    chain = client(traces, [RateLimitedError("later", retry_after=0.0), answer], ledger=MemoryCallLedger())
    given = ask(chain)
    (span,) = traces.spans
    assert (span.name, span.kind) == ("chat claude-sonnet-5-5", trace.SpanKind.CLIENT)
    told = dict(span.attributes)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "anthropic"
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert told["server.address"] == "api.anthropic.com"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (10, 20)
    assert given.cost
    assert told["orchestrator.cost_usd"] == pytest.approx(given.cost / 1e9)
    assert (told["orchestrator.sendings"], told["orchestrator.recorded"]) == (2, False)
    assert told["orchestrator.call"] == "development/act/1"
    (event,) = span.events
    assert event.name == "sending_failed"
    assert event.attributes["error.type"] == "RateLimitedError"
    assert span.start_time < event.timestamp < span.end_time
    assert PROMPT not in span.to_json()
    assert "Hello." not in span.to_json()


def test_no_text_of_a_request_or_an_answer_is_in_its_span(traces: Traces) -> None:
    """Not the system prompt, the schema, the tools, the stop words nor the model's wishes: capturing is not built."""
    tool = ToolSpec(PROMPT, PROMPT, {"type": "object", "title": PROMPT})
    options = InvokeOptions(system_prompt=PROMPT, stop_sequences=(PROMPT,), tools=(tool,))
    wish = ToolCall("id", PROMPT, {"x": PROMPT})
    answer = Completion(PROMPT, "tool_use", notes=(PROMPT,), request_id=PROMPT, tool_calls=(wish,))
    chain = TracedClient(SendingClient(ScriptedLLM([answer])), traces.tracer, load_info())
    asyncio.run(chain.invoke([Message("user", PROMPT)], options))
    schema = InvokeOptions(response_schema={"title": PROMPT})
    chain = TracedClient(SendingClient(ScriptedLLM([Completion(PROMPT)])), traces.tracer, load_info())
    asyncio.run(chain.invoke([Message("user", PROMPT)], schema))
    for span in traces.spans:
        assert PROMPT not in span.to_json()
        assert "gen_ai.response.finish_reasons" in span.attributes
        assert not {name for name in span.attributes if name.endswith(CAPTURED)}


def load_info() -> ModelInfo:
    return scripted_factory([], name="anthropic")[0].resolve(CONFIG)


def test_a_recorded_answer_is_marked_and_has_used_nothing_now(traces: Traces) -> None:
    """It is no client's span, and a sum of tokens or cost over all spans is what was really spent."""
    chain = client(traces, [Completion("Hello.", usage=USED)], ledger=MemoryCallLedger())
    first, again = ask(chain), ask(chain)
    assert again.recorded
    assert [span.kind for span in traces.spans] == [trace.SpanKind.CLIENT, trace.SpanKind.INTERNAL]
    told = traces.spans[1].attributes
    assert (told["orchestrator.recorded"], told["orchestrator.sendings"]) == (True, 0)
    costs = [span.attributes.get("orchestrator.cost_usd", 0.0) for span in traces.spans]
    assert first.cost
    assert sum(costs) == pytest.approx(first.cost / 1e9)
    assert not any(name.startswith("gen_ai.usage") for name in told)


def test_a_call_that_no_budget_lets_out_is_no_clients_span(traces: Traces) -> None:
    """Nothing was sent, and the span says so beside the error."""
    with pytest.raises(BudgetExceededError):
        ask(client(traces, ["Hello."], ledger=MemoryCallLedger(budget=1)))
    (span,) = traces.spans
    assert span.kind is trace.SpanKind.INTERNAL
    assert span.attributes["orchestrator.sendings"] == 0
    assert span.attributes["orchestrator.error.code"] == "budget_exceeded"


def test_an_answer_that_was_refused_has_its_cost_on_its_span(traces: Traces) -> None:
    """It was paid for, although the agent gets an error; a cut one and the longer one after it are two calls."""
    chain = client(traces, [Completion("No.", "refusal", usage=USED)], ledger=MemoryCallLedger())
    with pytest.raises(RefusalError):
        ask(chain)
    told = traces.spans[0].attributes
    assert told["gen_ai.response.finish_reasons"] == ("refusal",)
    assert told["orchestrator.cost_usd"] > 0
    longer = client(traces, [Completion("Hel", "length", usage=USED), "Hello."], ledger=MemoryCallLedger())
    ask(longer, key="second")
    assert [span.attributes["orchestrator.call"] for span in traces.spans[1:]] == ["second", "second/longer"]


def test_calls_at_once_keep_their_sendings_apart(traces: Traces) -> None:
    """Two calls of one client, of which one is sent again: each span has its own count."""
    answers = [RateLimitedError("later", retry_after=0.0), "One.", "Two."]
    chain = client(traces, answers, ledger=MemoryCallLedger())

    async def go() -> None:
        asked = [Message("user", PROMPT)]
        await asyncio.gather(chain.invoke(asked, key="one"), chain.invoke(asked, key="two"))

    asyncio.run(go())
    assert sorted(span.attributes["orchestrator.sendings"] for span in traces.spans) == [1, 2]


def layers(chain) -> list[str]:
    found, link = [], chain.chain
    while link is not None:
        found.append(type(link).__name__)
        link = getattr(link, "inner", None)
    return found


def test_without_traces_nothing_of_them_stands_in_the_chain(traces: Traces) -> None:
    """The wrappers of tracing are left out, so that a call passes no more layers than before; with them, they stand
    where they should."""
    factory, _ = scripted_factory([], name="anthropic")
    parts = {"ledger": MemoryCallLedger(), "log": lambda record: None}
    plain = layers(factory.create_client(CONFIG, **parts))
    traced = layers(factory.create_client(CONFIG, **parts, tracer=traces.tracer))
    ours = [TracedClient.__name__, SendingClient.__name__]
    assert [name for name in traced if name not in ours] == plain
    assert traced[:3] == ["WholeClient", "TracedClient", "RetryingClient"]
    assert traced.index("SendingClient") + 1 == traced.index("LoggedClient")


def test_the_tracer_that_is_off_takes_everything_and_does_nothing() -> None:
    """Whoever calls it notices no difference: errors pass, and nothing is open."""
    assert not NO_TRACER.on
    with pytest.raises(RequestRejectedError), NO_TRACER.span("a", root=True) as span, NO_TRACER.call("b") as call:
        for one in (span, call):
            one.set({"a": 1})
            one.event("b")
            one.failed({"c": "d"})
            one.reached()
        raise RequestRejectedError("no")
    asyncio.run(NO_TRACER.aclose())


def test_a_task_belongs_to_its_run_wherever_it_was_started(traces: Traces) -> None:
    """What listens for signals was begun by another run: a task that it starts is inside its own run's span."""
    runner, review = Watched(), Phase("b", "architect", gate=Gate(review="human"))

    async def go() -> None:
        clock = SystemClock()
        journal = await open_journal("memory:", clock=clock)
        driver = TracedDriver(EmbeddedDriver(journal, clock), traces.tracer)
        bench = Bench(journal, driver.tasks(runner), clock)
        runner.gates |= {"a": asyncio.Event(), "c": asyncio.Event()}
        first = await bench.start([Phase("a", "qa")])
        second = await bench.start([review, Phase("c", "data"), Phase("d", "qa", needs=("b",))])
        drives = [asyncio.create_task(driver.drive(session)) for session in (first, second)]
        await until(lambda: second.state.phase("b").status is PhaseStatus.WAITING_REVIEW)
        seen = second.state.phase("b").reviewed
        await bench.engine.decide(second.state.run_id, "b", approved=True, by="me", content=seen, reason="")
        await until(lambda: "d" in runner.keys)
        with pytest.raises(RunStateError):
            await driver.drive(second)
        for gate in runner.gates.values():
            gate.set()
        await asyncio.gather(*drives)

    asyncio.run(asyncio.wait_for(go(), 10))
    runs = {span.context.span_id: span.attributes["orchestrator.run.id"] for span in traces.spans if not span.parent}
    tasks = [span for span in traces.spans if span.parent]
    assert len(runs) == 2
    assert sorted(span.name for span in tasks) == ["phase a", "phase b", "phase c", "phase d"]
    for span in tasks:
        assert runs[span.parent.span_id] == span.attributes["orchestrator.run.id"]


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


def test_a_drive_says_how_its_run_stands(traces: Traces) -> None:
    """A run that failed is an error by its code; one that waits is none, although the phase in it met one."""
    waits = raising(RateLimitedError(PROMPT, retry_after=60.0))
    for answer in (raising(InvalidOutputError(PROMPT)), waits, lambda task: TaskOutcome("ok", usage=USED)):
        asyncio.run(driven(traces, Watched(a=answer)))
    told = [span for span in traces.spans if not span.parent]
    ends = [(span.attributes["orchestrator.run.status"], span.status.is_ok) for span in told]
    assert ends == [("failed", False), ("waiting_provider", True), ("completed", True)]
    assert told[0].attributes["error.type"] == "invalid_output"
    assert told[2].attributes["orchestrator.total.input_tokens"] == 10
    phases = [span.attributes.get("error.type") for span in traces.spans if span.parent]
    assert phases == ["InvalidOutputError", "RateLimitedError", None]
    assert PROMPT not in "".join(span.to_json() for span in traces.spans)


async def driven(traces: Traces, runner: Watched) -> None:
    clock = SystemClock()
    journal = await open_journal("memory:", clock=clock)
    driver = TracedDriver(EmbeddedDriver(journal, clock), traces.tracer)
    await driver.drive(await Bench(journal, driver.tasks(runner), clock).start([Phase("a", "qa")]))


def test_an_agents_plan_and_steps_are_spans_of_their_own(traces: Traces) -> None:
    """Each says whose work it is and which step; what is in the plan is nowhere."""
    plan = {"summary": PROMPT, "steps": [{"title": PROMPT, "detail": PROMPT}] * 2}
    made = {"summary": PROMPT, "files": [{"path": f"docs/{PROMPT}.md", "content": PROMPT}]}
    model = ScriptedLLM([json.dumps(plan), json.dumps(made), json.dumps(made)])
    context = AgentContext(client=model, brief=PROMPT)
    task = TaskDefinition("run_1", Phase("planning", "winston", outputs=("docs/**",)))
    create = traced_agents(create_agent, traces.tracer)
    work = asyncio.run(run_agent(task, context, create("winston")))
    assert [file.path for file in work.files] == [f"docs/{PROMPT}.md"]
    assert {span.name for span in traces.spans} == {"invoke_agent architect"}
    assert [span.attributes["orchestrator.step"] for span in traces.spans] == ["plan", "act/1", "act/2"]
    assert all(span.attributes["gen_ai.agent.name"] == "architect" for span in traces.spans)
    assert PROMPT not in "".join(span.to_json() for span in traces.spans)


def test_without_the_packages_the_error_says_what_to_install() -> None:
    """Whoever wants traces and has not what sends them is told before anything is started."""
    done = python(
        "import sys; sys.modules['opentelemetry.sdk.trace'] = None\n"
        "from orchestrator_v2.core.errors import MissingExtraError\n"
        "from orchestrator_v2.telemetry.tracing import open_tracer\n"
        "try: open_tracer('1')\n"
        "except MissingExtraError as error: print(error)"
    )
    assert "pip install 'orchestrator-v2[otel]'" in done


def test_nothing_of_opentelemetry_is_imported_while_traces_are_off(tmp_path: Path) -> None:
    """A simulated run without traces loads none of it; the same with traces does, so the measure works."""
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from orchestrator_v2 import RunRequest, open_orchestrator\n"
        "from orchestrator_v2.config.loader import load_settings\n"
        "async def go(traces):\n"
        f"    flags = {{'data_dir': {str(tmp_path)!r} + '/' + traces, 'traces': traces}}\n"
        "    async with await open_orchestrator(load_settings(flags, {}, Path('/'), Path('/'))) as orchestrator:\n"
        "        await orchestrator.run(RunRequest('A pomodoro timer with statistics', workflow=sys.argv[1]))\n"
        "    print(any(name.startswith('opentelemetry') for name in sys.modules))\n"
        "asyncio.run(go('off')); asyncio.run(go('otlp'))\n"
    )
    workflow = tmp_path / "one.yaml"
    workflow.write_text("name: one\nphases: [{id: intake, agent: architect, outputs: ['docs/**']}]\n")
    assert python(code, str(workflow), OTEL_SDK_DISABLED="true").split() == ["False", "True"]


def python(code: str, *arguments: str, **environment: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_variables_that_cannot_be_used_are_said_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would end the process with its own words in the middle of a run."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    with pytest.raises(ConfigError, match="OTEL_"):
        open_tracer("1")


def test_a_folder_cannot_turn_traces_on(tmp_path: Path) -> None:
    """A `.env` that came with somebody's repository does not have a collector told what is done there."""
    (tmp_path / ".env").write_text("ORCHESTRATOR_TRACES=otlp\n")
    with pytest.raises(ConfigError, match=r"ORCHESTRATOR_TRACES \(\.env\): not taken from there"):
        load_settings({}, {}, tmp_path, tmp_path)
    (tmp_path / ".env").unlink()
    assert load_settings({}, {"ORCHESTRATOR_TRACES": "otlp"}, tmp_path, tmp_path).settings.traces == "otlp"


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield server.getsockname()[1]


def test_a_collector_that_is_not_there_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However many spans are lost: no error, one line, and it says why and where this is set."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert lost(monkeypatch, port, flush=2.5, batches=3, tries=1) < 4.0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in caplog.text


def test_a_collector_that_hangs_does_not_keep_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, silent: int
) -> None:
    """Closing waits for so long and no longer, and says that something was left."""
    assert 0.4 < lost(monkeypatch, silent, flush=0.4, batches=1, tries=4) < 2.0
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def lost(monkeypatch: pytest.MonkeyPatch, port: int, *, flush: float, batches: int, tries: float) -> float:
    """How long closing took (seconds), with nobody at `port`; the exporter goes on for `tries` seconds by itself."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(tries))
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    tracer = open_tracer("1", flush=flush)
    for number in range(batches):
        with tracer.span(f"span {number}"):
            pass
    started = time.monotonic()
    asyncio.run(tracer.aclose())
    return time.monotonic() - started


def test_our_filter_hides_no_other_exporters_words(caplog: pytest.LogCaptureFixture) -> None:
    """A program that sends traces of its own in this process still reads what its exporter says, also meanwhile."""
    logger = logging.getLogger(VENDORS_LOGGER)

    class Failing:
        def export(self, spans: object) -> SpanExportResult:
            logger.error("of our exporter")
            other = threading.Thread(target=logger.error, args=["of another exporter"])
            other.start()
            other.join()
            return SpanExportResult.FAILURE

    exporter = ToldOnce(Failing())
    exporter.export([])
    exporter.export([])
    assert [record.name.partition(".")[0] for record in caplog.records].count("orchestrator_v2") == 1
    assert caplog.text.count("of another exporter") == 2
    assert caplog.text.count("of our exporter") == 1, "as the reason in our own warning"
    assert not logger.filters
