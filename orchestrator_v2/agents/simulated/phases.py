"""Which work belongs to which phase, and to which role in a phase that is not known.

The entry point `simulate` is here; the work itself is in the modules it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator_v2.agents.simulated.building import develop
from orchestrator_v2.agents.simulated.documents import architect, document, improvise, model_data, plan, take_in
from orchestrator_v2.agents.simulated.hearing import with_feedback
from orchestrator_v2.agents.simulated.proving import prove
from orchestrator_v2.agents.simulated.releasing import review_release
from orchestrator_v2.agents.simulated.reviewing import review_code, review_design
from orchestrator_v2.agents.simulated.step import SimulatedStep, Work
from orchestrator_v2.agents.simulated.tidying import tidy

Phase = Callable[[Work], list[SimulatedStep]]

PHASES: Mapping[str, Phase] = {
    "intake": take_in,
    "planning": plan,
    "architecture": architect,
    "data": model_data,
    "design_review": review_design,
    "development": develop,
    "qa": prove,
    "documentation": document,
    "review": review_code,
    "hygiene": tidy,
    "release_review": review_release,
}
"""The phases of the default workflow."""


def simulate(
    role: str, phase: str, *, brief: str, answers: Mapping[str, str], inputs: Mapping[str, str], feedback: str
) -> list[SimulatedStep]:
    """The steps of a phase: a pure function, the same arguments give the same bytes. Never raises for any text.

    `inputs` maps path to text of everything made upstream; `answers` maps a question (its id or words) to its answer;
    `feedback` is why the phase is done again. A phase that is not known gets a page under docs/ for the role.
    """
    work = Work(phase, brief, answers, inputs, feedback)
    known = PHASES.get(phase)
    return with_feedback(known(work) if known else improvise(work, role), work)
