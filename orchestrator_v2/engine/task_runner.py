"""One task from start to outcome: gather what the phase stands on, let the agent work, measure what it made.

The agent is a callable that bootstrap gives; the engine's own phases write the report. Events and state are
the session's business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from msgspec.structs import replace

from orchestrator_v2.core.records import ENGINE, Artifact
from orchestrator_v2.core.workflow import Phase
from orchestrator_v2.engine import gates, report
from orchestrator_v2.engine.phase_graph import ENGINE_AGENT, PhaseGraph
from orchestrator_v2.engine.ports import Claim, Evidence, RunContext
from orchestrator_v2.engine.scheduler import owners_besides, upstream_artifacts, whole_tree
from orchestrator_v2.engine.state_models import OutputFile, ProjectState, TaskDefinition, TaskOutcome


class AgentInput(msgspec.Struct, frozen=True):
    """What an agent is given beside its task: texts by path, of the phases below and of its own last round."""

    context: RunContext
    upstream: Mapping[str, str]
    current: Mapping[str, str]


AgentCall = Callable[[TaskDefinition, AgentInput], Awaitable[TaskOutcome]]


class PhaseRunner:
    """The `TaskRunner` of ordinary runs.

    `isolate` says of a run whether its code may run behind walls only; `spent` gives what a run has cost so far by
    its ledger, in nano-dollars (None: a part of it is unknown).
    """

    def __init__(
        self,
        agent: AgentCall,
        evidence: Evidence,
        *,
        isolate: Callable[[ProjectState], bool],
        spent: Callable[[Claim], Awaitable[int | None]],
    ) -> None:
        self._agent = agent
        self._spent = spent
        self._evidence = evidence
        self._isolate = isolate

    async def __call__(self, task: TaskDefinition, context: RunContext) -> TaskOutcome:
        graph, state = context.graph, context.state
        current = state.phase(task.phase.id).artifacts
        task = replace(task, inputs=upstream_artifacts(graph, state, task.phase.id), current=current)
        outcome = await self._work(task, context)
        return await self._measured(task, context, outcome)

    async def _work(self, task: TaskDefinition, context: RunContext) -> TaskOutcome:
        if task.phase.agent == ENGINE_AGENT:
            return await _engine_phase(task.phase, context, await self._spent(context.claim))
        texts = await _texts((*task.inputs, *task.current), context)
        return await self._agent(
            task,
            AgentInput(
                context=context,
                upstream={a.path: texts[a.hash] for a in task.inputs},
                current={a.path: texts[a.hash] for a in task.current},
            ),
        )

    async def _measured(self, task: TaskDefinition, context: RunContext, outcome: TaskOutcome) -> TaskOutcome:
        graph, state, phase = context.graph, context.state, task.phase
        paths = [file.path for file in outcome.files]
        owners = owners_besides(state, phase.id)
        failures = (*outcome.failures, *gates.foreign_paths(phase, [*paths, *outcome.removed], owners))
        outcome = replace(outcome, failures=failures)
        if failures or not phase.gate.evidence:
            return outcome
        tree = whole_tree(graph, state)
        kept = {a.path: a for a in tree.values() if a.path not in outcome.removed and a.path not in paths}
        contents = await context.read([a.hash for a in kept.values()])
        made = {file.path: file.content for file in outcome.files}
        own = made | {path: contents[a.hash] for path, a in kept.items() if path not in owners}
        rest = {path: contents[a.hash] for path, a in kept.items() if path not in own}
        receipts = await self._evidence.measure(phase.gate.evidence, own, real=self._isolate(state), context=rest)
        return replace(outcome, receipts=(*outcome.receipts, *receipts))


async def _texts(artifacts: tuple[Artifact, ...], context: RunContext) -> dict[str, str]:
    contents = await context.read([artifact.hash for artifact in artifacts])
    return {key: content.decode("utf-8", "replace") for key, content in contents.items()}


async def _engine_phase(phase: Phase, context: RunContext, spent: int | None) -> TaskOutcome:
    """What the engine writes itself: the report and the trace, from events and files alone."""
    tree = whole_tree(context.graph, context.state)
    contents = await context.read([artifact.hash for artifact in tree.values()])
    texts = {path: contents[a.hash].decode("utf-8", "replace") for path, a in tree.items()}
    made = report.build_report(context.graph, context.state, texts, spent)
    return TaskOutcome(
        result="Report and trace, measured by the engine.",
        files=tuple(
            OutputFile(path, text.encode(), ENGINE)
            for path, text in made.items()
            if not gates.foreign_paths(phase, [path], {})
        ),
        provenance=ENGINE,
    )


def graph_of(state: ProjectState) -> PhaseGraph:
    """The graph of a run that was started before: its workflow was checked then."""
    return PhaseGraph(state.begun.workflow)
