"""The users of a server as an administrator sees them: role, ceilings, models, whether they may come in.

Who may see this page is the service's rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.text import slug
from orchestrator_v2.core.accounts import User
from orchestrator_v2.core.text import one_line
from orchestrator_v2.core.usage import NANO

ROLES = (
    ("admin", "Administrator", "does everything, and manages users"),
    ("developer", "Developer", "starts runs and stores keys"),
    ("viewer", "Viewer", "looks, and changes nothing"),
)


class UserLine(msgspec.Struct, frozen=True):
    """Budgets are dollars as they are typed, empty for none; `models` are patterns, one a line."""

    user_id: str
    anchor: str
    name: str
    role: str
    is_disabled: bool
    is_you: bool
    created_at: float
    daily: str
    monthly: str
    models: str
    sees: str
    link: str


class UsersPage(msgspec.Struct, frozen=True):
    """`new_token` is the first token of a user who was just added, shown this once."""

    users: tuple[UserLine, ...]
    roles: tuple[tuple[str, str, str], ...]
    new_user: str = ""
    new_token: str = ""
    problem: str = ""
    filled: Mapping[str, str] = {}


def users_page(
    users: Sequence[User],
    *,
    you: str,
    new_user: str = "",
    new_token: str = "",
    problem: str = "",
    filled: Mapping[str, str] | None = None,
) -> UsersPage:
    """All users; `you` is the id of who looks, `filled` what was typed into a form that was refused."""
    names = {user.user_id: user.name for user in users}
    return UsersPage(
        users=tuple(
            UserLine(
                user_id=user.user_id,
                anchor=f"user-{slug(user.user_id)}",
                name=one_line(user.name, 80),
                role=user.role,
                is_disabled=user.disabled,
                is_you=user.user_id == you,
                created_at=user.created_at,
                daily=dollars(user.daily_budget),
                monthly=dollars(user.monthly_budget),
                models="\n".join(one_line(pattern, 100) for pattern in user.models),
                sees=one_line(names.get(user.sees, user.sees), 80),
                link=links.user(user.user_id),
            )
            for user in users
        ),
        roles=ROLES,
        new_user=one_line(new_user, 80),
        new_token=new_token,
        problem=one_line(problem, 600),
        filled=dict(filled or {}),
    )


def dollars(nano: int | None) -> str:
    """Nano-dollars as a person types them: `2.5`; empty for None."""
    if nano is None:
        return ""
    whole, rest = divmod(nano, NANO)
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".")
