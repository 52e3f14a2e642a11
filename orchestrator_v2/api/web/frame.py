"""What stands around every page: who looks, where they may go, what was just done; and the page of an error.

The frame's HTML is `layout.html`.
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.text import visible
from orchestrator_v2.core.accounts import LOCAL, User
from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.core.text import one_line


class Place(msgspec.Struct, frozen=True):
    """A link of the navigation."""

    name: str
    link: str
    is_here: bool


class Frame(msgspec.Struct, frozen=True):
    """`csrf` goes into every form. `has_accounts` is False on one's own machine, where nobody signs in or out.

    `notice` is said once, above the page: what the form that led here has done.
    """

    who: str
    role: str
    csrf: str
    places: tuple[Place, ...] = ()
    is_signed_in: bool = False
    has_accounts: bool = False
    may_write: bool = False
    is_admin: bool = False
    notice: str = ""


def frame(user: User | None, *, csrf: str, path: str = "", notice: str = "") -> Frame:
    """The frame of a page at `path`; `user` is None where nobody has signed in."""
    if user is None:
        return Frame("", "", csrf, notice=one_line(notice, 400))
    admin = user.role == "admin"
    names = [("Projects", links.HOME), ("Usage", links.USAGE), ("Settings", links.SETTINGS)]
    has_accounts = user.user_id != LOCAL
    if admin:
        names.append(("Users", links.USERS))
    return Frame(
        who=one_line(user.name, 60),
        role=user.role,
        csrf=csrf,
        places=tuple(Place(name, link, _is_here(path, link)) for name, link in names),
        is_signed_in=True,
        has_accounts=has_accounts,
        may_write=user.role != "viewer",
        is_admin=admin,
        notice=one_line(notice, 400),
    )


def _is_here(path: str, link: str) -> bool:
    if link == links.HOME:
        return path in {links.HOME, links.NEW} or path.startswith(("/ui/projects", "/ui/runs", "/ui/new"))
    return path.startswith(link)


class Problem(msgspec.Struct, frozen=True):
    """An error as the page tells it: what happened, why, what to do; `correlation` finds it in the log."""

    status: int
    title: str
    what: str
    why: str = ""
    do: str = ""
    correlation: str = ""


_TITLES = {
    400: "That did not work",
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    409: "Not possible now",
    413: "Too large",
    429: "Too many at once",
    503: "Not reachable",
}


def problem(error: OrchestratorError, correlation: str = "") -> Problem:
    """An error of the tree as a page."""
    return told_problem(error.http_status, error.what, error.why, error.do, correlation)


def told_problem(status: int, what: str = "", why: str = "", do: str = "", correlation: str = "") -> Problem:
    """An error in words; without any, its status says what it is."""
    known = status in HTTPStatus.__members__.values()
    title = _TITLES.get(status) or (HTTPStatus(status).phrase if known else "Something went wrong")
    return Problem(
        status=status,
        title=title if status < HTTPStatus.INTERNAL_SERVER_ERROR or status in _TITLES else "Something went wrong",
        what=visible(what)[:2_000] or "The page could not be shown.",
        why=visible(why)[:4_000],
        do=visible(do)[:2_000],
        correlation=one_line(correlation, 80),
    )
