"""What the engine measured, phase by phase, and the trace from requirement to criterion, test and file.

How it is measured is `workspace/evidence.py`; how a trace is read off the files is `engine/trace.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from orchestrator_v2.api.web.text import slug, visible
from orchestrator_v2.api.web.words import BROKEN, PASSED, Look
from orchestrator_v2.core.records import Receipt
from orchestrator_v2.core.text import duration, one_line
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.report import REQUIREMENTS
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.engine.telling import measured
from orchestrator_v2.engine.trace import parse_requirements, skipped_tests, sources_behind, tests_naming_criteria

# Characters of a process's output that are shown; the receipt holds its capped tail already.
_OUTPUT = 60_000
# What held generated code in, where that was less than the strongest.
_WEAKER = {
    "process": "the tests ran as a limited process: there is no sandbox (bubblewrap) here",
    "no cgroup": "no ceiling held over all processes together: no cgroup can be made here",
}


class Proof(msgspec.Struct, frozen=True):
    """One receipt. `anchor` keeps its output open while the page changes around it."""

    check: str
    look: Look
    detail: str
    tests: str
    took: str
    command: str
    exit_code: int | None
    isolation: str
    tree: str
    output: str
    anchor: str


class PhaseProof(msgspec.Struct, frozen=True):
    phase: str
    title: str
    proofs: tuple[Proof, ...]
    reasons: tuple[str, ...] = ()


class CriterionTrace(msgspec.Struct, frozen=True):
    """`tests` are (name, whether it is skipped and proves nothing)."""

    id: str
    text: str
    tests: tuple[tuple[str, bool], ...]
    is_shown: bool


class RequirementTrace(msgspec.Struct, frozen=True):
    id: str
    title: str
    criteria: tuple[CriterionTrace, ...]
    files: tuple[str, ...]


class Evidence(msgspec.Struct, frozen=True):
    summary: str
    isolation: str
    phases: tuple[PhaseProof, ...]
    requirements: tuple[RequirementTrace, ...]
    criteria: int
    standing: int


def evidence_view(graph: PhaseGraph, state: ProjectState, texts: Mapping[str, str]) -> Evidence:
    """All receipts that stand, and the trace over `texts`: see `trace_paths` for those that are needed."""
    phases = [
        PhaseProof(
            phase=name,
            title=one_line(graph.phases[name].title or name, 60),
            proofs=tuple(_proof(name, number, receipt) for number, receipt in enumerate(state.phase(name).receipts)),
            reasons=tuple(visible(reason)[:4_000] for reason in state.phase(name).reasons),
        )
        for name in graph.order
        if state.phase(name).receipts
    ]
    receipts = [receipt for name in graph.order for receipt in state.phase(name).receipts]
    requirements = _trace(texts)
    criteria = [criterion for requirement in requirements for criterion in requirement.criteria]
    return Evidence(
        summary=measured(receipts),
        isolation=isolation(receipts),
        phases=tuple(phases),
        requirements=requirements,
        criteria=len(criteria),
        standing=sum(criterion.is_shown for criterion in criteria),
    )


def trace_paths(paths: Collection[str]) -> list[str]:
    """Of a project's files those whose content a trace needs; the others are needed by name only."""
    return sorted(path for path in paths if path == REQUIREMENTS or _is_test(path))


def _is_test(path: str) -> bool:
    return path.startswith("tests/") and path.endswith(".py")


def isolation(receipts: Sequence[Receipt]) -> str:
    """What held generated code in, where that was less than the strongest; empty where nothing is to be said."""
    kinds = dict.fromkeys(receipt.isolation for receipt in receipts if receipt.isolation)
    return "; ".join(dict.fromkeys(_WEAKER[part] for kind in kinds for part in kind.split(", ") if part in _WEAKER))


def _proof(phase: str, number: int, receipt: Receipt) -> Proof:
    counted = f"{receipt.tests_passed} of {receipt.tests_collected} passed, {receipt.tests_failed} failed"
    skipped = f", {receipt.tests_skipped} skipped" if receipt.tests_skipped else ""
    return Proof(
        check=one_line(receipt.check, 60),
        look=PASSED if receipt.passed else BROKEN,
        detail=one_line(receipt.detail, 1_000),
        tests=counted + skipped if receipt.tests_collected else "",
        took=duration(receipt.duration) if receipt.command else "",
        command=one_line(" ".join(receipt.command), 400),
        exit_code=receipt.exit_code,
        isolation=one_line(receipt.isolation, 80),
        tree=receipt.tree[:12],
        output=visible(receipt.output[-_OUTPUT:]),
        anchor=f"proof-{slug(phase)}-{number}",
    )


def _trace(texts: Mapping[str, str]) -> tuple[RequirementTrace, ...]:
    requirements = parse_requirements(texts.get(REQUIREMENTS, ""))
    files = {path: text for path, text in texts.items() if _is_test(path)}
    tests, skipped = tests_naming_criteria(files), skipped_tests(files)
    behind = {path: sources_behind(path, texts) for path in files}
    traced = []
    for requirement in requirements:
        criteria = tuple(
            CriterionTrace(
                id=criterion.id,
                text=one_line(criterion.text, 600),
                tests=tuple((one_line(test, 200), test in skipped) for test in tests.get(criterion.id, ())),
                is_shown=any(test not in skipped for test in tests.get(criterion.id, ())),
            )
            for criterion in requirement.criteria
        )
        named = {test for criterion in requirement.criteria for test in tests.get(criterion.id, ())} - skipped
        paths = sorted({path for test in named for path in behind[test.partition("::")[0]]})
        telling = [path for path in paths if not path.endswith("/__init__.py")] or paths
        traced.append(RequirementTrace(requirement.id, one_line(requirement.title, 300), criteria, tuple(telling)))
    return tuple(traced)
