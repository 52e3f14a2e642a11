"""What an OpenAI-compatible server can do beside chat: turn texts into vectors, and say which models it has.

Chat is `openai_chat.py`, whose client is built on this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from orchestrator_v2.core.errors import BadGatewayError
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.catalog import ProviderRow
from orchestrator_v2.llm.errors import make_error
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.types import Embeddings
from orchestrator_v2.llm.wire import Wire

# So many vectors of 3,072 numbers in JSON stay below the cap of a body.
BATCH = 32


class _Vector(msgspec.Struct):
    embedding: tuple[float, ...]
    index: int


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0


class _Vectors(msgspec.Struct):
    data: list[_Vector]
    usage: _Usage | None = None


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model] | None = None


class OpenAIExtras:
    """The client's part that needs no stream: an `Embedder` and `Reachable`."""

    _connection: Connection
    _row: ProviderRow
    _wire: Wire
    _headers: dict[str, str]

    async def embed(self, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        """One vector for each text, in order, by the own model where it makes vectors, else by the row's.

        Raises `ProviderError`; `BadGatewayError` for vectors that are not one for each text.
        """
        info = self._connection.info
        model = info.name if info.facts.embeds or not self._row.embedding else self._row.embedding
        vectors: list[tuple[float, ...]] = []
        tokens = calls = 0
        for start in range(0, len(texts), BATCH):
            batch = list(texts[start : start + BATCH])
            body: dict[str, Any] = {"model": model, "input": batch, "encoding_format": "float"}
            if dimensions is not None:
                body["dimensions"] = dimensions
            found = _read(await self._wire.fetch("POST", "/embeddings", self._headers, body), _Vectors)
            vectors += _in_order(found.data, len(batch))
            tokens += found.usage.prompt_tokens if found.usage else 0
            calls += 1
        return Embeddings(tuple(vectors), Usage(input_tokens=tokens, calls=calls, cost=None), model)

    async def list_models(self) -> list[str]:
        """Names of the models that the server offers. Raises `ProviderError` when it cannot be reached."""
        found = _read(await self._wire.fetch("GET", "/models", self._headers), _Models)
        return sorted(model.id for model in found.data or ())


def _read(answer: dict[str, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as exc:
        raise make_error(BadGatewayError, f"The answer has another form than asked for: {exc}.", status=200) from None


def _in_order(found: list[_Vector], wanted: int) -> list[tuple[float, ...]]:
    ordered = sorted(found, key=lambda vector: vector.index)
    if [vector.index for vector in ordered] != list(range(wanted)) or not all(vector.embedding for vector in ordered):
        raise make_error(BadGatewayError, f"{len(found)} vectors came for {wanted} texts.", status=200)
    return [vector.embedding for vector in ordered]
