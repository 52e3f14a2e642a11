"""What a run's Temporal workflow and its workers say to each other: ids, names of phases, times; never contents.

Whatever stands here lands in Temporal's history. What a run is made of lies in the journal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Raised when the workflow's code or these messages change their meaning: a worker refuses the runs of another version.
VERSION = 1
WORKFLOW = "orchestrator-run"
# The signal that something about a run is new; what it is stands in the journal.
LOOK = "look"

TAKE, READY, RUN_TASK, CONCLUDE = "take", "ready", "run_task", "conclude"

# How a run stands with the worker that was asked, as it answers.
TAKEN = "taken"  # it holds the run now, and answers on `queue`
HELD = "held"  # it holds the run; `phases` may start
LEAVING = "leaving"  # it is ending: another worker is to go on
BUSY = "busy"  # another process holds the run
LOST = "lost"  # it does not hold the run (any more); `why` is an error's code
REFUSED = "refused"  # the run was begun by another version of the workflow
STILL = "still"  # the run waits: until `resume_at`, or for a signal
OVER = "over"  # there is nothing left to do for this workflow; `status` is the run's


@dataclass
class Start:
    """A workflow's input. `queue` is the worker that holds the run already, when a workflow goes on with a new history.

    `refused` counts the workers that have refused the run in a row; `longest` is the number of events after which a new
    history is begun (0: when the server says so).
    """

    run_id: str
    version: int = VERSION
    refused: int = 0
    queue: str = ""
    parallelism: int = 1
    longest: int = 0


@dataclass
class Answer:
    """What a worker says; see the words above for `how`."""

    how: str
    phases: list[str] = field(default_factory=list)
    queue: str = ""
    parallelism: int = 1
    resume_at: float | None = None
    status: str = ""
    why: str = ""
