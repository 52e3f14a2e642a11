"""The CLI's tables are whole: every status and every kind of event has its words, its mark and its exit code."""

from __future__ import annotations

import io
from typing import get_args

import pytest
from rich.console import Console

from orchestrator_v2.cli import exit_codes, words
from orchestrator_v2.cli.event_lines import isolation, line_of
from orchestrator_v2.cli.ledger_tables import as_data
from orchestrator_v2.cli.phase_rows import Scene, phase_rows
from orchestrator_v2.core import events as e
from orchestrator_v2.core.records import Artifact, Receipt
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import PhaseStatus, ProjectState, RunStatus
from orchestrator_v2.engine.telling import measured, mode_of
from orchestrator_v2.engine.transitions import fold
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.llm.types import Completion

FLOW = Workflow("w", tuple(Phase(f"p{n}", "qa", (f"p{n - 1}",) if n else ()) for n in range(40)))
STARTED = e.RunStarted("prj_1", "A name", "00", FLOW, "simulated")
EVENTS: tuple[e.Event, ...] = (
    STARTED,
    e.TaskStarted("p0", "qa", 2, 3),
    e.TaskCompleted("p0", gate="failed", reasons=("too short",)),
    e.TaskFailed("p0", "x", "It broke.", "Rust.", "Oil it."),
    e.PhaseReopened("p0", "qa", "failing\noutput", ("p1",)),
    e.PhaseSkipped("p0", "not needed"),
    e.ReviewDecided("p0", False, "ann", "00", "no"),
    e.ArtifactReplaced("p0", Artifact("a.md", "00", 1)),
    e.RunParked("paused", "Paused."),
    e.RunResumed("ann", 2_000_000_000, ("p0",)),
    e.RunRolledBack("p0", ("p0",)),
    e.RunCompleted(),
    e.RunFailed("x", "It broke."),
    e.RunCancelled("ann"),
)


def test_every_run_status_has_words_next_steps_and_an_exit_code() -> None:
    """A new status cannot be forgotten: the tables hold exactly the statuses that exist."""
    statuses = {status.value for status in RunStatus}
    assert set(words.RUN) == set(words.NEXT) == set(exit_codes.OF_STATUS) == statuses
    assert set(words.PHASE) == {status.value for status in PhaseStatus}


def test_the_exit_code_is_what_the_documentation_says() -> None:
    """0 completed, 1 failed, 2 for everything that waits."""
    codes = exit_codes.OF_STATUS
    assert (codes["completed"], codes["failed"]) == (0, 1)
    waits = {"paused", "waiting_review", "waiting_provider", "waiting_budget", "needs_credential", "needs_attention"}
    assert {codes[status] for status in waits | {"blocked"}} == {2}


def test_every_event_is_one_line() -> None:
    """Each kind of event has its sentence, on one line, whatever text it carries."""
    assert {type(event) for event in EVENTS} == set(get_args(e.Event))
    for event in EVENTS:
        about, said = line_of(event)
        assert about in {"p0", "run"}
        assert said
        assert "\n" not in said


def test_a_line_tells_the_reason() -> None:
    """Reasons, rounds and amounts are in the line, so that a piped log is enough to understand a run."""
    lines = [line_of(event)[1] for event in EVENTS]
    assert lines[1] == "qa works, round 2, attempt 3"
    assert lines[2] == "gate not passed: too short"
    assert lines[3] == "stopped: It broke. Rust. Oil it."
    assert lines[6] == "rejected by ann: no"
    assert lines[9] == "goes on (ann), at most $2.00; again: p0"


def test_the_mode_names_who_answers() -> None:
    """Simulated says that no model is asked; real names provider and model."""
    assert mode_of(STARTED) == "simulated: no model is asked, $0.00"
    real = e.RunStarted("prj_1", "n", "00", FLOW, "real", "anthropic", "claude-x")
    assert mode_of(real) == "real: anthropic/claude-x"


def test_evidence_is_counted_and_what_failed_is_named() -> None:
    """Numbers come from receipts; a check that did not pass is named."""
    receipts = [
        Receipt("tests", True, tests_collected=3, tests_passed=2, tests_failed=1),
        Receipt("parses", True),
        Receipt("links", False),
    ]
    assert measured(receipts) == "2 tests passed, 1 failed, 1 check passed, not passed: links"
    assert measured([]) == ""


def test_an_unknown_cost_stays_unknown_in_every_sum() -> None:
    """One call without a price makes its phase, its model and the total unknown; others keep their amounts."""
    rows = [
        CallRow(1, "p0/act/1", 1, "h", "a", "m", "done", 0.0, 5, 4, Completion("t", usage=Usage(10, 2, calls=1))),
        CallRow(2, "p1.r2/plan", 1, "h", "a", "n", "outcome_unknown", 0.0, 7, None),
    ]
    data = as_data(fold("run_1", [e.Recorded(1, 0.0, STARTED)]), rows)
    assert data["total"]["cost_nano_usd"] is None
    assert {name: sums["cost_nano_usd"] for name, sums in data["by_phase"].items()} == {"p0": 4, "p1": None}
    assert data["by_model"]["a/m"]["input_tokens"] == 10
    assert data["calls"][1]["reserved_nano_usd"] == 7


def _drawn(state: ProjectState, width: int, height: int, *, unicode: bool = True) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    for row in phase_rows(Scene(PhaseGraph(FLOW), state, {}, 10.0, width, height, unicode)):
        console.print(row)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("done", [0, 5, 20, 39, 40])
@pytest.mark.parametrize(("width", "height"), [(40, 6), (80, 12), (120, 60)])
def test_phases_never_take_more_room_than_there_is(done: int, width: int, height: int) -> None:
    """However many phases there are, the rows fit, and the one that goes on is among them."""
    events: list[e.Event] = [STARTED]
    for number in range(done):
        events += [e.TaskStarted(f"p{number}", "qa"), e.TaskCompleted(f"p{number}")]
    if done < 40:
        events.append(e.TaskStarted(f"p{done}", "qa"))
    lines = _drawn(fold("run_1", [e.Recorded(n, 0.0, event) for n, event in enumerate(events, 1)]), width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    assert done == 40 or any(f"p{done} " in line and "at work" in line for line in lines)


def test_without_unicode_the_rows_are_ascii() -> None:
    """A terminal that knows only ASCII gets ASCII."""
    events = [STARTED, e.TaskStarted("p0", "qa"), e.TaskCompleted("p0")]
    state = fold("run_1", [e.Recorded(n, 0.0, event) for n, event in enumerate(events, 1)])
    assert "\n".join(_drawn(state, 80, 60, unicode=False)).isascii()


def test_who_takes_a_run_up_again_is_told_in_words() -> None:
    """What the program calls by a word of its own is a sentence for people."""
    assert line_of(e.RunResumed("signal"))[1] == "taken up again for what a person decided"
    assert line_of(e.RunResumed("recovery"))[1] == "goes on after an interruption"
    parked = e.RunParked("waiting_review", "Waits for your review of: intake.", do="`orchestrator approve RUN`.")
    assert line_of(parked, "run_1")[1] == "Waits for your review of: intake. `orchestrator approve run_1`."
    assert line_of(e.RunParked("blocked", "No sandbox."))[1] == "blocked: No sandbox."


def test_isolation_is_told_where_it_is_not_the_strongest() -> None:
    """bubblewrap needs no word; a limited process does."""
    assert isolation([Receipt("tests", True, isolation="bubblewrap")]) == ""
    assert "limited process" in isolation([Receipt("tests", True, isolation="process, no cgroup")])


def test_two_messages_do_not_run_together() -> None:
    """A provider's reason without a full stop is still told apart from what to do."""
    said = line_of(e.RunFailed("x", "It is down", "Connect call failed ('127.0.0.1', 9)", "Resume later."))[1]
    assert said == "failed: It is down. Connect call failed ('127.0.0.1', 9). Resume later."
