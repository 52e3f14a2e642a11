"""`/runs/{id}/events`: a page of them as JSON, or all of them as a stream, from any point on.

How a stream is written is `streams.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from orchestrator_v2.api.access import Slots, StreamingUser, TheService, still_there
from orchestrator_v2.api.answers import EventPage, event_values
from orchestrator_v2.api.bodies import Id
from orchestrator_v2.api.problems import responses
from orchestrator_v2.api.streams import EventStream, event_frame, last_event

router = APIRouter(prefix="/runs", tags=["runs"])
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "model": EventPage,
        "description": "A page, or with `Accept: text/event-stream` a stream that goes on as the run does.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get("/{run_id}/events", responses={**responses(404), **_STREAM}, response_model=None)
async def run_events(
    run_id: Id,
    request: Request,
    user: StreamingUser,
    service: TheService,
    after: Annotated[int, Query(ge=0, le=2**31, description="The seq of the last event that you have.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    accept: Annotated[str, Header(description="text/event-stream for the stream.")] = "",
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> Response:
    """What happened in the run, in order: a page as JSON or, for `text/event-stream`, a stream without a gap."""
    if "text/event-stream" not in accept:
        found = await service.runs.events(user, run_id, after=after, limit=limit)
        items = [event_values(it) for it in found]
        return JSONResponse({"items": items, "next": found[-1].seq if found else after})
    batches = await service.runs.follow(user, run_id, after=last_event(last_event_id, after))
    slots: Slots = request.app.state.stream_slots
    slots.take(user)
    return EventStream(batches, event_frame, allowed=still_there(request, user), done=lambda: slots.give_back(user))
