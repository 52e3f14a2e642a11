"""The registry of agents: what it takes, what it refuses, whom it recommends, and that it tells no key."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.core.errors import (
    ConfigError,
    ConflictError,
    CredentialMissingError,
    InputError,
    OrchestratorError,
    UnknownNameError,
)
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.tasks.agent_registry import AgentRegistry, command_model
from orchestrator_v2.tasks.agent_task import AgentTask
from orchestrator_v2.tasks.command import CLAUDE_CODE, CODEX, GEMINI, Answer, Command, checked_command
from orchestrator_v2.tasks.credential import resolved_credential
from orchestrator_v2.tasks.interface import Interface

KEY = "sk-planted-canary-0123456789"
WORDS = ("python", "review", "vision")


def registry(*agents: tuple) -> AgentRegistry:
    """Agents reached by API, each (name, type, capabilities, priority)."""
    found = AgentRegistry()
    for name, kind, capabilities, priority in agents:
        found.register_agent(name, kind, "api", "simulated", None, {"priority": priority}, capabilities=capabilities)
    return found


def test_an_agent_is_registered_found_replaced_and_taken_out() -> None:
    """The registry gives back what was put in, by name and by capability."""
    agents = AgentRegistry()
    made = agents.register_agent(
        "winston",
        "architect",
        "API",
        "anthropic/claude-sonnet-5-5",
        "${ZAI_KEY}",
        {"team": "a"},
        capabilities=["Design"],
    )
    assert agents.get("winston") is made
    assert (made.interface, made.capabilities, made.metadata) == (Interface.API, frozenset({"design"}), {"team": "a"})
    assert agents.by_capability("DESIGN") == [made]
    assert agents.by_capability("design", "vision") == []
    other = agents.register_agent("winston", "qa", "cli", command=["cat"], replace=True)
    assert agents.agents() == [other]
    assert agents.unregister("winston") is other
    assert agents.agents() == []


def test_a_name_that_is_taken_is_refused() -> None:
    """Nobody replaces an agent by accident, and the first one stays."""
    agents = registry(("a", "dev", (), 0))
    with pytest.raises(ConflictError, match="an agent named 'a' already"):
        agents.register_agent("a", "qa", "api", "simulated")
    assert agents.get("a").agent_type == "developer"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    """A typing mistake in an agent's name or interface costs one look."""
    agents = registry(("winston", "dev", (), 0))
    with pytest.raises(UnknownNameError, match="Did you mean 'winston'"):
        agents.get("winstn")
    with pytest.raises(UnknownNameError, match="Did you mean 'hybrid'"):
        agents.register_agent("b", "dev", "hybird", "simulated")


@pytest.mark.parametrize(
    ("given", "kind"), [("Dev", "developer"), ("winston", "architect"), ("  Game   Designer ", "game designer")]
)
def test_a_type_is_a_role_by_its_alias_or_a_free_word(given: str, kind: str) -> None:
    """Roles are known by every alias; any other word stands for itself."""
    assert AgentRegistry().register_agent("a", given, "api", "simulated").agent_type == kind


BAD = {
    "no name": (("", "dev", "api", "simulated"), {}),
    "a control character in the name": (("a\x1bb", "dev", "api", "simulated"), {}),
    "a name that is too long": (("a" * 65, "dev", "api", "simulated"), {}),
    "no type": (("a", " ", "api", "simulated"), {}),
    "no model": (("a", "dev", "api"), {}),
    "no command": (("a", "dev", "cli"), {}),
    "a hybrid without a command": (("a", "dev", "hybrid", "simulated"), {}),
    "a hybrid without a model": (("a", "dev", "hybrid"), {"command": ["cat"]}),
    "a command that is never used": (("a", "dev", "api", "simulated"), {"command": ["cat"]}),
    "a line instead of a list": (("a", "dev", "cli"), {"command": "cat -"}),
    "an empty command": (("a", "dev", "cli"), {"command": []}),
    "a placeholder inside an argument": (("a", "dev", "cli"), {"command": ["cat", "--say={prompt}"]}),
    "the prompt as the program": (("a", "dev", "cli"), {"command": ["{prompt}"]}),
    "a program by half its path": (("a", "dev", "cli"), {"command": ["./cat"]}),
    "NUL in an argument": (("a", "dev", "cli"), {"command": ["cat", "a\0b"]}),
    "no name for the model of a command": (("a", "dev", "cli"), {"command": ["cat", "{model}"]}),
    "a value in the list of variables": (("a", "dev", "cli"), {"command": Command(("cat",), environ=("A=1",))}),
    "no time": (("a", "dev", "cli"), {"command": Command(("cat",), timeout=0)}),
    "a time that is no number": (("a", "dev", "cli"), {"command": Command(("cat",), timeout=float("nan"))}),
    "a time as a text": (("a", "dev", "cli"), {"command": Command(("cat",), timeout="5")}),
    "an endless grace": (("a", "dev", "cli"), {"command": Command(("cat",), grace=float("inf"))}),
    "a part of a byte": (("a", "dev", "cli"), {"command": Command(("cat",), max_stdout=1.5)}),
    "no bytes": (("a", "dev", "cli"), {"command": Command(("cat",), max_stderr=0)}),
    "a folder that is no text": (("a", "dev", "cli"), {"command": Command(("cat",), folder=5)}),
    "a model of a command that is no text": (("a", "dev", "cli"), {"command": Command(("cat",), model=5)}),
    "one variable instead of a list": (("a", "dev", "cli"), {"command": Command(("cat",), environ="PATH")}),
    "a line in a command": (("a", "dev", "cli"), {"command": Command("cat")}),
    "a form of answer that is none": (("a", "dev", "cli"), {"command": Command(("cat",), Answer("xml", "a"))}),
    "a key that is in no variable": (("a", "dev", "cli"), {"command": Command(("cat",), secret_variables=("A",))}),
    "a model that is no text": (("a", "dev", "api", 5), {}),
    "a base_url that is no URL": (("a", "dev", "api", "simulated"), {"base_url": "here"}),
    "a base_url with a password": (("a", "dev", "api", "simulated"), {"base_url": "https://u:p@127.0.0.1"}),
    "capabilities that are no list": (("a", "dev", "api", "simulated"), {"capabilities": 5}),
    "a Secret in the metadata": (("a", "dev", "api", "simulated", None, {"key": Secret(KEY)}), {}),
    "capabilities as one word": (("a", "dev", "api", "simulated"), {"capabilities": "vision"}),
    "a priority that is no number": (("a", "dev", "api", "simulated", None, {"priority": "high"}), {}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_an_agent_is_refused(name: str) -> None:
    """Each mistake is told when the agent is registered, with what to do, and leaves nothing behind."""
    agents, (arguments, more) = AgentRegistry(), BAD[name]
    with pytest.raises(ConfigError) as caught:
        agents.register_agent(*arguments, **more)
    assert caught.value.what
    assert caught.value.do
    assert agents.agents() == []


def test_all_faults_of_a_command_are_told_at_once() -> None:
    """Who wrote three things wrong looks once."""
    with pytest.raises(ConfigError) as caught:
        checked_command("a", Command(("./x", "-p={prompt}"), folder="here"))
    assert all(word in caught.value.why for word in ("whole path", "whole argument", "folder"))


def test_the_known_commands_are_good_ones() -> None:
    """What the package offers passes its own checks."""
    assert [checked_command("a", one) for one in (CLAUDE_CODE, CODEX, GEMINI)] == [CLAUDE_CODE, CODEX, GEMINI]


def test_the_model_of_a_command_is_only_told_where_somebody_said_it() -> None:
    """The API's model is not claimed for a program that may use any other."""
    agents = AgentRegistry()
    hybrid = agents.register_agent("h", "dev", "hybrid", "anthropic/claude-sonnet-5-5", command=["cat"])
    own = agents.register_agent("o", "dev", "cli", "opus", command=["cat", "{model}"])
    both = agents.register_agent(
        "b", "dev", "hybrid", "anthropic/claude-sonnet-5-5", command=Command(("cat", "{model}"), model="opus")
    )
    assert [command_model(one) for one in (hybrid, own, both)] == ["", "opus", "opus"]


@pytest.mark.parametrize("plain", [KEY, "hunter2", "AKIAIOSFODNN7EXAMPLE", "${NO", "", "a b", 7])
def test_a_key_as_plain_text_is_refused_and_not_repeated(plain: object) -> None:
    """A credential is a Secret or a reference; what is neither is not told, as it is most likely a key."""
    with pytest.raises(ConfigError) as caught:
        AgentRegistry().register_agent("a", "dev", "api", "simulated", plain)  # type: ignore[arg-type]
    assert not plain or str(plain) not in str(caught.value).replace("1 to 7", "")


def test_a_reference_is_looked_up_when_it_is_used() -> None:
    """The agent holds the variable's name; which key that is, is the environment's word of the moment."""
    for reference in ("${zai_key}", "ZAI_API_KEY"):
        name = reference.strip("${}")
        agent = AgentRegistry().register_agent("a", "dev", "api", "simulated", reference)
        assert agent.credential == reference
        assert resolved_credential("a", agent.credential, {name: KEY}) == Secret(KEY)
        with pytest.raises(CredentialMissingError, match=f"The variable {name} is not set"):
            resolved_credential("a", agent.credential, {name: " "})


def test_a_secret_is_in_no_text_of_its_agent() -> None:
    """Neither repr nor pickle nor metadata tells the key; a reference can be pickled."""
    agents = AgentRegistry()
    held = agents.register_agent("held", "dev", "api", "simulated", Secret(KEY))
    named = agents.register_agent("named", "dev", "api", "simulated", "${ZAI_KEY}")
    assert KEY not in repr(held) + str(held) + repr(agents.agents())
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(held)
    assert pickle.loads(pickle.dumps(named)) == named
    held.metadata["note"] = f"use {KEY}"
    named.metadata["note"] = f"use {KEY}"
    assert KEY not in repr([held, named])


PLAIN = "zai.planted.canary.0123456789"  # of no vendor's shape: known for a key only as the agent's own
PLACES = {
    "name": {"name": "{}"},
    "agent_type": {"agent_type": "{}"},
    "interface": {"interface": "{}"},
    "model": {"model": "anthropic/{}"},
    "base_url": {"base_url": "https://u:{}@127.0.0.1"},
    "metadata": {"metadata": {"note": ["line\n{}"]}},
    "the metadata's names": {"metadata": {"{}": "1"}},
    "capabilities": {"capabilities": ["{}"]},
    "argv": {"interface": "cli", "command": ["curl", "-H", "x-api-key: {}"]},
    "half an argv": {"interface": "cli", "command": ["curl", "--key={}{prompt}"]},
    "a command": {"interface": "cli", "command": Command(("curl", "{}"))},
    "a command's folder": {"interface": "cli", "command": Command(("curl",), folder="/{}")},
}


def _put(value: object, key: str) -> object:
    """The value with the key in its place."""
    if isinstance(value, str):
        return value.replace("{}", key)
    if isinstance(value, dict):
        return {_put(name, key): _put(each, key) for name, each in value.items()}
    if isinstance(value, Command):
        return Command(tuple(_put(each, key) for each in value.argv), folder=_put(value.folder, key))  # type: ignore
    return [_put(each, key) for each in value]  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", [KEY, PLAIN])
def test_a_key_stands_nowhere_but_in_the_credential(place: str, key: str) -> None:
    """One that has a vendor's shape, or is the agent's own, is refused wherever it is, and not repeated."""
    agents = AgentRegistry()
    given = {"name": "a", "agent_type": "dev", "interface": "api", "model": "simulated", **PLACES[place]}
    with pytest.raises(ConfigError, match="of an agent holds a key") as caught:
        agents.register_agent(**_put(given, key), credential=Secret(key) if key is PLAIN else None)  # type: ignore
    assert key not in str(caught.value)
    assert agents.agents() == []


@pytest.mark.parametrize("name", ["task-management-system", "risk-assessment-agent", "disk-usage-0123456789"])
def test_a_word_that_ends_like_a_keys_beginning_is_none(name: str) -> None:
    """Only a word that begins as a key does is taken for one, in the check and in the repr."""
    agent = AgentRegistry().register_agent(name, name, "api", "simulated", None, {"note": name}, capabilities=[name])
    assert repr(agent).count(name) == 4


def test_a_priority_that_is_changed_afterwards_changes_nothing() -> None:
    """It holds as it was registered, so that nobody's recommendation breaks by it."""
    agents = registry(("a", "dev", (), 0), ("b", "dev", (), 1))
    agents.get("b").metadata["priority"] = "high"
    agents.get("a").metadata["priority"] = 9
    assert agents.get_recommended_agent(AgentTask("p")).name == "b"


def test_metadata_is_a_copy() -> None:
    """Who registered an agent cannot change it afterwards by the dictionary that was given."""
    given = {"tags": ["a"]}
    agent = AgentRegistry().register_agent("a", "dev", "api", "simulated", None, given)
    given["tags"].append("b")
    assert agent.metadata == {"tags": ["a"]}


def test_the_order_of_a_recommendation() -> None:
    """Capabilities, type and interface decide who fits; priority, fewest extras and the name who of them it is."""
    agents = registry(
        ("z", "dev", ("python",), 0),
        ("b", "dev", ("python", "vision"), 0),
        ("a", "dev", ("python", "vision"), 0),
        ("q", "qa", ("python",), 9),
    )
    assert agents.get_recommended_agent(AgentTask("p", required_capabilities=["Python"])).name == "q"
    by_type = agents.get_recommended_agent(AgentTask("p", agent_type="coder", required_capabilities=["python"]))
    assert (by_type.name, by_type.reason) == (
        "z",
        "Of 3 that fit it has fewer capabilities that are not needed; the next is 'a'.",
    )
    seeing = agents.get_recommended_agent(AgentTask("p", required_capabilities=["vision"]))
    assert (seeing.name, seeing.reason) == ("a", "Of 2 that fit it comes first by name; the next is 'b'.")
    agents.register_agent("c", "dev", "cli", command=["cat"], metadata={"priority": 99})
    assert agents.get_recommended_agent(AgentTask("p", agent_type="dev", interfaces=["api"])).name == "z"
    only = agents.get_recommended_agent(AgentTask("p", interfaces=["cli"]))
    assert (only.name, only.reason) == ("c", "It is the only one that fits.")


def test_where_none_fits_it_says_what_each_one_lacks() -> None:
    """The nearest agent comes first, and a capability with a typing mistake is named."""
    agents = registry(("dev", "dev", ("python",), 0), ("qa", "qa", (), 0))
    with pytest.raises(InputError) as caught:
        agents.get_recommended_agent(AgentTask("p", agent_type="dev", required_capabilities=["pythn"]))
    assert caught.value.why == "'dev' lacks pythn; 'qa' lacks pythn and is a qa, not a developer."
    assert caught.value.do == "The nearest is 'dev'. Did you mean 'python' by 'pythn'?"
    with pytest.raises(InputError, match="None is registered"):
        AgentRegistry().get_recommended_agent(AgentTask("p"))


@given(st.data())
def test_a_recommendation_does_not_depend_on_the_order_of_registration(data: st.DataObject) -> None:
    """The same agents and the same task give the same choice, which has all that is required, or none has."""
    row = st.tuples(st.sampled_from(["dev", "qa"]), st.sets(st.sampled_from(WORDS)).map(tuple), st.integers(0, 1))
    rows = [(f"agent {number}", *each) for number, each in enumerate(data.draw(st.lists(row, min_size=1, max_size=5)))]
    task = AgentTask("p", required_capabilities=tuple(data.draw(st.sets(st.sampled_from(WORDS)))))

    def choice(agents: AgentRegistry) -> str:
        try:
            return agents.get_recommended_agent(task).name
        except OrchestratorError as error:
            return str(error)

    first = choice(registry(*rows))
    assert choice(registry(*data.draw(st.permutations(rows)))) == first or first.startswith("No agent fits")
    able = {name for name, _, has, _ in rows if set(task.required_capabilities) <= set(has)}
    assert (first in able) == bool(able)


TASKS = {
    "empty": {"prompt": "  "},
    "no text": {"prompt": 3},
    "half a character": {"prompt": "a\ud800"},
    "half a character in the system prompt": {"prompt": "p", "system_prompt": "\udfff"},
    "capabilities as one word": {"prompt": "p", "required_capabilities": "vision"},
    "no tokens": {"prompt": "p", "max_tokens": 0},
    "true as a number": {"prompt": "p", "max_tokens": True},
    "no time": {"prompt": "p", "timeout": 0},
    "endless": {"prompt": "p", "timeout": float("inf")},
    "too hot": {"prompt": "p", "temperature": 2.5},
    "no number": {"prompt": "p", "temperature": float("nan")},
    "context as a list": {"prompt": "p", "context": ["a"]},
}


@pytest.mark.parametrize("name", TASKS)
def test_what_can_be_no_task_is_refused(name: str) -> None:
    """A task with a value that nothing could be sent with does not come into being."""
    with pytest.raises(InputError, match="This is no task"):
        AgentTask(**TASKS[name])
