"""An event as a line of the terminal: which phase it is about, and what happened.

The sentences are `engine/telling.py`; where the lines are printed is `plain_view.py` and, as history,
`read_commands.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_v2.core import events as e
from orchestrator_v2.core.records import Receipt
from orchestrator_v2.core.text import one_line, with_id
from orchestrator_v2.engine.telling import sentence


def line_of(event: e.Event, run_id: str = "") -> tuple[str, str]:
    """(the phase it is about, or `run`; what happened), commands in it with the run's id."""
    return getattr(event, "phase", "run"), one_line(with_id(sentence(event), run_id))


def isolation(receipts: Sequence[Receipt]) -> str:
    """What held generated code in, where that was less than the strongest; empty where nothing is to be said."""
    kinds = dict.fromkeys(receipt.isolation for receipt in receipts if receipt.isolation)
    return "; ".join(dict.fromkeys(_WEAKER[part] for kind in kinds for part in kind.split(", ") if part in _WEAKER))


_WEAKER = {
    "process": "the tests ran as a limited process: there is no sandbox (bubblewrap) here",
    "no cgroup": "no ceiling held over all processes together: no cgroup can be made here",
}
