"""One request for JSON by the transport's rules: one origin, no redirect, no environment, 4 MiB, ten seconds.

What is asked and what the JSON means is each engine's file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator_v2.core.errors import BadGatewayError, MissingExtraError, ProviderError
from orchestrator_v2.core.probe import no_probe
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.errors import from_exception, from_status, make_error
from orchestrator_v2.llm.provider import Timeouts
from orchestrator_v2.llm.search.types import SearchHit

TIMEOUTS = Timeouts(connect=5.0, idle=10.0, total=10.0)
INSTALL = "pip install 'orchestrator-v2[search]'"


async def ask(
    method: str,
    base_url: str,
    path: str,
    *,
    headers: Mapping[str, str],
    params: Mapping[str, str | int] | None = None,
    body: Mapping[str, Any] | None = None,
    secrets: Sequence[Secret],
) -> dict[str, Any]:
    """The JSON object that the server answers with. Raises `ProviderError`, redacted of `secrets`."""
    try:
        from orchestrator_v2.llm.transport import create_http_client
    except ImportError:
        raise not_installed("The HTTP client for web search") from None
    content = None if body is None else msgspec.json.encode(body)
    sent = {"Accept": "application/json", **headers, **({"Content-Type": "application/json"} if content else {})}
    try:
        async with asyncio.timeout(TIMEOUTS.total), create_http_client(base_url, TIMEOUTS, no_probe) as http:
            response = await http.request(method, path, headers=sent, params=params, content=content)
            return _json(response.status_code, response.content, response.headers, secrets)
    except ProviderError:
        raise
    except Exception as exc:  # noqa: BLE001 - named by class in `errors.py`, where each has its meaning
        raise from_exception(exc, secrets=secrets) from None


def not_installed(what: str) -> MissingExtraError:
    """The error that says how to install it; nothing was sent."""
    error = MissingExtraError(f"{what} is not installed.", "", f"Run: {INSTALL}")
    error.unbilled = True
    return error


def hits_of(rows: object, *, title: str, url: str, snippet: str, most: int) -> list[SearchHit]:
    """Hits from a list of JSON objects by the names of their fields; what is not of that shape is left out."""
    if not isinstance(rows, list):
        return []
    named = [(row.get(title), row.get(url), row.get(snippet)) for row in rows if isinstance(row, dict)]
    found = [
        SearchHit(_text(name), address, _text(words)) for name, address, words in named if isinstance(address, str)
    ]
    return found[:most]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _json(status: int, content: bytes, headers: Mapping[str, str], secrets: Iterable[Secret]) -> dict[str, Any]:
    if status != 200:
        raise from_status(status, content, headers, secrets=secrets)
    try:
        answer = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, ValueError):
        answer = None
    if not isinstance(answer, dict):
        raise make_error(BadGatewayError, "The search engine's answer is no JSON object.", status=200)
    return answer
