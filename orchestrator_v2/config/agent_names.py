"""The agents' names as a configuration may write them, and the role that each stands for.

What the roles are is `agents/roles.py`, two floors above; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from orchestrator_v2.core.errors import UnknownNameError

ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "architect": (
            *("system-architect", "software-architect", "solution-architect"),
            *("winston", "design", "designer"),
        ),
        "developer": ("dev", "engineer", "coder", "programmer", "software-engineer", "james"),
        "qa": ("tester", "quality", "test", "tests", "quality-assurance", "qa-engineer"),
        "documentarian": (
            *("docs", "doc", "writer", "tech-writer", "technical-writer", "documentation", "documenter"),
        ),
        "consensus": ("judge", "arbiter", "board", "approver", "consensus-agent"),
        "steward": ("maintainer", "hygiene", "janitor", "repo-steward", "housekeeper"),
        "reviewer": ("review", "code-reviewer", "code-review", "critic"),
        "data": ("data-engineer", "dba", "data-modeler", "data-modeller", "data-architect", "database"),
    }
)
ROLE_OF: Mapping[str, str] = MappingProxyType(
    {name: role for role, aliases in ALIASES.items() for name in (role, *aliases)}
)


def role_of(name: str) -> str:
    """The role of that name or alias; case, blanks, underscores and a trailing `agent` do not matter.

    Raises `UnknownNameError` with the nearest name.
    """
    wanted = re.sub(r"[\s_-]+", "-", name.strip().casefold())
    for candidate in (wanted, wanted.removesuffix("-agent")):
        if candidate in ROLE_OF:
            return ROLE_OF[candidate]
    raise UnknownNameError("agent", name, ROLE_OF)
