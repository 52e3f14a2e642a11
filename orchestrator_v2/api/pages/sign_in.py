"""Signing in with a token, signing out, and the files that every page needs.

What a session is, is `service/accounts.py`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from orchestrator_v2.api.access import SESSION_COOKIE, CurrentUser, TheService
from orchestrator_v2.api.pages.page_route import Fields, PageRoute, go_to, pages_of
from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.frame import frame, told_problem
from orchestrator_v2.api.web.render import static_file
from orchestrator_v2.service.accounts import SESSION

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_WEEK = "public, max-age=604800, immutable"


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """A file of the page; the same for everybody, and named anew when it changes."""
    found = static_file(name)
    if found is None:
        raise HTTPException(404)
    return Response(found[0], media_type=found[1], headers={"Cache-Control": _WEEK})


@router.get(links.SIGN_IN)
async def ask_token(request: Request, next: str = "") -> Response:
    return _form(request, next)


@router.post(links.SIGN_IN)
async def sign_in(request: Request, service: TheService) -> Response:
    async with request.form(max_files=0, max_fields=10) as form:
        token, target = str(form.get("token", "")).strip(), str(form.get("next", ""))
    issued = await service.accounts.sign_in(token) if token else None
    if issued is None:
        return _form(request, target, wrong=True)
    answer = go_to(_own(target))
    answer.set_cookie(
        SESSION_COOKIE,
        issued.value,
        max_age=int(SESSION),
        httponly=True,
        samesite="strict",
        # A proxy that speaks TLS says so; a lie about it could only cost the liar their own session.
        secure="https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").lower()),
    )
    return answer


@router.post(links.SIGN_OUT)
async def sign_out(request: Request, user: CurrentUser, service: TheService, fields: Fields) -> Response:
    await service.accounts.sign_out(request.cookies.get(SESSION_COOKIE, ""))
    answer = go_to(links.SIGN_IN, "out")
    answer.delete_cookie(SESSION_COOKIE)
    return answer


def _form(request: Request, target: str, *, wrong: bool = False) -> Response:
    told = told_problem(401, "The token is not known.", "", "Copy it again, or ask an administrator for one.")
    page = pages_of(request).page(
        "sign_in.html", frame(None, csrf=""), next=_own(target), problem=told if wrong else None
    )
    return HTMLResponse(page, 401 if wrong else 200)


def _own(target: str) -> str:
    """`target` where it is an address of this server; else the first page."""
    parts = urlsplit(target)
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return target if plain and target.isprintable() and "\\" not in target else links.HOME
