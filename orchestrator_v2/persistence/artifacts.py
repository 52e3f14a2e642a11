"""Blobs on a SQL database: contents by their hash, written once and never changed.

Which artifact has which hash is in the events; they are written by `event_log.append` and `runs.create`.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_v2.core.errors import StoreCorruptError
from orchestrator_v2.persistence import statements as sql
from orchestrator_v2.persistence.batch import Session


def read_blobs(session: Session, hashes: Sequence[str]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for wanted in dict.fromkeys(hashes):
        found = session.rows(sql.SELECT_BLOB, (wanted,))
        if not found:
            raise missing_blob(wanted)
        contents[wanted] = bytes(found[0][0])
    return contents


def missing_blob(wanted: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"The content {wanted[:12]} is not in the database.",
        "A run names it, so it was written once.",
        "Restore the database from a backup.",
    )
