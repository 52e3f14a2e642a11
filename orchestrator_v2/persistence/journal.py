"""The door of this floor: `open_journal` gives the journal that stands behind a URL.

The journals themselves are `sql_journal.py` (SQLite, PostgreSQL) and `memory.py`.
"""

from __future__ import annotations

from typing import Literal, Protocol

from orchestrator_v2.core.accounts import Accounts, Ceilings, CredentialStore, Projects, UsageBook
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import ConfigError, MissingExtraError
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.engine.ports import Claim, Journal
from orchestrator_v2.llm.lane_board import LaneBoard
from orchestrator_v2.llm.ledger import CallLedger, CallRow
from orchestrator_v2.persistence.group_commit import Backend

Durability = Literal["full", "normal"]

_POSTGRES = ("postgresql://", "postgres://")


class StoredJournal(Journal, Protocol):
    """The journal, and what lies in the same database: the ledgers of model calls, and the stores of a server."""

    async def occupy(self) -> None:
        """For a server, until `close`: keeps other servers off a database that bears one only, as SQLite's.

        Raises `StoreInUseError` where another one has it, `StoreUnavailableError` where it cannot be told.
        """
        ...

    def ledger(self, claim: Claim, budget: int | None, ceilings: Ceilings | None = None) -> CallLedger:
        """The calls of the claimed run; `budget` is its ceiling in nano-dollars (None: no ceiling).

        `ceilings` are its owner's, over all of the owner's runs: `begin` refuses what does not fit one of them too.
        """
        ...

    async def recorded_calls(self, run_id: str) -> list[CallRow]:
        """All calls of a run, oldest first, without a claim on it; [] where there is none."""
        ...

    def accounts(self) -> Accounts: ...

    def credentials(self) -> CredentialStore: ...

    def projects(self) -> Projects: ...

    def usage(self) -> UsageBook: ...

    def lanes(self) -> LaneBoard:
        """What all processes on the database share of their keys' limits; worth its price where `is_shared`."""
        ...


async def open_journal(
    url: str, *, clock: Clock, probe: Probe = no_probe, durability: Durability = "full"
) -> StoredJournal:
    """The journal at `sqlite:///path`, `postgresql://…` or `memory:`, created or migrated where that is needed.

    `durability` is SQLite's: `full` survives a power cut, `normal` a killed process only. Raises `ConfigError` for
    another URL, `MissingExtraError` without psycopg, and the `StoreError` classes for what is wrong with the database.
    """
    if url == "memory:":
        from orchestrator_v2.persistence.memory import MemoryJournal

        return MemoryJournal(clock, probe)
    from orchestrator_v2.persistence.sql_journal import SqlJournal

    journal = SqlJournal(_backend(url, probe, durability), clock)
    await journal.open()
    return journal


def is_shared(url: str) -> bool:
    """Whether other processes, on other machines too, may work on that database at the same time."""
    return url.startswith(_POSTGRES)


def _backend(url: str, probe: Probe, durability: Durability) -> Backend:
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and len(rest) > 3 and rest.startswith("///"):
        from orchestrator_v2.persistence.sqlite_writer import SqliteBackend

        return SqliteBackend(rest[3:], probe, durability)
    if is_shared(url):
        return _postgres(url, probe)
    raise ConfigError(
        f"The database URL's kind '{scheme}:' is not one that the journal knows.",
        "It is the part before the first colon.",
        "Use sqlite:///path/to/file.db, postgresql://user@host/database, or memory: for none at all.",
    )


def _postgres(url: str, probe: Probe) -> Backend:
    try:
        from orchestrator_v2.persistence.postgres_writer import PostgresBackend
    except ImportError as error:
        # Without its C library psycopg raises an ImportError that names no module.
        if error.name is not None and not error.name.startswith("psycopg"):
            raise
        raise MissingExtraError(
            "A PostgreSQL database needs psycopg, and it is not installed.",
            "It is not part of the plain installation.",
            "pip install 'orchestrator-v2[postgres]'",
        ) from error
    return PostgresBackend(url, probe)
