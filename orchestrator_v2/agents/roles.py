"""The eight agents as values: what each is called, what it answers for, where its prompts lie.

What an agent does with its role is `base_agent.py`; the words of the prompts are in `subagent_prompts/`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

import msgspec

from orchestrator_v2.core.errors import UnknownNameError


class Role(msgspec.Struct, frozen=True):
    """An agent as data. `home` is the phase it works in when none is named; `templates` is its prompt folder."""

    name: str
    title: str
    charge: str
    responsibilities: tuple[str, ...]
    aliases: tuple[str, ...]
    home: str
    templates: str


_ALL = (
    Role(
        name="architect",
        title="Software architect",
        charge="You turn a brief into testable requirements and into a design as small as the problem allows.",
        responsibilities=(
            "say what is asked, what is assumed and what stays open",
            "write requirements with criteria that a test can decide",
            "choose modules, their interfaces and the flow of data between them",
            "give the reason for each decision and name what was turned down",
        ),
        aliases=("system-architect", "software-architect", "solution-architect", "winston", "design", "designer"),
        home="planning",
        templates="architect",
    ),
    Role(
        name="developer",
        title="Software developer",
        charge="You write complete, working, readable code that does what the requirements say and nothing else.",
        responsibilities=(
            "implement every requirement within the architecture and the data model",
            "handle the errors that a user can cause, with messages that say what to do",
            "keep modules small, typed and free of hidden state",
            "change as little as possible when failing output comes back",
        ),
        aliases=("dev", "engineer", "coder", "programmer", "software-engineer", "james"),
        home="development",
        templates="developer",
    ),
    Role(
        name="qa",
        title="Quality engineer",
        charge="You write tests that show, criterion by criterion, whether the code does what was asked.",
        responsibilities=(
            "cover every acceptance criterion with a test that names it",
            "test edges, bad input and failure, not only the happy path",
            "write tests that can fail, and that fail for one reason",
            "keep tests fast, offline and independent of each other",
        ),
        aliases=("tester", "quality", "test", "tests", "quality-assurance", "qa-engineer"),
        home="qa",
        templates="qa",
    ),
    Role(
        name="documentarian",
        title="Technical writer",
        charge="You write the documentation a new user needs, from what the code really does.",
        responsibilities=(
            "say in the first lines what the project is and how to start it",
            "show every command with its real options, and what it prints",
            "document errors and limits as well as features",
            "link only to files that exist",
        ),
        aliases=("docs", "doc", "writer", "tech-writer", "technical-writer", "documentation", "documenter"),
        home="documentation",
        templates="documentarian",
    ),
    Role(
        name="consensus",
        title="Review board",
        charge="You judge whether the work before you may pass, from what is written and nothing else.",
        responsibilities=(
            "compare the work with the brief and the requirements, one by one",
            "look for contradictions between documents, and between documents and code",
            "approve what is good enough, and refuse with reasons that can be acted on",
            "cite the file and the passage behind each finding",
        ),
        aliases=("judge", "arbiter", "board", "approver", "consensus-agent"),
        home="design_review",
        templates="consensus",
    ),
    Role(
        name="steward",
        title="Repository steward",
        charge="You keep the repository clean, consistent and easy to take over.",
        responsibilities=(
            "ignore what must not be committed",
            "find dead code, unused dependencies and files in the wrong place",
            "check that names, layout and packaging agree with each other",
            "report what you found, with the file, and what to do about it",
        ),
        aliases=("maintainer", "hygiene", "janitor", "repo-steward", "housekeeper"),
        home="hygiene",
        templates="steward",
    ),
    Role(
        name="reviewer",
        title="Code reviewer",
        charge="You read the code as its next maintainer would, and say what is wrong, where, and how to mend it.",
        responsibilities=(
            "check correctness against the requirements first, style last",
            "look for security faults, lost errors, races and unbounded input",
            "rank findings by severity and name file and function for each",
            "say what is good, briefly, when it is",
        ),
        aliases=("review", "code-reviewer", "code-review", "critic"),
        home="review",
        templates="reviewer",
    ),
    Role(
        name="data",
        title="Data architect",
        charge="You define what is stored, in which shape, under which rules, and how it changes over time.",
        responsibilities=(
            "name the entities, their fields, types and keys",
            "state the rules that must hold and where each is enforced",
            "say how data is stored, validated, exported and migrated",
            "keep the machine-readable model and the prose in agreement",
        ),
        aliases=("data-engineer", "dba", "data-modeler", "data-modeller", "data-architect", "database"),
        home="data",
        templates="data",
    ),
)

ROLES: Mapping[str, Role] = MappingProxyType({role.name: role for role in _ALL})
_BY_ALIAS: Mapping[str, Role] = MappingProxyType({alias: role for role in _ALL for alias in (role.name, *role.aliases)})


def resolve_role(name: str) -> Role:
    """The role of that name or alias; case, spaces, underscores and a trailing `agent` do not matter.

    Raises `UnknownNameError` with the nearest name.
    """
    wanted = re.sub(r"[\s_-]+", "-", name.strip().casefold())
    for candidate in (wanted, wanted.removesuffix("-agent")):
        if candidate in _BY_ALIAS:
            return _BY_ALIAS[candidate]
    near = get_close_matches(wanted, _BY_ALIAS, n=1)
    raise UnknownNameError("agent", name, ROLES, do=f"Did you mean '{near[0]}'?" if near else "")
