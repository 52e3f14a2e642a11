"""How a page answers: as HTML in its frame, also when something is wrong, and by a way to sign in where nobody has.

What the pages show is `web/`; who is asking is `access.py`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from orchestrator_v2.api.access import SESSION_COOKIE, CurrentUser, service_of
from orchestrator_v2.api.problems import words_of
from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.frame import Frame, Problem, frame, told_problem
from orchestrator_v2.api.web.render import Pages
from orchestrator_v2.core.accounts import LOCAL, User
from orchestrator_v2.core.correlation import CORRELATION
from orchestrator_v2.core.errors import ForbiddenError, OrchestratorError, UnauthenticatedError

# What is said once after a form; the address names the word, so nobody can put a text of theirs on the page.
NOTICES = {
    "started": "The run has started.",
    "kept": "Kept.",
    "removed": "Removed.",
    "deleted": "The project is gone from your list.",
    "advanced": "One phase is being done.",
    "cancel": "The run is being cancelled.",
    "pause": "What is under way may end; then the run pauses.",
    "resume": "The run goes on.",
    "retry": "It is being done again.",
    "rollback": "The run went back, and goes on from there.",
    "reviews": "Your decision is recorded.",
    "edit": "Your text is in place; what stands on it is done again.",
    "out": "You are signed out.",
}


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await answer(request)
            except UnauthenticatedError:
                return _sign_in(request)
            except OrchestratorError as error:
                words = words_of(error, service_of(request).secrets)
                return error_page(request, told_problem(error.http_status, *words, CORRELATION.get()))
            except RequestValidationError:
                return error_page(request, told_problem(422, "The address or the form does not fit.", "", "Go back."))
            except HTTPException as error:
                told = told_problem(error.status_code, str(error.detail), correlation=CORRELATION.get())
                return error_page(request, told)

        return handled


def _sign_in(request: Request) -> Response:
    if request.method != "GET" or is_fragment(request):
        told = told_problem(
            401, "You are not signed in.", "Your session has ended.", "Sign in, go back, send it again."
        )
        return error_page(request, told)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{links.SIGN_IN}?next={quote(here, safe='')}", HTTPStatus.SEE_OTHER)


def error_page(request: Request, told: Problem) -> Response:
    """The error as a page of its own; it asks nobody who they are, so it can always be shown."""
    html = pages_of(request).page("error.html", frame(None, csrf=""), problem=told)
    return HTMLResponse(html, told.status)


def pages_of(request: Request) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


def is_fragment(request: Request) -> bool:
    """Whether a script of the page asks, for a part of it."""
    return request.headers.get("hx-request") == "true"


def csrf_of(request: Request, user: User) -> str:
    """What every form of this session carries. On one's own machine nobody signs in, and the origin is all there is."""
    session = request.cookies.get(SESSION_COOKIE, "")
    return "" if user.user_id == LOCAL else hashlib.sha256(f"form {session}".encode()).hexdigest()[:32]


def frame_of(request: Request, user: User) -> Frame:
    notice = NOTICES.get(request.query_params.get("done", ""), "")
    return frame(user, csrf=csrf_of(request, user), path=request.url.path, notice=notice)


async def fields_of(request: Request, user: CurrentUser) -> Mapping[str, str]:
    """What the form has sent, each field once. Raises `ForbiddenError` for a form that this session was not given."""
    async with request.form(max_files=0, max_fields=200) as form:
        fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    wanted = csrf_of(request, user)
    if not hmac.compare_digest(fields.get("csrf", "").encode(), wanted.encode()):
        raise ForbiddenError(
            "The form is not of this session.", "You have signed in anew since it was shown.", "Load the page again."
        )
    return fields


Fields = Annotated[Mapping[str, str], Depends(fields_of)]


def html(request: Request, user: User, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page for this user."""
    return HTMLResponse(pages_of(request).page(template, frame_of(request, user), **values), status)


def go_to(address: str, done: str = "") -> RedirectResponse:
    """After a form: the address is asked for anew, so that loading it again sends nothing twice."""
    target = address + (("&" if "?" in address else "?") + f"done={done}" if done else "")
    return RedirectResponse(target, HTTPStatus.SEE_OTHER)
