"""Looks a call up before it is sent and writes it down before it is used, so that nothing is paid for twice.

The rows are the ledger's (`llm/ledger.py`); what a call may cost is `llm/meter.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from orchestrator_v2.core.errors import CallConflictError, ProviderError, RequestRejectedError
from orchestrator_v2.core.secrets import REDACTED, Secret, redact
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.call_log import of_row
from orchestrator_v2.llm.errors import make_error, unsettled_charge
from orchestrator_v2.llm.ledger import CallIntent, CallLedger
from orchestrator_v2.llm.meter import Meter
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper


def request_hash(provider: str, model: str, messages: Sequence[Message], options: InvokeOptions) -> str:
    """SHA-256 in hex over the canonical JSON of a request; the timeout is left out, as it changes no answer.

    Raises `RequestRejectedError` for text that is no Unicode (lone surrogates).
    """
    asked = msgspec.structs.replace(options, timeout=None)
    try:
        canonical = msgspec.json.encode([provider, model, list(messages), asked], order="sorted")
    except UnicodeEncodeError:
        raise make_error(RequestRejectedError, "The prompt holds text that is not Unicode.", unbilled=True) from None
    return hashlib.sha256(canonical).hexdigest()


class Call(NamedTuple):
    key: str
    hashed: str
    messages: Sequence[Message]
    options: InvokeOptions


class RecordedClient(Wrapper):
    def __init__(
        self,
        inner: Invoker,
        ledger: CallLedger,
        meter: Meter,
        *,
        secrets: Sequence[Secret] = (),
    ) -> None:
        super().__init__(inner)
        self._ledger = self.ledger = ledger
        self._meter = meter
        self._secrets = tuple(secrets)

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        """The recorded answer, else a fresh one that the ledger holds before anyone sees it."""
        if not key:
            raise CallConflictError("A recorded call has no key.", "The ledger finds calls by it.", "Name the call.")
        hashed = request_hash(self.provider, self.model, messages, options)
        known = await self._ledger.find(key, hashed)
        if known is not None:
            sink(known.text)
            return msgspec.structs.replace(known, recorded=True)
        return await self._fresh(Call(key, hashed, messages, options), sink)

    async def _fresh(self, call: Call, sink: Sink) -> Completion:
        """The answer to a call that the ledger holds none for."""
        messages, options = call.messages, call.options
        await self._meter.check_window(messages, options, self.inner)
        reserved = self._meter.reserve(messages, options)
        call_id = await self._ledger.begin(CallIntent(call.key, call.hashed, self.provider, self.model, reserved))
        try:
            with of_row(call_id):
                completion = await self.inner.invoke(messages, options, key=call.key, sink=sink)
        except BaseException as error:
            # Cancelled or failed, the reservation must not stay open: the money may be gone all the same.
            await self._ledger.fail(call_id, self._reason(error), unsettled_charge(error, reserved))
            raise
        completion = self._without_keys(completion)
        await self._ledger.finish(call_id, completion, completion.cost)
        return completion

    def _without_keys(self, completion: Completion) -> Completion:
        """The answer of a server that says the key back to us: it is kept, but not with the key in it."""
        text = completion.text
        for secret in self._secrets:
            text = text.replace(secret.reveal(), REDACTED)
        return completion if text == completion.text else msgspec.structs.replace(completion, text=text)

    def _reason(self, error: BaseException) -> str:
        code = error.code if isinstance(error, ProviderError) else type(error).__name__
        return redact(f"{code}: {error}", self._secrets)
