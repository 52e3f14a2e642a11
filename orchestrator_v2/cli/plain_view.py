"""A run as plain lines, one for each event, and as lines of JSON: for pipes, logs and simple terminals.

The words of a line are `event_lines.py`; the drawn view is `live_view.py`.
"""

from __future__ import annotations

import sys
from typing import Protocol

import msgspec

from orchestrator_v2.cli import render
from orchestrator_v2.cli.event_lines import line_of
from orchestrator_v2.cli.progress import Progress
from orchestrator_v2.core.events import Recorded, encode_event
from orchestrator_v2.core.text import duration, one_line


class View(Protocol):
    """Shows a run while it goes on; `close` may be called more than once."""

    def event(self, progress: Progress, recorded: Recorded) -> None: ...

    def activity(self, progress: Progress, phase: str) -> None: ...

    def remark(self, text: str) -> None: ...

    def close(self) -> None: ...


class PlainView:
    """One line for each event, nothing moves."""

    def event(self, progress: Progress, recorded: Recorded) -> None:
        run_id = progress.state.run_id if progress.state else ""
        about, words = line_of(recorded.event, run_id)
        if progress.state is not None and recorded.seq == 1:
            about = progress.state.run_id
        render.say(f"{duration(progress.elapsed):>6}  {about:<14}  {words}")

    def activity(self, progress: Progress, phase: str) -> None:
        render.say(f"{duration(progress.elapsed):>6}  {phase:<14}  {one_line(progress.doing[phase])}")

    def remark(self, text: str) -> None:
        render.note(text)

    def close(self) -> None:
        sys.stdout.flush()


class JsonView:
    """Each event as a line of JSON, as it stands in the journal."""

    def event(self, progress: Progress, recorded: Recorded) -> None:
        render.json_line(
            {
                "run_id": progress.state.run_id if progress.state else "",
                "seq": recorded.seq,
                "at": recorded.at,
                "event": msgspec.Raw(encode_event(recorded.event)),
            }
        )

    def activity(self, progress: Progress, phase: str) -> None:
        """Activity is no part of the record."""

    def remark(self, text: str) -> None:
        render.note(text)

    def close(self) -> None:
        sys.stdout.flush()
