"""Projects and their runs as cards and rows, and the page of one project.

A run's own page is `run_view.py`; the form for a new project is `new_view.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.text import visible
from orchestrator_v2.api.web.words import MODES, Look, look_of_run
from orchestrator_v2.core.text import duration, one_line
from orchestrator_v2.core.usage import usd
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.state_models import TERMINAL, RunStatus
from orchestrator_v2.service.wishes import ProjectView, Wish


class RunLine(msgspec.Struct, frozen=True):
    run_id: str
    link: str
    look: Look
    mode: str
    mode_badge: str
    workflow: str
    started_at: float
    changed_at: float
    took: str
    cost: str
    stopped: str
    note: str


class ProjectCard(msgspec.Struct, frozen=True):
    project_id: str
    link: str
    name: str
    brief: str
    workflow: str
    created_at: float
    run: RunLine | None


class ProjectList(msgspec.Struct, frozen=True):
    """A page of cards; `older` leads to the next page, `newest` back to the first, empty where there is none."""

    cards: tuple[ProjectCard, ...]
    older: str = ""
    newest: str = ""


class ProjectPage(msgspec.Struct, frozen=True):
    project_id: str
    name: str
    brief: str
    facts: tuple[tuple[str, str], ...]
    created_at: float
    runs: tuple[RunLine, ...]
    older: str
    is_running: bool
    may_advance: bool
    mode_means: str


def run_line(row: RunRow, *, queued: bool = False) -> RunLine:
    """A run in a list."""
    badge, _ = MODES.get(row.mode, (row.mode, ""))
    return RunLine(
        run_id=row.run_id,
        link=links.run(row.run_id),
        look=look_of_run("queued" if queued else row.status),
        mode=row.mode,
        mode_badge=badge,
        workflow=one_line(row.workflow, 60),
        started_at=row.created_at,
        changed_at=row.updated_at,
        took=duration(row.updated_at - row.created_at),
        cost=usd(row.spent),
        stopped="" if row.status == RunStatus.COMPLETED else one_line(row.stopped, 200),
        note=f"from {row.forked_from}" if row.forked_from else "",
    )


def project_list(views: Sequence[ProjectView], *, limit: int, before: int | None = None) -> ProjectList:
    """A page of at most `limit` projects, newest first; hand in one more than that to say that there are older ones."""
    shown = views[:limit]
    cards = tuple(
        ProjectCard(
            project_id=view.row.project_id,
            link=links.project(view.row.project_id),
            name=one_line(view.row.name, 120) or "Untitled",
            brief=one_line(view.wish.brief, 220),
            workflow=_workflow(view.wish),
            created_at=view.row.created_at,
            run=run_line(view.run) if view.run else None,
        )
        for view in shown
    )
    older = links.page(links.HOME, before=shown[-1].row.project_no) if len(views) > limit else ""
    return ProjectList(cards, older, links.HOME if before is not None else "")


def project_page(view: ProjectView, runs: Sequence[RunRow], *, limit: int, queued: Collection[str] = ()) -> ProjectPage:
    """One project with its newest runs; hand in one more than `limit` to say that there are older ones."""
    row, wish, shown = view.row, view.wish, runs[:limit]
    latest = shown[0] if shown else None
    running = latest is not None and latest.status == RunStatus.RUNNING
    link = links.project(row.project_id)
    return ProjectPage(
        project_id=row.project_id,
        name=one_line(row.name, 160) or "Untitled",
        brief=visible(wish.brief)[:60_000],
        facts=_facts(wish),
        created_at=row.created_at,
        runs=tuple(run_line(run, queued=run.run_id in queued) for run in shown),
        older=links.page(link, before=shown[-1].run_no) if len(runs) > limit else "",
        is_running=running,
        may_advance=not running and (latest is None or latest.status not in TERMINAL),
        mode_means=MODES.get(wish.mode, ("", ""))[1],
    )


def _facts(wish: Wish) -> tuple[tuple[str, str], ...]:
    model = "/".join(part for part in (wish.provider, wish.model) if part)
    facts = (
        ("Workflow", _workflow(wish)),
        ("Mode", MODES.get(wish.mode, (wish.mode, ""))[0]),
        ("Model", one_line(model, 80)),
        ("Budget of a run", usd(wish.budget) if wish.budget is not None else "no ceiling"),
        ("Reviewed by", "you" if wish.review == "human" else "the consensus agent"),
        *((f"{one_line(agent, 40)} works with", one_line(chosen, 80)) for agent, chosen in wish.assignments.items()),
    )
    return tuple((name, value) for name, value in facts if value)


def _workflow(wish: Wish) -> str:
    return "your own" if "\n" in wish.workflow else one_line(wish.workflow, 60)
