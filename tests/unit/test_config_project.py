"""A project's configuration: found where it should be, laid over the settings in one order, mistakes in their lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator_v2.agents.roles import ROLES
from orchestrator_v2.config.agent_names import ALIASES, ROLE_OF, role_of
from orchestrator_v2.config.display import agent_rows, live_secrets, rows
from orchestrator_v2.config.loader import inspect_settings, load_settings
from orchestrator_v2.config.new_file import new_text
from orchestrator_v2.config.problems import Problem
from orchestrator_v2.config.project_config import ProjectConfig
from orchestrator_v2.config.project_file import find_folder, parse
from orchestrator_v2.config.schema import load_schema, schema_problems
from orchestrator_v2.core.errors import ConfigError, UnknownNameError
from orchestrator_v2.llm.catalog import LEVELS
from orchestrator_v2.llm.search.choosing import AUTO, ENGINES
from orchestrator_v2.llm.search.types import NATIVE

KEY = "sk-ant-planted-0123456789abcdef"
ZAI = "https://api.z.ai/api/anthropic"


class Place:
    """A home with a project in it; `load` reads the configuration as a process in `cwd` would."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.folder = self.home / "project"
        self.cwd = self.folder
        (self.folder / ".bmad").mkdir(parents=True)

    def write(self, text: str, name: str = "project-config.yaml") -> Path:
        path = self.folder / ".bmad" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def user_file(self, text: str) -> None:
        path = self.home / ".config/orchestrator/config.toml"
        path.parent.mkdir(parents=True)
        path.write_text(text)

    def load(self, **environ: str) -> ProjectConfig:
        return ProjectConfig.load(environ=environ, cwd=self.cwd, home=self.home)

    def problems(self, **environ: str) -> list[Problem]:
        return ProjectConfig(inspect_settings({}, environ, self.cwd, self.home)[0]).problems()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_names_of_the_agents_are_those_of_the_roles() -> None:
    """The configuration knows every role and alias, and no other: the table here is the one of the agents' floor."""
    assert {role.name: role.aliases for role in ROLES.values()} == dict(ALIASES)
    assert load_schema()["properties"]["agent_assignments"]["propertyNames"]["enum"] == list(ROLE_OF)
    assert role_of(" Winston ") == role_of("Software_Architect") == role_of("architect agent") == "architect"
    with pytest.raises(UnknownNameError, match="Did you mean 'winston'"):
        role_of("winstn")


def _properties(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield from node["properties"].items()
        for inner in node.values():
            yield from _properties(inner)


def test_every_word_of_the_schema_is_described_with_an_example_that_fits() -> None:
    """An editor shows what a word does; each example is valid; words and levels are those that the model layer has."""
    from jsonschema import Draft202012Validator

    schema = load_schema()
    Draft202012Validator.check_schema(schema)
    found = list(_properties(schema))
    assert len(found) > 20
    for name, rule in found:
        told = {**schema["$defs"][rule["$ref"].rpartition("/")[2]], **rule} if "$ref" in rule else rule
        assert told["description"], name
        assert told["examples"], name
        for example in told["examples"]:
            assert Draft202012Validator({**rule, "$defs": schema["$defs"]}).is_valid(example), (name, example)
    assert schema["$defs"]["reasoning"]["enum"] == ["default", *LEVELS]
    assert set(schema["$defs"]["search"]["enum"]) == {"off", AUTO, NATIVE, *ENGINES}


@pytest.mark.parametrize("as_json", [False, True])
def test_a_new_file_is_valid_also_with_all_of_it_uncommented(place: Place, as_json: bool) -> None:
    """What `config init` writes can be used as it stands; whoever takes the marks of comment away has no mistake."""
    name = "project-config.json" if as_json else "project-config.yaml"
    text = new_text(as_json=as_json)
    place.write(text, name)
    assert place.load().get_agent_llm_config().provider == "anthropic"
    if as_json:
        assert Path(json.loads(text)["$schema"]).is_file()
        return
    schema = text.splitlines()[0].partition("$schema=")[2]
    assert Path(schema).is_file()
    begin = text.index("llm_provider")
    lines = [line.removeprefix("# ") for line in text[begin:].splitlines()]
    whole = "\n".join(line for line in lines if line.startswith((" ", "-")) or line.partition(":")[0].isidentifier())
    whole = "\n".join(line for line in whole.splitlines() if not line.endswith((".", ",")) and "real where" not in line)
    place.write(whole)
    config = place.load(ANTHROPIC_API_KEY=KEY, ZAI_API_KEY=KEY, OPENAI_API_KEY=KEY)
    assert config.agents() == ["architect", "developer", "qa"]
    assert config.get_agent_llm_config("developer").base_url == ZAI
    assert config.shares().cheaper is not None


def test_an_agents_file_may_lie_beside_its_templates(place: Place) -> None:
    """A folder that brings its own templates may say there what an agent works with; two files for one are refused."""
    place.write('{"provider": "openai", "model": "gpt-5.5"}', "../subagent_prompts/qa/config.json")
    qa = place.load(OPENAI_API_KEY=KEY).get_agent_llm_config("qa")
    assert (qa.model, qa.sources["model"]) == ("gpt-5.5", "agent (subagent_prompts/qa/config.json, line 1: model)")
    place.write('{"model": "gpt-6-sol"}', "agents/tester/config.json")
    with pytest.raises(ConfigError, match="Keep one"):
        place.load(OPENAI_API_KEY=KEY)


def test_one_order_for_every_word(place: Place) -> None:
    """Call over project over agent over user over environment over default, each word on its own, with its source."""
    place.user_file('provider = "openai"\nmodel = "gpt-6-luna"\n')
    environ = {"ORCHESTRATOR_PROVIDER": "openai", "ORCHESTRATOR_MODEL": "gpt-6-sol", "OPENAI_API_KEY": KEY}
    place.write('{"model": "gpt-5.5", "reasoning": "low", "search": "ddgs"}', "agents/qa/config.json")
    place.write("reasoning: medium\nagent_assignments:\n  tester: {search: auto}\n")
    config = place.load(**environ)
    qa = config.get_agent_llm_config("qa", model="gpt-6-astra")
    assert (qa.provider, qa.model, qa.reasoning, qa.search) == ("openai", "gpt-6-astra", "medium", "auto")
    assert qa.sources["model"] == "call"
    assert qa.sources["search"].startswith(
        "project (.bmad/project-config.yaml, line 3: agent_assignments.tester.search"
    )
    assert qa.sources["reasoning"].startswith("project (.bmad/project-config.yaml, line 1")
    assert qa.sources["provider"] == "user"
    below = config.get_agent_llm_config("qa")
    assert (below.model, below.sources["model"]) == ("gpt-5.5", "agent (.bmad/agents/qa/config.json, line 1: model)")
    assert (config.get_agent_llm_config("dev").model, config.get_agent_llm_config("dev").sources["model"]) == (
        "gpt-6-luna",
        "user",
    )


def test_another_provider_takes_nothing_along_that_was_set_for_the_first(place: Place) -> None:
    """Model, base_url and key of a lower place stay with their provider; effort, search and fallbacks do not."""
    place.write(
        f"llm_provider: anthropic\nmodel: glm-4.6\nbase_url: {ZAI}\napi_key: ${{ZAI_API_KEY}}\nsearch: ddgs\n"
        "agent_assignments:\n  qa: {provider: openai}\n  dev: {model: glm-5.3}\n"
    )
    config = place.load(ZAI_API_KEY=KEY, OPENAI_API_KEY="sk-of-openai-000")
    qa, dev = config.get_agent_llm_config("qa"), config.get_agent_llm_config("dev")
    assert (qa.provider, qa.model, qa.base_url, qa.key, qa.search) == ("openai", "", "", "", "ddgs")
    assert qa.config.credential is not None and qa.config.credential.reveal() == "sk-of-openai-000"
    assert (dev.provider, dev.model, dev.base_url, dev.key) == ("anthropic", "glm-5.3", ZAI, "ZAI_API_KEY")
    assert dev.config.credential is not None and dev.config.credential.reveal() == KEY


def test_a_server_of_the_settings_is_for_the_settings_provider_only(place: Place) -> None:
    """A project that names another provider does not have its key sent to the operator's own server."""
    place.write("llm_provider: openai\n")
    config = place.load(ORCHESTRATOR_BASE_URL="https://proxy.example", OPENAI_API_KEY=KEY)
    assert config.get_agent_llm_config().base_url == ""
    place.write("model: claude\n")
    assert place.load(ORCHESTRATOR_BASE_URL="https://proxy.example").get_agent_llm_config().base_url.endswith("example")


def test_words_that_take_back_what_stands_below(place: Place) -> None:
    """`default`, `off` and an empty list: an agent can do without what the project wants of all."""
    place.write(
        "reasoning: high\nsearch: auto\nfallbacks: [openai/gpt-6-luna]\n"
        "agent_assignments:\n  qa: {reasoning: default, search: 'off', fallbacks: []}\n"
    )
    config = place.load(OPENAI_API_KEY=KEY)
    assert [it.provider for it in config.get_agent_llm_config("dev").fallbacks] == ["openai"]
    qa = config.get_agent_llm_config("qa")
    assert (qa.reasoning, qa.search, qa.fallbacks) == ("", "", ())


EVERYTHING_WRONG = f"""\
llm_provder: openai
model: claude-5
api_key: {KEY}
reasoning: hihg
agent_assignments:
  winstn: openai/gpt-6-luna
  qa:
    model: 3
    provider: opnai
  dev: gpt
  documentarian:
    reasoning: minimal
  reviewer: {{base_url: "http://example.org", provider: ollama, model: x}}
budget: {{alert_at: 2, limit_usd: -1, downgrade_at: 0.5}}
"""


def test_everything_that_is_wrong_is_named_at_once_in_its_line(place: Place) -> None:
    """One look corrects the file: unknown words with the nearest, wrong kinds, missing models; no key is repeated."""
    place.write(EVERYTHING_WRONG)
    found = {(it.line, it.key): it for it in place.problems()}
    told = {
        (1, "llm_provder"): "Did you mean 'llm_provider'?",
        (2, "model"): "anthropic has no model 'claude-5'.",
        (3, "api_key"): "Put it into the environment",
        (4, "reasoning"): "Did you mean 'high'?",
        (6, "agent_assignments.winstn"): "Did you mean 'winston'?",
        (8, "agent_assignments.qa.model"): "This is not text.",
        (9, "agent_assignments.qa.provider"): "There is no provider 'opnai'. Did you mean 'openai'?",
        (10, "agent_assignments.dev"): "write it as provider/model",
        (13, "agent_assignments.reviewer.base_url"): "A key would travel in the open.",
        (14, "budget.alert_at"): "more than 1",
        (14, "budget.limit_usd"): "less than 0",
        (14, "budget.downgrade_at"): "nothing without 'downgrade_to'",
    }
    assert set(told) <= set(found)
    assert {place: words for place, words in told.items() if words not in found[place].reason} == {}
    assert set(found) - set(told) <= {(2, "model")}
    with pytest.raises(ConfigError, match=r"project-config\.yaml has \d+ problems\.") as caught:
        place.load()
    assert KEY not in str(caught.value) and KEY not in str(found)
    assert all(f"line {line}: {key}" in str(caught.value) for line, key in told)


def test_an_error_says_what_failed_for_whom_why_what_is_valid_and_where_to_mend_it(place: Place) -> None:
    """The form of the house, in the order of a reader's questions; a single mistake has it as the error itself."""
    place.write("llm_provider: anthropic\nagent_assignments:\n  qa:\n    model: claude-5\n")
    with pytest.raises(ConfigError) as caught:
        place.load()
    error = caught.value
    assert error.what == "The model of agent 'qa' cannot be used."
    assert error.why.startswith("Reason: anthropic has no model 'claude-5'.")
    assert "Valid: claude, " in error.why
    assert error.do == "Edit .bmad/project-config.yaml, line 4: agent_assignments.qa.model."
    with pytest.raises(ConfigError, match="The model of agent 'qa' cannot be used"):
        load_settings({}, {}, place.cwd, place.home)


def test_a_model_that_is_retired_or_does_not_take_what_is_asked_is_told_before_anything_runs(place: Place) -> None:
    """Retired models name their successor; effort and search that a model has not are faults of the file."""
    place.write(
        "agent_assignments:\n  qa: anthropic/claude-2.1\n  dev: {provider: mistral, reasoning: low}\n"
        "  docs: {provider: groq, search: native}\nfallbacks:\n  - openai/gpt-6-luna\n  - openai/nix\n"
        "budget: {limit_usd: 1, downgrade_at: 0.5, downgrade_to: anthropic/nix}\n"
    )
    found = {it.key: it.reason for it in place.problems(ANTHROPIC_API_KEY=KEY)}
    assert "claude-sonnet-5-5" in found["agent_assignments.qa"]
    assert "takes no reasoning 'low'" in found["agent_assignments.dev.reasoning"]
    assert "no search of its own" in found["agent_assignments.docs.search"]
    assert "openai has no model 'nix'" in found["fallbacks.1"]
    assert "anthropic has no model 'nix'" in found["budget.downgrade_to"]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("project-config.yaml", b"a: [1\nb: 2\n", 2),
        ("project-config.yaml", b"model: a\nmodel: b\n", 2),
        ("project-config.yaml", b"a: &x [*x]\n", 1),
        ("project-config.yaml", b"model: \xff\n", 0),
        ("project-config.yaml", b"model: !!python/object:os.system x\n", 1),
        ("project-config.yaml", b"budget: {limit_usd: .nan}\n", 1),
        ("project-config.yaml", b"- a\n", 1),
        ("project-config.yaml", b"? [a]\n: b\n", 1),
        ("project-config.json", b'{\n  "model": "a",\n}\n', 3),
        ("project-config.json", b'{"budget": {"limit_usd": NaN}}', 0),
        ("project-config.json", b'"text"', 1),
    ],
)
def test_a_file_that_is_no_data_is_told_with_its_line(place: Place, name: str, content: bytes, line: int) -> None:
    """Broken text, doubled keys, endless aliases, foreign tags: none of it is skipped, and nothing is executed."""
    place.write("", name).write_bytes(content)
    (problem,) = place.problems()
    assert (problem.file, problem.line) == (f".bmad/{name}", line), problem


def test_aliases_that_grow_without_end_are_cut_off(place: Place) -> None:
    """A few lines that stand for a billion nodes are refused at once."""
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    place.write("\n".join(rows))
    (problem,) = place.problems()
    assert "too large" in problem.reason


def test_a_pipe_in_the_files_place_is_not_waited_for(place: Place) -> None:
    """What is no regular file is named, and nobody hangs."""
    os.mkfifo(place.folder / ".bmad" / "project-config.yaml")
    assert "no regular file" in place.problems()[0].reason


def test_two_files_are_one_too_many(place: Place) -> None:
    """Nobody has to guess which of two counts."""
    place.write("model: claude\n")
    place.write("{}", "project-config.json")
    assert "Keep one" in place.problems()[0].reason


def test_json_is_read_as_yaml_is(place: Place) -> None:
    """The same words, with lines, also where tabs indent it and escapes stand in it."""
    place.write('{\n\t"llm_provider": "openai",\n\t"model": "gpt-6-\\u006cuna"\n}\n', "project-config.json")
    chosen = place.load().get_agent_llm_config()
    assert (chosen.model, chosen.sources["model"]) == (
        "gpt-6-luna",
        "project (.bmad/project-config.json, line 3: model)",
    )


def test_it_is_found_from_below_up_to_the_root_of_the_repository_or_home(place: Place) -> None:
    """Parents count as far as the git root, without one up to home; outside of both it is the folder itself."""
    deep = place.folder / "a/b"
    deep.mkdir(parents=True)
    place.write("model: claude\n")
    assert find_folder(deep, place.home) == place.folder
    assert find_folder(deep, Path("/elsewhere")) is None
    assert find_folder(place.folder, Path("/elsewhere")) == place.folder
    (place.folder / "a" / ".git").mkdir()
    assert find_folder(deep, place.home) is None
    (place.folder / ".git").mkdir()
    (place.folder / "a" / ".git").rmdir()
    assert find_folder(deep, Path("/elsewhere")) == place.folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_somebody_else_ends_the_search(place: Place) -> None:
    """What another account put into a folder above speaks for nobody here."""
    place.write("model: claude\n")
    below = place.folder / "below"
    below.mkdir()
    os.chown(place.folder, 12345, 12345)
    assert find_folder(below, place.home) is None
    os.chown(below, 12345, 12345)
    assert find_folder(below, place.home) == place.folder


def test_an_unset_variable_is_named_with_its_place(place: Place) -> None:
    """A reference to nothing says which variable it is; without a reference nothing is asked of the machine."""
    place.write("llm_provider: zhipu\n\napi_key: ${ZAI_API_KEY}\n")
    with pytest.raises(ConfigError, match=r"\$\{ZAI_API_KEY\} is not set.*line 3: api_key"):
        place.load().get_agent_llm_config()
    assert load_settings({}, {}, place.cwd, place.home).settings.mode == "simulated"
    place.write("llm_provider: zhipu\n")
    assert place.load().get_agent_llm_config().config.credential is None


def test_a_link_to_somebody_elses_env_file_is_not_the_folders(place: Place) -> None:
    """A repository may bring a `.env` that is a link into the home of whoever clones it: no key goes out by that."""
    secret = place.home / "secret.env"
    secret.write_text(f"MINE={KEY}\nANTHROPIC_API_KEY={KEY}\n")
    (place.folder / ".env").symlink_to("../secret.env")
    for words in ("api_key: ${MINE}\n", ""):
        place.write("base_url: https://evil.example\n" + words)
        assert "may not be sent to" in place.problems()[0].reason
    place.write("{}")
    secret.write_text(f"ANTHROPIC_API_KEY={KEY}\nORCHESTRATOR_BASE_URL=https://evil.example\n")
    with pytest.raises(ConfigError, match="it would send the key ANTHROPIC_API_KEY"):
        place.load()


def test_settings_of_ours_are_no_keys_of_models(place: Place) -> None:
    """The master key of stored keys goes nowhere, also not to a server that is listed; names are in capitals, so that
    no variable is mistaken for a setting."""
    place.write("base_url: https://mine.example\napi_key: ${ORCHESTRATOR_MASTER_KEY}\n")
    environ = {"ORCHESTRATOR_MASTER_KEY": KEY, "ORCHESTRATOR_MODEL_ORIGINS": "https://mine.example"}
    assert "may not be sent" in place.problems(**environ)[0].reason
    place.write("api_key: ${base_url}\n")
    assert "write its variable as ${NAME}" in place.problems(base_url=KEY)[0].reason


def test_what_is_wrong_twice_does_not_hide_the_rest(place: Place) -> None:
    """Left out is what is wrong, with all below it: an address that is no text, a list with a bad entry, two folders
    of one agent."""
    place.write("base_url: 3\nfallbacks: [{provider: openai, base_url: x}, 3]\nmodel: nix\n")
    place.write("{}", "agents/qa/config.json")
    place.write("{}", "agents/tester/config.json")
    found = [(it.file.rpartition("/")[0], it.key) for it in place.problems()]
    assert (".bmad", "base_url") in found and (".bmad", "model") in found
    assert (".bmad", "fallbacks.0.base_url") in found and (".bmad", "fallbacks.1") in found
    assert (".bmad/agents/tester", "") in found


ALLOWED, REFUSED = True, False


@pytest.mark.parametrize(
    ("words", "environ", "dotenv", "verdict"),
    [
        # A vendor's key to a server of that vendor, whatever the wire.
        (f"base_url: {ZAI}\napi_key: ${{ZAI_API_KEY}}\nmodel: glm", {"ZAI_API_KEY": KEY}, "", ALLOWED),
        ("llm_provider: zhipu\napi_key: ${ZHIPU_API_KEY}", {"ZHIPU_API_KEY": KEY}, "", ALLOWED),
        ("llm_provider: openai\n", {"OPENAI_API_KEY": KEY}, "", ALLOWED),
        # One vendor's key to another's server, or to anybody's.
        ("llm_provider: openai\napi_key: ${ANTHROPIC_API_KEY}", {"ANTHROPIC_API_KEY": KEY}, "", REFUSED),
        ("base_url: https://evil.example", {"ANTHROPIC_API_KEY": KEY}, "", REFUSED),
        ("base_url: https://evil.example", {"CLAUDE_CODE_OAUTH_TOKEN": KEY}, "", REFUSED),
        ("base_url: https://api.z.ai.evil.example\napi_key: ${ZAI_API_KEY}", {"ZAI_API_KEY": KEY}, "", REFUSED),
        ("base_url: https://api.z.ai:8443\napi_key: ${ZAI_API_KEY}", {"ZAI_API_KEY": KEY}, "", REFUSED),
        (
            "base_url: https://evil.example\napi_key: ${AWS_SECRET_ACCESS_KEY}",
            {"AWS_SECRET_ACCESS_KEY": KEY},
            "",
            REFUSED,
        ),
        ("api_key: ${HOME}", {"HOME": "/home/ann"}, "", REFUSED),
        (
            "fallbacks: [{provider: openai, model: x, base_url: 'https://evil.example'}]",
            {"OPENAI_API_KEY": KEY},
            "",
            REFUSED,
        ),
        # What stands in the folder's own .env is the folder's.
        ("base_url: https://mine.example\napi_key: ${MINE}", {}, f"MINE={KEY}", ALLOWED),
        ("base_url: https://mine.example", {}, f"ANTHROPIC_API_KEY={KEY}", ALLOWED),
        ("base_url: https://mine.example\napi_key: ${MINE}", {"MINE": KEY}, f"MINE={KEY}", REFUSED),
        # What the operator listed.
        (
            "base_url: https://mine.example/v1\napi_key: ${MINE}",
            {"MINE": KEY, "ORCHESTRATOR_MODEL_ORIGINS": "http://localhost:1, https://mine.example"},
            "",
            ALLOWED,
        ),
        # The operator's own server, with the key that goes there anyway, and with none that does not.
        (
            "api_key: ${ANTHROPIC_API_KEY}",
            {"ANTHROPIC_API_KEY": KEY, "ORCHESTRATOR_BASE_URL": "https://proxy.example"},
            "",
            ALLOWED,
        ),
        ("api_key: ${MINE}", {"MINE": KEY, "ORCHESTRATOR_BASE_URL": "https://proxy.example"}, "", REFUSED),
        # No key, no danger.
        ("llm_provider: ollama\nmodel: qwen3\nbase_url: http://localhost:9", {}, "", ALLOWED),
    ],
)
def test_a_key_goes_to_its_own_vendor_to_the_folders_own_server_or_where_the_operator_said(
    place: Place, words: str, environ: dict[str, str], dotenv: str, verdict: bool
) -> None:
    """A configuration may come with somebody else's repository: its word sends no key of this machine anywhere."""
    place.write(words + "\n")
    (place.folder / ".env").write_text(dotenv + "\n")
    found = [problem for problem in place.problems(**environ) if problem.key_only]
    assert (not found) is verdict, found
    if verdict is REFUSED:
        assert "may not be sent to" in found[0].reason
        assert KEY not in str(found)
        with pytest.raises(ConfigError, match="may not be sent to"):
            place.load(**environ).get_agent_llm_config()


def test_the_env_file_beside_the_configuration_counts_from_a_folder_below(place: Place) -> None:
    """Its key is found, and is the folder's; the .env of the folder one works in is another one."""
    place.write("base_url: https://mine.example\napi_key: ${MINE}\n")
    place.cwd = place.folder / "below"
    place.cwd.mkdir()
    (place.folder / ".env").write_text(f"MINE={KEY}\n")
    assert place.load().get_agent_llm_config().key == "MINE"
    (place.cwd / ".env").write_text(f"MINE={KEY}2\n")
    assert "may not be sent" in place.problems()[0].reason


def test_keys_are_shown_nowhere(place: Place) -> None:
    """Rows, dumps and errors hold the variable's name; its value is among the secrets that logs are kept free of."""
    place.write(
        f"agent_assignments:\n  winston: {{model: glm-4.6, base_url: '{ZAI}', api_key: '${{ZAI_API_KEY}}'}}\n"
        "  qa: {provider: openai, api_key: '${OPENAI_API_KEY}'}\n"
    )
    config = place.load(ZAI_API_KEY=KEY)
    shown = {word: (value, source) for word, value, source in agent_rows(config.loaded, "winston")}
    assert shown["api_key"][0] == "${ZAI_API_KEY} (environment)"
    assert shown["model"] == ("glm-4.6", "project (.bmad/project-config.yaml, line 2: agent_assignments.winston.model)")
    assert dict((word, value) for word, value, _ in agent_rows(config.loaded, "qa"))["api_key"] == (
        "${OPENAI_API_KEY} (not set)"
    )
    assert KEY not in repr(config) + str(rows(config.loaded)) + repr(config.get_agent_llm_config("winston"))
    assert KEY in {secret.reveal() for secret in live_secrets(config.loaded)}


def test_an_agents_own_file_has_the_same_words_and_the_same_errors(place: Place) -> None:
    """An agent's folder by any of its names; mistakes in its file are told with its path."""
    place.write('{"provider": "openai", "model": "nix"}', "agents/tester/config.json")
    place.write('{\n"llm_provider": "openai"}', "agents/dev/config.json")
    place.write("{}", "agents/winstn/config.json")
    found = {it.file: it for it in place.problems()}
    assert "openai has no model 'nix'" in found[".bmad/agents/tester/config.json"].reason
    assert (found[".bmad/agents/dev/config.json"].line, found[".bmad/agents/dev/config.json"].key) == (
        2,
        "llm_provider",
    )
    assert found[".bmad/agents/dev/config.json"].what == "The model of agent 'developer' cannot be used."
    assert "winstn" in found[".bmad/agents/winstn/config.json"].reason


def test_a_machine_without_a_project_imports_nothing_of_it() -> None:
    """Who has no such file does not wait for yaml, jsonschema and what else reads one."""
    code = (
        "import sys; from pathlib import Path; from orchestrator_v2.config.loader import load_settings;"
        "load_settings({}, {}, Path('/nowhere'), Path('/nowhere'));"
        "print(sorted({'yaml', 'jsonschema', 'ruamel', 'ruamel.yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_schema_problems_come_in_the_order_of_lines() -> None:
    """A reader mends from the top."""
    document = parse(Path("x.yaml"), "x.yaml", EVERYTHING_WRONG.encode())
    lines = [problem.line for problem in schema_problems(document)]
    assert lines == sorted(lines) and len(lines) >= 8
