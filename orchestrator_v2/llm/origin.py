"""Which base URLs a credential may be sent to, and the origin that it is then bound to.

The check at the moment of sending is in `transport.py`.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from orchestrator_v2.core.errors import ConfigError

_DEFAULT_PORTS = {"https": 443, "http": 80}


def check_base_url(url: str) -> str:
    """`url` without trailing slashes. Raises `ConfigError` for one that a key must not be sent to.

    Allowed is https to any host and http to this machine; never user info, query or fragment.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise _refused(url, "It is not a URL.") from None
    host = parts.hostname or ""
    if parts.scheme not in _DEFAULT_PORTS or not host or port == 0:
        raise _refused(url, "It is not an http(s) URL.")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(
            f"The base_url of {parts.scheme}://{host} is not accepted.",
            "It carries user info, a query or a fragment.",
            "Give the bare URL; the key is a setting of its own.",
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise _refused(url, "A key would travel in the open.", "Use https; http is for this machine only.")
    return _rebuilt(parts).rstrip("/")


def origin_of(url: str) -> str:
    """`scheme://host:port`, with the port always written."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)}"


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _rebuilt(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _refused(url: str, why: str, do: str = "Use https://host/path.") -> ConfigError:
    # What stands before an @ may be a password, whatever else is wrong with the URL.
    return ConfigError(f"The base_url '{url.rsplit('@', 1)[-1][:200]}' is not accepted.", why, do)
