"""What a vendor's batch desk does in a fake: keeps what was handed in, works on it for some polls, gives results.

How each wire asks for it is `fake_anthropic_batches.py` and `fake_openai_batches.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import msgspec

from orchestrator_v2.testing.fake_server import Fault, Seen

R = TypeVar("R", bound=Fault)

# What becomes of a batch that is not answered.
ENDS = ("expired", "canceled", "gone")


class Batch(msgspec.Struct, Generic[R]):
    """One call: `end` is its answer, or a word of `ENDS`; `polls` is how often it is still at work when asked."""

    handle: str
    name: str
    asked: Seen
    end: R | str
    polls: int


class Desk(Generic[R]):
    """Batches by their handles. `ends` are used up in order, then `default` says what becomes of a call.

    `polls` is how often a new batch is at work still.
    """

    def __init__(self, default: Callable[[Seen], R], ends: Iterable[R | str] = (), *, polls: int = 1) -> None:
        self.batches: dict[str, Batch[R]] = {}
        self._default = default
        self.ends = list(ends)
        self._polls = polls

    def take(self, prefix: str, name: str, params: dict[str, Any], path: str) -> Batch[R]:
        """A new batch of the call that `params` are the body of, as if it had been posted to `path`."""
        asked = Seen("POST", path, {}, msgspec.json.encode(params))
        end = self.ends.pop(0) if self.ends else self._default(asked)
        batch = Batch(f"{prefix}_{len(self.batches) + 1}", name, asked, end, self._polls)
        self.batches[batch.handle] = batch
        return batch

    def poll(self, handle: str) -> tuple[Batch[R] | None, bool]:
        """The batch of that handle, if it is there, and whether it has ended."""
        batch = self.batches.get(handle)
        if batch is None or batch.end == "gone":
            return None, False
        batch.polls -= 1
        return batch, batch.polls < 0
