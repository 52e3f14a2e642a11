"""Hands a call in as a batch and lets its run sleep: the ledger holds the provider's name for it meanwhile.

How a batch is handed in and collected is each provider's file; that the run parks and goes on is the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from orchestrator_v2.core.clock import Clock
from orchestrator_v2.core.errors import BatchLostError, BatchPendingError, ProviderError
from orchestrator_v2.core.probe import Probe, no_probe
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Batcher, Invoker, Sink, innermost, no_sink
from orchestrator_v2.llm.call_log import of_row
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.errors import unsettled_charge, unsupported
from orchestrator_v2.llm.ledger import CallIntent, CallLedger, CallRow
from orchestrator_v2.llm.meter import Meter
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper
from orchestrator_v2.llm.wrappers.recorded import Call, RecordedClient

# Batches end within a day and mostly within an hour: asked again after a quarter of the time that went by (seconds).
FIRST_WAIT, LONGEST_WAIT = 60.0, 900.0
_SHARE = 0.25
# A call is sent no more often than this, over all resumes of its run: each time may have been billed.
MOST_HAND_INS = 3


class BatchedClient(RecordedClient):
    """A `RecordedClient` whose fresh calls go by the batch lane of the provider innermost in `inner`.

    `logged` puts the log around a client. Raises `RequestRejectedError` where the provider takes no batches.
    """

    def __init__(
        self,
        inner: Invoker,
        ledger: CallLedger,
        meter: Meter,
        *,
        clock: Clock,
        logged: Callable[[Invoker], Invoker],
        secrets: Sequence[Secret] = (),
        probe: Probe = no_probe,
    ) -> None:
        super().__init__(inner, ledger, meter, secrets=secrets)
        batcher = innermost(inner)
        if not isinstance(batcher, Batcher):
            raise unsupported(f"{inner.provider} takes no batches.", "Run without --batch.")
        self._batcher = batcher
        self._clock = clock
        self._logged = logged
        self._probe = probe

    async def _fresh(self, call: Call, sink: Sink) -> Completion:
        """The answer of a batch that has ended. Raises `BatchPendingError` while it has not, or was not handed in."""
        row = await self._ledger.waiting(call.key, call.hashed)
        if row is None:
            raise await self._handed_in(call)
        found = await self._asked_for(row)
        if found is None:
            raise _pending(self.provider, row.handle, self._clock.now() - row.at)
        return await self._settled(row, call, found, sink)

    async def _asked_for(self, row: CallRow) -> Completion | ProviderError | None:
        """Only what the desk says of a call ends it; an answer of whatever else stands in between is asked past."""
        try:
            return await self._batcher.collect(row.handle, row.request_hash)
        except ProviderError as error:
            if error.parks_as is not None:
                raise
            age = self._clock.now() - row.at
            pending = _pending(self.provider, row.handle, age)
            raise BatchPendingError(
                f"{self.provider} could not be asked for the batch '{row.handle}'.",
                self._reason(error),
                pending.do,
                retry_after=pending.retry_after or FIRST_WAIT,
            ) from None

    async def _handed_in(self, call: Call) -> BatchPendingError:
        if call.options.native_search:
            raise unsupported("A batch cannot search by the model's own tool.", "Leave the search or the batch out.")
        await self._check_often_enough(call.key)
        await self._meter.check_window(call.messages, call.options, self.inner)
        reserved = self._meter.reserve(call.messages, call.options)
        call_id = await self._ledger.begin(CallIntent(call.key, call.hashed, self.provider, self.model, reserved))
        handing = _HandingIn(self.inner, self._batcher, call.hashed)
        try:
            with of_row(call_id):
                await self._logged(handing).invoke(call.messages, call.options, key=call.key)
        except BatchPendingError as pending:
            self._probe("batch-handed-in")
            await self._ledger.submitted(call_id, handing.handle)
            return pending
        except BaseException as error:
            # As with any sending: the batch may be there all the same, and be billed.
            await self._ledger.fail(call_id, self._reason(error), unsettled_charge(error, reserved))
            raise
        raise AssertionError("a call that is handed in is pending")

    async def _check_often_enough(self, key: str) -> None:
        """A call that came back without an answer each time is not handed in for ever, whoever resumes the run.

        One that the desk would not take, as it was busy, was never handed in.
        """
        rows = [row for row in await self._ledger.calls() if row.key == key and row.outcome == "failed"]
        failed = [row for row in rows if row.handle or row.charged != 0]
        if len(failed) >= MOST_HAND_INS:
            raise BatchLostError(
                f"The call '{key}' was sent {len(failed)} times and came back without an answer.",
                f"The last time: {failed[-1].error}",
                "Look at `orchestrator cost RUN`; `orchestrator retry RUN PHASE` begins the phase anew.",
            )

    async def _settled(self, row: CallRow, call: Call, found: Completion | ProviderError, sink: Sink) -> Completion:
        if isinstance(found, Completion):
            found = msgspec.structs.replace(found, latency=max(0.0, self._clock.now() - row.at))
        try:
            with of_row(row.id):
                arrived = self._logged(_Arrived(self.inner, found))
                answer = await arrived.invoke(call.messages, call.options, key=call.key, sink=sink)
        except ProviderError as error:
            await self._ledger.fail(row.id, self._reason(error), unsettled_charge(error, row.reserved))
            raise
        completion = self._without_keys(self._meter.settle(answer, call.messages, call.options))
        await self._ledger.finish(row.id, completion, completion.cost)
        return completion


class _HandingIn(Wrapper):
    """The client of a call that is handed in now: it never has an answer, and then holds the batch's `handle`."""

    def __init__(self, inner: Invoker, batcher: Batcher, name: str) -> None:
        super().__init__(inner)
        self._batcher = batcher
        self._name = name
        self.handle = ""

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        self.handle = await self._batcher.hand_in(self._name, messages, options)
        raise _pending(self.provider, self.handle, 0.0)


class _Arrived(Wrapper):
    """The client of a call whose end is known already."""

    def __init__(self, inner: Invoker, found: Completion | ProviderError) -> None:
        super().__init__(inner)
        self._found = found

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        if isinstance(self._found, ProviderError):
            raise self._found
        sink(self._found.text)
        return self._found


def batch_percent(infos: Sequence[ModelInfo], ledger: CallLedger | None) -> int:
    """What the batch lane of the one model costs. Raises `RequestRejectedError` where there is none to use."""
    percent = infos[0].row.batch_percent
    if percent is None:
        raise unsupported(f"{infos[0].provider} has no batch lane here.", "Run without --batch.")
    if ledger is None or len(infos) > 1:
        raise unsupported("A batch needs a ledger and one model.", "Leave the fallbacks out, and give a ledger.")
    return percent


def _pending(provider: str, handle: str, age: float) -> BatchPendingError:
    return BatchPendingError(
        f"{provider} works on the batch '{handle}'.",
        "Batches are answered within a day, mostly within an hour.",
        "Resume later; with `--wait` the run goes on by itself.",
        retry_after=min(max(age * _SHARE, FIRST_WAIT), LONGEST_WAIT),
    )
