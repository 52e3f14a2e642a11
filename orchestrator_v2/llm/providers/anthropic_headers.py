"""The headers of Anthropic's wire: the key, the version, the mark of a token.

What is sent under them is `anthropic.py` and `anthropic_batches.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.auth import kind_of
from orchestrator_v2.llm.provider import Connection

PRESENT_VERSION = "2026-10-21"
# Under the vendor's present version sampling is an error; compatible servers and older profiles speak the former one.
OLDER_VERSION = "2023-06-01"
OAUTH_BETA = "oauth-2025-04-20"
_SAMPLING = frozenset({"temperature", "top_p"})


def samples(body: Mapping[str, object]) -> bool:
    """Whether a request sets what only the former version takes."""
    return not _SAMPLING.isdisjoint(body)


def build_headers(
    connection: Connection, credential: Secret, *, older: bool = False, accept: str = "application/json"
) -> dict[str, str]:
    """The wire's headers, the key among them; `older` asks for the version that still takes sampling."""
    is_token = "oauth_token" in (connection.config.credential_kind, kind_of(credential))
    older = older or connection.info.own_base_url
    headers = {
        "Accept": accept,
        "Authorization": f"Bearer {credential.reveal()}",
        "Content-Type": "application/json",
        "anthropic-version": OLDER_VERSION if older else PRESENT_VERSION,
    }
    return headers | ({"anthropic-beta": OAUTH_BETA} if is_token else {})
