"""`/runs/{id}/artifacts` and `/archive`: what a run made, file by file or all in one.

A file is sent as bytes to be saved, never as something that a browser would run; the page shows it rendered.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from orchestrator_v2.api.access import CurrentUser, TheService
from orchestrator_v2.api.answers import ArtifactAnswer
from orchestrator_v2.api.bodies import Id
from orchestrator_v2.api.problems import responses

router = APIRouter(prefix="/runs", tags=["runs"])
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_FILE: dict[int | str, dict[str, Any]] = {200: {"description": "The file's bytes.", "content": _BYTES}}
_ARCHIVE: dict[int | str, dict[str, Any]] = {200: {"description": "The archive's bytes.", "content": _BYTES}}
ENDINGS = {"zip": "zip", "bundle": "bundle"}


@router.get("/{run_id}/artifacts", responses=responses(404))
async def artifacts(run_id: Id, user: CurrentUser, service: TheService) -> list[ArtifactAnswer]:
    """The files as the run stands, each with its hash and how it came to be."""
    return ArtifactAnswer.of_tree(await service.runs.artifacts(user, run_id))


@router.get("/{run_id}/artifacts/{path:path}", responses={**responses(404), **_FILE}, response_class=Response)
async def artifact(
    run_id: Id, path: Annotated[str, Path(min_length=1, max_length=1_024)], user: CurrentUser, service: TheService
) -> Response:
    found, content = await service.runs.read(user, run_id, path)
    return download(content, path.rpartition("/")[2], {"ETag": f'"{found.hash}"'})


@router.get("/{run_id}/archive", responses={**responses(404, 409), **_ARCHIVE}, response_class=Response)
async def archive(
    run_id: Id, user: CurrentUser, service: TheService, kind: Annotated[Literal["zip", "bundle"], Query()] = "zip"
) -> Response:
    """The project as a zip of its files, or as a git bundle with a commit for each phase."""
    row = await service.runs.row(user, run_id)
    return download(await service.runs.archive(user, run_id, kind), f"{slug(row.name)}.{ENDINGS[kind]}")


def slug(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:60] or "project"


def download(content: bytes, name: str, headers: dict[str, str] | None = None) -> Response:
    """Bytes to be saved under a name; a browser shows none of it as a page of ours."""
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name) or "file"
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"Content-Disposition": disposition, **(headers or {})},
    )
