"""A provider that asks nobody: the same request has the same answer, free and without a key.

Its answers say that they are simulated; those of the simulated mode's agents, which fill a whole project, are
`agents/simulated/`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.smallest import smallest_instance
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message

NOTE = "This answer is simulated: no model was asked."


class SimulatedProvider:
    needs_credential = False

    def missing_extra(self) -> str:
        return ""

    def connect(self, connection: Connection) -> Invoker:
        return SimulatedClient(connection.info.provider, connection.info.name)


class SimulatedClient:
    """Answers with the smallest JSON that fits the response schema, else with a line that says what it is."""

    def __init__(self, provider: str, model: str) -> None:
        self.provider = provider
        self.model = model

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        """The answer. Raises `RequestRejectedError` for a response schema that nothing simulated fits."""
        text = _answer(messages, options)
        sink(text)
        return Completion(
            text=text,
            usage=Usage(calls=1, cost=0),
            provenance=Provenance("simulated", self.provider, self.model),
            notes=(NOTE,),
        )

    async def aclose(self) -> None:
        """Nothing is open."""


def _answer(messages: Sequence[Message], options: InvokeOptions) -> str:
    if options.response_schema is not None:
        return msgspec.json.encode(smallest_instance(options.response_schema)).decode()
    asked = "\n".join([options.system_prompt, *(message.content for message in messages)])
    mark = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"[simulated] No model was asked. This line stands for the answer to request {mark}."
