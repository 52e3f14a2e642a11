"""Where the phases of a graph are drawn: layers, the order within each, and the ways of the edges between them.

Pure geometry, the same for every state of a run; what is written into it is `graph_svg.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

from orchestrator_v2.engine.phase_graph import PhaseGraph

Point = tuple[float, float]
# A phase, or a place that an edge passes through on its way over a layer: (need, phase, number of the layer).
Slot = str | tuple[str, str, int]
Edge = tuple[str, str]

# Sweeps of sorting a layer by its neighbours' middle; more changed nothing in graphs of 200 phases.
_SWEEPS = 4
# With more places than this for edges on their way, a graph is drawn with straight edges over its layers.
_MOST_PASSAGES = 1_500
# How thick the place is that an edge passes through.
_PASSAGE = 10.0


class Measures(msgspec.Struct, frozen=True):
    """Sizes of a phase's box and of the gaps, in user units; `lane` is how far apart the ways back run.

    Upright: layers are rows, else columns.
    """

    width: float
    height: float
    gap_along: float
    gap_across: float
    lane: float = 12.0
    upright: bool = False

    @property
    def deep(self) -> float:
        """A box's size in the walk's direction."""
        return self.height if self.upright else self.width

    @property
    def thick(self) -> float:
        """A box's size across the walk's direction."""
        return self.width if self.upright else self.height


class Placed(msgspec.Struct, frozen=True):
    """`boxes` are upper left corners by phase. A way from need to phase is drawn through its points: a curve, then a
    straight part over a layer, in turn. A loop has four corners, from the phase that judges to what it reopens."""

    width: float
    height: float
    boxes: Mapping[str, Point]
    ways: Mapping[Edge, Sequence[Point]]
    loops: Mapping[Edge, Sequence[Point]]


def place(graph: PhaseGraph, sizes: Measures) -> Placed:
    """The graph laid out."""
    layers, chains = _with_passages(graph)
    _untangle(layers, chains)
    lanes = _lanes(graph)
    room = sizes.lane * (len(lanes) + 0.5) if lanes else 0.0
    step = sizes.deep + sizes.gap_along
    corners: dict[Slot, Point] = {}
    for number, layer in enumerate(layers):
        for slot, across in _spread(layer, sizes, _widest(layers, sizes)).items():
            corners[slot] = (number * step, across + room)
    turn = _swapped if sizes.upright else _kept
    length, breadth = turn((len(layers) * step - sizes.gap_along, _widest(layers, sizes) + room))
    return Placed(
        width=length,
        height=breadth,
        boxes={name: turn(corners[name]) for name in graph.order},
        ways={edge: [turn(point) for point in _way(chain, corners, sizes)] for edge, chain in chains.items()},
        loops={
            (source, target): [turn(point) for point in _loop(corners[source], corners[target], number, room, sizes)]
            for number, (source, target) in enumerate(lanes)
        },
    )


def _kept(point: Point) -> Point:
    return point


def _swapped(point: Point) -> Point:
    return point[1], point[0]


def _with_passages(graph: PhaseGraph) -> tuple[list[list[Slot]], dict[Edge, list[Slot]]]:
    """The layers with a place for each edge that crosses them, and the slots of each edge in order."""
    layers: list[list[Slot]] = [list(layer) for layer in graph.layers()]
    depth = {slot: number for number, layer in enumerate(layers) for slot in layer}
    chains: dict[Edge, list[Slot]] = {}
    needed = [(need, name) for name in graph.order for need in dict.fromkeys(graph.phases[name].needs)]
    crowded = sum(depth[name] - depth[need] - 1 for need, name in needed) > _MOST_PASSAGES
    for need, name in needed:
        crossed = () if crowded else range(depth[need] + 1, depth[name])
        passages: list[Slot] = [(need, name, number) for number in crossed]
        chains[need, name] = [need, *passages, name]
        for number, passage in enumerate(passages, depth[need] + 1):
            layers[number].append(passage)
    return layers, chains


def _untangle(layers: list[list[Slot]], chains: Mapping[Edge, Sequence[Slot]]) -> None:
    """Sorts each layer by the middle of its neighbours, downwards and upwards in turn."""
    before: dict[Slot, list[Slot]] = {}
    after: dict[Slot, list[Slot]] = {}
    for chain in chains.values():
        for left, right in pairwise(chain):
            after.setdefault(left, []).append(right)
            before.setdefault(right, []).append(left)
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        neighbours = before if downwards else after
        for number in range(1, len(layers)) if downwards else range(len(layers) - 2, -1, -1):
            _sort(layers[number], layers[number - 1 if downwards else number + 1], neighbours)


def _sort(layer: list[Slot], beside: Sequence[Slot], neighbours: Mapping[Slot, Sequence[Slot]]) -> None:
    place_of = {slot: number / max(1, len(beside) - 1) for number, slot in enumerate(beside)}
    own = {slot: number / max(1, len(layer) - 1) for number, slot in enumerate(layer)}

    def middle(slot: Slot) -> float:
        known = [place_of[other] for other in neighbours.get(slot, ()) if other in place_of]
        return sum(known) / len(known) if known else own[slot]

    layer.sort(key=middle)


def _thickness(slot: Slot, sizes: Measures) -> float:
    return sizes.thick if isinstance(slot, str) else _PASSAGE


def _span(layer: Sequence[Slot], sizes: Measures) -> float:
    return sum(_thickness(slot, sizes) for slot in layer) + sizes.gap_across * (len(layer) - 1)


def _widest(layers: Sequence[Sequence[Slot]], sizes: Measures) -> float:
    return max(_span(layer, sizes) for layer in layers)


def _spread(layer: Sequence[Slot], sizes: Measures, breadth: float) -> dict[Slot, float]:
    """Where each slot of a layer begins, the layer standing in the middle."""
    at = (breadth - _span(layer, sizes)) / 2
    starts: dict[Slot, float] = {}
    for slot in layer:
        starts[slot] = at
        at += _thickness(slot, sizes) + sizes.gap_across
    return starts


def _way(chain: Sequence[Slot], corners: Mapping[Slot, Point], sizes: Measures) -> list[Point]:
    points: list[Point] = []
    for slot in chain:
        along, across = corners[slot]
        middle = across + _thickness(slot, sizes) / 2
        points += [(along, middle), (along + sizes.deep, middle)]
    return points[1:-1]


def _lanes(graph: PhaseGraph) -> list[Edge]:
    """(phase that judges, phase that it reopens), the shortest way back first: it runs nearest to the graph."""
    depth = {name: number for number, layer in enumerate(graph.layers()) for name in layer}
    pairs = [(name, phase.on_fail) for name, phase in graph.phases.items() if phase.on_fail not in ("", name)]
    return sorted(pairs, key=lambda pair: depth[pair[0]] - depth[pair[1]])


def _loop(source: Point, target: Point, number: int, room: float, sizes: Measures) -> list[Point]:
    # Ways back to one phase end side by side.
    shift = 10.0 * (number % 4)
    lane = room - sizes.lane * (number + 1)
    start, end = source[0] + sizes.deep / 2, target[0] + sizes.deep / 2 + 12.0 + shift
    return [(start, source[1]), (start, lane), (end, lane), (end, target[1])]
