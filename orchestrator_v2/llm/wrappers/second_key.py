"""The API key of the same model once its OAuth token was refused; asked once, then remembered.

Which credentials there are, and in which order, is `llm/auth.py`; other models are `fallback.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator_v2.core.errors import AuthenticationError, RequestRejectedError
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Invoker, Sink, no_sink
from orchestrator_v2.llm.types import Completion, InvokeOptions, Message
from orchestrator_v2.llm.wrappers.base import Wrapper

NOTE = "The OAuth token was refused; the API key was used."
# Some servers refuse a token that is meant for another product with a 400.
_ONLY_FOR = "only authorized for use with"


class SecondKeyClient(Wrapper):
    def __init__(self, inner: Invoker, second: Invoker) -> None:
        super().__init__(inner)
        self._second = second
        self._refused = False

    async def invoke(
        self,
        messages: Sequence[Message],
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        if not self._refused:
            try:
                return await self.inner.invoke(messages, options, key=key, sink=sink)
            except AuthenticationError:
                self._refused = True
            except RequestRejectedError as error:
                if _ONLY_FOR not in error.why:
                    raise
                self._refused = True
        completion = await self._second.invoke(messages, options, key=key, sink=sink)
        return msgspec.structs.replace(completion, notes=(*completion.notes, NOTE))

    async def aclose(self) -> None:
        await self.inner.aclose()
        await self._second.aclose()
