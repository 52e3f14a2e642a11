"""The page of one run and its parts, each made from the whole state: whoever comes late sees all of it.

The parts' own views are `graph_svg.py`, `timeline.py`, `money_view.py`, `evidence_view.py`, `review_view.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.evidence_view import evidence_view, trace_paths
from orchestrator_v2.api.web.graph_svg import Doing, picture, signs_of_life
from orchestrator_v2.api.web.money_view import money_view
from orchestrator_v2.api.web.review_view import review_paths, reviews_view
from orchestrator_v2.api.web.status_view import status_view
from orchestrator_v2.api.web.text import size
from orchestrator_v2.api.web.timeline import timeline
from orchestrator_v2.api.web.versions import versions
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.core.records import Artifact
from orchestrator_v2.core.text import one_line
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.scheduler import whole_tree
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.parts import Standing


class Facts(msgspec.Struct, frozen=True):
    """All that a run's page is made of. `now` is in epoch seconds; `doing` is the last sign of life of phases under
    way, where this process has heard of one; `contents` holds by path what `wanted` names."""

    standing: Standing
    graph: PhaseGraph
    now: float
    events: Sequence[Recorded] = ()
    calls: Sequence[CallRow] = ()
    doing: Mapping[str, Doing] = {}
    contents: Mapping[str, bytes] = {}
    may_write: bool = True


class FileRow(msgspec.Struct, frozen=True):
    path: str
    link: str
    raw: str
    phase: str
    size: str
    made: str
    versions: int
    diff: str


class Files(msgspec.Struct, frozen=True):
    """The project's files by folder, and the downloads of all of it."""

    run_id: str
    folders: tuple[tuple[str, tuple[FileRow, ...]], ...]
    count: int
    size: str
    downloads: tuple[tuple[str, str], ...]


def wanted(part: str, graph: PhaseGraph, facts: Standing) -> dict[str, Artifact]:
    """The files whose content a part of the page needs, by path; `part` empty: the whole page."""
    tree = whole_tree(graph, facts.state)
    needed: dict[str, Artifact] = {}
    if part in {"", "evidence"}:
        needed.update((path, tree[path]) for path in trace_paths(tree))
    if part in {"", "review"}:
        needed.update(review_paths(graph, facts.state))
    return needed


def part_values(part: str, facts: Facts) -> dict[str, Any]:
    """What the template `run_<part>.html` shows. Raises KeyError for a part that there is none of."""
    return _PARTS[part](facts)


def page_values(facts: Facts) -> dict[str, Any]:
    """What the template `run.html` shows: the values of all parts."""
    values: dict[str, Any] = {"run_id": facts.standing.state.run_id}
    for name in links.PARTS:
        values |= part_values(name, facts)
    return values


def _graph(facts: Facts) -> dict[str, Any]:
    standing = facts.standing
    doing = {**signs_of_life(facts.calls)}
    for phase, sign in facts.doing.items():
        if phase not in doing or sign.at >= doing[phase].at:
            doing[phase] = sign
    drawn = picture(facts.graph, standing.state, facts.now, doing=doing, interrupted=standing.interrupted)
    return {"graph": drawn, "now": facts.now}


def _evidence(facts: Facts) -> dict[str, Any]:
    tree = whole_tree(facts.graph, facts.standing.state)
    texts = dict.fromkeys(tree, "")
    for path in trace_paths(tree):
        texts[path] = facts.contents.get(path, b"").decode("utf-8", "replace")
    return {"evidence": evidence_view(facts.graph, facts.standing.state, texts)}


def files_view(facts: Facts) -> Files:
    """The project as it stands."""
    state, run_id = facts.standing.state, facts.standing.state.run_id
    known = versions(facts.events)
    folders: dict[str, list[FileRow]] = {}
    total = 0
    for name in facts.graph.order:
        for artifact in state.phase(name).artifacts:
            total += artifact.size
            count = max(1, len(known.get(artifact.path, ())))
            folders.setdefault(artifact.path.rpartition("/")[0], []).append(
                FileRow(
                    path=artifact.path,
                    link=links.file(run_id, artifact.path),
                    raw=links.raw(run_id, artifact.path),
                    phase=name,
                    size=size(artifact.size),
                    made=one_line(str(artifact.provenance), 120),
                    versions=count,
                    diff=links.diff(run_id, artifact.path, count - 1, count) if count > 1 else "",
                )
            )
    ordered = tuple((folder, tuple(sorted(rows, key=lambda row: row.path))) for folder, rows in sorted(folders.items()))
    downloads = (("Zip", links.archive(run_id, "zip")), ("Git bundle", links.archive(run_id, "bundle")))
    return Files(run_id, ordered, sum(len(rows) for _, rows in ordered), size(total), downloads if total else ())


_PARTS: Mapping[str, Callable[[Facts], dict[str, Any]]] = MappingProxyType(
    {
        "status": lambda facts: {
            "status": status_view(facts.standing, facts.graph, facts.now, may_write=facts.may_write)
        },
        "graph": _graph,
        "review": lambda facts: {
            "reviews": reviews_view(facts.graph, facts.standing, facts.contents, may_write=facts.may_write)
        },
        "timeline": lambda facts: {"timeline": timeline(facts.events, facts.standing.state.run_id)},
        "money": lambda facts: {"money": money_view(facts.standing, facts.calls)},
        "evidence": _evidence,
        "artifacts": lambda facts: {"files": files_view(facts)},
    }
)
