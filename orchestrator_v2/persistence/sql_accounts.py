"""Users and their tokens on a SQL database; the in-memory twin is `memory_accounts.py`.

What a token looks like, and who may do what, is the server's.
"""

from __future__ import annotations

import msgspec

from orchestrator_v2.core.accounts import Token, User
from orchestrator_v2.persistence import account_rules as rules
from orchestrator_v2.persistence import account_statements as sql
from orchestrator_v2.persistence.batch import Row
from orchestrator_v2.persistence.sql_store import SqlStore


class SqlAccounts(SqlStore):
    async def add_user(self, user: User) -> bool:
        return await self.change(
            sql.INSERT_USER, (user.user_id, user.name, user.role, user.created_at, *_settings(user))
        )

    async def users(self) -> list[User]:
        return rules.in_order_of_users(_user(row) for row in await self.rows(sql.SELECT_USERS))

    async def user(self, user_id: str) -> User | None:
        found = await self.rows(sql.SELECT_USER, (user_id,))
        return _user(found[0]) if found else None

    async def set_user(self, user: User) -> bool:
        disabled, *settings, _ = _settings(user)
        return await self.change(sql.UPDATE_USER, (user.role, disabled, *settings), where=(user.user_id,))

    async def set_agents(self, user_id: str, agents: dict[str, str]) -> bool:
        return await self.change(sql.UPDATE_AGENTS, (msgspec.json.encode(agents).decode(),), where=(user_id,))

    async def add_token(self, token: Token, token_hash: str) -> None:
        values = (
            *(token_hash, token.token_id, token.user_id, token.kind, token.label, token.last_four),
            *(token.created_at, token.expires_at),
        )
        await self.change(sql.INSERT_TOKEN, values)

    async def bearer(self, token_hash: str, now: float) -> User | None:
        found = await self.rows(sql.SELECT_BEARER, (token_hash, now))
        return _user(found[0]) if found else None

    async def tokens(self, user_id: str) -> list[Token]:
        return rules.in_order_of_tokens(Token(*row) for row in await self.rows(sql.SELECT_TOKENS, (user_id,)))

    async def drop_token(self, user_id: str, token_id: str) -> bool:
        return await self.change(sql.DELETE_TOKEN, where=(user_id, token_id))

    async def drop_token_by_hash(self, token_hash: str) -> bool:
        return await self.change(sql.DELETE_TOKEN_BY_HASH, where=(token_hash,))

    async def any_tokens(self) -> bool:
        return bool(await self.rows(sql.SELECT_ANY_TOKEN))


def _settings(user: User) -> Row:
    models, agents = (msgspec.json.encode(value).decode() for value in (user.models, user.agents))
    return int(user.disabled), models, user.daily_budget, user.monthly_budget, user.sees, agents


def _user(row: Row) -> User:
    user_id, name, role, created_at, disabled, models, daily, monthly, sees, agents = row
    patterns = msgspec.json.decode(models, type=tuple[str, ...])
    chosen = msgspec.json.decode(agents, type=dict[str, str])
    return User(user_id, name, role, created_at, bool(disabled), patterns, daily, monthly, sees, chosen)
