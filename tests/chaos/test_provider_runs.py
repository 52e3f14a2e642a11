"""Every row of the fault table hits whole runs: each stops as it has to, is never called done, and goes on when mended.

The faults are `raw_faults.py`; those that are about memory are `test_provider_memory.py`, and a judge that is not
ours is asked in `test_provider_llmock.py`.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from provider_runs import Seen, expected, run_against
from raw_faults import ROWS, Row
from reliability_report import Tell
from tls_authority import authority

# A few of each kind, in make test; all of them take half a minute.
FEW = (
    "two answers at once",
    "reset in a chunk",
    "no stop reason",
    "401 that echoes the key",
    "429, retry after a day",
    "307",
    "certificate that nobody signed",
    "200 []",
)
# So many at once: more would be deadlines missed for want of a processor.
AT_ONCE = 4


def _met(rows: dict[str, Row], home: Path) -> dict[str, Seen]:
    untrusted, _ = authority(home, "localhost")

    async def whole() -> dict[str, Seen]:
        free = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, row: Row, tls: ssl.SSLContext) -> Seen:
            async with free:
                return await run_against(row, home / f"{number}", tls)

        found = await asyncio.gather(*(one(number, row, untrusted) for number, row in enumerate(rows.values())))
        return dict(zip(rows, found, strict=True))

    return asyncio.run(whole())


@pytest.mark.parametrize(
    "names", [pytest.param(FEW, id="few"), pytest.param(tuple(ROWS), id="all", marks=pytest.mark.chaos)]
)
@pytest.mark.timeout(300)
def test_every_fault_stops_a_run_by_its_rule_and_goes_on_when_mended(
    names: tuple[str, ...], tmp_path: Path, tell: Tell
) -> None:
    """Its status, its error, the calls sent and what they may cost are the row's; nothing of the fault is ever kept."""
    rows = {name: ROWS[name] for name in names}
    found = _met(rows, tmp_path)
    wanted = {name: expected(row) for name, row in rows.items()}
    tell(
        "providers",
        "every fault of the table against a whole run",
        where="a raw socket, SQLite",
        faults=len(rows),
        runs=len(found),
        faulty_connections=sum(seen.sent for seen in found.values()),
        falsely_completed=sum(
            seen.status == "completed" and wanted[name].status != "completed" for name, seen in found.items()
        ),
        results_with_text_of_a_fault=sum(seen.poison for seen in found.values()),
        keys_in_records=sum(seen.keys for seen in found.values()),
        calls_beyond_the_rule=sum(max(0, seen.sent - rows[name].sent) for name, seen in found.items()),
        answers_paid_twice=sum(seen.asked_twice for seen in found.values()),
        ended_well_when_mended=sum(seen.mended == "completed" for seen in found.values()),
    )
    assert all(seen.sent for seen in found.values()), "a fault that did not happen proves nothing"
    assert {name: seen for name, seen in found.items() if seen != wanted[name]} == {}
