"""The documents are true: what they show is what the code gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator_v2.bootstrap import load_workflow_named
from orchestrator_v2.core.workflow import Phase
from orchestrator_v2.engine.picture import mermaid
from orchestrator_v2.workspace.evidence import CHECKS

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")])


def test_the_readme_shows_the_default_workflow_as_it_is() -> None:
    """The picture in the README is the one that the default workflow's graph gives."""
    assert mermaid(load_workflow_named("default")) in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    """No document points at something that is not there."""
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_words_and_checks_of_a_workflow_are_all_explained() -> None:
    """Every field of a phase and every evidence check has its row, and no row speaks of one that is gone."""
    text = (ROOT / "docs/how-to/write-a-workflow.md").read_text("utf-8")
    rows = set(re.findall(r"^\| `([\w.\-]+)` \|", text, re.MULTILINE))
    words = {name for name in Phase.__struct_fields__ if name != "gate"} | {"gate.evidence", "gate.review"}
    assert rows == words | set(CHECKS)


def test_the_example_workflow_is_a_good_one(tmp_path: Path) -> None:
    """The YAML of the how-to loads as it stands."""
    text = (ROOT / "docs/how-to/write-a-workflow.md").read_text("utf-8")
    example = tmp_path / "prototype.yaml"
    example.write_text(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])  # type: ignore[index]
    assert load_workflow_named(str(example)).order == ("planning", "development", "qa", "complete")


def test_the_python_examples_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each Python block is executed as a program of its own."""
    monkeypatch.setenv("ORCHESTRATOR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})


def test_the_python_examples_of_the_how_tos_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each Python block of a how-to is executed as a program of its own: no name in it is left unimported."""
    monkeypatch.setenv("ORCHESTRATOR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "docs/how-to").glob("*.md"))]
    blocks = [block for text in texts for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
    assert any("PhaseGraph" in block for block in blocks)
    for block in blocks:
        exec(compile(block, "how-to", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("name", ["README.md", "docs/quickstart.md", "docs/how-to/use-the-cli.md"])
def test_a_brief_that_is_read_was_written_before(name: str) -> None:
    """No command reads a brief.md that a fresh clone does not have and nobody was told to make."""
    text = (ROOT / name).read_text("utf-8")
    assert "> brief.md" in text[: text.index("--brief brief.md")]
