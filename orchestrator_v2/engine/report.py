"""`RUN.md` and `docs/trace.md`: what was done by whom, in which mode, at what cost, on what evidence.

Everything here is read off the run's state and its files. Ids, times and durations stay in the database, so
that the same simulated run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from orchestrator_v2.core.records import Receipt
from orchestrator_v2.core.usage import Usage, usd
from orchestrator_v2.engine.history import made_how
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import PhaseState, PhaseStatus, ProjectState
from orchestrator_v2.engine.trace import parse_requirements, skipped_tests, sources_behind, tests_naming_criteria

REQUIREMENTS = "docs/requirements.md"

_MODES = {
    "simulated": "Simulated: made from deterministic templates. No model was asked; 0 tokens, $0.00.",
    "real": "Real: made by {model}.",
    "replay": "Replayed: the recorded answers of {model} were used again. Nothing was sent; $0.00.",
}


def build_report(graph: PhaseGraph, state: ProjectState, texts: Mapping[str, str], spent: int | None) -> dict[str, str]:
    """Path to text of the two reports; `texts` holds every file of the project so far, `spent` is in nano-dollars."""
    return {"RUN.md": run_report(graph, state, spent), "docs/trace.md": trace_report(state, texts)}


def run_report(graph: PhaseGraph, state: ProjectState, spent: int | None) -> str:
    """`spent` is the ledger's: it counts calls without a usable answer too, which no phase has in its cost."""
    begun = state.begun
    model = "/".join(part for part in (begun.provider, begun.model) if part)
    sections = [
        f"# What was done: {_cell(begun.name)}",
        _MODES[begun.mode].format(model=model),
        _facts(state, spent),
        "## Phases",
        _phases(graph, state),
        "## Evidence",
        "Measured by the engine; no agent's word stands here.",
        _evidence(graph, state),
        _notes(graph, state),
        "The way from requirement to criterion, test and file: [docs/trace.md](docs/trace.md).",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _facts(state: ProjectState, spent: int | None) -> str:
    begun = state.begun
    rows = [
        ("Workflow", begun.workflow.name),
        ("Mode", begun.mode),
        ("Tokens", _tokens(state.usage)),
        ("Cost, by the ledger", usd(spent)),
        ("Cost of the answers in use", usd(state.usage.cost)),
        ("Budget", "none" if state.budget is None else usd(state.budget)),
        ("Reviews decided by", "a person" if begun.review == "human" else "the consensus agent"),
    ]
    return _table(("Fact", "Value"), rows)


def _tokens(usage: Usage) -> str:
    if not usage.calls:
        return "0"
    return f"{usage.input_tokens:,} in, {usage.output_tokens:,} out, {usage.calls} calls"


def _phases(graph: PhaseGraph, state: ProjectState) -> str:
    rows = []
    for name in graph.order:
        entry, phase = state.phase(name), graph.phases[name]
        if entry.status in {PhaseStatus.PENDING, PhaseStatus.RUNNING}:
            continue
        rows.append(
            (
                name,
                phase.agent,
                entry.status.value,
                made_how(entry),
                str(entry.round),
                ", ".join(f"`{artifact.path}`" for artifact in entry.artifacts[:6])
                + (f" and {len(entry.artifacts) - 6} more" if len(entry.artifacts) > 6 else ""),
                usd(entry.usage.cost),
            )
        )
    return _table(("Phase", "Agent", "State", "Made how", "Round", "Files", "Cost"), rows)


def _evidence(graph: PhaseGraph, state: ProjectState) -> str:
    rows = [
        (name, receipt.check, "passed" if receipt.passed else "failed", _measured(receipt))
        for name in graph.order
        for receipt in state.phase(name).receipts
    ]
    return _table(("Phase", "Check", "Verdict", "Measured"), rows) if rows else "Nothing was measured."


def _measured(receipt: Receipt) -> str:
    parts = [receipt.detail]
    if receipt.command:
        parts = [
            f"{receipt.tests_collected} collected, {receipt.tests_passed} passed, {receipt.tests_failed} failed",
            f"exit code {receipt.exit_code}",
            f"isolation {receipt.isolation}",
            f"`{' '.join(receipt.command)}`",
        ]
    if receipt.tree:
        parts.append(f"tree `{receipt.tree[:12]}`")
    return "; ".join(part for part in parts if part)


def _notes(graph: PhaseGraph, state: ProjectState) -> str:
    lines = [f"- {name}: {_cell(note)}" for name in graph.order for note in _said(state.phase(name))]
    return "\n".join(["## Notes", "", *lines]) if lines else ""


def _said(entry: PhaseState) -> tuple[str, ...]:
    skipped = tuple(f"left out: {reason}" for reason in entry.reasons) if entry.status is PhaseStatus.SKIPPED else ()
    return (*skipped, *entry.notes)


def trace_report(state: ProjectState, texts: Mapping[str, str]) -> str:
    """Requirement by requirement: the files behind it, its criteria, the tests that name each; and what they gave."""
    requirements = parse_requirements(texts.get(REQUIREMENTS, ""))
    files = {path: text for path, text in texts.items() if path.startswith("tests/")}
    tests, skipped = tests_naming_criteria(files), skipped_tests(files)
    behind = {path: sources_behind(path, texts) for path in files}
    criteria = [criterion for requirement in requirements for criterion in requirement.criteria]
    standing = sum(any(test not in skipped for test in tests.get(criterion.id, ())) for criterion in criteria)
    lines = [
        "# Trace",
        "",
        f"{_count(len(requirements), 'requirement')}, {_count(len(criteria), 'criterion', 'criteria')}, "
        f"{standing} of them with a test that stands for it. Tests: {_test_verdict(state)}.",
    ]
    for requirement in requirements:
        named = {
            test for criterion in requirement.criteria for test in tests.get(criterion.id, ()) if test not in skipped
        }
        paths = sorted({path for test in named for path in behind[test.partition("::")[0]]})
        rows = [
            (f"{criterion.id} {criterion.text}", _named(tests.get(criterion.id, ()), skipped))
            for criterion in requirement.criteria
        ]
        lines += ["", f"## {requirement.id}: {_cell(requirement.title)}", "", f"Files: {_listed(paths)}", ""]
        lines.append(_table(("Criterion", "Tests"), rows) if rows else "It has no criterion.")
    if not requirements:
        lines += ["", "There are no requirements to trace."]
    return "\n".join(lines) + "\n"


def _named(tests: Sequence[str], skipped: Collection[str]) -> str:
    shown = [f"`{test}`" + (" (skipped: proves nothing)" if test in skipped else "") for test in tests]
    return "<br>".join(shown) or "none"


def _listed(paths: Sequence[str]) -> str:
    """Package markers are left out where there is more to say."""
    telling = [path for path in paths if not path.endswith("/__init__.py")] or paths
    return ", ".join(f"`{path}`" for path in telling) or "none"


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def _test_verdict(state: ProjectState) -> str:
    receipts = [receipt for phase in state.phases.values() for receipt in phase.receipts if receipt.command]
    if not receipts:
        return "not run"
    passed, collected = sum(r.tests_passed for r in receipts), sum(r.tests_collected for r in receipts)
    return f"{passed} of {collected} passed when they were run"


def _cell(text: str) -> str:
    """One line of text that breaks no table."""
    return " ".join(text.split()).replace("|", "\\|")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(map(_cell, row)) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
