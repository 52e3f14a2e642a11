"""`AgentRegistry`: the agents that tasks may be given to, each a value: what it is, what it can, how it is reached.

Which of them fits a task is `recommendation.py`; giving it one is `task_executor.py`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_v2.agents.roles import resolve_role
from orchestrator_v2.core.errors import ConfigError, ConflictError, UnknownNameError
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.llm.origin import normal_url
from orchestrator_v2.tasks.agent_task import AgentTask, is_whole, is_words
from orchestrator_v2.tasks.command import Command, checked_command
from orchestrator_v2.tasks.credential import Credential, checked_credential, holds_key
from orchestrator_v2.tasks.interface import WAYS, Interface, Way, interface_named
from orchestrator_v2.tasks.recommendation import Recommendation, recommend
from orchestrator_v2.tasks.unforeseen import reason_of

_NAME = re.compile(r"\w(?:[\w .:@/-]{0,62}\w)?")


class RegisteredAgent(msgspec.Struct, frozen=True):
    """An agent. `agent_type` is the name of a role, or a free word in small letters; `model` is `provider/model`, for a
    command whatever it understands. `base_url` is an own server of the model's provider.

    `priority` is that of the metadata when it was registered (a whole number, 0); it decides between agents that fit
    alike. One with a `Secret` cannot be pickled; one with a reference can.
    """

    name: str
    agent_type: str
    interface: Interface
    model: str = ""
    credential: Credential = None
    metadata: dict[str, Any] = {}
    capabilities: frozenset[str] = frozenset()
    command: Command | None = None
    base_url: str = ""
    priority: int = 0

    def __repr__(self) -> str:
        """Without keys, though somebody has put one into the metadata since."""
        shown = super().__repr__()
        secrets = [self.credential] if isinstance(self.credential, Secret) else []
        return redact(shown, secrets) if holds_key(self.metadata, self.credential) else shown


class AgentRegistry:
    """Holds agents by name; nothing of it is kept anywhere else."""

    def __init__(self) -> None:
        self._agents: dict[str, RegisteredAgent] = {}

    def register_agent(  # noqa: PLR0917 - the names are what a caller writes; in this order they are also known
        self,
        name: str,
        agent_type: str,
        interface: Interface | str,
        model: str = "",
        credential: Credential = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        capabilities: Iterable[str] = (),
        command: Command | Sequence[str] | None = None,
        base_url: str = "",
        replace: bool = False,
    ) -> RegisteredAgent:
        """Adds an agent, or with `replace` puts it in the place of the one that has its name.

        Raises `ConflictError` for a name that is taken, `UnknownNameError` for an interface that is none, and
        `ConfigError` for all else, as for a key that stands anywhere but in `credential`; it is repeated in none.
        """
        listed = _listed(capabilities)
        _check_no_key(
            credential, name=name, agent_type=agent_type, interface=interface, model=model, metadata=metadata,
            capabilities=listed, command=command, base_url=base_url,
        )  # fmt: skip
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError(
                "An agent's name cannot be used.", "It has 1 to 64 letters, digits and .:@/_- in it.", "Change it."
            )
        if name in self._agents and not replace:
            raise ConflictError(
                f"There is an agent named '{name}' already.", "", "Take another name, or say replace=True."
            )
        agent = RegisteredAgent(
            name=name,
            agent_type=type_named(agent_type),
            interface=interface_named(interface),
            model=_text(name, "model", model),
            credential=checked_credential(name, credential),
            metadata=(known := _metadata(name, metadata or {})),
            capabilities=_capabilities(name, listed),
            command=None if command is None else checked_command(name, command),
            base_url=_base_url(name, base_url),
            priority=known.get("priority", 0),
        )
        _check_ways(agent)
        self._agents[name] = agent
        return agent

    def get(self, name: str) -> RegisteredAgent:
        """The agent of that name. Raises `UnknownNameError` with the nearest one."""
        if name not in self._agents:
            raise UnknownNameError("agent", name, self._agents, "Register one.")
        return self._agents[name]

    def unregister(self, name: str) -> RegisteredAgent:
        """Takes it out; a task that it is at goes on. Raises `UnknownNameError`."""
        agent = self.get(name)
        del self._agents[name]
        return agent

    def agents(self) -> list[RegisteredAgent]:
        """All, by name."""
        return [self._agents[name] for name in sorted(self._agents)]

    def by_capability(self, *capabilities: str) -> list[RegisteredAgent]:
        """Those that have all of them, by name."""
        wanted = {one.strip().casefold() for one in capabilities}
        return [agent for agent in self.agents() if wanted <= agent.capabilities]

    def get_recommended_agent(self, task: AgentTask) -> Recommendation[RegisteredAgent]:
        """The agent for the task, and why. Raises `InputError` that says what each one lacks where none fits."""
        return recommend(task, self.agents(), type_named(task.agent_type) if task.agent_type else "")


def type_named(agent_type: str) -> str:
    """The role that the word or alias stands for, else the word itself in small letters. Raises `ConfigError`."""
    word = " ".join(str(agent_type).split()).casefold()
    if not word:
        raise ConfigError(
            "An agent has no type.", "It is a role, or a word of yours.", "Name one, such as 'developer'."
        )
    try:
        return resolve_role(word).name
    except UnknownNameError:
        return word


def _check_no_key(credential: Credential, **fields: object) -> None:
    for field, value in fields.items():
        if holds_key(value, credential):
            raise ConfigError(
                f"The {field} of an agent holds a key.",
                "It is shown in listings, and arguments can be read by everybody on the machine.",
                "Take the key out of it, and give it as credential=Secret(key) or as the name of its variable.",
            )


def _text(name: str, field: str, given: object) -> str:
    if given is not None and not isinstance(given, str):
        raise ConfigError(f"The {field} of '{name}' is no text.", "", "Give a text, or leave it out.")
    return (given or "").strip()


def _base_url(name: str, given: object) -> str:
    """Raises `ConfigError` for what is no bare http(s) URL; whether a key may be sent there is asked when one is."""
    url = _text(name, "base_url", given)
    if url:
        normal_url(url)
    return url


def _listed(given: object) -> object:
    """What may be run through once, as something that can be looked at twice."""
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else given


def _capabilities(name: str, words: Any) -> frozenset[str]:
    if not is_words(words):
        raise ConfigError(f"The capabilities of '{name}' are no list of words.", "", "Give a list, such as ['vision'].")
    return frozenset(word.strip().casefold() for word in words)


def _metadata(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A copy, so that who gave it cannot change the agent."""
    try:
        metadata = copy.deepcopy(dict(given))
    except Exception as problem:
        # What is copied may be anything, a `Secret` too, which refuses.
        raise ConfigError(
            f"The metadata of '{name}' cannot be copied.", reason_of(problem), "Give texts, numbers, lists, mappings."
        ) from problem
    if not is_whole(metadata.get("priority", 0)):
        raise ConfigError(f"The priority of '{name}' is no whole number.", "", "Give one; the higher goes first.")
    return metadata


_NEEDS = {
    Way.API: ("model", "it is reached by API and names no model", "Give model='provider/model'."),
    Way.CLI: ("command", "it is reached by a command and has none", "Give command=[program, argument, ...]."),
}


def _check_ways(agent: RegisteredAgent) -> None:
    for way, (field, why, do) in _NEEDS.items():
        if way in WAYS[agent.interface] and not getattr(agent, field):
            raise ConfigError(f"The agent '{agent.name}' cannot be reached.", f"{why[:1].upper()}{why[1:]}.", do)
    if agent.command is not None and Way.CLI not in WAYS[agent.interface]:
        raise ConfigError(
            f"The agent '{agent.name}' has a command that is never used.",
            f"Its interface is {agent.interface}.",
            "Make that cli or hybrid, or leave the command out.",
        )
    if agent.command is not None and "{model}" in agent.command.argv and not command_model(agent):
        raise ConfigError(
            f"The command of '{agent.name}' wants a model.",
            "It has {model} in argv, and no name to put there.",
            "Give Command(model=...) the name that the program knows.",
        )


def command_model(agent: RegisteredAgent) -> str:
    """The model as the agent's program calls it; empty where nobody said which one that uses."""
    if agent.command is None or agent.command.model:
        return "" if agent.command is None else agent.command.model
    return agent.model if agent.interface is Interface.CLI else ""
