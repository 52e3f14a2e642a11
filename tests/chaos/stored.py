"""What has to hold of a journal after any fault, asked of SQLite and of PostgreSQL in the same words.

The processes that meet the faults are `killing.py` and `forks.py`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import Any

import psycopg

Row = tuple[Any, ...]

# Whatever one of these finds is broken.
LAWS = {
    "events have no gap and no duplicate": (
        "SELECT run_no, min(seq), max(seq), count(*) FROM"
        " (SELECT id >> 32 AS run_no, id & 4294967295 AS seq FROM events) AS places"
        " GROUP BY run_no HAVING min(seq) <> 1 OR max(seq) <> count(*)"
    ),
    "an event is of a run that is there": (
        "SELECT id FROM events WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.run_no = events.id >> 32)"
    ),
    "a run has its first event": (
        "SELECT run_no FROM runs WHERE NOT EXISTS (SELECT 1 FROM events WHERE id = (runs.run_no << 32) + 1)"
    ),
    "a call is of a run that is there": (
        "SELECT id FROM model_calls WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.run_no = model_calls.run_no)"
    ),
    "a signal is of a run that is there": (
        "SELECT id FROM signals WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.run_no = signals.run_no)"
    ),
    "a batch is of a call that is there": (
        "SELECT call_id FROM batches WHERE NOT EXISTS (SELECT 1 FROM model_calls WHERE model_calls.id = call_id)"
    ),
    "a call has one answer": (
        "SELECT run_no, key, count(*) FROM model_calls WHERE outcome = 'done' GROUP BY 1, 2 HAVING count(*) > 1"
    ),
    "attempts of a call are counted without a gap": (
        "SELECT run_no, key FROM model_calls GROUP BY 1, 2 HAVING min(attempt) <> 1 OR max(attempt) <> count(*)"
    ),
    "an answer is there whole": "SELECT id FROM model_calls WHERE (outcome = 'done') <> (completion IS NOT NULL)",
    "a call whose outcome is unknown is charged as reserved": (
        "SELECT id FROM model_calls"
        " WHERE outcome = 'outcome_unknown' AND COALESCE(charged, -1) <> COALESCE(reserved, -1)"
    ),
    "a run has spent what its calls are charged": (
        "SELECT runs.run_no, spent, sum(COALESCE(charged, reserved, 0)) FROM runs"
        " JOIN model_calls ON model_calls.run_no = runs.run_no GROUP BY runs.run_no, spent"
        " HAVING spent <> sum(COALESCE(charged, reserved, 0))"
    ),
}
# What SQLite can say of its file besides.
_OF_THE_FILE = {"PRAGMA integrity_check": [("ok",)], "PRAGMA foreign_key_check": []}


def name_of(url: str) -> str:
    """As the report names it."""
    return "SQLite" if url.startswith("sqlite:") else "PostgreSQL"


def rows(url: str, *queries: str) -> list[Row]:
    """All rows of the queries, one after the other, read over a connection of its own."""
    if url.startswith("sqlite:"):
        file = sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True, timeout=30)
        try:
            return [row for query in queries for row in file.execute(query)]
        finally:
            file.close()
    with psycopg.connect(url, autocommit=True) as connection:
        return [row for query in queries for row in connection.execute(query.encode())]


def faults(url: str) -> list[str]:
    """What is broken, in words; nothing of a sound journal."""
    found = [f"{law}: {row}" for law, query in LAWS.items() for row in rows(url, query)]
    if url.startswith("sqlite:"):
        found += [f"{query}: {seen}" for query, due in _OF_THE_FILE.items() if (seen := rows(url, query)) != due]
    return found


def assert_sound(url: str) -> None:
    assert faults(url) == []


def repeated(url: str) -> int:
    """How many steps were done although their end was committed already: ended twice, or begun after their end."""
    done: Counter[tuple[int, str, int]] = Counter()
    again = 0
    found = rows(url, "SELECT id, type, payload FROM events WHERE type IN ('TaskStarted', 'TaskCompleted') ORDER BY id")
    for number, kind, payload in found:
        told = json.loads(payload)
        step = (number >> 32, told["phase"], told.get("round", 1))
        again += bool(done[step])
        done[step] += kind == "TaskCompleted"
    return again


def outcomes(url: str) -> Counter[str]:
    """How the model calls came out, and how many of each."""
    return Counter({name: count for name, count in rows(url, _OUTCOMES)})


def statuses(url: str) -> Counter[str]:
    return Counter({name: count for name, count in rows(url, _STATUSES)})


_OUTCOMES = "SELECT outcome, count(*) FROM model_calls GROUP BY 1"
_STATUSES = "SELECT status, count(*) FROM runs GROUP BY 1"
