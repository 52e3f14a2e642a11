"""The phases of a run as rows of a drawing: in layers, each with its mark, its agent and what is known of it.

The frame around them is `live_view.py`; the marks are `words.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from rich.table import Table
from rich.text import Text

from orchestrator_v2.cli.words import PHASE
from orchestrator_v2.core.text import count, duration, one_line
from orchestrator_v2.core.usage import usd
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import SETTLED, PhaseState, PhaseStatus, ProjectState
from orchestrator_v2.engine.telling import measured

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
# From this many columns on, a row has room for the agent, and for what it cost.
_AGENT, _COST = 56, 96
_TONES = {"failed": "red", "waiting_review": "yellow", "running": "cyan"}
Row = tuple[str, str]


class Scene(msgspec.Struct, frozen=True):
    """What is drawn, and on how much room: `width` in columns, `height` in lines, `now` in epoch seconds."""

    graph: PhaseGraph
    state: ProjectState
    doing: Mapping[str, str]
    now: float
    width: int
    height: int
    unicode: bool = True


def phase_rows(scene: Scene) -> list[Text | Table]:
    """At most `height` lines: what goes on and what is near it; the rest is counted at both ends."""
    rows = _layered(scene)
    first, last = _window(rows, scene)
    drawn: list[Text | Table] = [_folded(rows[:first], scene)] if first else []
    drawn.append(_grid(rows[first:last], scene))
    if last < len(rows):
        drawn.append(_folded(rows[last:], scene))
    return drawn


def _layered(scene: Scene) -> list[Row]:
    """(bracket, phase id): phases that may go on side by side stand in one bracket."""
    top, middle, bottom = ("╭", "│", "╰") if scene.unicode else ("/", "|", "\\")
    rows: list[Row] = []
    for layer in scene.graph.layers():
        last = len(layer) - 1
        for place, phase in enumerate(layer):
            bracket = " " if not last else top if place == 0 else bottom if place == last else middle
            rows.append((bracket, phase))
    return rows


def _window(rows: list[Row], scene: Scene) -> tuple[int, int]:
    if len(rows) <= scene.height:
        return 0, len(rows)
    room = max(1, scene.height - 2)
    open_ones = (place for place, (_, phase) in enumerate(rows) if scene.state.phase(phase).status not in SETTLED)
    first = max(0, min(next(open_ones, len(rows)) - 2, len(rows) - room))
    return first, first + room


def _folded(rows: list[Row], scene: Scene) -> Text:
    """`✓ 12 done   ○ 80 waits`: how many of the phases that have no row are in which state."""
    counts: dict[str, int] = {}
    for _, phase in rows:
        status = scene.state.phase(phase).status.value
        counts[status] = counts.get(status, 0) + 1
    line = Text("  ", no_wrap=True, overflow="ellipsis")
    for status, number in counts.items():
        look = PHASE[status]
        line.append(f"{look.mark if scene.unicode else look.ascii} {number} {look.words}   ", style=look.style)
    return line


def _grid(rows: list[Row], scene: Scene) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", max_width=max(12, scene.width // 3))
    if scene.width >= _AGENT:
        grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    if scene.width >= _COST:
        grid.add_column(no_wrap=True, justify="right")
    grid.add_column(no_wrap=True, justify="right")
    for bracket, name in rows:
        grid.add_row(*_cells(bracket, name, scene))
    return grid


def _cells(bracket: str, name: str, scene: Scene) -> list[Text]:
    phase, entry = scene.graph.phases[name], scene.state.phase(name)
    status = entry.status
    quiet = "bright_black" if status is PhaseStatus.PENDING else ""
    title = quiet or ("bold" if status is PhaseStatus.RUNNING else "")
    cells = [
        Text.assemble((bracket + " ", "bright_black"), (_mark(entry, scene), PHASE[status.value].style)),
        Text(one_line(phase.title or name), style=title),
    ]
    if scene.width >= _AGENT:
        cells.append(Text(phase.agent, style=quiet or "blue"))
    cells.append(Text(one_line(_known(name, entry, scene)), style=_TONES.get(status.value, "bright_black")))
    if scene.width >= _COST:
        cells.append(Text(usd(entry.usage.cost) if entry.usage.calls else "", style="bright_black"))
    cells.append(Text(duration(_took(entry, scene.now)), style="bright_black"))
    return cells


def _mark(entry: PhaseState, scene: Scene) -> str:
    look = PHASE[entry.status.value]
    if not scene.unicode:
        return look.ascii
    return _SPINNER[int(scene.now * 10) % len(_SPINNER)] if entry.status is PhaseStatus.RUNNING else look.mark


def _took(entry: PhaseState, now: float) -> float | None:
    if entry.started_at is None or entry.status is PhaseStatus.PENDING:
        return None
    return (now if entry.ended_at is None else entry.ended_at) - entry.started_at


def _known(name: str, entry: PhaseState, scene: Scene) -> str:
    """What there is to say of a phase in few words."""
    again = f"round {entry.round}" if entry.round > 1 else ""
    files = count(len(entry.artifacts), "file") if entry.artifacts else ""
    why = " ".join(entry.reasons)
    words: Mapping[PhaseStatus, tuple[str, ...]] = {
        PhaseStatus.PENDING: (again, entry.feedback or why) if again else (),
        PhaseStatus.RUNNING: (scene.doing.get(name, "at work"), again),
        PhaseStatus.WAITING_REVIEW: ("waits for you", again),
        PhaseStatus.DONE: (files, measured(entry.receipts), again),
        PhaseStatus.SKIPPED: (why,),
        PhaseStatus.FAILED: (why,),
    }
    return ", ".join(part for part in words[entry.status] if part)
