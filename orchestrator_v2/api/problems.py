"""Errors as problem+json (RFC 9457): what, why, what to do and the correlation id; never what the caller sent.

Which errors there are, and their status, is `core/errors.py`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from orchestrator_v2.core.correlation import CORRELATION
from orchestrator_v2.core.errors import (
    CredentialSealError,
    DriverUnavailableError,
    LimitedError,
    OrchestratorError,
    StoreError,
    UnauthenticatedError,
)
from orchestrator_v2.core.operation_errors import OperationError, RateLimitError
from orchestrator_v2.core.secrets import Secret, redact

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
# At most so many faults of one body are listed.
_MOST_FAULTS = 20
_FIELD = re.compile(r"[A-Za-z_-]{1,40}")


_OURS = (StoreError, CredentialSealError, DriverUnavailableError)
_NO_DRIVER = "Temporal, by which the server's runs are driven, does not answer; they wait, and nothing is lost."
_SAID = {
    409: "Another process has this in hand.",
    500: "The server cannot read or write what it keeps.",
    503: "The server's database does not answer.",
}


class Problem(BaseModel):
    """An error of the API. `code` is stable and for machines; `detail`, `why` and `do` are sentences for people."""

    model_config = ConfigDict(json_schema_extra={"examples": [{
        "type": "about:blank", "title": "Not Found", "status": 404, "code": "unknown_name",
        "detail": "There is no run named 'run_x'.", "why": "", "do": "List the project's runs to see what there is.",
        "correlation_id": "req_5k2m9x0q7c1d",
    }]})  # fmt: skip

    type: str = "about:blank"
    title: str
    status: int
    code: str = Field(description="Stable, for machines.")
    detail: str = Field(description="What happened.")
    why: str = ""
    do: str = Field("", description="What to do about it.")
    correlation_id: str = Field("", description="Names this request in the server's log.")
    context: dict[str, Any] | None = Field(None, description="Of an operation: where it happened, for machines.")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its description."""
    wanted = sorted({400, 401, 403, 408, 413, 421, 422, 429, 500, 503, *statuses})
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}} for status in wanted}


def problem(
    status: int,
    code: str,
    detail: str,
    why: str = "",
    do: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
) -> JSONResponse:
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        why=why,
        do=do,
        correlation_id=CORRELATION.get(),
        context=None if context is None else dict(context),
    )
    shown = body.model_dump(exclude=None if context is not None else {"context"})
    return JSONResponse(shown, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def of_error(error: OrchestratorError, secrets: Iterable[Secret] = ()) -> JSONResponse:
    """An error of the tree as an answer, without any key that its words may hold."""
    headers: dict[str, str] = {}
    if isinstance(error, LimitedError | RateLimitError):
        headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, OperationError) and "retry_after" in error.context:
        headers["Retry-After"] = str(error.context["retry_after"])
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    context = _without_keys(error.context, secrets) if isinstance(error, OperationError) else None
    return problem(error.http_status, error.code, *words_of(error, secrets), headers=headers, context=context)


def _without_keys(value: Any, secrets: Iterable[Secret]) -> Any:
    if isinstance(value, dict):
        return {redact(str(name), secrets): _without_keys(item, secrets) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_keys(item, secrets) for item in value]
    return redact(value, secrets) if isinstance(value, str) else value


def words_of(error: OrchestratorError, secrets: Iterable[Secret] = ()) -> tuple[str, str, str]:
    """What a caller is told of an error: what, why and what to do, without any key."""
    if isinstance(error, _OURS):
        # Their words name files and addresses of the server, which are its operator's business; the log has them.
        said = _NO_DRIVER if isinstance(error, DriverUnavailableError) else _SAID[type(error).http_status]
        return said, "", "Tell its operator the correlation id."
    return redact(error.what, secrets), redact(error.why, secrets), redact(error.do, secrets)


def install(app: FastAPI, secrets: Iterable[Secret]) -> None:
    """Every way in which a request can fail answers in this one form."""

    def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, OrchestratorError)  # noqa: S101 - registered for this class only
        if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # The route, not the path: a caller may have put a key into that.
            route = getattr(request.scope.get("route"), "path", "(no route)")
            _log.warning("%s %s: %s", request.method, route, error)
        return of_error(error, secrets)

    app.add_exception_handler(OrchestratorError, known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _fault)


def _invalid(request: Request, error: Exception) -> Response:
    """A body or parameter of the wrong shape. The standard answer would send the body back, with the key in it."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    faults = [f"{'.'.join(map(_place, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    shown = "; ".join(faults[:_MOST_FAULTS])[:2_000]
    return problem(
        422, "invalid_request", "The request does not fit.", redact(shown), "See /openapi.json for its shape."
    )


def _place(part: int | str) -> str:
    """A field's name as it may be said; one that the caller made up may be a key in the wrong place."""
    return str(part) if isinstance(part, int) or _FIELD.fullmatch(part) else "…"


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
    return problem(error.status_code, code, str(error.detail), headers=headers)


def _methods(request: Request) -> list[str]:
    """What the path can be asked by; the framework tells of one route alone, and each method has a route."""
    routes = [route for route in iter_route_contexts(request.app.routes) if hasattr(route, "path_regex")]
    first = next((route.path for route in routes if route.path_regex.match(request.scope["path"])), None)
    return sorted({method for route in routes if route.path == first for method in route.methods or ()})


def _fault(request: Request, error: Exception) -> Response:
    # The server closes the connection after this one; who is not told would send the next request into it.
    return problem(
        500,
        "fault",
        "The server met a fault of its own.",
        "The log has the whole story.",
        "Give the correlation id.",
        headers={"Connection": "close"},
    )
