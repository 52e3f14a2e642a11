"""Agents that ask a model: which calls they make, with which prompts, and what becomes of bad answers."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import msgspec
import pytest

from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.factory import AgentWork, create_agent, run_agent
from orchestrator_v2.agents.schemas import AgentPlan, PlanStep
from orchestrator_v2.core.errors import (
    AuthenticationError,
    InvalidOutputError,
    OutputTruncatedError,
    RefusalError,
    SyncInLoopError,
)
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.core.workflow import Gate, Phase
from orchestrator_v2.engine.state_models import TaskDefinition
from orchestrator_v2.llm.types import Completion
from orchestrator_v2.testing.scripted_llm import ScriptedLLM

PLANTED = "sk-ant-api03-planted-0123456789abcdef"
DEVELOPMENT = Phase(id="development", agent="developer", outputs=("src/**",))
TASK = TaskDefinition(run_id="run_1", phase=DEVELOPMENT)


def _plan(*titles):
    return json.dumps({"summary": "the plan", "steps": [{"title": title, "detail": f"do {title}"} for title in titles]})


def _output(files=(), **fields):
    listed = [{"path": path, "content": content} for path, content in dict(files).items()]
    return json.dumps({"summary": "made", "files": listed, **fields})


def _run(client, task=TASK, **fields):
    context = AgentContext(client=client, brief="A pomodoro timer", **fields)
    return asyncio.run(run_agent(task, context))


def test_each_step_is_acted_on_once_as_itself_with_what_earlier_steps_made():
    """N steps give N different calls; each names its own step, and sees the files of those before it."""
    client = ScriptedLLM(
        [
            _plan("alpha", "beta", "gamma"),
            _output({"src/a.py": "A = 1\n", "src/b.py": "old\n"}),
            _output({"src/b.py": "B = 2\n"}, notes=["a note"]),
            _output({"src/c.py": "C = 3\n"}, removed=["src/a.py"]),
        ]
    )
    work = _run(client)
    assert [call.key for call in client.calls] == [
        "development/plan",
        "development/act/1",
        "development/act/2",
        "development/act/3",
    ]
    acts = [call.messages[-1].content for call in client.calls[1:]]
    assert len(set(acts)) == 3
    for number, title in enumerate(("alpha", "beta", "gamma")):
        assert [f"do {title}" in act for act in acts] == [position == number for position in range(3)]
    assert "A = 1" in acts[1]
    assert "A = 1" not in acts[0]
    assert "B = 2" in acts[2]
    assert "old\n" not in acts[2]
    assert {file.path: file.content for file in work.files} == {"src/b.py": b"B = 2\n", "src/c.py": b"C = 3\n"}
    assert work.removed == ("src/a.py",)
    assert work.notes == ("a note",)


def test_the_brief_the_upstream_and_the_feedback_reach_every_prompt_and_the_key_none():
    """What the agents need is there; a key that a user pasted into the brief is not sent back out."""
    client = ScriptedLLM([_plan("alpha"), _output({"src/a.py": "x\n"})])
    _run(
        client,
        upstream={"docs/architecture.md": f"# Layers of the timer, key {PLANTED}"},
        feedback="AC2.1 is red",
        answers={"Sound?": "No"},
        llm_api_key=PLANTED,
        user_id="user-77",
    )
    assert len(client.calls) == 2
    for call in client.calls:
        for words in ("A pomodoro timer", "# Layers of the timer", "AC2.1 is red", "Sound?"):
            assert words in call.text
        assert PLANTED not in call.text
        assert "[redacted]" in call.text
        assert "A pomodoro timer" not in call.options.system_prompt
        assert call.options.max_tokens > 0
        assert call.options.response_schema is not None


def test_usage_and_provenance_of_all_calls_are_summed():
    """What a task cost is what all its calls cost; an unknown price stays unknown, one fallback makes it fallback."""
    real, fallback = Provenance("real", "p", "m"), Provenance("fallback", "p", "m2")
    client = ScriptedLLM(
        [
            Completion(_plan("alpha", "beta"), usage=Usage(10, 1, calls=1, cost=5), provenance=real),
            Completion(_output(), usage=Usage(20, 2, calls=1, cost=7), provenance=fallback, notes=("told",)),
            Completion(_output(), usage=Usage(30, 3, calls=1, cost=None), provenance=real),
        ]
    )
    work = _run(client)
    assert work.usage == Usage(60, 6, calls=3, cost=None)
    assert work.provenance == fallback
    assert "told" in work.notes


def test_a_wrong_answer_gets_one_corrective_turn_that_shows_it_and_names_the_faults():
    """The conversation goes on under a key of its own, and its answer counts."""
    bad = '{"steps": []}'
    client = ScriptedLLM([bad, _plan("alpha"), _output({"src/a.py": "x\n"})])
    work = _run(client)
    first, fix = client.calls[:2]
    assert (first.key, fix.key) == ("development/plan", "development/plan/fix")
    assert fix.messages[: len(first.messages)] == first.messages
    assert fix.messages[-2].role == "assistant"
    assert fix.messages[-2].content == bad
    assert "summary" in fix.messages[-1].content
    assert "steps" in fix.messages[-1].content
    assert fix.options == first.options
    assert work.usage.calls == 3


def test_an_answer_that_stays_wrong_is_an_invalid_output_error():
    """There is no third try, and the error says which call it was and what was wrong."""
    client = ScriptedLLM(["no json at all", "still none", _plan("never asked for")])
    with pytest.raises(InvalidOutputError, match="development/plan") as caught:
        _run(client)
    assert len(client.calls) == 2
    assert "JSON" in caught.value.why


def test_a_file_of_another_phase_is_refused_and_then_fails_the_task():
    """A phase cannot overwrite what is not its own, and the corrective turn says what it may write."""
    stray = _output({"docs/requirements.md": "mine now"})
    client = ScriptedLLM([_plan("alpha"), stray, stray])
    with pytest.raises(InvalidOutputError, match=r"docs/requirements\.md"):
        _run(client)
    assert "src/**" in client.calls[2].messages[-1].content


def test_a_cut_or_refused_answer_is_never_parsed():
    """Also without the wrapper that asks again, half a file is an error."""
    whole = _plan("alpha")
    for reason, error in (("length", OutputTruncatedError), ("refusal", RefusalError)):
        client = ScriptedLLM([Completion(whole, finish_reason=reason)])
        with pytest.raises(error):
            _run(client)


def test_a_providers_error_passes_through_untouched():
    """It decides whether the run parks; no agent turns it into an answer."""
    client = ScriptedLLM([_plan("alpha"), AuthenticationError("The key was refused.")])
    with pytest.raises(AuthenticationError):
        _run(client)


def test_the_same_task_sends_the_same_requests_under_the_same_keys_in_every_attempt():
    """A retried attempt finds all its recorded answers; a new round has keys of its own."""
    runs = []
    for attempt, round_ in ((1, 1), (3, 1), (1, 2)):
        client = ScriptedLLM([_plan("alpha"), _output({"src/a.py": "x\n"})])
        task = msgspec.structs.replace(TASK, attempt=attempt, round=round_)
        _run(client, task, upstream={"docs/a.md": "a"})
        runs.append(client.calls)
    assert runs[0] == runs[1]
    assert [call.key for call in runs[2]] == ["development.r2/plan", "development.r2/act/1"]


def test_a_reviewing_phase_must_give_its_verdict_in_the_last_step():
    """No verdict is a wrong answer; a verdict of an earlier step does not count."""
    phase = Phase(id="design_review", agent="consensus", outputs=("docs/**",), gate=Gate(review="agent"))
    client = ScriptedLLM(
        [_plan("look", "doubt", "judge"), _output(), _output(approved=False), _output(), _output(approved=True)]
    )
    work = _run(client, TaskDefinition(run_id="r", phase=phase))
    assert client.calls[-1].key == "design_review/act/3/fix"
    assert "approved" in client.calls[-1].messages[-1].content
    assert work.approved is True


def test_a_phase_that_does_not_review_has_no_verdict():
    """An approval that nobody asked for does not decide anything."""
    assert _run(ScriptedLLM([_plan("alpha"), _output(approved=True)])).approved is None


def test_what_was_left_out_of_a_full_prompt_stands_in_the_notes():
    """The user can see that an agent did not see everything."""
    client = ScriptedLLM([_plan("alpha"), _output({"src/a.py": "x\n"})])
    huge = "x " * 400_000
    work = _run(client, upstream={"docs/reviews/design.md": huge, "docs/architecture.md": "# Parts"})
    assert any("docs/reviews/design.md" in note for note in work.notes)
    assert "# Parts" in client.calls[0].text
    assert huge[:1_000] not in client.calls[0].text


def test_an_agent_is_used_alone_with_a_sentence_and_a_plan_of_ones_own():
    """No engine, no state: a task is a sentence, and a hand-made plan is acted on as it is."""
    client = ScriptedLLM([_output({"notes.md": "hello\n"})])
    agent = create_agent("writer")
    context = AgentContext(client=client, task="Write a note", key_prefix="mine")
    agent.initialize_sync(None, context)
    output = agent.act_sync(AgentPlan(summary="s", steps=[PlanStep(title="t")]), None, context)
    assert output.files[0].path == "notes.md"
    assert client.calls[0].key == "mine/act/1"
    assert "Write a note" in client.calls[0].text


def test_a_context_with_a_key_only_opens_a_client_and_closes_it():
    """The user's credential is enough, and no connection stays behind."""
    client = ScriptedLLM([_plan("alpha"), _output({"src/a.py": "x\n"})])
    seen = []

    @asynccontextmanager
    async def open_client(context):
        seen.append(context.credential.reveal())
        yield client
        seen.append("closed")

    agent = create_agent("developer", open_client=open_client)
    context = AgentContext(llm_api_key=PLANTED, brief="A timer")
    work = asyncio.run(run_agent(TASK, context, agent))
    assert isinstance(work, AgentWork)
    assert seen == [PLANTED, "closed", PLANTED, "closed"]
    assert work.provenance.kind == "real"


def test_the_sync_twins_work_outside_a_loop_and_refuse_inside_one():
    """They would wait for the loop that they block."""
    client = ScriptedLLM([_plan("alpha"), _output({"src/a.py": "x\n"})])
    context = AgentContext(client=client, brief="A timer")
    agent = create_agent("developer")
    plan = agent.plan_sync(TASK, DEVELOPMENT, None, context)
    assert agent.act_sync(plan, None, context).files[0].content == "x\n"

    async def inside():
        for call in (
            lambda: agent.initialize_sync(None, context),
            lambda: agent.plan_sync(TASK, DEVELOPMENT, None, context),
            lambda: agent.act_sync(plan, None, context),
        ):
            with pytest.raises(SyncInLoopError, match="without `_sync`"):
                call()

    asyncio.run(inside())
    assert len(client.calls) == 2
