"""The whole error tree on one page; every error that this project raises on purpose is a class of it.

Where an error is made from a vendor's exception is `llm/errors.py`; how one is shown is `cli/render.py`.

    OrchestratorError                     what happened, why, what to do
    ├── InputError                        the caller's words are off (exit code 3)
    │   ├── BriefError                    empty, a directory, binary, too large
    │   ├── WorkflowError                 a phase graph that cannot be walked; has `line`
    │   ├── UnknownNameError              no agent, workflow, run, model, provider of that name
    │   ├── ConfigError                   a setting that does not validate
    │   ├── OutputPathError               --out cannot be written, or holds somebody's work
    │   ├── CredentialMissingError        real mode without a key
    │   ├── RunStateError                 not possible in the run's present state
    │   ├── SyncInLoopError               a `_sync` twin was called inside a running loop
    │   ├── UnauthenticatedError          no token, or one that is not known
    │   ├── ForbiddenError                the user's role does not allow it
    │   ├── ConflictError                 an idempotency key used for something else, a name that is taken
    │   ├── TooLargeError                 a body over its limit
    │   └── LimitedError                  too many at once; has `retry_after`
    ├── StoreError                        the database
    │   ├── StoreCorruptError             not a database, or damaged
    │   ├── StoreVersionError             written by a newer release
    │   ├── StoreFullError                no room on the disk
    │   ├── StoreUnavailableError         unreachable, or locked for too long
    │   ├── StoreInUseError               a second server on one SQLite file
    │   ├── FencedError                   another worker owns the run now
    │   └── CallConflictError             a recorded call has this key but another request
    ├── BudgetError                       nothing was sent
    │   ├── BudgetExceededError           the worst case does not fit
    │   └── UnknownPriceError             a budget is set and the model has no known price
    ├── ProviderError                     a model provider; see `llm/errors.py` for the table
    │   ├── RateLimitedError              429; has `retry_after`
    │   ├── ProviderUnavailableError      5xx, 529, timeouts, broken connections
    │   ├── BadGatewayError               200 with something that is not an answer
    │   ├── QuotaExhaustedError           402, spend limit, insufficient_quota
    │   ├── AuthenticationError           401, 403
    │   ├── RequestRejectedError          400, 404, 413, 422, a redirect, TLS failure
    │   ├── StreamTruncatedError          the stream ended without a stop reason
    │   ├── OutputTruncatedError          stopped at max_tokens
    │   ├── RefusalError                  refusal or content filter
    │   ├── EmptyOutputError              nothing, or white space
    │   ├── BatchPendingError             handed in as a batch that the provider still works on
    │   ├── BatchLostError                handed in, and no answer to be had
    │   ├── PromptTooLargeError           over the model's window; has `over_by` (tokens)
    │   └── MissingExtraError             a package is not installed; says how to
    ├── InvalidOutputError                a model's answer that does not fit its schema
    ├── DriverUnavailableError            Temporal does not answer
    ├── StoppingError                     this process is ending, and begins no new model call
    ├── CredentialSealError               a stored key that does not open, or no master key
    └── WorkspaceError                    files and processes
        ├── UnsafePathError               a file name that leaves the workspace, or worse
        ├── GitError                      the git binary said no
        └── SandboxUnavailableError       real mode runs no generated code without isolation
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class OrchestratorError(Exception):
    """Root of the tree: `what` happened, `why`, and what to `do`; each a sentence.

    `code` is stable and for machines, `exit_code` is the CLI's, `http_status` the API's,
    `parks_as` the status that a run takes when this stops one of its tasks (None: the task fails),
    `retryable` whether the same request may be sent again.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    parks_as: ClassVar[str | None] = None
    retryable: ClassVar[bool] = False

    def __init__(self, what: str, why: str = "", do: str = "") -> None:
        super().__init__(what, why, do)
        self.what = what
        self.why = why
        self.do = do

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.do) if part)


class InputError(OrchestratorError):
    """Nothing is broken but what was given; a run that meets it waits until that is put right."""

    code, exit_code, http_status, parks_as = "invalid_input", 3, 400, "needs_attention"


class BriefError(InputError):
    code = "invalid_brief"


class WorkflowError(InputError):
    """A phase graph that cannot be walked; `line` is 1-based, or None for a graph built in Python."""

    code = "invalid_workflow"

    def __init__(self, what: str, why: str = "", do: str = "", line: int | None = None) -> None:
        super().__init__(what, why, do)
        self.line = line


class UnknownNameError(InputError):
    """Nothing of that name; names the nearest match and the valid ones."""

    code, http_status = "unknown_name", 404

    def __init__(self, kind: str, name: str, valid: Iterable[str], do: str = "") -> None:
        names = sorted(valid)
        near = get_close_matches(name, names, n=1)
        guess = f"Did you mean '{near[0]}'?" if near else do
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        # Where there is none to choose from, or none that may be told, a list would say nothing.
        super().__init__(f"There is no {kind} named '{name}'.", f"Valid: {shown}." if names else "", guess)
        self.name = name


class ConfigError(InputError):
    code = "invalid_config"


class OutputPathError(InputError):
    code = "output_path"


class CredentialMissingError(InputError):
    code, parks_as = "needs_credential", "needs_credential"


class RunStateError(InputError):
    code, http_status = "run_state", 409


class SyncInLoopError(InputError):
    code = "sync_in_loop"


class UnauthenticatedError(InputError):
    code, http_status = "unauthenticated", 401


class ForbiddenError(InputError):
    code, http_status = "forbidden", 403


class ConflictError(InputError):
    code, http_status = "conflict", 409


class TooLargeError(InputError):
    code, http_status = "too_large", 413


class LimitedError(InputError):
    """`retry_after` is in seconds."""

    code, http_status = "limited", 429

    def __init__(self, what: str, why: str = "", do: str = "", *, retry_after: int = 1) -> None:
        super().__init__(what, why, do)
        self.retry_after = retry_after


class StoreError(OrchestratorError):
    code = "store"


class StoreCorruptError(StoreError):
    code = "store_corrupt"


class StoreVersionError(StoreError):
    code = "store_version"


class StoreFullError(StoreError):
    code = "store_full"


class StoreUnavailableError(StoreError):
    code, http_status = "store_unavailable", 503


class StoreInUseError(StoreError):
    code = "store_in_use"


class FencedError(StoreError):
    code, http_status = "fenced", 409


class CallConflictError(StoreError):
    code, parks_as = "call_conflict", "needs_attention"


class BudgetError(OrchestratorError):
    code, http_status, parks_as = "budget", 402, "waiting_budget"


class BudgetExceededError(BudgetError):
    code = "budget_exceeded"


class UnknownPriceError(BudgetError):
    code = "unknown_price"


class ProviderError(OrchestratorError):
    """A model provider's fault; `status` is the HTTP status where there was one.

    `unbilled` is True where the provider surely charged nothing, `final` where it asked not to be sent this again;
    `retry_after` is in seconds where it named a time to wait.
    """

    code, http_status = "provider", 502
    unbilled: bool = False
    final: bool = False
    retry_after: float | None = None

    def __init__(self, what: str, why: str = "", do: str = "", *, status: int | None = None) -> None:
        super().__init__(what, why, do)
        self.status = status


class RateLimitedError(ProviderError):
    """429; `retry_after` is in seconds, or None where the provider named no time."""

    code, parks_as, retryable = "rate_limited", "waiting_provider", True

    def __init__(
        self,
        what: str,
        why: str = "",
        do: str = "",
        *,
        status: int | None = 429,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, why, do, status=status)
        self.retry_after = retry_after


class ProviderUnavailableError(ProviderError):
    code, parks_as, retryable = "provider_unavailable", "waiting_provider", True


class BadGatewayError(ProviderError):
    code, parks_as, retryable = "bad_gateway_content", "waiting_provider", True


class QuotaExhaustedError(ProviderError):
    code, parks_as = "quota_exhausted", "needs_attention"


class AuthenticationError(ProviderError):
    code, parks_as = "authentication", "needs_credential"


class RequestRejectedError(ProviderError):
    code = "request_rejected"


class StreamTruncatedError(ProviderError):
    code, parks_as, retryable = "stream_truncated", "waiting_provider", True


class OutputTruncatedError(ProviderError):
    code = "output_truncated"


class RefusalError(ProviderError):
    code, parks_as = "refusal", "needs_attention"


class EmptyOutputError(ProviderError):
    code, retryable = "empty_output", True


class PromptTooLargeError(ProviderError):
    """The prompt does not fit the model's window; `over_by` is in tokens."""

    code, exit_code = "prompt_too_large", 3

    def __init__(self, what: str, why: str = "", do: str = "", *, over_by: int = 0) -> None:
        super().__init__(what, why, do)
        self.over_by = over_by


class BatchPendingError(ProviderError):
    """The call was handed in and is not answered yet; `retry_after` is when to ask again, in seconds."""

    code, parks_as = "batch_pending", "waiting_provider"

    def __init__(self, what: str, why: str = "", do: str = "", *, retry_after: float) -> None:
        super().__init__(what, why, do)
        self.retry_after = retry_after
        self.unbilled = True


class BatchLostError(ProviderError):
    code, parks_as = "batch_lost", "needs_attention"


class MissingExtraError(ProviderError):
    code, exit_code = "missing_extra", 3


class InvalidOutputError(OrchestratorError):
    code = "invalid_output"


class StoppingError(OrchestratorError):
    code, http_status, parks_as = "stopping", 503, "waiting_provider"


class DriverUnavailableError(OrchestratorError):
    code, http_status = "driver_unavailable", 503


class CredentialSealError(OrchestratorError):
    code, parks_as = "credential_seal", "needs_credential"


class WorkspaceError(OrchestratorError):
    code = "workspace"


class UnsafePathError(WorkspaceError):
    code = "unsafe_path"


class GitError(WorkspaceError):
    code = "git"


class SandboxUnavailableError(WorkspaceError):
    code, parks_as = "sandbox_unavailable", "blocked"
