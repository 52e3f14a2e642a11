"""A run as it was last heard of, folded from its events as they are committed; what every view draws.

Drawing it is `live_view.py` and `plain_view.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.engine.transitions import apply


class Progress:
    """`state` and `graph` are None until the run is known; `doing` is the last word on each phase under way.

    `heard` says whether an event came in while this command watched.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.state: ProjectState | None = None
        self.graph: PhaseGraph | None = None
        self.doing: dict[str, str] = {}
        self.last = ""
        self.heard = False
        self._began = clock.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since this command began to watch."""
        return self.clock.monotonic() - self._began

    def seed(self, state: ProjectState) -> None:
        """Begins with a run that is there already."""
        self.state = state
        self.graph = PhaseGraph(state.begun.workflow)

    def take(self, run_id: str, recorded: Sequence[Recorded]) -> list[Recorded]:
        """Folds in what is new, and returns it: events of another run, or seen before, are left out."""
        state = self.state
        if state is None or (state.run_id != run_id and recorded[0].seq == 1):
            state = ProjectState(run_id)
        if state.run_id != run_id:
            return []
        fresh = [entry for entry in recorded if entry.seq > state.seq]
        for entry in fresh:
            state = apply(state, entry)
        self.heard = self.heard or bool(fresh)
        if self.graph is None or self.state is None or self.state.run_id != run_id:
            self.graph = PhaseGraph(state.begun.workflow)
        self.state = state
        return fresh
