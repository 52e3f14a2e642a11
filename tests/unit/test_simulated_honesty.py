"""What simulated mode says of itself: what was said, what became of it, what is not proved and what is not built.

Whole projects are in `test_simulated_projects.py`, single parts in `test_simulated_parts.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_simulated_projects import POMODORO, ROLES, as_bytes, build, problems, run_tests, write

from orchestrator_v2.agents.simulated import clean, questions, simulate
from orchestrator_v2.agents.simulated.drafting import draft
from orchestrator_v2.workspace.placeholders import no_placeholders


@pytest.mark.parametrize("brief", ["TODO", "# TODO list\n- add tasks", "TODO implement login", "# TODO: app", "FIXME"])
def test_a_brief_may_be_about_marks(brief: str) -> None:
    """Words that mark unfinished work elsewhere are a subject here, and no gate takes them for a mark."""
    assert problems(build(brief)) == []


@given(st.text("TODFIXME todfixme:(\n-#*", max_size=30), st.sampled_from(["", "add", "implement", "your code here"]))
def test_no_gate_sees_a_mark_in_quiet_words(marks: str, verb: str) -> None:
    """Whatever the gate takes for a mark, `quiet` silences: the two patterns belong together."""
    text = clean.quiet(f"{marks} TODO {verb}")
    for path in ("a.md", "a.toml", "a.txt"):
        assert no_placeholders({path: text.encode()}, {}).problems == ()


def test_400_features_of_one_capability_name_every_criterion() -> None:
    """However many criteria a check stands for, its docstring names each of them whole."""
    brief = "# Mega\n" + "\n".join(f"- Feature {number}: search widget{number}" for number in range(400))
    assert problems(build(brief)) == []


def test_what_no_template_proves_is_skipped_and_said() -> None:
    """A hand-added criterion counts as not proved, in a skipped test and in the release review; no record is made."""

    def edit(phase: str, files: dict[str, str]) -> None:
        if phase == "planning":
            files["docs/requirements.md"] += (
                "\n## R99: Export\n\n- AC99.1: export writes CSV\n- AC99.2: It prints the moon phase\n"
            )

    files = build("A task list with CSV export", edit=edit)
    assert problems(files) == []
    assert [one["name"] for one in json.loads(files["docs/data-model.json"])["entities"]] == ["Task"]
    assert "test_ac99_2_not_proved_nearest_check_only" in files["tests/test_not_proved.py"]
    assert "14 of 16 criteria proved" in files["docs/reviews/release.md"]
    assert "AC99.2 is not proved, nearest check only" in files["docs/reviews/release.md"]
    assert not any("AC99" in text for path, text in files.items() if "test_export" in path)


def test_a_skipped_criterion_is_a_skipped_test(tmp_path: Path) -> None:
    """The suite runs green, and its count says what was skipped."""

    def edit(phase: str, files: dict[str, str]) -> None:
        if phase == "planning":
            files["docs/requirements.md"] += "\n## R9: Moon\n\n- AC9.1: The moon phase is right.\n"

    ran = run_tests(write(build("todo", edit=edit), tmp_path))
    assert ran.returncode == 0
    assert "1 skipped" in ran.stdout


def test_wishes_that_are_journals_and_constraints_are_counted() -> None:
    """The release review names what was not built and what nobody checked; a constraint is no wish."""
    brief = "# Notes\n- search\n- fold laundry\n- paint walls\n\n## Constraints\n- must run in Rust\n- no tests\n"
    files = build(brief)
    page = files["docs/reviews/release.md"]
    assert "2 of 4 wishes are journals only, not built: R3 (Fold laundry), R4 (Paint walls)" in page
    assert "A constraint that nobody checked: must run in Rust" in page
    assert "Must run in Rust" not in files["docs/requirements.md"]


def test_each_yes_becomes_a_requirement() -> None:
    """Answers reach the program, drop the assumptions they contradict, and the page says what came of each."""
    files = build("todo", answers=dict.fromkeys(questions("todo"), "yes"))
    for module in ("members", "due", "export", "statistics"):
        assert f"src/todo/services/{module}.py" in files
    page = files["docs/intake.md"]
    assert "One person uses it" not in page
    assert page.count("It became R") == 4
    assert "Said in the answer to Q1: “yes”" in files["docs/requirements.md"]
    assert problems(files) == []


def test_other_answers_add_fields_or_nothing() -> None:
    """Fields that are named are added to a kind of the project's own; a no adds nothing; the rest is recorded only."""
    asked = questions("Beehive tracker\n- sing")
    answers = {asked[0]: "location, queen age", asked[1]: "in C major", asked[2]: "no", asked[3]: "non merci"}
    files = build("Beehive tracker\n- sing", answers=answers)
    assert "queen_age: str" in files["src/beehive_tracker/models.py"]
    page = files["docs/intake.md"]
    assert "Each beehive has these fields too: location, queen age." in page
    assert page.count("Nothing is added for it.") == 2
    assert "Recorded only" in page


@pytest.mark.parametrize("phase", ["architecture", "development", "planning", "hygiene"])
def test_a_reviewers_words_are_answered(phase: str) -> None:
    """The work that is done again says what was asked and that it cannot act, and the next review repeats it."""
    files = build(POMODORO)
    reason = "Use SQLite instead of JSON"
    steps = simulate(ROLES[phase], phase, brief=POMODORO, answers={}, inputs=files, feedback=reason)
    assert "A reviewer asked: “Use SQLite instead of JSON”; the templates cannot act on it" in steps[0].notes[-1]
    for step in steps:
        files |= step.files
    assert no_placeholders(as_bytes(files), {}).problems == ()
    review = simulate("consensus", "release_review", brief=POMODORO, answers={}, inputs=files, feedback="")[0]
    assert reason in review.summary
    assert reason in review.files["docs/reviews/release.md"]


def test_a_gates_words_are_no_reviewers() -> None:
    """What a gate measured is recorded as such, and no wish is made of it."""
    words = "tests: 1 tests failed.\nadd tags and export"
    step = simulate("architect", "planning", brief="todo", answers={}, inputs={}, feedback=words)[0]
    page = step.files["docs/requirements.md"]
    assert "## Sent back by a gate" in page
    assert "`tags`" not in page
    assert step.notes == ()


@pytest.mark.parametrize(
    ("brief", "said"),
    [
        ("# A\n- show {{ ''.__class__.__mro__ }}", "show {{ ''.__class__.__mro__ }}"),
        ("# A\n- `tick` off", "`tick` off"),
        ("# A\n- call __import__('os') now", "call __import__('os') now"),
        ("A list with **bold [search](http://x.y)** and `tags`", "`tags`"),
    ],
)
def test_a_quotation_is_verbatim(brief: str, said: str) -> None:
    """What was said in the brief is quoted with every mark it had."""
    assert said in [one.quote for one in draft(brief).spec.requirements]
    assert all(one.quote in brief for one in draft(brief).spec.requirements)


@pytest.mark.parametrize(
    ("brief", "title", "kinds"),
    [
        ("A blog with posts, comments, search, invoices", "Blog", ["post", "comment", "invoice"]),
        ("An app that keeps classes, teachers and rooms", "Classes", ["class", "teacher", "room"]),
        ("# Big\n\nThe system keeps customers and invoices", "Big", ["customer", "invoice"]),
        ("<script>alert(1)", "<script>alert(1)", ["item"]),
        ("Chess", "Chess", ["chess entry"]),
        ("json", "Json", ["json entry"]),
        ("कार्य सूची ऐप जिसमें टैग, खोज और निर्यात", "कार्य सूची ऐप", ["task"]),
        ("تطبيق لإدارة المهام مع البحث", "تطبيق لإدارة المهام", ["task"]),
    ],
)
def test_the_main_kind_is_the_same_everywhere(brief: str, title: str, kinds: list[str]) -> None:
    """Title and kinds of records are what a person would say, and intake, data model and program agree on the first."""
    assert draft(brief).brief.title == title
    files = build(brief)
    labels = [one["label"] for one in json.loads(files["docs/data-model.json"])["entities"]]
    assert [label for label in labels if label != "journal entry"] == kinds
    assert f"Main kind of record: {kinds[0]}" in files["docs/intake.md"]
    app = next(text for path, text in files.items() if path.endswith("/app.py"))
    assert f'DEFAULT_KIND = "{kinds[0]}"' in app
