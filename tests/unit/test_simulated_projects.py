"""Whole projects out of simulated mode, held against the engine's own gates, and their tests really run.

Single parts (names, reading, quoting) are in `test_simulated_parts.py`.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator_v2.agents.simulated import SIMULATED_LINE, questions, simulate
from orchestrator_v2.engine.trace import parse_requirements
from orchestrator_v2.engine.trace import tests_naming_criteria as naming_criteria
from orchestrator_v2.workspace.links import links
from orchestrator_v2.workspace.placeholders import no_placeholders
from orchestrator_v2.workspace.text_checks import diagram, not_empty, parses, requirements, traced

Edit = Callable[[str, dict[str, str]], None]
ROLES = {
    "intake": "architect",
    "planning": "architect",
    "architecture": "architect",
    "data": "data",
    "design_review": "consensus",
    "development": "developer",
    "qa": "qa",
    "documentation": "documentarian",
    "review": "reviewer",
    "hygiene": "steward",
    "release_review": "consensus",
}
GATES = (not_empty, parses, no_placeholders, requirements, diagram, traced, links)

POMODORO = "A pomodoro timer with statistics and CSV export"
EVERYTHING = """# Everything app
- timer
- habit streaks
- flashcard quiz
- online shop with cart
- inventory stock
- budget by month
- booking of rooms
- polls
- chat messages
- bookmarks
- markdown notes
- unit converter
- calculator
- url shortener
- password generator
- leaderboard
- mark tasks done
- due dates
- priorities
- kanban board
- tags
- ratings
- users and roles
- notifications
- statistics
- search
- csv export
- import from csv
- rest api
- dark mode
"""
MANY = "# Mega\n" + "\n".join(f"- Feature number {number} glows" for number in range(400))
NASTY = {
    "one word": "todo",
    "one letter": "x",
    "keyword": "class",
    "module": "import",
    "test": "test",
    "json": "json",
    "device": "con",
    "device 2": "aux",
    "emoji": "🍅🍅🍅",
    "digits": "2048",
    "only marks": "!!! --- ???",
    "template": "{{7*7}} {% raw %}{{ config }}{% endraw %} {# x #}",
    "quotes": '""" \'\'\' \\ " \\N{BULLET} app\n- """; import os; os.abort()\n- \'\\\'\'',
    "controls": "An app\x00 with\x07 a \ud800 surrogate\n- Nul\x00 bullet\n- Esc \x1b[31m red",
    "bidi": "App \u202e gnitset \u2066 with export\n- \u202eevil",
    "script": "</script><script>alert(1)</script>\n- <img src=x onerror=alert(1)>",
    "marker words": "A to-do list\n- TODO: milk\n- FIXME now\n- lorem ipsum text\n- not implemented yet\n"
    "- your code here",
    "fences": "# Notes\n```python\n- not a feature\n```\n- real feature\n```\nunclosed\n- also not",
    "own ids": "# R1: mine\n## R2: other\n- AC1.1: hello\n- AC9.9: bye\nBuilt as: `rm` of `rf`",
    "headings": "# Title\n## Features\n- ## nested heading\n- [x] done box\n1. numbered\n2) also",
    "table": "| a | b |\n|---|---|\n| 1 | `2` |\n- [link](http://x.y) ![img](z.png) [broken](missing.md)",
    "long line": "word " * 10_000,
    "very long word": "a" * 50_000,
    "400 features": MANY,
    "same feature twice": "App\n- CSV export\n- CSV export\n- Export as CSV",
    "German": "Ein Haushaltsbuch mit Kategorien, Auswertung und CSV-Export",
    "French": "Une application de gestion de tâches avec des rappels, des étiquettes et des statistiques",
    "Spanish": "Un gestor de recetas con búsqueda, etiquetas y valoraciones",
    "Russian": "Библиотека книг с поиском и рейтингом",
    "Chinese": "带有统计和CSV导出的番茄钟",
    "Japanese": "タスク管理アプリ、検索とエクスポート付き",
    "Arabic": "تطبيق مهام مع إحصاءات وتصدير",
    "Hebrew": "אפליקציית משימות עם חיפוש",
}


def build(brief: str, *, answers: Mapping[str, str] | None = None, edit: Edit | None = None) -> dict[str, str]:
    """All files of a walk through the default workflow; `edit` may change them after each phase, as a person would."""
    files: dict[str, str] = {}
    for phase, role in ROLES.items():
        for step in simulate(role, phase, brief=brief, answers=answers or {}, inputs=dict(files), feedback=""):
            assert step.title
            assert step.summary
            files.update(step.files)
        if edit is not None:
            edit(phase, files)
    return files


def as_bytes(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}


def write(files: Mapping[str, str], folder: Path) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8", newline="\n")
    return folder


def run_tests(folder: Path) -> subprocess.CompletedProcess[str]:
    """As the engine runs them: with no plugin that happens to be installed here, which is also a second less."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=short"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def problems(files: Mapping[str, str]) -> list[str]:
    """What the engine's gates find wrong, over the whole project."""
    content = as_bytes(files)
    of_phase = {
        requirements: {"docs/requirements.md"},
        diagram: {"docs/architecture.md"},
        traced: {path for path in files if path.startswith("tests/")},
    }
    found = []
    for gate in GATES:
        own = {path: text for path, text in content.items() if path in of_phase.get(gate, files)}
        found += gate(own, content).problems
    return found


def check_project(brief: str) -> dict[str, str]:
    files = build(brief)
    assert problems(files) == []
    for path, text in files.items():
        assert re.fullmatch(r"[A-Za-z0-9._/-]+", path)
        assert not path.startswith("/")
        assert ".." not in path
        assert text.endswith("\n")
        if path.endswith(".md"):
            assert f"> {SIMULATED_LINE}" in text.splitlines()[:6]
    assert files == build(brief)
    return files


@pytest.mark.parametrize("brief", NASTY.values(), ids=NASTY.keys())
def test_any_brief_becomes_a_project_that_passes_the_gates(brief: str) -> None:
    """Every awkward brief gives files that parse, trace, link, hold no filler, and are the same the second time."""
    files = check_project(brief)
    names = [path for path in files if re.fullmatch(r"src/[a-z_][a-z0-9_]*/__init__\.py", path)]
    assert len(names) == 1
    assert SIMULATED_LINE in files[names[0]]


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.text(st.characters(), min_size=1, max_size=300).filter(str.strip))
def test_any_text_is_a_brief(brief: str) -> None:
    """No text at all makes a walk raise, a file fail to parse, a criterion go without test, or two walks differ."""
    files = check_project(brief)
    found = parse_requirements(files["docs/requirements.md"])
    assert found
    named = naming_criteria({path: text for path, text in files.items() if path.startswith("tests/")})
    for requirement in found:
        assert requirement.criteria
        assert all(criterion.id in named for criterion in requirement.criteria)


RUN = {
    "pomodoro": POMODORO,
    "everything": EVERYTHING,
    "Chinese": NASTY["Chinese"],
    "quotes": NASTY["quotes"],
    "todo": "todo",
    "German": NASTY["German"],
    "ids": NASTY["own ids"],
    "400": MANY,
    "shop": "Build an online shop with products, a cart and orders, plus a REST API.",
    "beehives": "Beehive tracker with honey yield predictions and photos",
}


@pytest.mark.parametrize(
    "brief",
    [
        pytest.param(text, id=name, marks=[] if place < 4 else pytest.mark.slow)
        for place, (name, text) in enumerate(RUN.items())
    ],
)
def test_the_generated_tests_pass(brief: str, tmp_path: Path) -> None:
    """What was generated is run for real, in a process of its own, and passes."""
    ran = run_tests(write(build(brief), tmp_path))
    assert ran.returncode == 0, ran.stdout[-3000:]


BREAKS = {
    "storage keeps nothing": (
        "storage.py",
        "            self.beside.replace(self.path)\n",
        "            self.beside.unlink()\n",
    ),
    "numbers start at 5": ("storage.py", "self._last[kind] += 1", "self._last[kind] += 5"),
    "timer forgets minutes": ("services/timer.py", "minutes=elapsed(one, now)", "minutes=0"),
    "two timers at once": ("services/timer.py", "(open_one := running(store)) is not None", "False"),
    "statistics miscount": ("services/statistics.py", "len(groups[day])", "1"),
    "export loses rows": ("services/export.py", "for record in records)\n", "for record in records[1:])\n"),
    "export without header": (
        "services/export.py",
        "        writer.writerow([field.name for field in fields(kind)])\n",
        "",
    ),
    "wrong values accepted": ("services/records.py", '("", None, ())', '("nothing",)'),
    "errors exit with 0": ("cli.py", "        return 1\n", "        return 0\n"),
}


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        pytest.param(*how, id=name, marks=[] if place < 3 else pytest.mark.slow)
        for place, (name, how) in enumerate(BREAKS.items())
    ],
)
def test_the_generated_tests_notice_broken_code(module: str, old: str, new: str, tmp_path: Path) -> None:
    """Each way of breaking the generated program makes its tests fail, so that they prove something."""
    files = build(POMODORO)
    path = f"src/pomodoro_timer/{module}"
    assert old in files[path]
    files[path] = files[path].replace(old, new)
    assert run_tests(write(files, tmp_path)).returncode == 1


def test_a_pomodoro_brief_becomes_a_pomodoro_timer() -> None:
    """The sample brief gives sessions with start, end and length, and the commands one expects."""
    files = build(POMODORO)
    model = json.loads(files["docs/data-model.json"])
    fields = {field["name"]: field["type"] for field in model["entities"][0]["fields"]}
    assert model["entities"][0]["name"] == "Session"
    assert fields["started_at"] == fields["ended_at"] == "datetime"
    assert fields["minutes"] == "int"
    titles = [one.title for one in parse_requirements(files["docs/requirements.md"])]
    assert titles[:3] == ["Pomodoro timer", "Statistics", "CSV export"]
    for command in ("start LABEL", "finish", "stats", "export FILE"):
        assert f"`{command}" in files["README.md"]


def test_an_edited_requirement_reaches_code_and_tests(tmp_path: Path) -> None:
    """A person's R9 becomes a module where its words are known, a journal where not; no test claims to prove it."""

    def edit(phase: str, files: dict[str, str]) -> None:
        if phase == "planning":
            files["docs/requirements.md"] += (
                "\n## R9: Tags for sessions\n\n- AC9.1: A session can carry the tag deep-work.\n"
                "\n## R10: Moon phases\n\n- AC10.1: The moon phase of a session can be written down.\n"
            )

    files = build(POMODORO, edit=edit)
    assert "src/pomodoro_timer/services/tags.py" in files
    assert "r10-moon-phases" in files["src/pomodoro_timer/services/journal.py"]
    for name in ("ac9_1", "ac10_1"):
        assert f"def test_{name}_not_proved_nearest_check_only()" in files["tests/test_not_proved.py"]
    assert problems(files) == []
    assert run_tests(write(files, tmp_path)).returncode == 0


def test_an_edited_data_model_reaches_code_and_tests(tmp_path: Path) -> None:
    """A field and a kind of record that a person adds to the data model are in models, commands, tests and README."""

    def edit(phase: str, files: dict[str, str]) -> None:
        if phase == "data":
            model = json.loads(files["docs/data-model.json"])
            model["entities"][0]["fields"] += [
                {"name": "colour"},
                {"name": "class", "type": "integer"},
                {"name": "data"},
            ]
            model["entities"].append(
                {"name": "Sound", "fields": [{"name": "title", "required": True}, {"name": "on", "type": "date"}]}
            )
            files["docs/data-model.json"] = json.dumps(model)

    files = build(POMODORO, edit=edit)
    assert 'colour: str = ""' in files["src/pomodoro_timer/models.py"]
    assert "class_: int = 0" in files["src/pomodoro_timer/models.py"]
    assert "class Sound(Record)" in files["src/pomodoro_timer/models.py"]
    assert "--colour" in files["README.md"]
    assert "add-sound" in files["README.md"]
    assert '"colour": "Some colour"' in files["tests/samples.py"]
    assert run_tests(write(files, tmp_path)).returncode == 0


@pytest.mark.parametrize("damage", ["{", "[]", '{"entities": 3}', '{"entities": [{"name": 3}]}', "\ud800", "null"])
def test_an_unreadable_data_model_falls_back_to_the_brief(damage: str) -> None:
    """Whatever stands in the data model, development brings a whole package."""
    inputs = {"docs/data-model.json": damage, "docs/requirements.md": "no requirement here"}
    steps = simulate("developer", "development", brief=POMODORO, answers={}, inputs=inputs, feedback="")
    files = {path: text for step in steps for path, text in step.files.items()}
    assert "class Session(Record)" in files["src/pomodoro_timer/models.py"]
    assert len(steps) > 1


def test_answers_and_feedback_add_what_is_recognised() -> None:
    """An answer's and a rejection's words become requirements where the templates know them, and are on the page."""
    asked = questions("todo")
    assert asked == questions("todo")
    number = next(place for place, text in enumerate(asked, start=1) if "exported" in text)
    answers = {f"Q{number}": "Yes, as CSV", "another": "no, thanks"}
    intake = simulate("architect", "intake", brief="todo", answers=answers, inputs={}, feedback="Add a kanban board")
    page = intake[0].files["docs/intake.md"]
    assert "Answer: Yes, as CSV" in page
    assert "another: no, thanks" in page
    assert "Add a kanban board" in page
    plan = simulate("architect", "planning", brief="todo", answers=answers, inputs={}, feedback="Add a kanban board")
    assert "`export` of `task`" in plan[0].files["docs/requirements.md"]
    assert "`board` of `task`" in plan[0].files["docs/requirements.md"]


def test_the_design_review_says_no_when_something_is_missing() -> None:
    """A requirement that no architecture covers, or an entity that is gone, is not approved, and is named."""
    files = build(POMODORO)
    asked = {"role": "consensus", "phase": "design_review", "brief": POMODORO, "answers": {}, "feedback": ""}
    assert simulate(**asked, inputs=files)[0].approved is True
    files["docs/requirements.md"] += "\n## R99: Uncovered\n\n- AC99.1: words\n"
    step = simulate(**asked, inputs=files)[0]
    assert step.approved is False
    assert "R99: Uncovered" in step.files["docs/reviews/design.md"]
    assert simulate(**asked, inputs={})[0].approved is False


def test_the_release_review_says_no_when_a_test_is_missing() -> None:
    """A criterion without test, a broken link and a file that does not parse are each measured and named."""
    files = build(POMODORO)
    files["docs/requirements.md"] += "\n## R99: New\n\n- AC99.1: words\n"
    files["README.md"] += "\n[gone](docs/gone.md)\n"
    files["src/pomodoro_timer/cli.py"] = "def broken(:\n"
    step = simulate("consensus", "release_review", brief=POMODORO, answers={}, inputs=files, feedback="")[0]
    page = step.files["docs/reviews/release.md"]
    assert step.approved is False
    for words in ("AC99.1", "docs/gone.md", "src/pomodoro_timer/cli.py"):
        assert words in page


def test_the_code_review_measures() -> None:
    """The numbers of the code review are those of the source it was given."""
    source = "def long(a, b=[]):\n" + "    if a: b = a\n" * 60 + "    return b\n"
    step = simulate("reviewer", "review", brief="x", answers={}, inputs={"src/a.py": source}, feedback="")[0]
    page = step.files["docs/reviews/code.md"]
    assert "src/a.py:1 long has 62 lines" in page
    assert "a complexity of 61" in page
    assert "mutable default argument" in page
    assert "| Functions and methods | 1 | 0 |" in page
    clean = simulate("reviewer", "review", brief="x", answers={}, inputs=build(POMODORO), feedback="")[0]
    assert "0 findings" in clean.summary


def test_hygiene_finds_what_should_not_be_there() -> None:
    """A secret, a stray print, a large file and trailing blanks are found; a generated project has none."""
    files = {
        "src/a/x.py": '"""X."""\nprint(1)  \n',
        "big.txt": "x" * 200_000 + "\n",
        "key.txt": "AKIA" + "A" * 16 + "\n",
    }
    dirty = simulate("steward", "hygiene", brief="x", answers={}, inputs=files, feedback="")[0]
    page = dirty.files["docs/hygiene.md"]
    for words in ("key.txt", "src/a/x.py:2", "big.txt: 200001 bytes", "look at this"):
        assert words in page
    tidy = simulate("steward", "hygiene", brief="x", answers={}, inputs=build(POMODORO), feedback="")[0]
    assert "look at this" not in tidy.files["docs/hygiene.md"]
    assert "__pycache__" in tidy.files[".gitignore"]


def test_a_phase_nobody_knows_gets_a_page() -> None:
    """A custom workflow's phase is answered with a page under docs/, with a safe name."""
    step = simulate("architect", "../threat model!", brief=POMODORO, answers={}, inputs={}, feedback="again ```")[0]
    assert list(step.files) == ["docs/threat-model.md"]


def test_generated_code_is_typed_documented_and_small() -> None:
    """Every generated function of the everything app is annotated, public ones have docstrings, none is long."""
    for path, text in build(EVERYTHING).items():
        if not path.startswith("src/") or not path.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.returns is not None, (path, node.name)
                assert (node.end_lineno or 0) - node.lineno < 30, (path, node.name)


@contextlib.contextmanager
def importable(folder: Path) -> Iterator[None]:
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(folder)):
                del sys.modules[name]


@pytest.mark.parametrize(
    "brief",
    [
        POMODORO,
        EVERYTHING,
        "todo",
        "Recipe collection with ratings, tags and due dates",
        "Budget",
        "Workout log statistics",
    ],
)
def test_the_examples_of_the_usage_page_are_true(brief: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of docs/usage.md is run, 25 minutes after the one before, and prints the very lines shown."""
    files = build(brief)
    package = next(path.split("/")[1] for path in files if path.startswith("src/"))
    write(files, tmp_path)
    monkeypatch.chdir(tmp_path)
    with importable(tmp_path / "src"):
        main = importlib.import_module(f"{package}.cli").main
        examples = re.findall(r"```console\n(\$ python -m .*?)```", files["docs/usage.md"], re.DOTALL)
        assert examples
        for example in examples:
            Path(f"{package}.json").unlink(missing_ok=True)
            moment = datetime(2026, 1, 5, 9)
            for part in example.split("$ ")[1:]:
                command, _, wanted = part.partition("\n")
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    assert main(shlex.split(command)[3:], now=moment) == 0, command
                assert out.getvalue() == wanted
                moment += timedelta(minutes=25)
