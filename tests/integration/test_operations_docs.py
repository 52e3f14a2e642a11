"""The tutorial `docs/how-to/add-an-operation.md`: its files, written out and installed, do what the page says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cli_process import ROOT, Cli

PAGE = (ROOT / "docs/how-to/add-an-operation.md").read_text("utf-8")
# A block whose first line names a file is that file.
FILES = dict(re.findall(r"^```\w+ ([\w./-]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the page, installed into a folder as an installer leaves it."""
    site = tmp_path_factory.mktemp("site")
    for name, text in FILES.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text, "utf-8")
    (site / "moodboards/__init__.py").touch()
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    info = site / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        f"[{group}]\n" + "\n".join(f"{name} = {where}" for name, where in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return site


@pytest.fixture
def cli(tmp_path: Path, package: Path) -> Cli:
    (tmp_path / "board.json").write_text(FILES["board.json"])
    return Cli(tmp_path, PYTHONPATH=f"{ROOT}:{package}")


def test_the_page_shows_every_file_that_it_lists() -> None:
    """The list at its top is what a reader writes, and nothing is listed that is not shown."""
    listed = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert listed is not None
    shown = {name for name in FILES if name.startswith("moodboards/") or name == "pyproject.toml"}
    assert set(listed[1].split()) == shown | {"moodboards/__init__.py"}


def test_the_operation_is_listed_and_its_schema_shown(cli: Cli) -> None:
    """Installed is enough: the command line knows it, beside the package's own."""
    assert {"moodboards.analyze", "pillars.validate"} <= {one["id"] for one in cli.json("op", "list")}
    shown = json.loads(cli("op", "show", "moodboards.analyze").stdout)
    assert shown["modes"] == ["monolithic", "agentic"]
    assert set(shown["answer"]["properties"]) >= {"palette", "tone", "themes", "tensions", "missing"}


def test_both_modes_give_the_answer_of_the_page(cli: Cli) -> None:
    """The command as it stands there prints what stands below it; agentic comes to the same, by its agents."""
    commands = re.findall(r"^\$ orchestrator (op moodboards\S+ --data @board.json(?: --agentic)?)$", PAGE, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        done = cli(*command.split())
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == json.loads(FILES["answer.json"])
    told = cli.json(*commands[1].split(), "--cache", "bypass")["metadata"]
    assert (set(told["agents_used"]), told["provenance"]) == ({"colour", "meaning", "gaps"}, "simulated")


def test_the_tests_of_the_page_pass(cli: Cli, package: Path) -> None:
    """They run as they stand, under pytest, with the package installed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(package / "tests/test_moodboards.py")],
        capture_output=True,
        text=True,
        cwd=package,
        env=cli.environment,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{FILES['tests/test_moodboards.py'].count('def test_')} passed" in done.stdout


def test_the_table_names_what_a_handler_has() -> None:
    """Each word of the table is there in the class, and every method that one may write is in the table."""
    from orchestrator_v2.operations.handler import OperationHandler

    rows = re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE)
    words = {word for row in rows for word in re.findall(r"`(\w+)`", row)}
    known = {*OperationHandler.__annotations__, *vars(OperationHandler)}
    assert words <= known
    assert {"simulate", "simulate_agent", "combine", "context", "images", "check", "rounds"} <= words


def test_a_picture_is_refused_where_it_is_none(cli: Cli) -> None:
    """The page's own limits hold, and name the field."""
    data = {"title": "x", "items": [{"kind": "image", "value": "x", "picture": "aGVsbG8="}]}
    done = cli("op", "moodboards.analyze", "--data", json.dumps(data))
    assert done.returncode == 3
    assert "items.0.picture" in done.stderr
    assert "is not a PNG" in done.stderr
