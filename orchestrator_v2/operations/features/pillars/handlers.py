"""The six operations on design pillars; `HANDLERS` is all of them.

What they find in the data stands in one module each; their prompts are in `subagent_prompts/operations/pillars/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator_v2.operations.features.pillars import checks
from orchestrator_v2.operations.features.pillars.answers import (
    Additions,
    Completeness,
    ContextFit,
    Contradictions,
    Improvement,
    Validation,
)
from orchestrator_v2.operations.features.pillars.base import PillarHandler
from orchestrator_v2.operations.features.pillars.covering import LOOKS_AT, find_gaps, fold_additions, fold_coverage
from orchestrator_v2.operations.features.pillars.fitting import FITTERS, find_misfits, fold_fit
from orchestrator_v2.operations.features.pillars.improving import fold_rewrites
from orchestrator_v2.operations.features.pillars.judging import JUDGES, find_faults, fold_verdicts
from orchestrator_v2.operations.features.pillars.pulling import PULLERS, find_pulls, fold_pulls
from orchestrator_v2.operations.features.pillars.reading import ReadRequest
from orchestrator_v2.operations.features.pillars.schemas import AdditionsRequest, PillarRequest
from orchestrator_v2.operations.features.pillars.specialists import Findings, chosen
from orchestrator_v2.operations.handler import AnyHandler, Finding


class Validate(PillarHandler[PillarRequest, Validation]):
    operation_id = "pillars.validate"
    summary = "Judges each pillar: is it clear, distinctive, actionable and testable?"
    response_schema = Validation
    agents = chosen(*JUDGES)
    max_tokens = 8_000

    def find(self, agent: str, request: PillarRequest, read: ReadRequest) -> Sequence[Finding]:
        return find_faults(agent, read)

    def fold(self, request: PillarRequest, read: ReadRequest, findings: Findings) -> Validation:
        return fold_verdicts(request, read, findings)

    def faults(self, request: PillarRequest, response: Validation) -> Iterable[str]:
        return checks.check_validation(request, response)


class Improve(PillarHandler[PillarRequest, Improvement]):
    operation_id = "pillars.improve"
    summary = "Rewrites each pillar, and says what was changed and why."
    response_schema = Improvement
    agents = chosen(*JUDGES)
    max_tokens = 8_000

    def find(self, agent: str, request: PillarRequest, read: ReadRequest) -> Sequence[Finding]:
        return find_faults(agent, read)

    def fold(self, request: PillarRequest, read: ReadRequest, findings: Findings) -> Improvement:
        return fold_rewrites(request, read, findings)

    def faults(self, request: PillarRequest, response: Improvement) -> Iterable[str]:
        return checks.check_improvement(request, response)


class EvaluateCompleteness(PillarHandler[PillarRequest, Completeness]):
    operation_id = "pillars.evaluate_completeness"
    summary = "Which sides of the game the pillars cover, and which gaps they leave."
    response_schema = Completeness
    agents = chosen(*LOOKS_AT)

    def find(self, agent: str, request: PillarRequest, read: ReadRequest) -> Sequence[Finding]:
        return find_gaps(agent, read)

    def fold(self, request: PillarRequest, read: ReadRequest, findings: Findings) -> Completeness:
        return fold_coverage(request, read, findings)

    def faults(self, request: PillarRequest, response: Completeness) -> Iterable[str]:
        return checks.check_completeness(request, response)


class EvaluateContradictions(PillarHandler[PillarRequest, Contradictions]):
    operation_id = "pillars.evaluate_contradictions"
    summary = "Which pillars pull against each other, how hard, and how both can stand."
    response_schema = Contradictions
    agents = chosen(*PULLERS)
    max_tokens = 8_000

    def find(self, agent: str, request: PillarRequest, read: ReadRequest) -> Sequence[Finding]:
        return find_pulls(agent, read)

    def fold(self, request: PillarRequest, read: ReadRequest, findings: Findings) -> Contradictions:
        return fold_pulls(request, read, findings)

    def faults(self, request: PillarRequest, response: Contradictions) -> Iterable[str]:
        return checks.check_contradictions(request, response)


class SuggestAdditions(PillarHandler[AdditionsRequest, Additions]):
    operation_id = "pillars.suggest_additions"
    summary = "New pillars for what no pillar decides yet."
    request_schema = AdditionsRequest
    response_schema = Additions
    agents = chosen(*LOOKS_AT)

    def context(self, request: AdditionsRequest) -> dict[str, Any]:
        return {**super().context(request), "at_most": request.at_most}

    def find(self, agent: str, request: AdditionsRequest, read: ReadRequest) -> Sequence[Finding]:
        return find_gaps(agent, read)

    def fold(self, request: AdditionsRequest, read: ReadRequest, findings: Findings) -> Additions:
        return fold_additions(request, read, findings)

    def faults(self, request: AdditionsRequest, response: Additions) -> Iterable[str]:
        return checks.check_additions(request, response)


class EvaluateContext(PillarHandler[PillarRequest, ContextFit]):
    operation_id = "pillars.evaluate_context"
    summary = "How the pillars fit the game's audience, genre, platform, loop and constraints."
    response_schema = ContextFit
    agents = chosen(*FITTERS)
    max_tokens = 8_000

    def find(self, agent: str, request: PillarRequest, read: ReadRequest) -> Sequence[Finding]:
        return find_misfits(agent, request, read)

    def fold(self, request: PillarRequest, read: ReadRequest, findings: Findings) -> ContextFit:
        return fold_fit(request, read, findings)

    def faults(self, request: PillarRequest, response: ContextFit) -> Iterable[str]:
        return checks.check_context(request, response)


HANDLERS: tuple[type[AnyHandler], ...] = (
    Validate,
    Improve,
    EvaluateCompleteness,
    EvaluateContradictions,
    SuggestAdditions,
    EvaluateContext,
)
