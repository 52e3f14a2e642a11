"""What the batch desks of all vendors share: a handle that can be kept, a batch that is not there, a useless result.

How each is asked is `anthropic_batches.py` and `openai_batches.py`; what the ledger makes of it `wrappers/batched.py`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from orchestrator_v2.core.errors import BadGatewayError, BatchLostError, ProviderError, RequestRejectedError
from orchestrator_v2.llm.errors import make_error

# Names of batches and files as vendors give them; what is none is not kept, printed, or asked for.
_HANDLE = re.compile(r"[A-Za-z0-9_.-]{1,200}")


def checked_handle(made: Mapping[str, Any]) -> str:
    """The id of what was made. Raises `BadGatewayError` where it has none."""
    handle = made.get("id")
    if not isinstance(handle, str) or not _HANDLE.fullmatch(handle):
        raise make_error(BadGatewayError, "What was made has no id.", status=200)
    return handle


@asynccontextmanager
async def batch_there(handle: str) -> AsyncIterator[None]:
    """Raises `BatchLostError` where the provider says that it has no such batch."""
    try:
        yield
    except RequestRejectedError as error:
        if error.status not in (404, 410):
            raise
        raise BatchLostError(
            f"The provider has no batch '{handle}'.",
            "It was handed in with another key or at another address, or is older than the provider keeps results.",
            "Put the key and base_url back and resume; or `orchestrator retry RUN PHASE`, which pays for it anew.",
            status=error.status,
        ) from None


async def result_line(fetched: Awaitable[dict[str, Any]]) -> dict[str, Any] | ProviderError:
    """The result of a batch that has ended; one that is no JSON, or too large, is the end of its call."""
    try:
        return await fetched
    except BadGatewayError:
        return unreadable("it cannot be read")


def unreadable(why: str) -> ProviderError:
    """The end of a call whose result is of no use; it may have been billed."""
    return make_error(BadGatewayError, f"The batch has ended, and its result is of no use: {why}.", status=200)
