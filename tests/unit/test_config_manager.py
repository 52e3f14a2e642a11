"""The configuration file is changed in place: comments, order and rights stay, nothing wrong or stale is written."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from orchestrator_v2.config.config_manager import ConfigManager
from orchestrator_v2.core.errors import ConfigError

TEXT = """\
# How we work
llm_provider: anthropic   # the usual one

agent_assignments:
  # tests are cheap
  tester: openai/gpt-6-luna
  winston:
    model: "claude-opus-5-5"  # thinks
budget: {limit_usd: 5}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / ".bmad" / "project-config.yaml"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def manager(file: Path, **environ: str) -> ConfigManager:
    folder = file.parent.parent
    return ConfigManager(cwd=folder, home=folder, environ=environ)


def test_values_are_got_by_dotted_keys_and_agents_by_any_name(file: Path) -> None:
    """`qa` finds what stands under `tester`; the short form of a model has its two words all the same."""
    config = manager(file)
    assert config.get("llm_provider") == "anthropic"
    assert config.get("agent_assignments.qa.model") == "gpt-6-luna"
    assert config.get("agent_assignments.architect.model") == "claude-opus-5-5"
    assert config.get("budget.limit_usd") == 5
    assert (config.get("budget.alert_at"), config.get("agent_assignments.dev.model", "none")) == (None, "none")


def test_comments_order_quotes_and_rights_are_kept(file: Path) -> None:
    """What was not set stays byte by byte; the file's rights are as they were, and no draft is left."""
    file.chmod(0o640)
    config = manager(file)
    config.set("agent_assignments.qa", "openai/gpt-6-sol")
    config.set("budget.alert_at", 0.5)
    config.save()
    expected = TEXT.replace("gpt-6-luna", "gpt-6-sol").replace("{limit_usd: 5}", "{limit_usd: 5, alert_at: 0.5}")
    assert [line.split() for line in file.read_text().splitlines()] == [line.split() for line in expected.splitlines()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_save_of_nothing_changes_no_byte(file: Path) -> None:
    """Reading and saving is not reformatting."""
    odd = TEXT + "fallbacks:\n    -   openai/gpt-6-luna\n"
    file.write_text(odd)
    manager(file).load().save()
    assert file.read_text() == odd


def test_the_short_form_becomes_the_long_one_where_a_word_is_set_in_it(file: Path) -> None:
    """Setting an agent's model keeps its provider; None takes a word out; a list takes one more at its end."""
    config = manager(file)
    config.set("agent_assignments.qa.model", "gpt-6-sol")
    config.set("agent_assignments.winston.model", None)
    config.set("agent_assignments.winston.reasoning", "high")
    config.set("fallbacks", ["openai/gpt-6-luna"])
    config.set("fallbacks.1", "openai/gpt-6-sol")
    assert config.get("agent_assignments.tester") == {"provider": "openai", "model": "gpt-6-sol"}
    assert config.get("agent_assignments.winston") == {"reasoning": "high"}
    config.save()
    assert manager(file).get("fallbacks") == ["openai/gpt-6-luna", "openai/gpt-6-sol"]
    assert "# tests are cheap" in file.read_text()


def test_a_text_that_yaml_would_read_as_something_else_is_quoted(file: Path) -> None:
    """`off` is a word here and false to a reader of YAML 1.1: it comes back as it was set."""
    config = manager(file)
    config.set("search", "off")
    assert config.get("search") == "off"
    config.save()
    assert 'search: "off"' in file.read_text()


def test_what_does_not_validate_is_not_saved(file: Path) -> None:
    """All mistakes are told with their lines, and the file stays as it was."""
    config = manager(file)
    config.set("agent_assignments.qa.model", "claude-5")
    config.set("reasoning", "very")
    found = config.validate()
    assert [problem.key for problem in found] == ["agent_assignments.tester.model", "reasoning"]
    assert all(problem.line and problem.file == ".bmad/project-config.yaml" for problem in found)
    with pytest.raises(ConfigError, match="2 problems"):
        config.save()
    assert file.read_text() == TEXT
    with pytest.raises(ConfigError, match=r"budget\.limit_usd is no table"):
        config.set("budget.limit_usd.more", 1)


def test_a_key_that_is_not_set_here_keeps_nobody_from_saving(file: Path) -> None:
    """The file is right, it is this machine that lacks the variable: told by validate, not in the way."""
    config = manager(file)
    config.set("api_key", "${ANTHROPIC_API_KEY}")
    assert [problem.key_only for problem in config.validate()] == [True]
    config.save()
    assert manager(file, ANTHROPIC_API_KEY="x" * 20).validate() == []


def test_a_file_that_was_changed_meanwhile_is_not_overwritten(file: Path) -> None:
    """Somebody else's words are not lost in silence, nor is a file that was put there, nor one that went away."""
    config = manager(file)
    config.set("model", "haiku")
    file.write_text(TEXT + "# mine\n")
    with pytest.raises(ConfigError, match="changed by somebody else"):
        config.save()
    assert file.read_text().endswith("# mine\n")
    config.load().set("model", "haiku")
    file.unlink()
    with pytest.raises(ConfigError, match="changed by somebody else"):
        config.save()
    assert not file.exists()


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    """Without a configuration the first save writes one, with its folder, that anybody may read."""
    config = ConfigManager(cwd=tmp_path, home=tmp_path, environ={})
    config.set("llm_provider", "openai")
    config.save()
    config.set("model", "gpt-6-luna")
    config.save()
    made = tmp_path / ".bmad" / "project-config.yaml"
    assert made.read_text() == "llm_provider: openai\nmodel: gpt-6-luna\n"
    assert stat.S_IMODE(made.stat().st_mode) == 0o644


def test_json_stays_json_and_a_link_stays_a_link(tmp_path: Path) -> None:
    """The file behind a link is changed, not the link."""
    real = tmp_path / "shared.json"
    real.write_text('{"llm_provider": "openai", "budget": {"limit_usd": 1}}')
    link = tmp_path / ".bmad" / "project-config.json"
    link.parent.mkdir()
    link.symlink_to(real)
    config = ConfigManager(cwd=tmp_path, home=tmp_path, environ={})
    config.set("budget.limit_usd", 2)
    config.save()
    assert link.is_symlink()
    assert real.read_text() == '{\n  "llm_provider": "openai",\n  "budget": {\n    "limit_usd": 2\n  }\n}\n'


def test_a_folder_that_cannot_be_written_to_leaves_the_old_file_whole(file: Path) -> None:
    """The error says so, and there is neither a half file nor a draft."""
    config = manager(file)
    config.set("model", "haiku")
    taken = file.with_name("taken")
    taken.mkdir()
    config.path = taken
    with pytest.raises(ConfigError):
        config.save()
    assert file.read_text() == TEXT
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name, "taken"]


def test_of_many_who_save_at_once_each_is_kept_or_told(file: Path) -> None:
    """Eight writers race: as many lines are in the end as saves that did not raise."""
    refused: list[int] = []

    def write(number: int) -> None:
        for turn in range(5):
            config = manager(file)
            names = config.get("fallbacks", [])
            config.set("fallbacks", [*names, f"ollama/m{number}-{turn}"][-8:])
            config.set("budget.limit_usd", config.get("budget.limit_usd") + 1)
            try:
                config.save()
            except ConfigError:
                refused.append(1)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert manager(file).get("budget.limit_usd") == 5 + 20 - len(refused)
    assert manager(file).validate() == []
