"""Users of a server: who bears a token, who there is, what they may spend; and the one user of a server without any.

Their keys are `credentials.py`; what a role may do is `rights.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_v2.agents.roles import resolve_role
from orchestrator_v2.core.accounts import LOCAL, Accounts, Role, Token, UsageBook, UsageLine, User
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ConfigError, ConflictError, ForbiddenError, UnknownNameError
from orchestrator_v2.core.ids import IdSource
from orchestrator_v2.service.rights import RIGHTS, require
from orchestrator_v2.service.tokens import new_token, token_hash

# How long a page stays signed in (seconds): a working day.
SESSION = 12 * 3600.0
_LONGEST_NAME, _LONGEST_MODEL = 80, 200
# How long it is taken for granted that nobody has a token yet (seconds).
_KEPT = 1.0


class IssuedToken(msgspec.Struct, frozen=True):
    """A token in its only showing: `value` is kept nowhere."""

    user: User
    token: Token
    value: str


class AccountService:
    """The operator's commands use it as `LOCAL`; `random_bytes` is where tokens come from."""

    def __init__(
        self,
        accounts: Accounts,
        usage: UsageBook,
        *,
        clock: Clock,
        ids: IdSource,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._accounts = accounts
        self._usage = usage
        self._clock = clock
        self._ids = ids
        self._random_bytes = random_bytes
        self._closed_to_strangers = False
        self._stranger: tuple[float, User] | None = None
        self._asking = asyncio.Lock()

    async def stranger(self) -> User | None:
        """Who one is without a token: whoever sits at the machine, or, as soon as anybody has a token, nobody.

        The answer is kept for a second: it is asked for with every request.
        """
        # A thousand streams may ask at the same moment: one looks, the others wait for what it finds.
        async with self._asking:
            now = self._clock.monotonic()
            if self._stranger is not None and now - self._stranger[0] < _KEPT:
                return self._stranger[1]
            self._stranger = None
            if await self.needs_token():
                return None
            user = await self.local()
            self._stranger = (now, user)
            return user

    async def local(self) -> User:
        """The user who sits at the machine, an administrator; made when it is first asked for."""
        user = await self._accounts.user(LOCAL)
        if user is None:
            await self._accounts.add_user(User(LOCAL, LOCAL, "admin", self._clock.now()))
            user = await self._accounts.user(LOCAL)
        if user is None:
            raise UnknownNameError("user", LOCAL, ())
        return user

    async def needs_token(self) -> bool:
        """Whether anybody has a token: from then on nobody is let in without one, until the process ends."""
        if not self._closed_to_strangers:
            self._closed_to_strangers = await self._accounts.any_tokens()
        return self._closed_to_strangers

    async def bearer(self, token: str) -> User | None:
        """The user of a token or session; None for one that is unknown, expired, or of a disabled user."""
        return await self._accounts.bearer(token_hash(token), self._clock.now())

    async def sign_in(self, token: str) -> IssuedToken | None:
        """A session for the page, given for a bearer token; None where the token is not known."""
        user = await self.bearer(token)
        return None if user is None else await self._issue(user, "session", "page", SESSION)

    async def sign_out(self, session: str) -> None:
        await self._accounts.drop_token_by_hash(token_hash(session))

    async def usage(self, user: User, *, days: int = 31) -> list[UsageLine]:
        """By day, provider, model and project, newest day first."""
        require(user, "read")
        return await self._usage.lines(user.scope, since=self._clock.now() - days * 86_400.0)

    async def users(self, by: User) -> list[User]:
        require(by, "manage")
        return await self._accounts.users()

    async def add_user(
        self,
        by: User,
        name: str,
        role: Role,
        *,
        models: Sequence[str] = (),
        daily_budget: int | None = None,
        monthly_budget: int | None = None,
        sees: str = "",
    ) -> IssuedToken:
        """A new user with a first token. Raises `ConfigError`, `ConflictError` for a name that is taken."""
        require(by, "manage")
        wished = {
            "role": role,
            "models": tuple(models),
            "daily_budget": daily_budget,
            "monthly_budget": monthly_budget,
            "sees": await self._id_of(sees),
        }
        user = _checked(User(self._ids.new("usr"), _name(name), "viewer", self._clock.now()), wished)
        if not await self._accounts.add_user(user):
            raise ConflictError(f"There is a user named '{user.name}' already.", do="Choose another name.")
        return await self._issue(user, "token", "first", None)

    async def set_user(self, by: User, user: str, **wished: Any) -> User:
        """Changes role, disabled, models, budgets or sees of the user with that id or name; others stay."""
        require(by, "manage")
        found = await self.find(by, user)
        if "sees" in wished:
            wished["sees"] = await self._id_of(wished["sees"])
        changed = _checked(found, wished)
        if found.user_id == by.user_id and (changed.disabled or changed.role != found.role):
            raise ConfigError("You cannot take your own rights away.", "Nobody might be left to give them back.")
        await self._accounts.set_user(changed)
        self._stranger = None
        return changed

    async def set_agents(self, by: User, agents: Mapping[str, str]) -> User:
        """Which model each agent has in this user's projects to come, as `provider/model`; an empty one is the run's.

        Raises `ConfigError` for what names no model, `UnknownNameError` for what is no agent.
        """
        require(by, "write")
        chosen = {resolve_role(agent).name: model.strip() for agent, model in agents.items() if model.strip()}
        for agent, model in chosen.items():
            provider, slash, name = model.partition("/")
            if not (provider and slash and name) or len(model) > _LONGEST_MODEL:
                raise ConfigError(f"'{model[:80]}' names no model.", f"It is for {agent}.", "Write provider/model.")
        if not await self._accounts.set_agents(by.user_id, chosen):
            raise ForbiddenError("Your account was disabled.", do="Ask an administrator.")
        self._stranger = None
        return msgspec.structs.replace(by, agents=chosen)

    async def find(self, by: User, user: str) -> User:
        """The user with that id or name. Raises `UnknownNameError`."""
        require(by, "manage")
        everybody = await self._accounts.users()
        for found in everybody:
            if user in (found.user_id, found.name):
                return found
        raise UnknownNameError("user", user, [found.name for found in everybody])

    async def _id_of(self, user: str) -> str:
        if not user:
            return ""
        everybody = await self._accounts.users()
        found = next((it.user_id for it in everybody if user in (it.user_id, it.name)), "")
        if not found:
            raise UnknownNameError("user", user, [it.name for it in everybody])
        return found

    async def add_token(self, by: User, user: str, label: str = "", *, days: float | None = None) -> IssuedToken:
        """A further token, of oneself or, for an administrator, of anybody."""
        found = by if user in (by.user_id, by.name) else await self.find(by, user)
        return await self._issue(found, "token", label[:_LONGEST_NAME], None if days is None else days * 86_400.0)

    async def tokens(self, by: User, user: str = "") -> list[Token]:
        found = by if user in ("", by.user_id, by.name) else await self.find(by, user)
        return await self._accounts.tokens(found.user_id)

    async def drop_token(self, by: User, token_id: str, user: str = "") -> None:
        """From now on nobody is let in with it, nor with a page's session: one of them may have been made with it.

        Raises `UnknownNameError`, for another user's token as for none.
        """
        found = by if user in ("", by.user_id, by.name) else await self.find(by, user)
        if not await self._accounts.drop_token(found.user_id, token_id):
            raise UnknownNameError("token", token_id, ())
        for other in await self._accounts.tokens(found.user_id):
            if other.kind == "session":
                await self._accounts.drop_token(found.user_id, other.token_id)

    async def _issue(self, user: User, kind: Any, label: str, seconds: float | None) -> IssuedToken:
        value, now = new_token(self._random_bytes), self._clock.now()
        until = None if seconds is None else now + seconds
        token = Token(self._ids.new("tok"), user.user_id, kind, label, value[-4:], now, until)
        await self._accounts.add_token(token, token_hash(value))
        self._stranger = None
        return IssuedToken(user, token, value)


def _name(name: str) -> str:
    shown = name.strip()
    if not shown or len(shown) > _LONGEST_NAME or not shown.isprintable():
        raise ConfigError("That is no name for a user.", f"It has 1 to {_LONGEST_NAME} printable characters.")
    if shown == LOCAL:
        raise ConflictError(f"'{LOCAL}' is the name of whoever sits at the machine.", do="Choose another name.")
    return shown


def _checked(user: User, wished: dict[str, Any]) -> User:
    changed = msgspec.structs.replace(user, **wished)
    if changed.role not in RIGHTS:
        raise UnknownNameError("role", changed.role, RIGHTS)
    for ceiling in (changed.daily_budget, changed.monthly_budget):
        if ceiling is not None and ceiling < 0:
            raise ConfigError("A ceiling is negative.", do="Give an amount in dollars, 0 or more.")
    if changed.sees and changed.role != "viewer":
        raise ConfigError("Only a viewer looks at another user's projects.", f"The role is {changed.role}.")
    return changed
