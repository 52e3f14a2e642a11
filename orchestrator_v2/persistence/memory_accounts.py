"""Users and their tokens in memory; the twin of `sql_accounts.py`.

What a token looks like, and who may do what, is the server's.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from orchestrator_v2.core.accounts import Token, User
from orchestrator_v2.persistence import account_rules as rules
from orchestrator_v2.persistence.batch import unstorable
from orchestrator_v2.persistence.memory_store import MemoryStore


class MemoryAccounts(MemoryStore):
    def __init__(self, opened: Callable[[], None], committed: Callable[[], None]) -> None:
        super().__init__(opened, committed)
        self._users: dict[str, User] = {}
        self._tokens: dict[str, Token] = {}

    async def add_user(self, user: User) -> bool:
        self._writes(msgspec.structs.astuple(user))
        if user.user_id in self._users or any(user.name == other.name for other in self._users.values()):
            return False
        self._users[user.user_id] = user
        self._committed()
        return True

    async def users(self) -> list[User]:
        self._opened()
        return rules.in_order_of_users(self._users.values())

    async def user(self, user_id: str) -> User | None:
        self._opened()
        return self._users.get(user_id)

    async def set_user(self, user: User) -> bool:
        self._opened()
        known = self._users.get(user.user_id)
        if known is None:
            return False
        self._writes((user.role, user.sees))
        self._users[user.user_id] = msgspec.structs.replace(
            user, name=known.name, created_at=known.created_at, agents=known.agents
        )
        self._committed()
        return True

    async def set_agents(self, user_id: str, agents: dict[str, str]) -> bool:
        self._opened()
        known = self._users.get(user_id)
        if known is None or known.disabled:
            return False
        self._writes((*agents, *agents.values()))
        self._users[user_id] = msgspec.structs.replace(known, agents=agents)
        self._committed()
        return True

    async def add_token(self, token: Token, token_hash: str) -> None:
        self._writes((*msgspec.structs.astuple(token), token_hash))
        if token.user_id not in self._users:
            raise unstorable(ValueError(f"there is no user '{token.user_id}'"))
        if token_hash in self._tokens or any(token.token_id == other.token_id for other in self._tokens.values()):
            raise unstorable(ValueError("the token is there already"))
        self._tokens[token_hash] = token
        self._committed()

    async def bearer(self, token_hash: str, now: float) -> User | None:
        self._opened()
        token = self._tokens.get(token_hash)
        if token is None or (token.expires_at is not None and token.expires_at <= now):
            return None
        user = self._users[token.user_id]
        return None if user.disabled else user

    async def tokens(self, user_id: str) -> list[Token]:
        self._opened()
        return rules.in_order_of_tokens(token for token in self._tokens.values() if token.user_id == user_id)

    async def drop_token(self, user_id: str, token_id: str) -> bool:
        wanted = [at for at, it in self._tokens.items() if (it.user_id, it.token_id) == (user_id, token_id)]
        return await self.drop_token_by_hash(wanted[0] if wanted else "")

    async def drop_token_by_hash(self, token_hash: str) -> bool:
        self._opened()
        if self._tokens.pop(token_hash, None) is None:
            return False
        self._committed()
        return True

    async def any_tokens(self) -> bool:
        self._opened()
        return any(token.kind == "token" for token in self._tokens.values())
