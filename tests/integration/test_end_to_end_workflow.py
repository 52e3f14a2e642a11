"""A brief becomes a project, simulated: the default workflow through the whole stack, with a real database and git."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from real_mode import git, request, simulated

from orchestrator_v2 import Orchestrator, open_orchestrator
from orchestrator_v2.config.loader import load_settings
from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import CredentialMissingError
from orchestrator_v2.core.events import Recorded, TaskCompleted
from orchestrator_v2.core.ids import CountingIds
from orchestrator_v2.core.records import Receipt
from orchestrator_v2.core.usage import NO_USAGE
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.engine.trace import parse_requirements

BRIEF = "A pomodoro timer with statistics and CSV export"
UNICODE = """Ein Tagebuch für Träume 🌙 mit Stichwörtern

- Träume nach Datum suchen
- 日本語のタイトルも書ける
- Экспорт в CSV
"""
FENCED = """# Recipe box

Keeps recipes.

- add a recipe with ingredients
- search by ingredient

```python
def evil(): raise SystemExit("```")
```

> a quote with | pipes | and <b>tags</b>
"""
TEMPLATES = "A link shortener. {{7*7}} {% for x in y %}{{ self.__init__.__globals__ }}{% endfor %} ${HOME} %s {0} \\n"
BRIEFS = {"one word": "Bookmarks", "unicode": UNICODE, "fenced": FENCED}

EXPECTED = {
    ".gitignore",
    "README.md",
    "RUN.md",
    "docs/architecture.md",
    "docs/data-model.json",
    "docs/data-model.md",
    "docs/hygiene.md",
    "docs/intake.md",
    "docs/requirements.md",
    "docs/reviews/code.md",
    "docs/reviews/design.md",
    "docs/reviews/release.md",
    "docs/trace.md",
    "docs/usage.md",
    "pyproject.toml",
}


class Made(msgspec.Struct, frozen=True):
    """A finished run with its events and its project."""

    state: ProjectState
    events: list[Recorded]
    calls: int
    out: Path

    def text(self, path: str) -> str:
        return (self.out / path).read_text("utf-8")

    @property
    def tests(self) -> Receipt:
        (receipt,) = [one for one in self.state.phase("qa").receipts if one.check == "tests"]
        return receipt


def made(home: Path, brief: str) -> Made:
    out = home / "out"

    async def work(orchestrator: Orchestrator) -> Made:
        state = await orchestrator.run(request(brief=brief, out=out))
        events = await orchestrator.events(state.run_id)
        return Made(state, events, len(await orchestrator.calls(state.run_id)), out)

    result: Made = simulated(home, work)
    return result


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp("project"), BRIEF)


def test_the_run_completes_with_every_phase_done_once(project: Made) -> None:
    """All twelve phases are done, each by one task, and the journal has no gap."""
    assert (project.state.status, project.state.stopped) == ("completed", "")
    completed = Counter(entry.event.phase for entry in project.events if isinstance(entry.event, TaskCompleted))
    graph = PhaseGraph(project.state.begun.workflow)
    assert completed == dict.fromkeys(graph.order, 1)
    assert [entry.seq for entry in project.events] == list(range(1, len(project.events) + 1))


def test_the_repository_has_a_commit_for_each_phase_and_all_its_files(project: Made) -> None:
    """One commit a phase in the graph's order, a clean work tree, and every file that the issue names."""
    subjects = git(project.out, "log", "--reverse", "--format=%s").splitlines()
    assert [subject.partition(":")[0] for subject in subjects] == list(PhaseGraph(project.state.begun.workflow).order)
    assert git(project.out, "status", "--porcelain") == ""
    assert "error" not in git(project.out, "fsck", "--strict")
    files = set(git(project.out, "ls-files").splitlines())
    assert files >= EXPECTED
    assert any(re.fullmatch(r"src/\w+/cli\.py", path) for path in files), files
    assert any(re.fullmatch(r"tests/test_\w+\.py", path) for path in files), files
    assert "```mermaid" in project.text("docs/architecture.md")
    assert len(parse_requirements(project.text("docs/requirements.md"))) > 1


def test_the_generated_tests_really_ran_in_a_sandbox(project: Made) -> None:
    """The receipt of the qa phase is the engine's: a command, its exit code, counts from a report, the isolation."""
    receipt = project.tests
    assert (receipt.passed, receipt.exit_code, receipt.tests_failed, receipt.isolation) == (True, 0, 0, "bubblewrap")
    assert receipt.tests_collected == receipt.tests_passed > 5
    assert "pytest" in receipt.command
    named = project.text("docs/trace.md")
    criteria = [c.id for r in parse_requirements(project.text("docs/requirements.md")) for c in r.criteria]
    assert criteria and all(f"{criterion} " in named for criterion in criteria)
    assert "| none |" not in named


def test_simulated_work_is_free_and_says_that_it_is_simulated(project: Made) -> None:
    """No tokens, no money, no call; every artifact and the report carry the mode."""
    assert (project.state.usage, project.calls) == (NO_USAGE, 0)
    kinds = {a.provenance.kind for phase in project.state.phases.values() for a in phase.artifacts}
    assert kinds == {"simulated", "engine"}
    report = project.text("RUN.md")
    assert "Simulated: made from deterministic templates. No model was asked; 0 tokens, $0.00." in report
    assert "real (" not in report


def test_the_tree_holds_no_id_no_time_and_no_duration(project: Made) -> None:
    """What differs between two runs stays in the database: ids, clock times, seconds, the place it lies in."""
    listed = git(project.out, "ls-files").splitlines()
    whole = "\n".join(f"{path}\n{project.text(path)}" for path in listed if not path.startswith(("src/", "tests/")))
    messages = git(project.out, "log", "--format=%B")
    for text in (whole, messages):
        assert project.state.run_id not in text
        assert project.state.begun.project_id not in text
        assert str(project.out.parent) not in text
    assert not re.search(r"\b\d+\.\d+ ?s\b|\b\d{2}:\d{2}:\d{2}\b", project.text("RUN.md") + messages)


def test_the_same_brief_gives_the_same_tree_and_commits(project: Made, tmp_path: Path) -> None:
    """A second run, at another time and in another place, ends in the same git objects, RUN.md included."""
    again = made(tmp_path, BRIEF)
    assert again.state.run_id != project.state.run_id
    assert git(again.out, "rev-parse", "HEAD^{tree}") == git(project.out, "rev-parse", "HEAD^{tree}")
    assert git(again.out, "rev-parse", "HEAD") == git(project.out, "rev-parse", "HEAD")
    assert again.text("RUN.md") == project.text("RUN.md")
    assert again.state.tree == project.state.tree


@pytest.mark.parametrize("name", BRIEFS)
def test_any_brief_becomes_a_project_whose_tests_pass(name: str, tmp_path: Path) -> None:
    """One word, other scripts and Markdown with fences all end in a tested project."""
    result = made(tmp_path, BRIEFS[name])
    assert (result.state.status, result.state.stopped) == ("completed", "")
    assert result.tests.tests_passed == result.tests.tests_collected > 0
    assert set(git(result.out, "ls-files").splitlines()) >= EXPECTED


def test_template_syntax_in_a_brief_is_never_evaluated(tmp_path: Path) -> None:
    """`{{7*7}}` is text: it stands in the project as it was written, and 49 stands nowhere in its place."""
    result = made(tmp_path, TEMPLATES)
    assert (result.state.status, result.state.stopped) == ("completed", "")
    assert "{{7*7}}" in result.text("docs/intake.md")
    assert not re.search(r"\b49\b", "".join(result.text(path) for path in EXPECTED - {"RUN.md"}))


def test_real_mode_without_a_key_is_an_error_and_starts_nothing(tmp_path: Path) -> None:
    """It is never answered with a simulation: no run is recorded and no folder is made."""

    async def work(orchestrator: Orchestrator) -> None:
        with pytest.raises(CredentialMissingError):
            await orchestrator.run(request(mode="real", out=tmp_path / "out"))
        assert await orchestrator.rows() == []
        assert (await orchestrator.start(request(mode="auto"))).state.begun.mode == "simulated"

    simulated(tmp_path, work)
    assert not (tmp_path / "out").exists()


def test_clock_and_ids_come_from_outside(tmp_path: Path) -> None:
    """With a clock and ids of the test's own, even the events are the same twice, durations aside."""

    async def events(home: Path) -> list[str]:
        loaded = load_settings({"data_dir": str(home)}, {}, tmp_path, tmp_path)
        async with await open_orchestrator(loaded, clock=ManualClock(auto=True), ids=CountingIds()) as orchestrator:
            state = await orchestrator.run(request(brief=BRIEF, parallelism=1))
            return [
                f"{entry.seq} {state.run_id} {type(entry.event).__name__} {getattr(entry.event, 'artifacts', '')}"
                for entry in await orchestrator.events(state.run_id)
            ]

    first, second = asyncio.run(events(tmp_path / "a")), asyncio.run(events(tmp_path / "b"))
    assert first == second
    assert len(first) > 20
