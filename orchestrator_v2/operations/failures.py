"""Which fault of a run, a provider or a request becomes which of the fourteen errors of operations: tables.

The errors themselves are in `core/operation_errors.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from orchestrator_v2.core import operation_errors as oe
from orchestrator_v2.core.errors import OrchestratorError, ProviderError
from orchestrator_v2.core.events import Recorded, RunFailed, RunParked, TaskFailed
from orchestrator_v2.engine.state_models import ProjectState, RunStatus

# By the code of the error that stopped the run, or that kept it from being started.
_BY_CODE: Mapping[str, type[oe.OperationError]] = {
    "rate_limited": oe.RateLimitError,
    "provider_unavailable": oe.ModelUnavailableError,
    "missing_extra": oe.ModelUnavailableError,
    "provider": oe.ProviderFailureError,
    "bad_gateway_content": oe.ProviderFailureError,
    "stream_truncated": oe.ProviderFailureError,
    "output_truncated": oe.ProviderFailureError,
    "empty_output": oe.ProviderFailureError,
    "request_rejected": oe.ProviderFailureError,
    "refusal": oe.ProviderFailureError,
    "batch_lost": oe.ProviderFailureError,
    "quota_exhausted": oe.InsufficientResourcesError,
    "budget": oe.InsufficientResourcesError,
    "budget_exceeded": oe.InsufficientResourcesError,
    "unknown_price": oe.InsufficientResourcesError,
    "store_full": oe.InsufficientResourcesError,
    "store_unavailable": oe.InsufficientResourcesError,
    "fenced": oe.InsufficientResourcesError,
    "run_state": oe.InvalidRequestError,
    "error": oe.AgentFailureError,
    "stopping": oe.InsufficientResourcesError,
    "limited": oe.InsufficientResourcesError,
    "authentication": oe.AuthenticationFailedError,
    "needs_credential": oe.AuthenticationFailedError,
    "credential_seal": oe.AuthenticationFailedError,
    "unauthenticated": oe.AuthenticationFailedError,
    "forbidden": oe.PermissionDeniedError,
    "unknown_name": oe.InvalidRequestError,
    "invalid_config": oe.InvalidRequestError,
    "invalid_input": oe.InvalidRequestError,
    "prompt_too_large": oe.InvalidRequestError,
    "invalid_output": oe.AgentFailureError,
    "agent_failure": oe.AgentFailureError,
}
_RESUME = "Resume the run, or send the same idempotency key again: what was answered is kept."
# How a run that has not failed stands still, and what to do then.
_STILL: Mapping[RunStatus, tuple[type[oe.OperationError], tuple[str, str, str]]] = {
    RunStatus.RUNNING: (
        oe.InsufficientResourcesError,
        ("The operation has no answer yet.", "It is under way, or its process is stopping.", _RESUME),
    ),
    RunStatus.PAUSED: (oe.InsufficientResourcesError, ("The operation is paused.", "", _RESUME)),
    RunStatus.CANCELLED: (
        oe.InvalidRequestError,
        ("The operation was cancelled.", "", "Ask it anew, with another idempotency key."),
    ),
}


@contextmanager
def in_our_words(context: Mapping[str, Any]) -> Iterator[None]:
    """What goes wrong meanwhile is raised as one of the fourteen, with `context`; a broken store stays what it is."""
    try:
        yield
    except oe.OperationError as error:
        error.context = {**context, **error.context}
        raise
    except OrchestratorError as error:
        kind = _BY_CODE.get(error.code)
        if kind is None:
            raise
        told = kind(error.what, error.why, error.do, context={**context, "cause": error.code})
        if isinstance(told, oe.RateLimitError) and isinstance(error, ProviderError) and error.retry_after:
            told.retry_after = math.ceil(error.retry_after)
        raise told from error


def failure_of(state: ProjectState, events: Sequence[Recorded], now: float) -> oe.OperationError:
    """Why a run that is not completed has no answer. `now` is in epoch seconds."""
    context: dict[str, Any] = {
        "operation": state.begun.operation,
        "run_id": state.run_id,
        "status": state.status.value,
    }
    words = _last_words(events)
    codes = [it.event.code for it in events if isinstance(it.event, TaskFailed)]
    cause = _cause(state, events, codes)
    if cause:
        context["cause"] = cause
    kind = _BY_CODE.get(cause, oe.AgentFailureError)
    if state.status in _STILL:
        kind, words = _STILL[state.status]
    failure = kind(words[0] or "The operation failed.", words[1], words[2], context=context)
    if state.resume_at is not None:
        failure.context["retry_after"] = max(1, math.ceil(state.resume_at - now))
    if isinstance(failure, oe.RateLimitError):
        failure.retry_after = failure.context.get("retry_after", failure.retry_after)
    return failure


def _cause(state: ProjectState, events: Sequence[Recorded], codes: Sequence[str]) -> str:
    """The code that says most: where no agent answered and all met one fault, that fault."""
    if not codes:
        last = next((it.event for it in reversed(events) if isinstance(it.event, RunFailed)), None)
        return last.code if last else ""
    met = set(codes) - {"agent_failure"}
    if codes[-1] == "agent_failure" and len(met) == 1 and state.status is RunStatus.FAILED:
        return met.pop()
    return codes[-1]


def _last_words(events: Sequence[Recorded]) -> tuple[str, str, str]:
    for recorded in reversed(events):
        if isinstance(recorded.event, RunFailed | RunParked):
            return recorded.event.what, recorded.event.why, recorded.event.do
    return "", "", ""
