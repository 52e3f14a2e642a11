"""What the stores behind `core/accounts.py` do alike on a database and in memory: orders, refusals, wordings.

The rows are kept by `sql_*.py` and `memory_*.py` of the same names.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from operator import attrgetter

from orchestrator_v2.core.accounts import Credential, DataKey, Token, UsageLine, User
from orchestrator_v2.core.errors import StoreError

REPLACED = "Another key was given in its place."

_EPOCH = date(1970, 1, 1)


# Sorted here, as a database sorts texts as its server was told to.
def in_order_of_users(users: Iterable[User]) -> list[User]:
    return sorted(users, key=attrgetter("created_at", "user_id"))


def in_order_of_tokens(tokens: Iterable[Token]) -> list[Token]:
    return sorted(tokens, key=attrgetter("created_at", "token_id"))


def in_order_of_credentials(credentials: Iterable[Credential]) -> list[Credential]:
    return sorted(credentials, key=attrgetter("provider"))


def in_order_of_data_keys(keys: Iterable[DataKey]) -> list[DataKey]:
    return sorted(keys, key=attrgetter("user_id"))


def in_order_of_days(lines: Iterable[UsageLine]) -> list[UsageLine]:
    """The newest day first, and each day's by name."""
    by_name = sorted(lines, key=attrgetter("provider", "model", "project_id"))
    return sorted(by_name, key=attrgetter("day"), reverse=True)


def day_named(number: int) -> str:
    """`2026-11-05` for the days since the epoch."""
    return (_EPOCH + timedelta(days=number)).isoformat()


def no_model() -> str:
    """The provider of the rows that are in the ledger of model calls, and are tools."""
    from orchestrator_v2.llm.tool_loop import PROVIDER

    return PROVIDER


def key_used(key: str) -> StoreError:
    return StoreError(
        "The project was not recorded.",
        f"The idempotency key '{key}' was used before.",
        "Look at what was answered then.",
    )
