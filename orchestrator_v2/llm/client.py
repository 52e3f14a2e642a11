"""What a caller holds: one model with everything it can do, from a plain prompt to a stream.

The chain of wrappers below is built by `chain.py`; which abilities a provider has is said in `base.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.base import DEFAULT_OPTIONS, Embedder, Invoker, Sink, TokenCounter, innermost, no_sink
from orchestrator_v2.llm.catalog import ModelInfo
from orchestrator_v2.llm.errors import unsupported
from orchestrator_v2.llm.meter import estimate_prompt
from orchestrator_v2.llm.prices import price
from orchestrator_v2.llm.tokens import estimate_tokens
from orchestrator_v2.llm.types import Completion, Embeddings, InvokeOptions, Message

Prompt = str | Sequence[Message]


class LLMClient:
    """Made by `LLMFactory.create_client`. `chain` answers, `provider_client` is the innermost part of it."""

    def __init__(self, chain: Invoker, provider_client: Invoker, info: ModelInfo) -> None:
        self.chain = chain
        self._own = innermost(provider_client)
        self.info = info

    @property
    def provider(self) -> str:
        return self.chain.provider

    @property
    def model(self) -> str:
        return self.chain.model

    async def invoke(
        self,
        prompt: Prompt,
        options: InvokeOptions = DEFAULT_OPTIONS,
        *,
        key: str = "",
        sink: Sink = no_sink,
    ) -> Completion:
        """The whole answer to a prompt, or to messages. Raises `ProviderError`, `BudgetError` or `StoreError`."""
        return await self.chain.invoke(_messages(prompt), options, key=key, sink=sink)

    async def stream(
        self, prompt: Prompt, options: InvokeOptions = DEFAULT_OPTIONS, *, key: str = ""
    ) -> AsyncIterator[str | Completion]:
        """The text piece by piece, and at its end the `Completion` that holds all of it.

        Raises what `invoke` raises, also in the middle. Leaving the loop early cancels the call, which is then
        charged its reservation: what the provider had made may be billed.
        """
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        call = asyncio.ensure_future(self.invoke(prompt, options, key=key, sink=pieces.put_nowait))
        call.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            yield await call
        finally:
            if not call.done():
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)

    async def generate_content_async(self, messages: Prompt) -> str:
        """The text of the answer alone; the same call as `invoke`."""
        return (await self.invoke(messages)).text

    def estimate_cost(self, prompt: Prompt, response: str | int = 0) -> int | None:
        """Nano-dollars for a prompt and a response (its text, or its tokens), by estimate; None: unknown price."""
        sent = estimate_prompt(self.info, _messages(prompt), DEFAULT_OPTIONS)
        factor = self.info.facts.tokenizer
        given = response if isinstance(response, int) else estimate_tokens(response, tokenizer=factor)
        return price(self.info.price, Usage(input_tokens=sent, output_tokens=given))

    async def count_tokens(self, prompt: Prompt, options: InvokeOptions = DEFAULT_OPTIONS) -> int:
        """Tokens of the request: the provider's own count where it has one, else an upper estimate."""
        messages = _messages(prompt)
        if isinstance(self._own, TokenCounter):
            return await self._own.count_tokens(messages, options)
        return estimate_prompt(self.info, messages, options)

    async def embed(self, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        """One vector for each text. Raises `ProviderError`, also where the provider makes none."""
        if not isinstance(self._own, Embedder):
            raise unsupported(f"{self.provider} makes no embeddings.", "Use a provider that does, such as openai.")
        found = await self._own.embed(texts, dimensions=dimensions)
        # A chat model's provider may embed with another model, whose price is not this one.
        own = found.model in ("", self.info.name)
        cost = price(self.info.price, found.usage) if own else None
        return msgspec.structs.replace(found, usage=msgspec.structs.replace(found.usage, cost=cost))

    async def aclose(self) -> None:
        """Closes what is this client's alone; connections belong to the factory."""
        await self.chain.aclose()


def _messages(prompt: Prompt) -> Sequence[Message]:
    return (Message("user", prompt),) if isinstance(prompt, str) else prompt
