"""Answers that are there already: under an idempotency key, and in the cache of equal requests.

Both are replies of the owner that name a run; the run itself is the stored answer (`reading.py`).
"""

from __future__ import annotations

import hashlib

import msgspec

from orchestrator_v2.core.accounts import Reply
from orchestrator_v2.core.ids import IdSource
from orchestrator_v2.core.operation_errors import IdempotencyConflictError
from orchestrator_v2.operations.ports import Caller, Replies
from orchestrator_v2.operations.record import request_digest
from orchestrator_v2.operations.types import LLMRequest

# A header cannot hold a line's end, so no key of a request for a project is ever one of these.
_KEY, _ANSWER = "operation\n", "answer\n"


class Reserved(msgspec.Struct, frozen=True):
    """The run that answers a request; `known` where an earlier request with that key has named it."""

    run_id: str
    known: bool = False


class Once:
    def __init__(self, replies: Replies, ids: IdSource) -> None:
        self._replies = replies
        self._ids = ids

    async def reserve(self, caller: Caller, request: LLMRequest) -> Reserved:
        """Durably names the run of a request with a key, before it is begun: two that come at once share it.

        Raises `IdempotencyConflictError` where the key stands for another request.
        """
        if not request.idempotency_key:
            return Reserved(self._ids.new("op"))
        key, digest = _key(request), request_digest(request)
        mine = Reply(digest, self._ids.new("op"))
        if await self._replies.remember(caller.owner_id, key, mine):
            return Reserved(mine.subject)
        kept = await self._replies.reply(caller.owner_id, key) or mine
        if kept.request_hash != digest:
            raise IdempotencyConflictError(
                "The idempotency key was used for another request.",
                "A key stands for one request, with the same data.",
                "Send a new key, or the same data.",
                context={"run_id": kept.subject},
            )
        return Reserved(kept.subject, known=True)

    async def point(self, caller: Caller, request: LLMRequest, run_id: str) -> None:
        """From here on the request's key, if it has one, stands for that run: its answer was there already."""
        if request.idempotency_key:
            kept = Reply(request_digest(request), run_id)
            await self._replies.remember(caller.owner_id, _key(request), kept, replace=True)

    async def cached(self, caller: Caller, digest: str) -> str:
        """The run that answered an equal request, empty where there is none."""
        kept = await self._replies.reply(caller.owner_id, _ANSWER + digest)
        return kept.subject if kept else ""

    async def keep(self, caller: Caller, digest: str, run_id: str) -> None:
        await self._replies.remember(caller.owner_id, _ANSWER + digest, Reply(digest, run_id), replace=True)


def _key(request: LLMRequest) -> str:
    """Hashed: people put what is secret into keys, and this is kept for good."""
    return _KEY + hashlib.sha256(request.idempotency_key.encode()).hexdigest()
