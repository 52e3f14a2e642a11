"""A provider that gives prepared answers and remembers every prompt; for tests and examples.

A factory that is ready to use with it is `testing/scripted_llm.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from orchestrator_v2.core.errors import RunStateError
from orchestrator_v2.core.records import Provenance
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message

Answer = str | Completion | Exception | Callable[[Sequence[Message], InvokeOptions], str]


class ScriptedCall(msgspec.Struct, frozen=True):
    """A prompt as it arrived; `text` is all of it, the system prompt first."""

    messages: tuple[Message, ...]
    options: InvokeOptions
    key: str

    @property
    def text(self) -> str:
        return "\n\n".join([self.options.system_prompt, *(message.content for message in self.messages)])


class ScriptedLLM:
    """A client and its own provider. `answers` are used up in order; the last one is given for ever if `repeat`.

    An answer is a text, a whole `Completion`, an exception to raise, or a function of (messages, options).
    """

    needs_credential = False

    def __init__(
        self, answers: Iterable[Answer], *, repeat: bool = False, provider: str = "scripted", model: str = "scripted"
    ) -> None:
        self._answers = list(answers)
        self._repeat = repeat
        self.provider = provider
        self.model = model
        self.calls: list[ScriptedCall] = []

    def missing_extra(self) -> str:
        return ""

    def connect(self, connection: Connection) -> Invoker:
        self.provider, self.model = connection.info.provider, connection.info.name
        return self

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        self.calls.append(ScriptedCall(tuple(messages), options, key))
        answer = self._next()
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Completion):
            sink(answer.text)
            return answer
        text = answer if isinstance(answer, str) else answer(messages, options)
        sink(text)
        usage = Usage(len(self.calls[-1].text) // 4 + 1, len(text) // 4 + 1, calls=1, cost=None)
        return Completion(text, usage=usage, provenance=Provenance("real", self.provider, self.model))

    def _next(self) -> Answer:
        if not self._answers:
            raise RunStateError(
                f"The script has no answer for call {len(self.calls)} ('{self.calls[-1].key}').",
                "All its answers are used up.",
                "Give it more answers, or repeat=True.",
            )
        return self._answers[0] if self._repeat and len(self._answers) == 1 else self._answers.pop(0)

    async def aclose(self) -> None:
        """Nothing is open."""
