"""Agents without a model: the templates' steps, free, marked as simulated; and the engine's way to the agents."""

from __future__ import annotations

import asyncio

import immutables
import msgspec
import pytest

from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.factory import agent_runner, create_agent, run_agent
from orchestrator_v2.agents.schemas import AgentPlan, PlanStep
from orchestrator_v2.core.errors import CredentialMissingError
from orchestrator_v2.core.events import RunStarted
from orchestrator_v2.core.records import SIMULATED, Artifact
from orchestrator_v2.core.usage import NO_USAGE
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import Claim, RunContext
from orchestrator_v2.engine.state_models import PhaseState, ProjectState, TaskDefinition
from orchestrator_v2.engine.task_runner import AgentInput
from orchestrator_v2.testing.scripted_llm import ScriptedLLM


class Step(msgspec.Struct, frozen=True):
    title: str
    summary: str
    files: dict[str, str]
    approved: bool | None = None


class Simulation:
    """Gives prepared steps and remembers what it was asked."""

    def __init__(self, *steps):
        self.steps = steps
        self.asked = []

    def __call__(self, role, phase, **given):
        self.asked.append((role, phase, given))
        return list(self.steps)


PLANNING = Phase(id="planning", agent="architect", needs=("intake",), outputs=("docs/requirements.md",))
TASK = TaskDefinition(run_id="r", phase=PLANNING, feedback="more")
WROTE = Step("Write", "Wrote them.", {"docs/requirements.md": "## R1: x\n"})


def test_simulated_work_is_free_marked_and_the_templates_own():
    """Each step of the plan is the template's step, and the output says simulated, at no cost."""
    simulation = Simulation(WROTE, Step("Judge", "Fine.", {}, approved=True))
    agent = create_agent("architect", simulate=simulation)
    context = AgentContext(brief="A timer", upstream={"docs/intake.md": "i"}, answers={"q": "a"})
    plan = agent.plan_sync(TASK, PLANNING, None, context)
    output = agent.act_sync(plan, None, context)
    assert [step.title for step in plan.steps] == ["Write", "Judge"]
    assert {file.path: file.content for file in output.files} == WROTE.files
    assert output.approved is True
    assert (output.provenance, output.usage, plan.provenance, plan.usage) == (SIMULATED, NO_USAGE, SIMULATED, NO_USAGE)
    given = {"brief": "A timer", "answers": {"q": "a"}, "inputs": {"docs/intake.md": "i"}, "feedback": "more"}
    assert simulation.asked == [("architect", "planning", given)] * 2


def test_a_simulated_file_outside_of_the_phases_outputs_is_left_out_and_said_so():
    """A user's own workflow can be tried without a model, and nothing lands where it was not declared."""
    simulation = Simulation(Step("Write", "w", {"docs/other.md": "x", "docs/requirements.md": "y"}))
    work = asyncio.run(run_agent(TASK, AgentContext(brief="b"), create_agent("architect", simulate=simulation)))
    assert [file.path for file in work.files] == ["docs/requirements.md"]
    assert any("docs/other.md" in note for note in work.notes)


def test_a_plan_of_more_steps_than_the_templates_have_is_answered_in_words():
    """What nothing was made for is not called made."""
    plan = AgentPlan(summary="s", steps=[PlanStep(title="Write"), PlanStep(title="Fly")])
    agent = create_agent("architect", simulate=Simulation(WROTE))
    output = agent.act_sync(plan, None, AgentContext(brief="b", task=TASK))
    assert output.notes == ["No template makes 'Fly'."]


def test_real_mode_without_a_credential_is_refused_before_any_work():
    """Neither initialize nor plan simulates what was asked for as real."""
    simulation = Simulation(WROTE)
    agent = create_agent("architect", simulate=simulation)
    context = AgentContext(brief="b", mode="real")
    for call in (
        lambda: agent.initialize_sync(None, context),
        lambda: agent.plan_sync(TASK, None, None, context),
        lambda: agent.act_sync(AgentPlan(summary="s", steps=[PlanStep(title="t")]), None, context),
    ):
        with pytest.raises(CredentialMissingError):
            call()
    assert simulation.asked == []


def _given(mode):
    intake = Phase(id="intake", agent="architect")
    workflow = Workflow(name="w", phases=(intake, PLANNING))
    started = RunStarted(
        project_id="p", name="n", brief="hash", workflow=workflow, mode=mode, answers={"Sound?": "No sound"}
    )
    made = PhaseState(artifacts=(Artifact("docs/intake.md", "h", 1),))
    state = ProjectState(run_id="r", started=started, phases=immutables.Map({"intake": made}))

    async def read(hashes):
        return {one: "Ein Wecker ü".encode() for one in hashes}

    context = RunContext(state=state, graph=PhaseGraph(workflow), read=read, claim=Claim("r", 1, 1))
    return AgentInput(context=context, upstream={"docs/intake.md": "the intake"}, current={})


def test_the_engine_reaches_a_simulated_agent_without_opening_a_client():
    """A simulated run asks nobody for a client, and its task gets brief, answers, upstream and feedback."""
    simulation = Simulation(WROTE)

    async def no_client(task, context):
        raise AssertionError("a simulated run opened a client")

    work = agent_runner(no_client, lambda name: create_agent(name, simulate=simulation))
    outcome = asyncio.run(work(TASK, _given("simulated")))
    assert outcome.files[0].content == b"## R1: x\n"
    assert outcome.files[0].provenance == SIMULATED
    assert simulation.asked[0][2] == {
        "brief": "Ein Wecker ü",
        "answers": {"Sound?": "No sound"},
        "inputs": {"docs/intake.md": "the intake"},
        "feedback": "more",
    }


def test_the_engine_reaches_a_model_with_the_runs_client():
    """A real run's task asks the client that the run was given, and the outcome carries its usage."""
    client = ScriptedLLM(
        [
            '{"summary": "s", "steps": [{"title": "t"}]}',
            '{"summary": "s", "files": [{"path": "docs/requirements.md", "content": "## R1: y\\n"}]}',
        ]
    )

    async def client_for(task, context):
        return client

    outcome = asyncio.run(agent_runner(client_for)(TASK, _given("real")))
    assert outcome.provenance.kind == "real"
    assert outcome.usage.calls == 2
    assert outcome.usage.cost is None
    for words in ("Ein Wecker ü", "No sound", "the intake", "more"):
        assert words in client.calls[0].text
