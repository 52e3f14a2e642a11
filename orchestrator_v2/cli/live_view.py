"""The live view of a run on a terminal: the phase graph layer by layer, with marks, work, cost and time.

What it draws is `progress.py`; the rows are made by `phase_rows.py`.
"""

from __future__ import annotations

import sys

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator_v2.cli import terminal
from orchestrator_v2.cli.event_lines import line_of
from orchestrator_v2.cli.phase_rows import Scene, phase_rows
from orchestrator_v2.cli.progress import Progress
from orchestrator_v2.cli.words import RUN
from orchestrator_v2.core import events as e
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.core.text import duration, money, one_line, tokens
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.engine.telling import mode_of

_REDRAWS = 10  # a second
_AROUND = 9  # lines that are not phases, the one below the frame too
_LOW, _AROUND_LOW = 14, 3  # with fewer lines than this there are only phases and the foot
_IN_ROWS = (e.RunStarted, e.TaskStarted, e.TaskCompleted, e.PhaseSkipped, e.RunCompleted)


class LiveView:
    """Draws from the first event on; the last frame stays on the screen."""

    def __init__(self, progress: Progress) -> None:
        self._console = Console()
        self._progress = progress
        self._live: Live | None = None
        self._unicode = terminal.has_unicode(sys.stdout)

    def event(self, progress: Progress, recorded: Recorded) -> None:
        about, words = line_of(recorded.event, progress.state.run_id if progress.state else "")
        # What stands in the rows is not said again below them.
        progress.last = "" if isinstance(recorded.event, _IN_ROWS) else f"{about}: {words}"
        self._draw()

    def activity(self, progress: Progress, phase: str) -> None:
        progress.last = f"{phase}: {progress.doing[phase]}"
        self._draw()

    def remark(self, text: str) -> None:
        self._console.print(Text(one_line(text), style="yellow"))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self) -> None:
        if self._live is None:
            self._live = Live(
                console=self._console, refresh_per_second=_REDRAWS, get_renderable=self._frame, transient=False
            )
            self._live.start()

    def _frame(self) -> RenderableType:
        progress = self._progress
        state, graph = progress.state, progress.graph
        if state is None or graph is None:
            return Text("")
        width = self._console.width
        low = self._console.height < _LOW
        height = max(3, self._console.height - (_AROUND_LOW if low else _AROUND))
        rows = phase_rows(Scene(graph, state, progress.doing, progress.clock.now(), width, height, self._unicode))
        foot = self._foot(progress, state, width)
        if low:
            return Group(*rows, foot)
        return Group(Text(""), self._head(state, width), Text(""), *rows, Text(""), foot)

    def _head(self, state: ProjectState, width: int) -> RenderableType:
        begun = state.begun
        name = Text(one_line(begun.name), style="bold", no_wrap=True, overflow="ellipsis")
        mode = Text(mode_of(begun), style="magenta" if begun.mode == "real" else "blue", no_wrap=True)
        run = Text(state.run_id, style="bright_black", no_wrap=True)
        grid = Table.grid(expand=True, padding=(0, 1))
        if width < 72:
            grid.add_column(no_wrap=True, overflow="ellipsis")
            for line in (name, mode, run):
                grid.add_row(line)
            return grid
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        grid.add_column(justify="right", no_wrap=True)
        grid.add_row(name, run)
        grid.add_row(mode, Text(f"workflow {begun.workflow.name}", style="bright_black"))
        return grid

    def _foot(self, progress: Progress, state: ProjectState, width: int) -> RenderableType:
        look = RUN[state.status.value]
        total = max(1, len(state.begun.workflow.phases))
        bar = ProgressBar(
            total=total,
            completed=state.settled,
            width=max(6, min(24, width // 4)),
            complete_style=look.style,
            finished_style=look.style,
            style="bright_black",
        )
        spent = [
            f"{state.settled}/{total}",
            tokens(state.usage),
            money(state.usage.cost, state.budget),
            duration(progress.elapsed),
        ]
        facts = Text(("  ·  " if width >= 72 else " ").join(spent), no_wrap=True, overflow="ellipsis")
        grid = Table.grid(padding=(0, 1))
        grid.add_row(bar, facts)
        last = Text(one_line(progress.last), style="bright_black", no_wrap=True, overflow="ellipsis")
        return Group(grid, last)
