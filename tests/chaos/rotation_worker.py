"""A process that may be killed: puts a new master key in the place of the old one.

Run as `python rotation_worker.py HOME [WAIT]`; it prints how many data keys it wrapped. `CRASH_AT` kills it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.ids import RandomIds
from orchestrator_v2.core.probe import probe_from
from orchestrator_v2.credentials.master_file import FileKeys
from orchestrator_v2.credentials.vault import Vault
from orchestrator_v2.llm.origin import origin_of
from orchestrator_v2.persistence.journal import StoredJournal, open_journal


async def journal_of(home: Path, url: str = "") -> StoredJournal:
    return await open_journal(url or f"sqlite:///{home}/data/journal.db", clock=SystemClock())


def vault_of(home: Path, journal: StoredJournal) -> Vault:
    clock = SystemClock()
    source = FileKeys(home / "config/master.key", home / "data", clock=clock)
    return Vault(
        journal.credentials(),
        source,
        clock=clock,
        ids=RandomIds(),
        origin_of=origin_of,
        probe=probe_from(os.environ),
    )


async def rotate(home: Path, url: str = "") -> int:
    journal = await journal_of(home, url)
    try:
        return await vault_of(home, journal).rotate()
    finally:
        await journal.close()


if __name__ == "__main__":
    os.write(1, b"ready\n")
    os.write(1, b"%d\n" % asyncio.run(rotate(Path(sys.argv[1]))))
