"""Prepared model answers that take the default workflow to its end: a small real project, told step by step.

`FakeAnthropic(default=worked_reply)` gives them over the wire; what is asked is read off the prompt, so calls may
come in any order and any number of times. Phases that are not the default workflow's get one file in `docs/`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import msgspec

from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import Reply

BRIEF = "A tally counter: count named things from the command line and keep the counts in a JSON file."

_PHASE = re.compile(r"\(phase `(\w+)`(?:, round (\d+))?\)")
_STEP = re.compile(r"^# Do step (\d+) of the plan", re.MULTILINE)

Files = Mapping[str, str]

_REQUIREMENTS = """# Requirements

## R1: Count

- AC1.1: adding a name for the first time gives it the count 1.
- AC1.2: adding a name again raises its count by one.

## R2: Keep

- AC2.1: counts are there again when the file is opened anew.
"""

_ARCHITECTURE = """# Architecture

A `Tally` holds counts; `tally.store` keeps them in a JSON file.

```mermaid
graph TD
    cli[Command line] --> tally[Tally]
    tally --> store[JSON file]
```
"""

_PYPROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "tally"
version = "0.1.0"
requires-python = ">=3.11"

[project.scripts]
tally = "tally.cli:main"

[tool.pytest.ini_options]
testpaths = ["tests"]
"""

_COUNTING = '''"""R1: counts of named things."""


def added(counts: dict[str, int], name: str) -> dict[str, int]:
    """The counts with one more of `name`."""
    return {**counts, name: counts.get(name, 0) + 1}
'''

_STORE = '''"""R2: counts in a JSON file."""

import json
from pathlib import Path


def load(path: Path) -> dict[str, int]:
    """The counts in the file; none where there is no file."""
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def save(path: Path, counts: dict[str, int]) -> None:
    """Writes the counts."""
    path.write_text(json.dumps(counts, sort_keys=True), "utf-8")
'''

_CLI = '''"""The command line."""

import sys
from pathlib import Path

from tally.counting import added
from tally.store import load, save


def main(argv: list[str] | None = None) -> int:
    """Counts each name given and prints all counts."""
    path = Path("tally.json")
    counts = load(path)
    for name in sys.argv[1:] if argv is None else argv:
        counts = added(counts, name)
    save(path, counts)
    for name, count in sorted(counts.items()):
        print(name, count)
    return 0
'''

_CONFTEST = """import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
"""

_TEST_COUNTING = '''from tally.counting import added


def test_a_new_name_is_counted_once():
    """AC1.1: a first addition gives 1."""
    assert added({}, "tea") == {"tea": 1}


def test_a_known_name_is_counted_up():
    """AC1.2: a further addition raises the count by one."""
    assert added({"tea": 4}, "tea") == {"tea": 5}
'''

_TEST_STORE = '''from tally.store import load, save


def test_counts_are_kept(tmp_path):
    """AC2.1: what was saved is loaded again."""
    save(tmp_path / "tally.json", {"tea": 2})
    assert load(tmp_path / "tally.json") == {"tea": 2}
'''

_MODEL = json.dumps({"entities": [{"name": "Count", "fields": {"name": "string", "count": "integer"}}]}, indent=2)

# The steps of each phase's plan, and the files that each step writes.
STEPS: Mapping[str, tuple[Files, ...]] = {
    "intake": ({"docs/intake.md": "# Intake\n\nCount named things, keep the counts. Assumed: one user.\n"},),
    "planning": ({"docs/requirements.md": _REQUIREMENTS},),
    "architecture": ({"docs/architecture.md": _ARCHITECTURE},),
    "data": (
        {"docs/data-model.md": "# Data model\n\nA count has a name and a number.\n"},
        {"docs/data-model.json": _MODEL + "\n"},
    ),
    "design_review": ({"docs/reviews/design.md": "# Design review\n\nSmall, and fits the requirements. Approved.\n"},),
    "development": (
        {"pyproject.toml": _PYPROJECT, "src/tally/__init__.py": '"""A tally counter."""\n'},
        {"src/tally/counting.py": _COUNTING, "src/tally/store.py": _STORE},
        {"src/tally/cli.py": _CLI},
    ),
    "qa": (
        {"tests/conftest.py": _CONFTEST, "tests/test_counting.py": _TEST_COUNTING},
        {"tests/test_store.py": _TEST_STORE},
    ),
    "documentation": (
        {"docs/usage.md": "# Usage\n\n`tally tea tea` counts two cups of tea.\n"},
        {"README.md": "# Tally\n\nCounts named things. See [usage](docs/usage.md).\n"},
    ),
    "review": ({"docs/reviews/code.md": "# Code review\n\nShort functions, no lost errors.\n"},),
    "hygiene": ({".gitignore": "__pycache__/\n", "docs/hygiene.md": "# Hygiene\n\nNothing to tidy.\n"},),
    "release_review": ({"docs/reviews/release.md": "# Release review\n\nDoes what was asked. Approved.\n"},),
}
_VERDICTS = frozenset({"design_review", "release_review"})


class Asked(msgspec.Struct, frozen=True):
    """What a prompt asks for: the plan of a phase (`step` 0), or the files of one step of it."""

    phase: str
    step: int = 0
    round: int = 1


def asked(prompt: str) -> Asked:
    """Raises ValueError for a text that is none of this project's prompts."""
    found = _PHASE.findall(prompt)
    if not found:
        raise ValueError("the prompt names no phase")
    phase, number = found[-1]
    step = _STEP.findall(prompt)
    return Asked(phase, int(step[-1]) if step else 0, int(number or 1))


def steps_of(phase: str) -> tuple[Files, ...]:
    return STEPS.get(phase) or ({f"docs/{phase}.md": f"# {phase}\n\nDone as asked.\n"},)


def worked_answer(prompt: str) -> str:
    """The JSON text that answers a prompt well."""
    wanted = asked(prompt)
    steps = steps_of(wanted.phase)
    if not wanted.step:
        planned = [
            {"title": f"{wanted.phase} step {number}", "detail": "Whole files.", "files": list(files)}
            for number, files in enumerate(steps, 1)
        ]
        return json.dumps({"summary": f"The plan of {wanted.phase}.", "steps": planned})
    return json.dumps(
        {
            "summary": f"Step {wanted.step} of {wanted.phase}.",
            "files": [{"path": path, "content": text} for path, text in steps[wanted.step - 1].items()],
            "removed": [],
            "approved": True if wanted.phase in _VERDICTS else None,
            "notes": [],
        }
    )


def worked_reply(seen: Seen) -> Reply:
    """A whole answer over the wire, with token counts that fit its text."""
    text = worked_answer(seen.prompt)
    return Reply(text, usage={"input_tokens": len(seen.prompt) // 4 + 1, "output_tokens": len(text) // 4 + 1})


def call_count(phases: tuple[str, ...] = tuple(STEPS)) -> int:
    """How many calls an undisturbed run of those phases makes: a plan, and one for each step."""
    return sum(1 + len(steps_of(phase)) for phase in phases)
