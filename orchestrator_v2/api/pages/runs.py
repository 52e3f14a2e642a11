"""The page of a run: whole, in parts, and as a stream of changes; what a person decides there; its files.

What it shows is made by `web/run_view.py` and `web/file_view.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from orchestrator_v2.api.access import CurrentUser, Slots, StreamingUser, TheService, still_there
from orchestrator_v2.api.bodies import Id
from orchestrator_v2.api.pages.page_route import Fields, PageRoute, frame_of, go_to, html, pages_of
from orchestrator_v2.api.pages.projects import amount
from orchestrator_v2.api.routes.artifacts import ENDINGS, download, slug
from orchestrator_v2.api.streams import EventStream, change_frame, last_event
from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.file_view import diff_page, edited, file_page
from orchestrator_v2.api.web.run_view import Facts, page_values, part_values, wanted
from orchestrator_v2.api.web.versions import Version, versions_of
from orchestrator_v2.core.accounts import User
from orchestrator_v2.core.errors import ConfigError, UnknownNameError
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import PhaseStatus
from orchestrator_v2.parts import ArchiveKind
from orchestrator_v2.service.rights import may
from orchestrator_v2.service.service import Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)
FilePath = Annotated[str, Path(min_length=1, max_length=1_024)]
Number = Annotated[int, Query(ge=1, le=100_000)]


@router.get("/ui/runs/{run_id}")
async def show(request: Request, run_id: Id, user: CurrentUser, service: TheService) -> Response:
    facts = await _facts(service, user, run_id, "")
    pages, around = pages_of(request), frame_of(request, user)
    # Rendering what models wrote may take a second: in a thread it holds up nobody else.
    return HTMLResponse(await asyncio.to_thread(lambda: pages.run_page(around, page_values(facts))))


@router.get("/page/runs/{run_id}/parts/{part}")
async def show_part(
    request: Request, run_id: Id, part: str, user: CurrentUser, service: TheService, seen: str = ""
) -> Response:
    """A fragment of the page; 204 where it is what the page shows already."""
    if part not in links.PARTS:
        raise HTTPException(404)
    facts = await _facts(service, user, run_id, part)
    pages, around = pages_of(request), frame_of(request, user)
    made = await asyncio.to_thread(lambda: pages.part(part, around, part_values(part, facts), seen=seen))
    return Response(status_code=204) if made is None else HTMLResponse(made)


@router.get("/page/runs/{run_id}/changes")
async def changes(
    request: Request,
    run_id: Id,
    user: StreamingUser,
    service: TheService,
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> Response:
    """Says that the run has changed; the page then asks for its parts, each made of the whole state."""
    row = await service.runs.standing(user, run_id)
    batches = await service.runs.follow(user, run_id, after=last_event(last_event_id, row.state.seq))
    slots: Slots = request.app.state.stream_slots
    slots.take(user)
    return EventStream(batches, change_frame, allowed=still_there(request, user), done=lambda: slots.give_back(user))


async def _facts(service: Service, user: User, run_id: str, part: str) -> Facts:
    standing = await service.runs.standing(user, run_id)
    graph = PhaseGraph(standing.state.begun.workflow)
    return Facts(
        standing=standing,
        graph=graph,
        now=service.clock.now(),
        events=await service.runs.events(user, run_id),
        calls=await service.runs.calls(user, run_id),
        contents=await service.runs.contents(user, run_id, wanted(part, graph, standing)),
        may_write=may(user, "write"),
    )


Decide = Callable[[Service, User, str, Mapping[str, str]], Awaitable[object]]


async def _review(service: Service, user: User, run_id: str, fields: Mapping[str, str]) -> None:
    decision = fields.get("decision")
    if decision not in ("approve", "reject"):
        raise ConfigError("The form says neither approve nor reject.", do="Use one of the two buttons.")
    await service.runs.review(
        user,
        run_id,
        approved=decision == "approve",
        content=fields.get("content", ""),
        phase=fields.get("phase", ""),
        reason=fields.get("reason", "").strip(),
    )


async def _edit(service: Service, user: User, run_id: str, fields: Mapping[str, str]) -> None:
    path = fields.get("path", "")
    _, before = await service.runs.read(user, run_id, path)
    text = edited(fields.get("text", ""), before)
    await service.runs.edit(user, run_id, path=path, content=text, seen=fields.get("seen_file", ""))


async def _resume(service: Service, user: User, run_id: str, fields: Mapping[str, str]) -> None:
    dollars = amount(fields.get("budget", ""), "The new ceiling")
    await service.runs.resume(user, run_id, budget=None if dollars is None else nano_usd(dollars))


VERBS: Mapping[str, Decide] = {
    "cancel": lambda service, user, run_id, _: service.runs.cancel(user, run_id),
    "pause": lambda service, user, run_id, _: service.runs.pause(user, run_id),
    "resume": _resume,
    "retry": lambda service, user, run_id, fields: service.runs.retry(user, run_id, fields.get("phase", "")),
    "rollback": lambda service, user, run_id, fields: service.runs.rollback(user, run_id, fields.get("phase", ""), {}),
    "reviews": _review,
    "edit": _edit,
}


@router.post("/ui/runs/{run_id}/{verb}")
async def decide(run_id: Id, verb: str, user: CurrentUser, service: TheService, fields: Fields) -> Response:
    """One of the verbs above; then the run's page."""
    if verb not in VERBS:
        raise HTTPException(404)
    await VERBS[verb](service, user, run_id, fields)
    return go_to(links.run(run_id), verb)


@router.get("/ui/runs/{run_id}/archive")
async def archive(
    run_id: Id, user: CurrentUser, service: TheService, kind: Annotated[ArchiveKind, Query(alias="format")] = "zip"
) -> Response:
    row = await service.runs.row(user, run_id)
    return download(await service.runs.archive(user, run_id, kind), f"{slug(row.name)}.{ENDINGS[kind]}")


@router.get("/ui/runs/{run_id}/files/{path:path}")
async def show_file(
    request: Request, run_id: Id, path: FilePath, user: CurrentUser, service: TheService, version: Number | None = None
) -> Response:
    """A file, rendered; with its versions, and to edit while a review waits."""
    standing = await service.runs.standing(user, run_id)
    known = await _versions(service, user, run_id, path)
    this = _chosen(known, version or len(known), path)
    content = (await service.runs.contents(user, run_id, {path: this.artifact}))[path]
    waits = any(it.status is PhaseStatus.WAITING_REVIEW for it in standing.state.phases.values())
    page = await asyncio.to_thread(
        file_page,
        run_id,
        standing.row.name,
        path,
        content,
        known,
        number=this.number,
        editable=waits and may(user, "write"),
    )
    return html(request, user, "file.html", file=page)


@router.get("/ui/runs/{run_id}/raw/{path:path}")
async def raw(
    run_id: Id, path: FilePath, user: CurrentUser, service: TheService, version: Number | None = None
) -> Response:
    known = await _versions(service, user, run_id, path)
    this = _chosen(known, version or len(known), path)
    content = (await service.runs.contents(user, run_id, {path: this.artifact}))[path]
    return download(content, path.rpartition("/")[2])


@router.get("/ui/runs/{run_id}/diff/{path:path}")
async def diff(
    request: Request,
    run_id: Id,
    path: FilePath,
    user: CurrentUser,
    service: TheService,
    old: Annotated[int, Query(alias="from", ge=1)] = 1,
    new: Annotated[int | None, Query(alias="to", ge=1)] = None,
    view: str = "unified",
) -> Response:
    """Two versions of a file beside each other."""
    row = await service.runs.row(user, run_id)
    known = await _versions(service, user, run_id, path)
    first, second = _chosen(known, old, path), _chosen(known, new or len(known), path)
    found = await service.runs.contents(user, run_id, {"old": first.artifact, "new": second.artifact})
    page = await asyncio.to_thread(
        diff_page,
        run_id,
        row.name,
        path,
        known,
        (found["old"], found["new"]),
        old=first.number,
        new=second.number,
        view=view,
    )
    return html(request, user, "diff.html", diff=page)


async def _versions(service: Service, user: User, run_id: str, path: str) -> list[Version]:
    """Raises `UnknownNameError` for a path that the run never had."""
    known = versions_of(await service.runs.events(user, run_id), path)
    if not known:
        raise UnknownNameError("artifact", path, await service.runs.artifacts(user, run_id))
    return known


def _chosen(known: list[Version], number: int, path: str) -> Version:
    if number > len(known):
        raise UnknownNameError("version", str(number), [str(it.number) for it in known])
    return known[number - 1]
