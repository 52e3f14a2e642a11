"""`orchestrator config`: begin a file, check it, see what came of it; as a process, with exit codes and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_process import Cli, one_paragraph

KEY = "sk-ant-planted-0123456789abcdef"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def write(cli: Cli, text: str) -> None:
    path = cli.folder / ".bmad" / "project-config.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_a_file_is_begun_once_and_is_valid(cli: Cli) -> None:
    """`init` writes it, `validate` is content, a second `init` leaves it alone and says so."""
    done = cli("config", "init")
    assert (done.returncode, done.stderr) == (0, ""), done
    text = (cli.folder / ".bmad/project-config.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=/")
    assert cli("config", "validate").stdout == ".bmad/project-config.yaml can be used.\n"
    again = cli("config", "init", "--json")
    assert (again.returncode, one_paragraph(again.stderr)) == (3, True)
    assert "is there already" in again.stderr
    assert (cli.folder / ".bmad/project-config.yaml").read_text() == text


def test_json_is_written_and_answered_in_on_wish(cli: Cli) -> None:
    """With --json the file is JSON, and so is the answer."""
    done = cli("config", "init", "--json")
    path = Path(json.loads(done.stdout)["path"])
    assert json.loads(path.read_text())["llm_provider"] == "anthropic"
    assert cli("config", "validate").returncode == 0


def test_every_fault_has_a_line_of_its_own_and_the_exit_code_of_bad_input(cli: Cli) -> None:
    """File, line and key of each; the same as JSON; a key that was pasted is not repeated."""
    write(cli, f"llm_provider: anthropic\nmodel: claude-5\nagent_assignments:\n  qa: openai/nix\napi_key: {KEY}\n")
    done = cli("config", "validate")
    assert (done.returncode, one_paragraph(done.stderr)) == (3, True)
    lines = done.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f".bmad/project-config.yaml, line {n}" for n in (2, 4, 5)]
    assert "The model of agent 'qa' cannot be used. Reason: openai has no model 'nix'." in lines[1]
    found = json.loads(cli("config", "validate", "--json").stdout)
    assert [(it["line"], it["key"]) for it in found] == [(2, "model"), (4, "agent_assignments.qa"), (5, "api_key")]
    assert "claude-sonnet-5-5" in found[0]["valid"]
    assert KEY not in done.stdout + done.stderr + json.dumps(found)


def test_a_single_fault_is_the_error_of_a_run_in_the_houses_form(cli: Cli) -> None:
    """What a run says of the file is what validate says; commands that ask no model go on."""
    write(cli, "agent_assignments:\n  qa:\n    model: claude-5\n")
    done = cli("run", "A todo", "--workflow", cli.short_workflow())
    assert (done.returncode, one_paragraph(done.stderr)) == (3, True)
    assert "The model of agent 'qa' cannot be used. Reason: anthropic has no model 'claude-5'." in done.stderr
    assert "Edit .bmad/project-config.yaml, line 3: agent_assignments.qa.model." in done.stderr
    assert cli("list").returncode == 0


def test_another_file_can_be_checked(cli: Cli) -> None:
    """By its path, before it is put in its place."""
    (cli.folder / "draft.yaml").write_text("modell: x\n")
    done = cli("config", "validate", "draft.yaml")
    assert done.returncode == 3
    assert "draft.yaml, line 1: modell" in done.stdout
    assert cli("config", "validate").returncode == 0
    gone = cli("config", "validate", "nowhere.yaml")
    assert (gone.returncode, "cannot be read" in gone.stdout) == (3, True)


def test_show_tells_what_the_project_says_and_what_an_agent_gets(cli: Cli) -> None:
    """Each word with its file and line; a setting that the project outdoes says so; keys by their variables alone."""
    write(
        cli,
        "llm_provider: openai\nagent_assignments:\n  winston:\n    provider: anthropic\n    model: glm-4.6\n"
        "    base_url: https://api.z.ai/api/anthropic\n    api_key: ${ZAI_API_KEY}\n",
    )
    shown = {row["name"]: row for row in json.loads(cli("config", "show", "--json", ZAI_API_KEY=KEY).stdout)}
    assert shown["provider"]["source"] == "default; for runs: .bmad/project-config.yaml, line 1"
    assert shown["project: agent_assignments.winston.model"]["value"] == "glm-4.6"
    agent = cli("config", "show", "--agent", "architect", ZAI_API_KEY=KEY)
    assert "${ZAI_API_KEY} (environment)" in agent.stdout
    assert "line 5: agent_assignments.winston.model" in agent.stdout
    assert KEY not in agent.stdout + str(shown)
    assert "Did you mean 'winston'?" in cli("config", "show", "--agent", "winstn").stderr


def test_the_schema_is_printed_by_path_or_as_it_is(cli: Cli) -> None:
    """Editors want the path, programs the schema."""
    path = Path(cli("config", "schema").stdout.strip())
    assert json.loads(path.read_text()) == json.loads(cli("config", "schema", "--json").stdout)


def test_an_unset_variable_stops_real_work_and_no_other(cli: Cli) -> None:
    """Simulated runs need no key; a real one names the variable, the agent and the line."""
    write(cli, "agent_assignments:\n  qa: {provider: zhipu, api_key: '${ZAI_API_KEY}'}\n")
    assert cli("run", "A todo", "--workflow", cli.short_workflow()).returncode == 0
    done = cli("run", "A todo", "--workflow", cli.short_workflow(), "--real-llm", ANTHROPIC_API_KEY=KEY)
    assert (done.returncode, one_paragraph(done.stderr)) == (3, True)
    assert "The model of agent 'qa' cannot be used. Reason: ${ZAI_API_KEY} is not set." in done.stderr
    assert "line 2: agent_assignments.qa.api_key" in done.stderr


def test_real_mode_may_be_the_projects_word_and_a_flag_takes_it_back(cli: Cli) -> None:
    """`mode: real` in the file needs a key then; --mode simulated wins over it."""
    write(cli, "mode: real\n")
    done = cli("run", "A todo", "--workflow", cli.short_workflow())
    assert (done.returncode, "Real mode needs a key for anthropic" in done.stderr) == (3, True)
    assert cli("run", "A todo", "--workflow", cli.short_workflow(), "--mode", "simulated").returncode == 0
