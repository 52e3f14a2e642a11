"""Workers over one journal that can be killed, robbed of their runs, or left without database, and a paid provider.

What may be asked of them in which order, and what must hold after each, is `run_machine.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import FencedError, RateLimitedError, StoreUnavailableError
from orchestrator_v2.core.ids import CountingIds
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.durable.embedded import EmbeddedDriver
from orchestrator_v2.engine.engine import WorkflowEngine
from orchestrator_v2.engine.ports import Claim, RunContext
from orchestrator_v2.engine.session import RunSession
from orchestrator_v2.engine.state_models import SETTLED, OutputFile, TaskDefinition, TaskOutcome
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Sink, no_sink
from orchestrator_v2.llm.factory import LLMFactory, ScriptedLLM
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.types import Completion, InvokeOptions, LLMConfig, Message
from orchestrator_v2.persistence.journal import StoredJournal

# What an answer says it took; far below what is reserved for it.
USAGE = Usage(100, 20, calls=1, cost=None)
ASKED = InvokeOptions(max_tokens=100)
# Not waited for in the call, so that the run parks.
LONG = 300.0
# Asked for all the time by whoever drives, and changing nothing.
_POLLS = frozenset({"change_count", "signalled"})
# What may be committed although its answer is lost.
_COMMITS = frozenset({"append", "create_run", "begin", "finish", "fail"})


class Faulty:
    """A journal or a ledger as one worker has it: calls fail, answers are lost, and after its death nothing passes.

    `held` is the claim of a ledger, whose calls carry none.
    """

    def __init__(self, inner: Any, world: World, worker: Worker, held: Claim | None = None) -> None:
        self._inner = inner
        self._world = world
        self._worker = worker
        self._held = held

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "ledger":
            return lambda claim, *more: Faulty(found(claim, *more), self._world, self._worker, claim)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **parts: Any) -> Any:
            if self._worker.dead:
                await asyncio.Event().wait()  # a dead process is answered by nobody, and says nothing more itself
            return await self._world.ask(name, found, self._claim_of(args), args, parts)

        return call

    def _claim_of(self, args: Sequence[Any]) -> Claim | None:
        return self._held or (args[0] if args and isinstance(args[0], Claim) else None)


class Provider(ScriptedLLM):
    """Counts what is sent and billed itself, keeps calls waiting while it is `held`, and may say that it is full."""

    def __init__(self, world: World) -> None:
        super().__init__(["done"], repeat=True)
        self._world = world
        self.open = asyncio.Event()
        self.open.set()
        self.full = 0
        self.waiting = 0
        self.sent = Counter[tuple[str, str]]()
        self.answered = Counter[str]()

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        run_id, _, name = key.partition("/")
        rows = [row for row in await self._world.journal.recorded_calls(run_id) if row.key == key]
        self._world.law([row.outcome for row in rows].count("intent") == 1, f"sent without its intent: {rows}")
        self._world.law(all(row.outcome != "done" for row in rows), f"what is paid for is sent again: {rows}")
        if self.full:
            self.full -= 1
            self._world.seen["provider full"] += 1
            raise RateLimitedError("full", retry_after=LONG)
        self.sent[run_id, name] += 1
        self.waiting += 1
        try:
            await self.open.wait()
        finally:
            self.waiting -= 1
        self.answered[run_id] += 1
        self._world.seen["answered"] += 1
        return Completion("done", usage=USAGE, provenance=Provenance("real", self.provider, self.model))


class Worker:
    """A process: an engine and an embedded driver of its own, and what it drives."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self.journal: Any = Faulty(world.journal, world, self)
        self.engine = WorkflowEngine(
            self.journal, self.run_task, world.clock, world.ids, worker=name, is_gone=lambda it: it in world.gone
        )
        self.driver = EmbeddedDriver(self.journal, world.clock, poll=0.001)
        self.drives: dict[str, asyncio.Task[object]] = {}

    async def run_task(self, task: TaskDefinition, context: RunContext) -> TaskOutcome:
        settled = all(context.state.phase(need).status in SETTLED for need in task.phase.needs)
        self.world.law(settled, f"{task.key} of {task.run_id} is done before what it stands on")
        ledger = self.journal.ledger(context.claim, context.state.budget)
        client = self.world.factory.create_client(
            LLMConfig("anthropic", "claude-sonnet-5-5"), ledger=ledger, retry=RetryConfig(max_attempts=1)
        )
        answer = await client.invoke(f"Do {task.phase.id}.", ASKED, key=f"{task.run_id}/{task.key}")
        made = OutputFile(f"{task.phase.id}.txt", f"{task.key} {answer.text}\n".encode())
        bad = ("not yet",) if self.world.judge(task) else ()
        return TaskOutcome(answer.text, files=(made,), usage=answer.usage, failures=bad)

    def drive(self, session: RunSession) -> None:
        run_id = session.state.run_id
        self.drives[run_id] = asyncio.get_running_loop().create_task(self._drive(session))

    async def _drive(self, session: RunSession) -> None:
        try:
            state = await self.driver.drive(session)
        except FencedError:
            self.world.seen["fenced"] += 1
        except StoreUnavailableError:
            self.world.seen["drive lost its database"] += 1
        except Exception as error:  # noqa: BLE001 - kept, and told by whoever looks
            self.world.law(False, f"the drive of {session.state.run_id} met {error!r}")
        else:
            self.world.seen[f"drive ended {state.status}"] += 1

    def under_way(self) -> list[str]:
        return [run_id for run_id, drive in self.drives.items() if not drive.done()]

    async def die(self) -> None:
        """Nothing of it reaches the database any more, not even that its claims are given back."""
        self.dead = True
        tasks = [drive for drive in self.drives.values() if not drive.done()]
        self.world.buried.append(self)  # what is left of it waits for ever; collected, it would go on
        self.world.seen["killed with a run under way"] += bool(tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0.001) if tasks else None


class World:
    """All that there is: `journal` is the healthy one, `away` and `deaf` count the calls that will yet go wrong."""

    def __init__(self, journal: StoredJournal, clock: ManualClock, ids: CountingIds, seen: Counter[str]) -> None:
        self.journal = journal
        self.clock = clock
        self.ids = ids
        self.seen = seen
        self.away = 0
        self.deaf = 0
        self.asked = 0
        self.gone: set[str] = set()
        self.epochs: dict[str, int] = {}
        self.bad_work = 0
        self.broken: list[str] = []
        self.buried: list[Worker] = []
        self.provider = Provider(self)
        self.factory = LLMFactory(clock=clock, random=Random(0))
        self.factory.register_provider("anthropic", self.provider)
        self.workers = [self.hired(), self.hired()]

    def law(self, holds: bool, words: str) -> None:
        """Kept for whoever looks: an assertion in a task or in a store's call would be one more fault to recover."""
        if not holds:
            self.broken.append(words)

    def hired(self) -> Worker:
        return Worker(self, self.ids.new("worker"))

    def judge(self, task: TaskDefinition) -> bool:
        """Whether the work is not good enough."""
        bad = self.bad_work > 0 and task.round == 1
        self.bad_work -= bad
        self.seen["gate failed"] += bad
        return bad

    async def ask(
        self, name: str, call: Callable[..., Awaitable[Any]], claim: Claim | None, args: Any, parts: Any
    ) -> Any:
        """One call of a worker to its database."""
        if name in _POLLS:
            return await call(*args, **parts)
        if self.away:
            self.away -= 1
            self.seen["database away"] += 1
            raise StoreUnavailableError("The database was away.")
        old = claim is not None and claim.epoch < self.epochs.get(claim.run_id, 0)
        self.asked += 1
        try:
            answer = await call(*args, **parts)
        finally:
            self.asked -= 1
        self.law(not (old and name in _COMMITS), f"{name} of a worker that had lost {claim}")
        if name == "claim" and answer is not None:
            self.epochs[answer.run_id] = answer.epoch
        if self.deaf and name in _COMMITS:
            self.deaf -= 1
            self.seen["commit without an answer"] += 1
            raise StoreUnavailableError("The connection broke before the answer was there.")
        return answer

    async def calm(self) -> None:
        """Until nobody asks the database anything: all that is left waits for the provider or for a time."""
        quiet = 0
        for turn in range(20_000):
            await asyncio.sleep(0 if turn % 8 else 0.0005)
            quiet = 0 if self.asked else quiet + 1
            if quiet > 24:
                return
        raise AssertionError("the workers never come to rest")

    async def end(self) -> None:
        """Takes down what is left of all workers, the dead ones' waiting included."""
        for _ in range(100):
            left = asyncio.all_tasks() - {asyncio.current_task()}
            if not left:
                break
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=0.01)
