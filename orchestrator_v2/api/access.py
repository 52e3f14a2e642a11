"""Who is asking: a bearer token, a page's session, or, on a server without accounts, whoever sits at the machine.

What a role may do is `service/rights.py`; whose things they are stands in the service's queries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from orchestrator_v2.core.accounts import User
from orchestrator_v2.core.errors import LimitedError, UnauthenticatedError
from orchestrator_v2.service.rights import Right, require
from orchestrator_v2.service.service import Service

SESSION_COOKIE = "orchestrator_session"

_bearer = HTTPBearer(auto_error=False, description="A token of `orchestrator users add`.")
_cookie = APIKeyCookie(name=SESSION_COOKIE, auto_error=False, description="A page's session.")


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


class Slots:
    """How much of one user is under way at once; past `most` the next is refused."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._taken: Counter[str] = Counter()

    def take(self, user: User) -> None:
        """Raises `LimitedError` when all are taken."""
        if self._taken[user.user_id] >= self._most:
            raise LimitedError(
                f"{self._most} of your {self._what} are open already.", "More are not taken at once.", "Close some."
            )
        self._taken[user.user_id] += 1

    def give_back(self, user: User) -> None:
        self._taken[user.user_id] -= 1
        if self._taken[user.user_id] <= 0:
            del self._taken[user.user_id]


async def user_of(request: Request, token: str) -> User:
    """Raises `UnauthenticatedError` for no token, or one that is unknown, expired or of a disabled user."""
    accounts = service_of(request).accounts
    # A token first: whoever bears one is not taken for a stranger in the moment before that door is shut.
    user = (await accounts.bearer(token) if token else None) or await accounts.stranger()
    if user is None:
        raise UnauthenticatedError(
            "You are not signed in.",
            "The token is unknown, expired or revoked." if token else "No token came with the request.",
            "Send `Authorization: Bearer TOKEN`; `orchestrator users add NAME` gives one.",
        )
    return user


def still_there(request: Request, user: User) -> Callable[[], Awaitable[bool]]:
    """Asks again who bears what `streaming_user` let in; for streams, which outlive many a right."""

    async def there() -> bool:
        try:
            return (await user_of(request, request.state.token)).user_id == user.user_id
        except UnauthenticatedError:
            return False

    return there


async def current_user(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> AsyncIterator[User]:
    """The user of this request, who holds one of their request slots until the answer is out."""
    user = await user_of(request, bearer.credentials if bearer else cookie or "")
    slots: Slots = request.app.state.request_slots
    slots.take(user)
    try:
        yield user
    finally:
        slots.give_back(user)


async def streaming_user(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> User:
    """The user of a stream, which may stay open for days and so holds no request slot."""
    request.state.token = bearer.credentials if bearer else cookie or ""
    return await user_of(request, request.state.token)


async def admin_user(user: Annotated[User, Depends(current_user)]) -> User:
    require(user, "manage")
    return user


CurrentUser = Annotated[User, Depends(current_user)]
StreamingUser = Annotated[User, Depends(streaming_user)]
AdminUser = Annotated[User, Depends(admin_user)]
TheService = Annotated[Service, Depends(service_of)]
__all__ = [
    "SESSION_COOKIE", "AdminUser", "CurrentUser", "Right", "Slots", "StreamingUser", "TheService", "admin_user",
    "current_user", "service_of", "still_there", "streaming_user",
    "user_of",
]  # fmt: skip
