"""Settings are found where they should be, the right place wins, and mistakes are all named at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator_v2.config.display import live_secrets, rows
from orchestrator_v2.config.loader import (
    FIELDS,
    NOT_FROM_DOTENV,
    LoadedSettings,
    inspect_settings,
    load_settings,
    user_config_path,
)
from orchestrator_v2.config.settings import Settings
from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.llm.auth import all_credential_variables

EXAMPLE = Path(__file__).parents[2] / ".env.example"
KEY = "sk-ant-planted-0123456789abcdef"


class Machine:
    """A home and a folder of one's own; `load` reads the settings of a process that starts there."""

    def __init__(self, root: Path) -> None:
        self.home, self.cwd = root / "home", root / "work"
        self.home.mkdir()
        self.cwd.mkdir()

    def user_file(self, text: str) -> None:
        path = user_config_path({}, self.home)
        path.parent.mkdir(parents=True)
        path.write_text(text)

    def dotenv(self, text: str) -> None:
        (self.cwd / ".env").write_text(text)

    def load(self, overrides: dict[str, object] | None = None, **environ: str) -> LoadedSettings:
        return load_settings(overrides or {}, environ, self.cwd, self.home)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_any_setting_the_defaults_hold(machine: Machine) -> None:
    """A fresh machine works simulated, in the XDG data home, with every source named `default`."""
    loaded = machine.load()
    assert loaded.settings == Settings(data_dir=machine.home / ".local/share/orchestrator")
    assert loaded.settings.mode == "simulated"
    assert loaded.settings.database == f"sqlite:///{machine.home}/.local/share/orchestrator/orchestrator.db"
    assert set(loaded.sources.values()) == {"default"}


def test_each_place_wins_over_the_one_below(machine: Machine) -> None:
    """A flag wins over all. Of the process the environment is next, then .env, then the user's file; of models and
    budgets it is the user's file first. The source says which it was."""
    machine.user_file('parallelism = 1\nlog_level = "error"\nmodel = "file"\nbudget_usd = 1\n')
    machine.dotenv("ORCHESTRATOR_LOG_LEVEL=info\nORCHESTRATOR_MODEL=dotenv\nORCHESTRATOR_RETRY_FACTOR=3\n")
    loaded = machine.load(
        {"base_url": "http://flag", "mode": None},
        ORCHESTRATOR_MODEL="env",
        ORCHESTRATOR_BUDGET_USD="2",
        ORCHESTRATOR_LOG_LEVEL="debug",
        ORCHESTRATOR_BASE_URL="http://env",
    )
    settings, sources = loaded.settings, loaded.sources
    assert (settings.log_level, sources["log_level"]) == ("debug", "environment")
    assert (settings.retry_factor, sources["retry_factor"]) == (3, ".env")
    assert (settings.parallelism, sources["parallelism"]) == (1, "config file")
    assert (settings.model, sources["model"]) == ("file", "config file")
    assert (settings.budget_usd, sources["budget_usd"]) == (1, "config file")
    assert (settings.base_url, sources["base_url"]) == ("http://flag", "flag")
    assert (settings.mode, sources["mode"]) == ("simulated", "default")


def test_what_was_set_for_one_provider_is_not_taken_for_another(machine: Machine) -> None:
    """The user's provider wins over the environment's, whose model and base_url are then nobody's; without a provider
    of its own the environment speaks of the user's."""
    machine.user_file('provider = "openai"\n')
    elsewhere = {"ORCHESTRATOR_MODEL": "claude", "ORCHESTRATOR_BASE_URL": "https://proxy.example"}
    loaded = machine.load(ORCHESTRATOR_PROVIDER="anthropic", **elsewhere)
    assert (loaded.settings.provider, loaded.settings.model, loaded.settings.base_url) == ("openai", "", "")
    assert loaded.sources["model"] == "environment (for another provider, not used)"
    assert machine.load(ORCHESTRATOR_MODEL="gpt-6-luna").settings.model == "gpt-6-luna"


def test_text_becomes_the_right_type(machine: Machine) -> None:
    """What an environment can only say in text arrives as numbers, booleans and absolute paths."""
    settings = machine.load(
        ORCHESTRATOR_BUDGET_USD="2.50",
        ORCHESTRATOR_LOG_PROMPTS="true",
        ORCHESTRATOR_LOG_DIR="~/logs",
        ORCHESTRATOR_DATA_DIR="/var/lib/x",
        ORCHESTRATOR_PARALLELISM="8",
    ).settings
    assert settings.budget_usd == 2.5
    assert settings.log_prompts is True
    assert settings.log_dir == machine.home / "logs"
    assert settings.data_dir == Path("/var/lib/x")
    assert settings.parallelism == 8


def test_only_the_environment_that_was_given_is_read(machine: Machine) -> None:
    """A variable of the real process does not slip in beside the one that was passed."""
    code = (
        "from pathlib import Path; from orchestrator_v2.config.loader import load_settings; import sys;"
        "loaded = load_settings({'parallelism': 2}, {}, Path(sys.argv[1]), Path(sys.argv[1]));"
        "print(loaded.settings.model, loaded.settings.parallelism)"
    )
    environ = dict(os.environ, ORCHESTRATOR_MODEL="leaked", MODEL="leaked", ORCHESTRATOR_PARALLELISM="9")
    command = [sys.executable, "-c", code, str(machine.cwd)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2"]


def test_xdg_folders_are_obeyed_when_absolute(machine: Machine, tmp_path: Path) -> None:
    """XDG_DATA_HOME and XDG_CONFIG_HOME move the files; relative values are ignored, as the standard says."""
    moved = tmp_path / "moved"
    (moved / "orchestrator").mkdir(parents=True)
    (moved / "orchestrator" / "config.toml").write_text("parallelism = 7\n")
    loaded = machine.load(XDG_DATA_HOME=str(moved), XDG_CONFIG_HOME=str(moved))
    assert loaded.settings.data_dir == moved / "orchestrator"
    assert loaded.settings.parallelism == 7
    assert machine.load(XDG_DATA_HOME="data").settings.data_dir == machine.home / ".local/share/orchestrator"


def test_all_mistakes_are_named_at_once_with_place_and_nearest_name(machine: Machine) -> None:
    """One look is enough to correct a configuration: every bad value and every unknown name is in the error."""
    machine.user_file("paralelism = 3\nretry_factor = 0.5\n")
    machine.dotenv("ORCHESTRATOR_MODUS=real\nORCHESTRATOR_DURABILITY=maybe\n")
    with pytest.raises(ConfigError) as caught:
        machine.load({"parallelism": 0}, ORCHESTRATOR_BUDGET_USD="nan", ORCHESTRATOR_LOG_PROMPTS="perhaps")
    error = caught.value
    assert error.what == "The configuration has 7 problems."
    for words in (
        "paralelism (config file): there is no such setting, the nearest is parallelism",
        "ORCHESTRATOR_MODUS (.env): there is no such setting, the nearest is ORCHESTRATOR_MODE",
        "--parallelism (flag): input should be greater than or equal to 1, but it is '0'",
        "ORCHESTRATOR_BUDGET_USD (environment): input should be a finite number",
        "ORCHESTRATOR_DURABILITY (.env): input should be 'full' or 'normal', but it is 'maybe'",
        "retry_factor (config file): input should be greater than or equal to 1",
        "ORCHESTRATOR_LOG_PROMPTS (environment): input should be a valid boolean",
    ):
        assert words in error.why
    assert error.do
    assert error.exit_code == 3


def test_a_key_in_the_wrong_place_is_not_repeated_in_the_error(machine: Machine) -> None:
    """A key pasted into another variable does not reach the terminal."""
    with pytest.raises(ConfigError) as caught:
        machine.load(ORCHESTRATOR_MODE=KEY)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("content", [b"model = \n", b"\xff\xfe=", b"[[["])
def test_a_broken_user_file_is_an_error_that_names_it(machine: Machine, content: bytes) -> None:
    """A file that cannot be read is never skipped in silence."""
    machine.user_file("")
    user_config_path({}, machine.home).write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.toml cannot be read"):
        machine.load()


def test_a_dotenv_that_is_no_text_is_an_error_and_a_folder_of_that_name_is_not(machine: Machine) -> None:
    """A binary .env is named; a virtual environment called .env is none of our business."""
    (machine.cwd / ".env").write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(ConfigError, match=r"\.env cannot be read"):
        machine.load()
    (machine.cwd / ".env").unlink()
    (machine.cwd / ".env").mkdir()
    assert machine.load().settings.mode == "simulated"


def test_dotenv_values_are_taken_as_written(machine: Machine) -> None:
    """`${VAR}` in a .env is not filled from the process's environment."""
    machine.dotenv("ORCHESTRATOR_MODEL=${HOME}\n")
    assert machine.load().settings.model == "${HOME}"


def test_keys_are_secrets_with_a_source_and_are_never_shown(machine: Machine) -> None:
    """Keys come from environment or .env, and appear in no repr, row or dump of the loaded settings."""
    machine.dotenv(f"ANTHROPIC_API_KEY=sk-ant-from-the-file-000\nCLAUDE_CODE_OAUTH_TOKEN={KEY}\n")
    loaded = machine.load({"database_url": "postgresql://me:hunter%402@db/x"}, ANTHROPIC_API_KEY=KEY + "-env")
    assert loaded.keys["ANTHROPIC_API_KEY"].reveal() == KEY + "-env"
    assert loaded.sources["ANTHROPIC_API_KEY"] == "environment"
    assert loaded.sources["CLAUDE_CODE_OAUTH_TOKEN"] == ".env"
    assert KEY not in repr(loaded)
    assert KEY not in str(rows(loaded))
    assert "hunter" not in str(rows(loaded))
    assert {secret.reveal() for secret in live_secrets(loaded)} == {KEY, KEY + "-env", "hunter%402", "hunter@2"}


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"])
def test_a_dotenv_does_not_send_a_key_of_the_environment_to_its_own_server(machine: Machine, variable: str) -> None:
    """A folder may bring both key and server; with a key from elsewhere, its server is refused and never used."""
    machine.dotenv("ORCHESTRATOR_BASE_URL=https://evil.example\n")
    loaded, problems = inspect_settings({}, {variable: KEY}, machine.cwd, machine.home)
    assert (loaded.settings.base_url, problems) == ("", [])
    assert loaded.sources["base_url"] == ".env (not used)"
    assert f"{variable} of the environment" in loaded.model_problems[0]
    assert KEY not in loaded.model_problems[0]
    with pytest.raises(ConfigError, match=r"ORCHESTRATOR_BASE_URL \(\.env\)"):
        machine.load(**{variable: KEY})
    assert machine.load(OPENAI_API_KEY=KEY).settings.base_url == "https://evil.example"
    machine.dotenv(f"ORCHESTRATOR_BASE_URL=https://mine.example\n{variable}={KEY}\n")
    assert machine.load().settings.base_url == "https://mine.example"
    with pytest.raises(ConfigError, match="of the environment"):
        machine.load(**{variable: KEY})
    environ = {variable: KEY, "ORCHESTRATOR_BASE_URL": "https://mine.example"}
    assert machine.load(**environ).settings.base_url == "https://mine.example"


def test_a_key_that_is_too_short_to_be_hidden_says_so(machine: Machine) -> None:
    """Local servers take any word for a key; whoever looks at the settings is told that logs may show it."""
    shown = {name: source for name, _, source in rows(machine.load(VLLM_API_KEY="EMPTY", OPENAI_API_KEY=KEY))}
    assert shown["VLLM_API_KEY"] == "environment, shorter than 6 characters: not looked for in logs"
    assert shown["OPENAI_API_KEY"] == "environment"


def test_rows_name_every_setting_and_key_once(machine: Machine) -> None:
    """`config show` leaves nothing out: each field and each key variable has a row with its source."""
    names = [name for name, _, _ in rows(machine.load(ANTHROPIC_API_KEY=KEY))]
    assert names == [*FIELDS, *all_credential_variables()]
    shown = {name: (value, source) for name, value, source in rows(machine.load(ANTHROPIC_API_KEY=KEY))}
    assert shown["ANTHROPIC_API_KEY"] == ("…cdef", "environment")
    assert shown["CLAUDE_CODE_OAUTH_TOKEN"] == ("", "not set")
    assert shown["log_prompts"] == ("false", "default")


def test_the_example_names_everything_and_changes_nothing(machine: Machine) -> None:
    """Every field and key stands in .env.example, and a copy of it gives exactly the defaults."""
    text = EXAMPLE.read_text()
    named = [line.partition("=")[0] for line in text.splitlines() if line and not line.startswith("#")]
    variables = all_credential_variables()
    settable = (f"ORCHESTRATOR_{field.upper()}" for field in FIELDS if field not in NOT_FROM_DOTENV)
    assert sorted(named) == sorted([*settable, *variables])
    defaults = machine.load().settings
    machine.dotenv(text)
    loaded = machine.load()
    assert loaded.settings == defaults
    assert loaded.keys == {}
    assert ".env" in loaded.sources.values()


def test_a_folder_does_not_say_which_file_is_sent_to_temporal(machine: Machine) -> None:
    """A `.env` of somebody else's could name a secret file and an address of their own: both are refused there."""
    machine.dotenv("ORCHESTRATOR_TEMPORAL_ADDRESS=evil.example:7233\nORCHESTRATOR_TEMPORAL_API_KEY_FILE=/etc/passwd\n")
    with pytest.raises(ConfigError) as raised:
        machine.load()
    assert "ORCHESTRATOR_TEMPORAL_ADDRESS" in str(raised.value)
    assert "ORCHESTRATOR_TEMPORAL_API_KEY_FILE" in str(raised.value)


def test_nothing_heavy_is_imported_while_nothing_is_set() -> None:
    """A process without settings does not pay for pydantic."""
    code = (
        "import sys; from pathlib import Path; from orchestrator_v2.config.loader import load_settings;"
        "load_settings({}, {}, Path('/nowhere'), Path('/nowhere')); print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f'this is not = valid "{KEY}\n', 1),
        (f'A=1\n\n\nANTHROPIC_API_KEY="{KEY}\n', 4),
        (f"A=1\nANTHROPIC_API_KEY='{KEY}\nB=2\n", 2),
    ],
)
def test_a_line_of_dotenv_that_cannot_be_read_is_named_and_not_shown(machine: Machine, text: str, line: int) -> None:
    """A key behind an open quote is not silently gone: file and line are named, and the key is not."""
    machine.dotenv(text)
    with pytest.raises(ConfigError, match=rf"\.env, line {line}:") as caught:
        machine.load()
    assert KEY not in str(caught.value)


def test_a_name_that_is_like_no_other_gets_no_guess(machine: Machine) -> None:
    """The nearest name is told only where it is near."""
    with pytest.raises(ConfigError) as caught:
        machine.load(ORCHESTRATOR_FOO="1")
    assert caught.value.why == "ORCHESTRATOR_FOO (environment): there is no such setting."


def test_what_is_wrong_does_not_hide_what_is_right(machine: Machine) -> None:
    """`config show` needs all settings where some are wrong: those have their defaults and say so."""
    machine.user_file("parallelism = 7\n")
    environ = {"ORCHESTRATOR_BUDGET_USD": "much", "ORCHESTRATOR_MODEL": "m"}
    loaded, problems = inspect_settings({}, environ, machine.cwd, machine.home)
    assert [problem.split(":")[0] for problem in problems] == ["ORCHESTRATOR_BUDGET_USD (environment)"]
    assert (loaded.settings.budget_usd, loaded.settings.parallelism, loaded.settings.model) == (None, 7, "m")
    assert loaded.sources["budget_usd"] == "environment (wrong, not used)"


def test_an_empty_home_is_refused_where_it_would_be_written_to(machine: Machine) -> None:
    """Runs never land in /.local: HOME="" needs another place to be named."""
    with pytest.raises(ConfigError, match="HOME is set, and empty"):
        load_settings({}, {"HOME": ""}, machine.cwd, Path("/"))
    assert load_settings({"data_dir": "/x"}, {"HOME": ""}, machine.cwd, Path("/")).settings.data_dir == Path("/x")
