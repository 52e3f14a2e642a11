"""What Google's wire can do beside answering: vectors, token counts, the list of models.

Answers are `google.py`, whose client stands on the class here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from orchestrator_v2.core.errors import BadGatewayError
from orchestrator_v2.core.usage import Usage
from orchestrator_v2.llm.base import DEFAULT_OPTIONS
from orchestrator_v2.llm.errors import make_error
from orchestrator_v2.llm.provider import Connection
from orchestrator_v2.llm.tokens import estimate_tokens
from orchestrator_v2.llm.types import Embeddings, InvokeOptions, Message
from orchestrator_v2.llm.wire import Wire

T = TypeVar("T")

# A vector is some 40 KB of JSON, and a body is cut at 4 MiB.
_TEXTS_A_REQUEST = 50
_PAGES = 20
_MARK = "embedding"
_FOLDERS = ("models/", "tunedModels/")


class _Vector(msgspec.Struct):
    values: tuple[float, ...]


class _Tokens(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None


class _Vectors(msgspec.Struct, rename="camel"):
    embeddings: list[_Vector]
    usage_metadata: _Tokens | None = None


class _Count(msgspec.Struct, rename="camel"):
    total_tokens: int


class _Model(msgspec.Struct):
    name: str


class _Page(msgspec.Struct, rename="camel"):
    models: list[_Model] = []
    next_page_token: str = ""


class GoogleExtras:
    """Base of `GoogleClient`, which sets the attributes and says what a request looks like."""

    _connection: Connection
    _wire: Wire
    _root: str
    _headers: Mapping[str, str]

    def _request(self, messages: Sequence[Message], options: InvokeOptions) -> dict[str, Any]:
        raise AssertionError("the client says what a request looks like")

    async def count_tokens(self, messages: Sequence[Message], options: InvokeOptions = DEFAULT_OPTIONS) -> int:
        """Tokens of the whole request, system prompt and tools included. Raises `ProviderError`."""
        name = self._connection.info.name
        body = {"generateContentRequest": {"model": full_name(name), **self._request(messages, options)}}
        return _read(await self._post(name, "countTokens", body), _Count).total_tokens

    async def embed(self, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        """One vector for each text, by this client's model if it makes vectors, else by Google's default for them.

        Where the server names no token count, `usage` is an estimate. Raises `ProviderError`.
        """
        model = self._embedding_model()
        vectors: list[tuple[float, ...]] = []
        tokens = 0
        for at in range(0, len(texts), _TEXTS_A_REQUEST):
            some = texts[at : at + _TEXTS_A_REQUEST]
            found = await self._embed_some(model, some, dimensions)
            vectors += [each.values for each in found.embeddings]
            told = found.usage_metadata.prompt_token_count if found.usage_metadata else None
            tokens += sum(estimate_tokens(text, tokenizer=1.0) for text in some) if told is None else told
        return Embeddings(tuple(vectors), Usage(input_tokens=tokens, calls=1, cost=None), model)

    async def list_models(self) -> list[str]:
        """Names of the models that the server offers. Raises `ProviderError` when it cannot be reached."""
        names: list[str] = []
        token = ""
        for _ in range(_PAGES):
            query = f"?pageSize=1000&pageToken={quote(token, safe='')}" if token else "?pageSize=1000"
            page = _read(await self._wire.fetch("GET", f"{self._root}/models{query}", self._headers), _Page)
            names += [model.name.removeprefix("models/") for model in page.models]
            token = page.next_page_token
            if not token:
                break
        return names

    async def _embed_some(self, model: str, texts: Sequence[str], dimensions: int | None) -> _Vectors:
        size = {} if dimensions is None else {"outputDimensionality": dimensions}
        requests = [
            {"content": {"parts": [{"text": text}], "role": "user"}, "model": full_name(model), **size}
            for text in texts
        ]
        found = _read(await self._post(model, "batchEmbedContents", {"requests": requests}), _Vectors)
        if len(found.embeddings) != len(texts) or not all(map(_is_vector, found.embeddings)):
            raise make_error(BadGatewayError, "The answer does not hold one vector for each text.", status=200)
        return found

    async def _post(self, name: str, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._wire.fetch("POST", f"{self._root}/{model_path(name)}:{method}", self._headers, body)

    def _embedding_model(self) -> str:
        info = self._connection.info
        default = info.row.embedding
        return info.name if _MARK in info.name or not default else default


def full_name(model: str) -> str:
    """`models/NAME`; a tuned model brings its own folder."""
    return model if model.startswith(_FOLDERS) else f"models/{model}"


def model_path(model: str) -> str:
    """The full name as it stands in a URL."""
    folder, _, name = full_name(model).partition("/")
    return f"{folder}/{quote(name, safe='')}"


def _is_vector(vector: _Vector) -> bool:
    return bool(vector.values) and all(map(math.isfinite, vector.values))


def _read(answer: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as exc:
        raise make_error(BadGatewayError, f"The answer has another shape: {exc}.", status=200) from None
