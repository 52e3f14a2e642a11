"""The seam through which a stored key is asked for right before it is sent, and reported when it is refused.

Who keeps the keys of many users is the `credentials` floor; which sendings pass here is `wire.py`, and
`wrappers/watched_key.py` for providers that bring a connection of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from orchestrator_v2.core.errors import AuthenticationError
from orchestrator_v2.core.secrets import Secret, redact
from orchestrator_v2.llm.errors import REASON_CAP


class KeyWatch(Protocol):
    """Speaks for one stored key."""

    async def usable(self) -> None:
        """Raises `CredentialMissingError` where the key is gone, revoked or refused."""
        ...

    async def refused(self, why: str) -> None:
        """The provider refused the key; `why` is redacted."""
        ...


@asynccontextmanager
async def watched(watch: KeyWatch | None, secrets: Sequence[Secret] = ()) -> AsyncIterator[None]:
    """Around one sending: nothing goes out with a key that is not usable, and a refusal (401, 403) is reported."""
    if watch is None:
        yield
        return
    await watch.usable()
    try:
        yield
    except AuthenticationError as error:
        await watch.refused(redact(error.why, secrets)[:REASON_CAP])
        raise
