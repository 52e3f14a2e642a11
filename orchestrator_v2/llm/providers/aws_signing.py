"""AWS's credentials, found by AWS's own chain, and the signature (SigV4) that they put on a request.

What is signed and sent is `bedrock.py`. botocore is imported inside, when the first request is signed.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import msgspec

from orchestrator_v2.core.errors import AuthenticationError, CredentialMissingError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.errors import from_exception, make_error
from orchestrator_v2.llm.pool import ClientPool

SERVICE = "bedrock"
_POOL_KEY = "aws-session"


class Keys(msgspec.Struct, frozen=True):
    """What a request is signed with; `token` comes with keys that last an hour or so."""

    access: str
    secret: Secret
    token: Secret | None = None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return (self.secret,) if self.token is None else (self.secret, self.token)


def is_installed() -> bool:
    return all(importlib.util.find_spec(name) for name in ("botocore", "httpx2"))


async def find_keys(pool: ClientPool) -> Keys:
    """The keys of now: environment, files, or the machine's role, renewed when they run out.

    Raises `CredentialMissingError` where there are none, `AuthenticationError` where they cannot be had.
    """
    session = pool.get(_POOL_KEY, _build_session)
    try:
        # Files are read, and on AWS's machines a server is asked.
        return await asyncio.to_thread(_frozen, session)
    except CredentialMissingError:
        raise
    except Exception as exc:  # noqa: BLE001 - botocore's own tree; all of it means that there are no keys
        raise make_error(AuthenticationError, from_exception(exc).why, unbilled=True) from None


def sign(keys: Keys, region: str, url: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
    """`headers` with date, token and signature for a POST of `content` to `url`."""
    token = keys.token.reveal() if keys.token else None
    request = _botocore("awsrequest").AWSRequest(method="POST", url=url, headers=dict(headers), data=content)
    credentials = _botocore("credentials").Credentials(keys.access, keys.secret.reveal(), token)
    _botocore("auth").SigV4Auth(credentials, SERVICE, region).add_auth(request)
    return {str(name): str(value) for name, value in request.headers.items()}


def _frozen(session: Any) -> Keys:
    credentials = session.get_credentials()
    if credentials is None:
        raise CredentialMissingError(
            "There are no AWS credentials.",
            "AWS's own chain found none: environment, files, the machine's role.",
            "Set AWS_BEARER_TOKEN_BEDROCK or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure`.",
        )
    frozen = credentials.get_frozen_credentials()
    return Keys(frozen.access_key, Secret(frozen.secret_key), Secret(frozen.token) if frozen.token else None)


def _build_session() -> tuple[Any, Any]:
    async def close() -> None:
        """Nothing is open."""

    return _botocore("session").Session(), close


def _botocore(module: str) -> Any:
    """It has no types, and takes longer to load than a request to send."""
    return import_module(f"botocore.{module}")
