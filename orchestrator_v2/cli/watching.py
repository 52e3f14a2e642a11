"""Between a run that goes on and the view that shows it: events in, drawings out, and never an error into the engine.

Which view it is is chosen here; how a run is begun and what the process ends with is `driving.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from orchestrator_v2.cli import terminal
from orchestrator_v2.cli.plain_view import JsonView, PlainView, View
from orchestrator_v2.cli.progress import Progress
from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.engine.state_models import ProjectState


def choose_view(progress: Progress, *, as_json: bool) -> View:
    """JSON lines where asked for, the live view on a terminal that can be drawn on, plain lines elsewhere."""
    if as_json:
        return JsonView()
    if not terminal.can_draw(sys.stdout):
        return PlainView()
    from orchestrator_v2.cli.live_view import LiveView

    return LiveView(progress)


class Watching:
    """`took` and `active` are given to the orchestrator; `on_lost` is called when nobody can be shown anything.

    What went wrong while drawing is kept in `failure`: the engine is the last one that should hear of it.
    """

    def __init__(self, clock: Clock, *, as_json: bool) -> None:
        self.progress = Progress(clock)
        self.view = choose_view(self.progress, as_json=as_json)
        self.failure: Exception | None = None
        self.on_lost: Callable[[], None] = lambda: None

    @property
    def run_id(self) -> str:
        """Empty as long as there is no run."""
        state = self.progress.state
        return state.run_id if state is not None else ""

    def seed(self, state: ProjectState) -> None:
        self.progress.seed(state)

    def took(self, run_id: str, recorded: Sequence[Recorded]) -> None:
        """The orchestrator's listener: events that were committed."""
        fresh = self.progress.take(run_id, recorded)
        for entry in fresh:
            self._show(partial(self.view.event, self.progress, entry))

    def active(self, activity: Any) -> None:
        """What a phase is about between two events."""
        state = self.progress.state
        if state is not None and activity.run_id == state.run_id:
            self.progress.doing[activity.phase] = activity.what
            self._show(lambda: self.view.activity(self.progress, activity.phase))

    def remark(self, text: str) -> None:
        self._show(lambda: self.view.remark(text))

    def close(self) -> None:
        self._show(self.view.close)

    def _show(self, draw: Callable[[], object]) -> None:
        if self.failure is not None:
            return
        try:
            draw()
        except Exception as error:  # noqa: BLE001 - kept, and raised by `driving.py` once the run stands still
            self.failure = error
            self.on_lost()
