"""Which role may do what: a table, and the one question that every change asks of it.

Who somebody is, is `accounts.py`; whose things they are, stands in each query.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

from orchestrator_v2.core.accounts import Role, User
from orchestrator_v2.core.errors import ForbiddenError

Right = Literal["read", "write", "manage"]

RIGHTS = MappingProxyType[Role, frozenset[Right]](
    {
        "viewer": frozenset({"read"}),
        "developer": frozenset({"read", "write"}),
        "admin": frozenset({"read", "write", "manage"}),
    }
)
_WORDS = MappingProxyType[Right, str]({"read": "look at", "write": "change", "manage": "manage"})


def may(user: User, right: Right) -> bool:
    return right in RIGHTS[user.role]


def require(user: User, right: Right) -> None:
    """Raises `ForbiddenError` where the user's role does not include the right."""
    if not may(user, right):
        raise ForbiddenError(
            f"The role {user.role} may not {_WORDS[right]} this.",
            f"It is for: {', '.join(role for role, rights in RIGHTS.items() if right in rights)}.",
            "Ask an administrator for another role.",
        )
