"""Every address that the page links or posts to, in one place.

Who answers there is the routes' business.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

HOME, NEW, ESTIMATE = "/", "/new", "/ui/new/estimate"
CREATE = "/ui/new"
SETTINGS, USAGE, USERS = "/ui/settings", "/ui/usage", "/ui/users"
SIGN_IN, SIGN_OUT = "/ui/sign-in", "/ui/sign-out"
PARTS = ("status", "graph", "review", "timeline", "money", "evidence", "artifacts")


def static(name: str) -> str:
    return f"/static/{quote(name)}"


def project(project_id: str, verb: str = "") -> str:
    """The project's page, or where one of its verbs is posted: runs, advance, delete."""
    return _under("/ui/projects", project_id, verb)


def run(run_id: str, verb: str = "") -> str:
    """The run's page, or where a verb is posted: cancel, pause, resume, retry, rollback, reviews, edit."""
    return _under("/ui/runs", run_id, verb)


def part(run_id: str, name: str) -> str:
    """A fragment of the run's page."""
    return f"/page/runs/{_segment(run_id)}/parts/{_segment(name)}"


def changes(run_id: str) -> str:
    """The stream that says that a run has changed."""
    return f"/page/runs/{_segment(run_id)}/changes"


def file(run_id: str, path: str, version: int | None = None) -> str:
    """An artifact's page, as the run stands or in an earlier version (from 1)."""
    return f"/ui/runs/{_segment(run_id)}/files/{_path(path)}" + (f"?version={version}" if version else "")


def raw(run_id: str, path: str, version: int | None = None) -> str:
    """An artifact's bytes, as a download."""
    return f"/ui/runs/{_segment(run_id)}/raw/{_path(path)}" + (f"?version={version}" if version else "")


def diff(run_id: str, path: str, old: int, new: int, view: str = "unified") -> str:
    """Two versions of an artifact beside each other; `view` is unified or split."""
    query = urlencode({"from": old, "to": new, "view": view})
    return f"/ui/runs/{_segment(run_id)}/diff/{_path(path)}?{query}"


def archive(run_id: str, kind: str) -> str:
    """The whole project: `kind` is zip or bundle."""
    return f"/ui/runs/{_segment(run_id)}/archive?format={quote(kind)}"


def provider(name: str, verb: str) -> str:
    """Where a provider's key is tested or removed."""
    return _under("/ui/settings/providers", name, verb)


def token(token_id: str) -> str:
    return _under("/ui/settings/tokens", token_id, "remove")


def user(user_id: str) -> str:
    return _under("/ui/users", user_id, "")


def page(base: str, **query: str | int) -> str:
    """`base` with a query."""
    return f"{base}?{urlencode(query)}"


def _under(base: str, name: str, verb: str) -> str:
    return f"{base}/{_segment(name)}" + (f"/{verb}" if verb else "")


def _segment(text: str) -> str:
    # A segment that is all dots would be walked up by the browser; quoting dots does not help, so it is marked.
    return quote(text, safe="", errors="replace") if text.strip(".") else "-"


def _path(text: str) -> str:
    return "/".join(_segment(part) for part in text.split("/"))
