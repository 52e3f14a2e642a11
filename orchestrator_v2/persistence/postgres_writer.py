"""PostgreSQL behind the writer: one connection that writes and is replaced when it breaks, others that only read.

When and with what it is called is `group_commit.py`; what the server's states mean is `postgres_failures.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict

from orchestrator_v2.core.errors import ConfigError, StoreUnavailableError
from orchestrator_v2.core.probe import Probe
from orchestrator_v2.persistence import postgres_failures, schema
from orchestrator_v2.persistence.batch import Outcome, Row, Session, Unit, apply_units, passed
from orchestrator_v2.persistence.postgres_session import PostgresSession

# Seconds before each attempt to reach the server: a restart takes a few, an outage more than all. They stay short, as
# a server that is up for a second between two restarts is met that way.
PAUSES = (0.0, 0.05, 0.2, 0.5, *(1.0,) * 7)
CONNECT_WAIT = 5
# A host that vanished says nothing, and the system would wait a quarter of an hour for its word, or for ever: seconds
# (the last: milliseconds) until a connection to it counts as lost. What the URL says of these comes first.
_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 20_000}

# A worker that sleeps inside a transaction keeps its runs' rows locked, and whoever takes them over waits: the server
# ends it well before its lease of 30 s ends. A transaction here takes milliseconds. Those that sleep in line for a lock
# leave the line before that: else each of them gets it in turn, and keeps it from the others as long again.
_NO_SLEEP = "SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '4s'"
# Another process may take longer to make the tables.
_PATIENT = "SET LOCAL lock_timeout = 0"

# Any number that no other program locks; the same in `migrations/upgrade.py`.
SCHEMA_LOCK = "SELECT pg_advisory_xact_lock(7305216001)"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
_STATUS = "SELECT pg_xact_status(%s::xid8)"
# Another moment after each crash: the server throws its counts away then, and not where it is stopped in good order.
# A crash also forgets the numbers of transactions that it had not written down, and gives them to others.
_ERA = "SELECT coalesce(stats_reset::text, '') FROM pg_stat_bgwriter"
# Grows with every commit on the server, once it is visible; a transaction number would grow before that.
_CHANGES = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"


class PostgresBackend:
    dialect = "postgresql"

    def __init__(self, url: str, probe: Probe, pauses: Sequence[float] = PAUSES) -> None:
        self._url = url
        self._probe = probe
        self.pauses = pauses
        self._idle = threading.Event()
        self._session: PostgresSession | None = None
        self.name = _shown(url)

    def open(self) -> None:
        session = self._writing()
        schema.prepare(self, session, self._upgrade, self._probe)

    def transact(self, units: Sequence[Unit]) -> list[Outcome]:
        outcomes = self._until_settled(units)
        passed(units, outcomes, self._probe)
        return outcomes

    def _until_settled(self, units: Sequence[Unit]) -> list[Outcome]:
        for pause in self.pauses:
            self._idle.wait(pause)
            attempt = _Attempt()
            try:
                return attempt.run(self._writing(), units, self._probe)
            except Exception as error:
                self._abandon()
                if not postgres_failures.worth_another_try(error):
                    raise
                if attempt.committing and self._was_committed(attempt):
                    return attempt.outcomes
        raise StoreUnavailableError(
            f"The database {self.name} cannot be reached.",
            f"{len(self.pauses)} attempts failed.",
            "Check the server, then resume; everything that was acknowledged is there.",
        )

    def _was_committed(self, attempt: _Attempt) -> bool:
        """What became of a commit whose answer was lost, asked on a new connection until the server knows."""
        for pause in self.pauses:
            self._idle.wait(pause)
            try:
                session = self._writing()
                status = session.connection.execute(_STATUS, (attempt.transaction,)).fetchall()[0][0]
            except psycopg.OperationalError:
                self._abandon()
                continue
            except psycopg.errors.InvalidParameterValue:
                # The number is not given out yet: a crash has forgotten the transaction.
                self._abandon()
                return False
            if status == "committed" and session.era != attempt.era:
                # It may be another's transaction by now that bears the number.
                break
            if status != "in progress":
                return bool(status == "committed")
        raise StoreUnavailableError(
            f"The database {self.name} was lost during a commit, and cannot be asked what became of it.",
            "It was away for too long, or has crashed and may have given the transaction's number to another.",
            "Resume when the server is back: the run goes on from what was in fact written.",
        )

    def occupy(self) -> None:
        """Any number of servers may share it."""

    def close(self) -> None:
        self._abandon()

    def reader(self) -> PostgresSession:
        return self._opened("SET default_transaction_read_only = on")

    def failure(self, error: Exception) -> Exception:
        return postgres_failures.postgres_failure(error, self.name)

    def lost(self, error: Exception) -> bool:
        return postgres_failures.connection_lost(error)

    def change_count(self, session: Session) -> int:
        count: int = session.rows(_CHANGES)[0][0]
        return count

    def lock(self, session: Session) -> None:
        session.change(_PATIENT)
        session.rows(SCHEMA_LOCK)

    def tables(self, session: Session) -> set[str]:
        return {row[0] for row in session.rows(_TABLES)}

    def foreign(self, tables: set[str]) -> bool:
        # A schema may be shared with other programs, as long as they do not use our names.
        return bool(tables & schema.OURS)

    def _writing(self) -> PostgresSession:
        if self._session is None:
            self._session = self._opened(_NO_SLEEP)
        return self._session

    def _opened(self, settings: LiteralString) -> PostgresSession:
        session = PostgresSession(self._connect(autocommit=True))
        try:
            session.connection.execute(settings)
            session.era = session.connection.execute(_ERA).fetchall()[0][0]
        except BaseException:
            session.close()
            raise
        return session

    def _connect(self, *, autocommit: bool) -> psycopg.Connection[Row]:
        said: dict[str, Any] = conninfo_to_dict(self._url)
        return psycopg.connect(autocommit=autocommit, **{"connect_timeout": CONNECT_WAIT, **_ALIVE, **said})

    def _abandon(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _upgrade(self) -> None:
        from orchestrator_v2.persistence.migrations.upgrade import upgrade

        upgrade(self.dialect, lambda: self._connect(autocommit=False), self._probe)


class _Attempt:
    """One try at a batch, and how far it came."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.transaction = self.era = ""
        self.committing = False

    def run(self, session: PostgresSession, units: Sequence[Unit], probe: Probe) -> list[Outcome]:
        self.outcomes = apply_units(session, units, probe)
        self.transaction, self.era = session.transaction, session.era
        self.committing = True
        session.commit()
        return self.outcomes


def _shown(url: str) -> str:
    """Where the database is, without the password."""
    try:
        parts: dict[str, Any] = conninfo_to_dict(url)
    except psycopg.Error:
        # The driver's own words quote the URL, and with it a password.
        raise ConfigError(
            "The PostgreSQL URL cannot be read.",
            "A part of it is not as a URL must be; special characters in a password are written as %40 and the like.",
            "Write it as postgresql://user:password@host:5432/database.",
        ) from None
    return f"'{parts.get('dbname', '')}' at {parts.get('host') or 'localhost'}:{parts.get('port') or 5432}"
