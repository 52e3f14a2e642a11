"""The errors of typed operations, a branch of the tree in `errors.py` on a page of its own.

Which fault of the engine or of a provider becomes which of these is `operations/failures.py`.

    OperationError                        an operation gave no answer; has `context`, and `suggestion` (its `do`)
    ├── InvalidRequestError               400  the request contradicts itself, or names a model that does not fit
    ├── ValidationFailedError             400  the data does not fit the request schema; all problems at once
    ├── UnknownFeatureError               400  there is no feature of that name
    ├── UnknownOperationError             400  the feature has no operation of that name
    ├── AuthenticationFailedError         401  there is no key, or the provider refused it
    ├── PermissionDeniedError             403  the caller may not use that model, or this at all
    ├── RunNotFoundError                  404  no operation was run under that id
    ├── IdempotencyConflictError          409  the key was used for another request
    ├── RateLimitError                    429  the provider asks to wait; has `retry_after`
    ├── AgentFailureError                 500  too few agents gave an answer that can be used
    ├── ProviderFailureError              502  the provider refused, or answered with something that is no answer
    ├── ModelUnavailableError             503  no model fits, or its provider does not answer
    ├── InsufficientResourcesError        503  budget, quota, room or this process are used up
    └── OperationTimeoutError             504  `timeout_ms` was over; what was paid for is kept
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from orchestrator_v2.core.errors import OrchestratorError


class OperationError(OrchestratorError):
    """`context` says in plain JSON values where it happened: `operation`, `run_id`, `problems`, `valid`, `cause`."""

    code, http_status = "operation", 500

    def __init__(self, what: str, why: str = "", do: str = "", *, context: Mapping[str, Any] | None = None) -> None:
        super().__init__(what, why, do)
        self.context: dict[str, Any] = dict(context or {})

    @property
    def suggestion(self) -> str:
        """What to do about it."""
        return self.do


class InvalidRequestError(OperationError):
    code, http_status, exit_code = "invalid_operation", 400, 3


class ValidationFailedError(OperationError):
    """`context["problems"]` names every problem, each with its field."""

    code, http_status, exit_code = "validation", 400, 3


class UnknownFeatureError(OperationError):
    """Names what exists and the nearest match."""

    code, http_status, exit_code, parks_as = "unknown_feature", 400, 3, "needs_attention"

    def __init__(self, name: str, valid: Collection[str]) -> None:
        super().__init__(*_unknown("feature", name, valid), context=_near(name, valid))


class UnknownOperationError(OperationError):
    """Names what exists and the nearest match."""

    code, http_status, exit_code, parks_as = "unknown_operation", 400, 3, "needs_attention"

    def __init__(self, name: str, valid: Collection[str], *, feature: str) -> None:
        super().__init__(
            *_unknown(f"operation of {feature}", name, valid), context={"feature": feature, **_near(name, valid)}
        )


class AuthenticationFailedError(OperationError):
    code, http_status, exit_code = "authentication_failed", 401, 3


class PermissionDeniedError(OperationError):
    code, http_status, exit_code = "permission_denied", 403, 3


class RunNotFoundError(OperationError):
    code, http_status, exit_code = "run_not_found", 404, 3


class IdempotencyConflictError(OperationError):
    code, http_status, exit_code = "idempotency_conflict", 409, 3


class RateLimitError(OperationError):
    """`retry_after` is in seconds."""

    code, http_status = "rate_limit", 429
    retry_after: int = 60


class AgentFailureError(OperationError):
    code = "agent_failure"


class ProviderFailureError(OperationError):
    code, http_status = "provider_failure", 502


class ModelUnavailableError(OperationError):
    code, http_status = "model_unavailable", 503


class InsufficientResourcesError(OperationError):
    code, http_status = "insufficient_resources", 503


class OperationTimeoutError(OperationError):
    code, http_status = "operation_timeout", 504


def _near(name: str, valid: Collection[str]) -> dict[str, Any]:
    return {"name": name, "valid": sorted(valid), "nearest": next(iter(get_close_matches(name, valid, n=1)), None)}


def _unknown(kind: str, name: str, valid: Collection[str]) -> tuple[str, str, str]:
    names, near = sorted(valid), _near(name, valid)["nearest"]
    known = f"There are: {', '.join(names)}." if names else "There are none."
    return (
        f"There is no {kind} named '{name}'.",
        known,
        f"Did you mean '{near}'?" if near else "`orchestrator op list` shows all.",
    )
