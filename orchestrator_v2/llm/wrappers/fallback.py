"""Other models when the first cannot answer; the answer says who made it and why.

A second key for the same model is `second_key.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator_v2.core.errors import (
    AuthenticationError,
    BadGatewayError,
    OrchestratorError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    StreamTruncatedError,
)
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Delivery, Invoker, Sink, no_sink
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper

# What another model may mend; a request that is wrong stays wrong there too.
FALLS_BACK_ON: tuple[type[ProviderError], ...] = (
    RateLimitedError,
    ProviderUnavailableError,
    BadGatewayError,
    StreamTruncatedError,
    QuotaExhaustedError,
    AuthenticationError,
)


class FallbackClient(Wrapper):
    """Tries `inner`, then `others` in order; raises the first client's error when all have failed."""

    def __init__(self, inner: Invoker, others: Sequence[Invoker]) -> None:
        super().__init__(inner)
        self._clients = (inner, *others)

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        delivery = Delivery(sink)
        failed: list[tuple[Invoker, ProviderError]] = []
        for client in self._clients:
            try:
                completion = await client.invoke(messages, options, key=key, sink=delivery)
            except FALLS_BACK_ON as error:
                if delivery.started:
                    raise
                failed.append((client, error))
                continue
            except OrchestratorError as error:
                if failed and not isinstance(error, ProviderError):
                    # What the first may have cost counts, also where the next could not be asked.
                    raise _first_of(failed) from error
                if isinstance(error, ProviderError):
                    error.unbilled = error.unbilled and _none_billed(failed)
                raise
            return _marked(completion, client, failed) if failed else completion
        raise _first_of(failed)

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()


def _marked(completion: Completion, client: Invoker, failed: Sequence[tuple[Invoker, ProviderError]]) -> Completion:
    notes = tuple(
        f"{tried.provider}/{tried.model} could not answer ({error.code}); {client.provider}/{client.model} did."
        for tried, error in failed
    )
    return msgspec.structs.replace(
        completion,
        provenance=Provenance("fallback", client.provider, client.model),
        notes=(*completion.notes, *notes),
        unsettled=tuple(f"{tried.provider}/{tried.model}" for tried, error in failed if not error.unbilled),
    )


def _first_of(failed: Sequence[tuple[Invoker, ProviderError]]) -> ProviderError:
    first = failed[0][1]
    first.unbilled = _none_billed(failed)
    return first


def _none_billed(failed: Sequence[tuple[Invoker, ProviderError]]) -> bool:
    return all(error.unbilled for _, error in failed)
