"""docs/how-to/configure.md is true: its files validate and mean what it says, and its error is the one that is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator_v2.config.agent_names import ALIASES
from orchestrator_v2.config.loader import inspect_settings
from orchestrator_v2.config.project_config import ProjectConfig
from orchestrator_v2.config.schema import load_schema

TEXT = (Path(__file__).parents[2] / "docs/how-to/configure.md").read_text("utf-8")
KEYS = {name: "sk-planted-0123456789" for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "ZAI_API_KEY")}


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".bmad").mkdir()
    (tmp_path / ".bmad/project-config.yaml").write_text(block("yaml"))
    return tmp_path


def load(folder: Path) -> ProjectConfig:
    return ProjectConfig.load(environ=KEYS, cwd=folder, home=folder)


def test_the_example_is_valid_and_holds_every_word(folder: Path) -> None:
    """Nothing is wrong with it, keys included, and no word of the schema is left out of the page."""
    config = load(folder)
    assert config.problems() == []
    for name in load_schema()["properties"]:
        assert f"{name}" in TEXT
    for name in load_schema()["$defs"]["budget"]["properties"]:
        assert f"{name}:" in block("yaml")
    assert "winston" in ALIASES["architect"]


def test_the_example_means_what_its_comments_say(folder: Path) -> None:
    """The architect thinks harder, the developer's key goes to z.ai, and it has given up what the project wants."""
    config = load(folder)
    winston, developer = config.get_agent_llm_config("winston"), config.get_agent_llm_config("developer")
    assert (winston.model, winston.reasoning, winston.search) == ("claude-opus-5-5", "high", "auto")
    assert (developer.base_url, developer.key) == ("https://api.z.ai/api/anthropic", "ZAI_API_KEY")
    assert (developer.reasoning, developer.fallbacks) == ("", ())
    assert [spare.model for spare in config.get_agent_llm_config("data").fallbacks] == ["gpt-6-luna"]


def test_an_agents_own_file_stands_below_the_projects(folder: Path) -> None:
    """The JSON example is valid; the project's words win over it, and without them it counts."""
    own = folder / ".bmad/agents/winston/config.json"
    own.parent.mkdir(parents=True)
    own.write_text(block("json"))
    assert load(folder).get_agent_llm_config("winston").sources["model"].startswith("project")
    (folder / ".bmad/project-config.yaml").write_text("llm_provider: anthropic\n")
    winston = load(folder).get_agent_llm_config("winston")
    assert winston.sources["model"] == "agent (.bmad/agents/winston/config.json, line 2: model)"
    assert [spare.model for spare in winston.fallbacks] == ["claude-sonnet-5-5"]


def test_the_error_of_the_page_is_the_one_that_is_told(folder: Path) -> None:
    """Word for word, up to the names that are valid."""
    lines = block("yaml").replace("  qa: openai/gpt-6-luna\n", "  qa:\n    model: claude-5\n")
    (folder / ".bmad/project-config.yaml").write_text(lines)
    (problem,) = ProjectConfig(inspect_settings({}, KEYS, folder, folder)[0]).problems()
    told = re.sub(r"line \d+", "line N", re.sub(r"Valid: .*?…\.", "Valid: ….", str(problem)))
    page = re.sub(r"line \d+", "line N", re.sub(r"Valid: .*?…\.", "Valid: ….", " ".join(block("text").split())))
    assert told == page
