"""The phase graph as a drawing: a box for each phase with who, since when and what last, and its edges.

Where things stand is `graph_layout.py`; the template `_graph.html` makes SVG of it, where all text is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from orchestrator_v2.api.web.graph_layout import Edge, Measures, Point, place
from orchestrator_v2.api.web.text import slug
from orchestrator_v2.api.web.words import Look, look_of_phase
from orchestrator_v2.core.text import age, count, duration, one_line
from orchestrator_v2.core.usage import usd
from orchestrator_v2.core.workflow import Phase
from orchestrator_v2.engine.history import made_how
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import FRESH, SETTLED, PhaseState, PhaseStatus, ProjectState
from orchestrator_v2.engine.telling import measured
from orchestrator_v2.llm.ledger import CallRow

LYING = Measures(width=132, height=64, gap_along=22, gap_across=14)
UPRIGHT = Measures(width=114, height=64, gap_along=24, gap_across=8, lane=10, upright=True)
# Without a sign of life for so long (seconds), a phase that works is called stalled: a model call may take minutes.
QUIET = 300.0
_PLANNED = 47.0
# How wide an average letter is in a box, in user units.
_LETTER = 6.9


class Doing(msgspec.Struct, frozen=True):
    """The last sign of life of a phase under way: what, and when in epoch seconds."""

    what: str
    at: float


class Box(msgspec.Struct, frozen=True):
    """A phase in the drawing; `told` is all that is known of it, for those who do not see it."""

    x: float
    y: float
    name: str
    anchor: str
    title: str
    agent: str
    note: str
    look: Look
    told: str
    took: str = ""
    since: float | None = None


class Stroke(msgspec.Struct, frozen=True):
    """An edge as the data of an SVG path; `tone` is done, next or quiet, `told` says it in words."""

    path: str
    tone: str
    told: str


class Drawing(msgspec.Struct, frozen=True):
    width: float
    height: float
    box_width: float
    box_height: float
    boxes: tuple[Box, ...]
    edges: tuple[Stroke, ...]
    loops: tuple[Stroke, ...]
    upright: bool


class PhaseRow(msgspec.Struct, frozen=True):
    """A phase as a row of a table. `since` and `last` are epoch seconds, `took` is in words."""

    name: str
    anchor: str
    title: str
    agent: str
    look: Look
    round: int
    attempt: int
    since: float | None
    took: str
    last: float | None
    doing: str
    known: str
    files: int
    cost: str
    made: str
    is_running: bool


class Pictured(msgspec.Struct, frozen=True):
    """The graph in both directions and as rows. `summary` is one sentence for all of it."""

    lying: Drawing
    upright: Drawing
    rows: tuple[PhaseRow, ...]
    summary: str
    name: str


def picture(
    graph: PhaseGraph,
    state: ProjectState | None,
    now: float,
    *,
    doing: Mapping[str, Doing] | None = None,
    interrupted: bool = False,
) -> Pictured:
    """The graph as it stands at `now`; without a state as a plan. `doing` holds what phases under way were last at."""
    signs = doing or {}
    rows = tuple(
        _row(
            graph.phases[name],
            state.phase(name) if state else FRESH,
            now,
            sign=signs.get(name),
            interrupted=interrupted,
        )
        for name in graph.order
    )
    by_name = {row.name: row for row in rows}
    return Pictured(
        lying=_drawing(graph, LYING, by_name, state),
        upright=_drawing(graph, _fitting(graph), by_name, state),
        rows=rows,
        summary=_summary(rows, planned=state is None),
        name=one_line(graph.workflow.name, 80),
    )


def signs_of_life(calls: Sequence[CallRow]) -> dict[str, Doing]:
    """The last model call of each phase, as the ledger has it: what is known of work under way after a restart."""
    found: dict[str, Doing] = {}
    for call in calls:
        said = {"done": "answered", "failed": "did not answer"}.get(call.outcome, "is asked")
        found[call.key.partition("/")[0].partition(".")[0]] = Doing(f"{call.model} {said}", call.at)
    return found


def _fitting(graph: PhaseGraph) -> Measures:
    """Boxes that use the width of a phone, where no layer has more than three."""
    most = max(len(layer) for layer in graph.layers())
    width = {1: 232.0, 2: 172.0}.get(most, UPRIGHT.width)
    return msgspec.structs.replace(UPRIGHT, width=width)


def _row(phase: Phase, entry: PhaseState, now: float, *, sign: Doing | None, interrupted: bool) -> PhaseRow:
    running = entry.status is PhaseStatus.RUNNING
    sign = sign if running else None
    last = max(sign.at if sign else 0.0, entry.started_at or 0.0) if running else entry.ended_at
    stalled = running and (interrupted or now - (last or now) > QUIET)
    begun = entry.status is not PhaseStatus.PENDING and entry.started_at is not None
    return PhaseRow(
        name=phase.id,
        anchor=f"phase-{slug(phase.id)}",
        title=one_line(phase.title or phase.id, 60),
        agent=one_line(phase.agent, 40),
        look=look_of_phase("stalled" if stalled else entry.status.value),
        round=entry.round,
        attempt=entry.attempt,
        since=entry.started_at if begun else None,
        took=_took(entry, now),
        last=last,
        doing=one_line(sign.what, 80) if sign else "",
        known=one_line(_known(entry), 240),
        files=len(entry.artifacts),
        cost=usd(entry.usage.cost) if entry.usage.calls else "",
        made=one_line(made_how(entry), 120),
        is_running=running,
    )


def _took(entry: PhaseState, now: float) -> str:
    if entry.started_at is None or entry.status is PhaseStatus.PENDING:
        return ""
    return duration((now if entry.status is PhaseStatus.RUNNING else entry.ended_at or now) - entry.started_at)


def _known(entry: PhaseState) -> str:
    """What there is to say of a phase beside its state."""
    why = " ".join(entry.reasons)
    words: Mapping[PhaseStatus, tuple[str, ...]] = {
        PhaseStatus.PENDING: (entry.feedback or why,) if entry.round > 1 or why else (),
        PhaseStatus.DONE: (count(len(entry.artifacts), "file") if entry.artifacts else "", measured(entry.receipts)),
        PhaseStatus.SKIPPED: (why,),
        PhaseStatus.FAILED: (why,),
    }
    return ", ".join(part for part in words.get(entry.status, ()) if part)


def _drawing(graph: PhaseGraph, sizes: Measures, rows: Mapping[str, PhaseRow], state: ProjectState | None) -> Drawing:
    # A plan has nothing to say of how its phases stand.
    sizes = sizes if state else msgspec.structs.replace(sizes, height=_PLANNED)
    placed = place(graph, sizes)
    return Drawing(
        width=placed.width,
        height=placed.height,
        box_width=sizes.width,
        box_height=sizes.height,
        boxes=tuple(_box(rows[name], corner, sizes) for name, corner in placed.boxes.items()),
        edges=tuple(
            Stroke(_curved(points, sizes.upright), _tone(edge, state), f"{edge[0]} before {edge[1]}")
            for edge, points in placed.ways.items()
        ),
        loops=tuple(
            Stroke(_rounded(points), _loop_tone(edge, state), f"{edge[0]} may send back to {edge[1]}")
            for edge, points in placed.loops.items()
        ),
        upright=sizes.upright,
    )


def _box(row: PhaseRow, corner: Point, sizes: Measures) -> Box:
    note = row.look.words + (f" · r{row.round}" if row.round > 1 else "")
    return Box(
        x=corner[0],
        y=corner[1],
        name=row.name,
        anchor=row.anchor,
        title=one_line(row.title, int((sizes.width - 14) / _LETTER)),
        agent=one_line(row.agent, int((sizes.width - 14) / _LETTER)),
        note=one_line(note, int((sizes.width - 28) / _LETTER)),
        look=row.look,
        told=told(row),
        took=row.took,
        since=row.since if row.is_running else None,
    )


def told(row: PhaseRow) -> str:
    """A phase in one sentence."""
    parts = [
        f"{row.title} ({row.agent}): {row.look.words}",
        f"{'for' if row.is_running else 'took'} {row.took}" if row.took else "",
        f"round {row.round}" if row.round > 1 else "",
        row.doing,
        row.known,
    ]
    return ", ".join(part for part in parts if part)


def _summary(rows: Sequence[PhaseRow], *, planned: bool) -> str:
    if planned:
        return f"{count(len(rows), 'phase')}: {', '.join(row.title for row in rows[:12])}" + (
            f" and {len(rows) - 12} more" if len(rows) > 12 else ""
        )
    settled = sum(row.look.words in {"done", "skipped"} for row in rows)
    rest = [f"{row.title} {row.look.words}" for row in rows if row.look.tone in {"busy", "waits", "bad"}]
    return "; ".join([f"{settled} of {count(len(rows), 'phase')} done", *rest[:8]])


def _tone(edge: Edge, state: ProjectState | None) -> str:
    if state is None or state.phase(edge[0]).status not in SETTLED:
        return "quiet"
    return "next" if state.phase(edge[1]).status is PhaseStatus.RUNNING else "done"


def _loop_tone(edge: Edge, state: ProjectState | None) -> str:
    return "taken" if state is not None and state.phase(edge[1]).loops else "quiet"


def age_of(last: float | None, now: float) -> str:
    """`12 s ago`; empty where there was no sign of life."""
    return f"{age(now - last)} ago" if last else ""


def _curved(points: Sequence[Point], upright: bool) -> str:
    """Curves between layers and straight lines over them, as path data."""
    parts = [f"M{_at(points[0])}"]
    for left, right in zip(points[::2], points[1::2], strict=True):
        if left is not points[0]:
            parts.append(f"L{_at(left)}")
        bend = ((right[1] if upright else right[0]) - (left[1] if upright else left[0])) / 2
        first = (left[0], left[1] + bend) if upright else (left[0] + bend, left[1])
        second = (right[0], right[1] - bend) if upright else (right[0] - bend, right[1])
        parts.append(f"C{_at(first)} {_at(second)} {_at(right)}")
    return "".join(parts)


def _rounded(points: Sequence[Point]) -> str:
    """Straight lines with round corners, as path data."""
    parts = [f"M{_at(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        parts.append(f"L{_at(_towards(corner, before))}Q{_at(corner)} {_at(_towards(corner, after))}")
    return "".join([*parts, f"L{_at(points[-1])}"])


def _towards(start: Point, end: Point, by: float = 6.0) -> Point:
    across, down = end[0] - start[0], end[1] - start[1]
    far = max(abs(across), abs(down)) or 1.0
    share = min(by, far / 2) / far
    return start[0] + across * share, start[1] + down * share


def _at(point: Point) -> str:
    return f"{point[0]:g},{point[1]:g}"
