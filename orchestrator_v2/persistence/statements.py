"""Every statement of the running journal, written once with `?` for both databases.

`in_postgres` is the one translation. The tables themselves are in `tables.py`.
"""

from __future__ import annotations

RUN_COLUMNS = (
    "run_id, run_no, project_id, owner_id, name, workflow, mode, status, created_at, updated_at, out, stopped,"
    " resume_at, forked_from, CASE WHEN unpriced > 0 THEN NULL ELSE spent END, operation"
)

# In the words of the partial index `runs_under_way`, so that both databases use it.
UNDER_WAY = "status IN ('running', 'waiting_provider')"

INSERT_EVENT = "INSERT INTO events (id, at, type, payload) VALUES (?, ?, ?, ?)"
SELECT_EVENTS = "SELECT id, at, payload FROM events WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"

INSERT_BLOB = "INSERT INTO blobs (hash, content) VALUES (?, ?) ON CONFLICT DO NOTHING"
SELECT_BLOB = "SELECT content FROM blobs WHERE hash = ?"

INSERT_RUN = (
    "INSERT INTO runs (run_id, project_id, owner_id, name, workflow, mode, status, created_at, updated_at, out,"
    " stopped, resume_at, forked_from, operation, epoch, lease_owner, lease_until, spent, unpriced)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, 0, 0) RETURNING run_no"
)
SELECT_RUN_NO = "SELECT run_no FROM runs WHERE run_id = ?"
SELECT_RUN = f"SELECT {RUN_COLUMNS} FROM runs WHERE run_id = ?"  # noqa: S608 - the columns are the constant above
SELECT_RUN_BY_PREFIX = f"SELECT {RUN_COLUMNS} FROM runs WHERE substr(run_id, 1, ?) = ? ORDER BY run_no LIMIT 2"  # noqa: S608 - as above
# A run whose project is in no list is in none either; one that has no project is always shown.
_KEPT = (
    "NOT EXISTS (SELECT 1 FROM projects"
    " WHERE projects.project_id = runs.project_id AND projects.deleted_at IS NOT NULL)"
)
SELECT_OWNED_RUN = f"SELECT {RUN_COLUMNS} FROM runs WHERE run_id = ? AND owner_id = ? AND {_KEPT}"  # noqa: S608 - as above
UPDATE_RUN = "UPDATE runs SET status = ?, stopped = ?, resume_at = ?, updated_at = ? WHERE run_no = ?"
UPDATE_OUT = "UPDATE runs SET out = ? WHERE run_id = ?"

CLAIM_RUN = (
    "UPDATE runs SET epoch = epoch + 1, lease_owner = ?, lease_until = ?"
    " WHERE run_id = ? AND (lease_until <= ? OR lease_owner IN (?, ?)) RETURNING run_no, epoch"
)
SELECT_HOLDER = "SELECT lease_owner FROM runs WHERE run_id = ? AND lease_until > ?"
SELECT_HOLDERS = f"SELECT DISTINCT lease_owner FROM runs WHERE {UNDER_WAY} AND lease_until > ?"  # noqa: S608 - as above
RENEW_LEASE = "UPDATE runs SET lease_until = ? WHERE run_no = ? AND epoch = ? AND lease_owner <> ''"
RELEASE_LEASE = "UPDATE runs SET lease_owner = '', lease_until = 0 WHERE run_no = ? AND epoch = ?"
# What a claim finds in flight was sent by a worker that is gone: it may have been billed, so it stays charged.
ABANDON_CALLS = (
    "UPDATE model_calls SET outcome = 'outcome_unknown', charged = reserved"
    " WHERE run_no = ? AND outcome = 'intent' AND epoch < ?"
)

INSERT_SIGNAL = (
    "INSERT INTO signals (run_no, kind, payload, at, consumed) SELECT run_no, ?, ?, ?, 0 FROM runs WHERE run_id = ?"
    " RETURNING id"
)
SELECT_SIGNALS = (
    "SELECT s.id, s.kind, s.payload FROM signals s JOIN runs r ON r.run_no = s.run_no"
    " WHERE r.run_id = ? AND s.consumed = 0 ORDER BY s.id"
)
SELECT_SIGNALLED = (
    "SELECT run_id FROM runs WHERE run_no IN (SELECT run_no FROM signals WHERE consumed = 0) ORDER BY run_no"
)
CONSUME_SIGNAL = "UPDATE signals SET consumed = 1 WHERE id = ? AND run_no = ?"

CALL_COLUMNS = "id, key, attempt, request_hash, provider, model, outcome, at, reserved, charged, completion, error"
INSERT_CALL = (
    "INSERT INTO model_calls (run_no, key, attempt, request_hash, provider, model, outcome, reserved, error, at, epoch)"
    " VALUES (?, ?, (SELECT 1 + COALESCE(MAX(attempt), 0) FROM model_calls WHERE run_no = ? AND key = ?),"
    " ?, ?, ?, 'intent', ?, '', ?, ?) RETURNING id"
)
SELECT_RESERVED = "SELECT reserved, outcome, at FROM model_calls WHERE id = ? AND run_no = ?"
SETTLE_CALL = (
    "UPDATE model_calls SET outcome = ?, charged = ?, error = ?, completion = ?, input_tokens = ?, output_tokens = ?"
    " WHERE id = ?"
)
UPDATE_SPENT = "UPDATE runs SET spent = ?, unpriced = ? WHERE run_no = ?"
SELECT_SPENT = "SELECT spent, unpriced FROM runs WHERE run_no = ?"
SELECT_DONE_CALL = (
    "SELECT request_hash, completion FROM model_calls WHERE run_no = ? AND key = ? AND outcome = 'done'"
    " ORDER BY attempt DESC LIMIT 1"
)
SELECT_CALLS = (
    f"SELECT {CALL_COLUMNS}, COALESCE(handle, '') FROM model_calls LEFT JOIN batches ON call_id = id"  # noqa: S608 - as above
    " WHERE run_no = ? ORDER BY id"
)
SELECT_WAITING_CALL = (
    f"SELECT {CALL_COLUMNS}, handle FROM model_calls JOIN batches ON call_id = id"  # noqa: S608 - as above
    " WHERE run_no = ? AND key = ? AND outcome = 'submitted' ORDER BY attempt DESC LIMIT 1"
)
SUBMIT_CALL = "UPDATE model_calls SET outcome = 'submitted' WHERE id = ? AND run_no = ? AND outcome = 'intent'"
INSERT_BATCH = "INSERT INTO batches (call_id, handle) VALUES (?, ?)"


def select_runs(owned: bool, in_project: bool, statuses: int, paged: bool, operations: bool) -> str:
    """A page of runs, newest first: those that answer operations, or all others.

    Parameters, each if it is asked for: owner, project, each status, the run_no to stay below; then the limit.
    """
    wanted = ["operation <> ''" if operations else "operation = ''"]  # in the words of the partial indexes
    wanted += ["owner_id = ?"] if owned else []
    wanted += ["project_id = ?"] if in_project else []
    wanted += [_KEPT] if owned or in_project else []
    wanted += [f"status IN ({marks(statuses)})"] if statuses else []
    wanted += ["run_no < ?"] if paged else []
    where = " AND ".join(wanted)
    return f"SELECT {RUN_COLUMNS} FROM runs WHERE {where} ORDER BY run_no DESC LIMIT ?"  # noqa: S608 - constants only


def select_due(gone: int) -> str:
    """(id, owner) of runs that could go on, oldest first; parameters: now, now, each worker that is gone, the limit."""
    held = f" OR lease_owner IN ({marks(gone)})" if gone else ""
    return (
        f"SELECT run_id, owner_id FROM runs WHERE {UNDER_WAY} AND mode <> 'replay'"  # noqa: S608 - constants only
        " AND (resume_at IS NULL OR resume_at <= ?)"
        f" AND (lease_until <= ?{held}) ORDER BY run_no LIMIT ?"
    )


def marks(count: int) -> str:
    return ", ".join("?" * count)


# The moment is the database's own, in epoch seconds: the clocks of those who share a lane differ.
LANE_CLOCK = {
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())::double precision",
}
SELECT_LANE = "SELECT at, state FROM lanes WHERE lane = ?"
UPSERT_LANE = (
    "INSERT INTO lanes (lane, at, until, state) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (lane) DO UPDATE SET at = excluded.at, until = excluded.until, state = excluded.state"
)
DELETE_LANES = "DELETE FROM lanes WHERE until < ?"


def in_postgres(statement: str) -> str:
    """The same statement with psycopg's placeholders; no statement here holds a `%` or a literal `?`."""
    return statement.replace("?", "%s")
