"""What operations need of the rest: runs that are kept and driven, replies that are remembered, a model chosen.

Bootstrap decides which parts stand behind these; on the other side they are `Orchestrator` and the journal's stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from orchestrator_v2.core.accounts import LOCAL, Credential, Reply
from orchestrator_v2.core.events import Recorded
from orchestrator_v2.core.workflow import BudgetRules, ModelChoice
from orchestrator_v2.engine.engine import NewRun
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.operations.types import LLMRequest


class Runs(Protocol):
    """The verbs of `Orchestrator` that operations use; each raises what is said there."""

    async def begin(self, new: NewRun) -> RunSession: ...

    async def drive(self, session: RunSession) -> ProjectState: ...

    async def resumed(
        self, run_id: str, *, by: str = "", budget: int | None = None, attended: bool | None = None
    ) -> RunSession: ...

    async def put_by(self, session: RunSession) -> None: ...

    async def wish(self, run_id: str, kind: str, *, by: str = "") -> str: ...

    async def take_signals(self, run_id: str) -> bool: ...

    async def is_interrupted(self, row: RunRow) -> bool: ...

    async def row(self, run_id: str, *, owner_id: str | None = None) -> RunRow: ...

    async def rows(
        self, *, owner_id: str | None = None, before: int | None = None, limit: int = 50, operations: bool = False
    ) -> list[RunRow]: ...

    async def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Recorded]: ...

    async def contents(self, hashes: Sequence[str]) -> dict[str, bytes]: ...

    @property
    def stopping(self) -> bool: ...

    def stop(self) -> None: ...


class Replies(Protocol):
    """Which run answers a key; an owner's keys are that owner's alone."""

    async def reply(self, owner_id: str, key: str) -> Reply | None: ...

    async def remember(self, owner_id: str, key: str, reply: Reply, *, replace: bool = False) -> bool: ...


class Caller(msgspec.Struct, frozen=True):
    """Who asks. With a `keyring` the keys are those that the owner has stored and no others; `entitled` are the
    patterns of `provider/model` that may be used (empty: all)."""

    owner_id: str = LOCAL
    keyring: tuple[Credential, ...] | None = None
    entitled: tuple[str, ...] = ()


LOCAL_CALLER = Caller()


class Route(msgspec.Struct, frozen=True):
    """Who answers: `choice` is None in simulated mode. `decision` tells, as plain JSON values, how it was chosen.

    `budget` is in nano-dollars (None: no ceiling); `prices` are the rows to pin into the run.
    """

    mode: str
    choice: ModelChoice | None = None
    prices: Mapping[str, str] = {}
    budget: int | None = None
    rules: BudgetRules = BudgetRules()
    decision: Mapping[str, Any] = {}
    warnings: tuple[str, ...] = ()


class Router(Protocol):
    async def route(self, request: LLMRequest, caller: Caller, *, sees: bool) -> Route:
        """Settles mode, model, prices and budget; `sees`: the question comes with pictures.

        Raises `InputError` classes, `ModelUnavailableError` and `InvalidRequestError`.
        """
        ...

    def scrub(self, value: Any) -> Any:
        """Plain JSON without the operator's keys, and without what is shaped like a vendor's: neither is to be kept,
        nor sent on, where somebody has pasted one."""
        ...
