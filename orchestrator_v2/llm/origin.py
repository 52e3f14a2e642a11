"""Which base URLs a credential may be sent to, and the origin that it is then bound to.

The check at the moment of sending is in `transport.py`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from orchestrator_v2.core.errors import ConfigError

_DEFAULT_PORTS = {"https": 443, "http": 80}
_HOST_NAME = re.compile(r"[a-z0-9_.-]+")
_USUAL = "Use https://host/path."
# Why a base_url is refused, and what to do.
_NO_URL = ("It is not a URL.", _USUAL)
_NOT_HTTP = ("It is not an http(s) URL.", _USUAL)
_NO_HOST = ("The name of its host cannot be looked up.", "Check it; a name of other letters may be written as xn--….")
_NO_BRACKETS = ("An IPv6 address stands in brackets.", "Write it as in http://[::1]:8000/v1.")
_IN_THE_OPEN = ("A key would travel in the open.", "Use https; http is for this machine only.")


def check_base_url(url: str, *, listed: Collection[str] = ()) -> str:
    """`url` as `normal_url` gives it.

    Raises `ConfigError` for one that a key must not be sent to: allowed is https to any host, and http to this machine
    and to the origins (as of `origin_of`) that are `listed`.
    """
    normal = normal_url(url)
    parts = urlsplit(normal)
    if parts.scheme == "http" and not is_loopback(parts.hostname or "") and origin_of(normal) not in listed:
        raise _refused(normal, _IN_THE_OPEN)
    return normal


def normal_url(url: str) -> str:
    """`url` without trailing slashes, the host's name in the ASCII form that is looked up and compared.

    Raises `ConfigError` for what is no http(s) URL, or has user info, query or fragment.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise _refused(url, _NO_BRACKETS if _is_bare_ipv6(url) else _NO_URL) from None
    host = parts.hostname or ""
    if parts.scheme not in _DEFAULT_PORTS or not host or port == 0:
        raise _refused(url, _NOT_HTTP)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(
            f"The base_url of {parts.scheme}://{host} is not accepted.",
            "It carries user info, a query or a fragment.",
            "Give the bare URL; the key is a setting of its own.",
        )
    ascii_host = _in_ascii(host)
    if not ascii_host:
        raise _refused(url, _NO_HOST)
    netloc = parts.netloc if host.isascii() else ascii_host + (f":{port}" if port else "")
    return _rebuilt(parts, netloc).rstrip("/")


def origin_of(url: str) -> str:
    """`scheme://host:port`, with the port always written."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)}"


def without_user_info(url: str) -> str:
    """`url` as it may be shown, wherever it came from: what stands before an @ may be a password."""
    scheme, sign, rest = url.partition("://")
    return f"{scheme}{sign}{rest.rsplit('@', 1)[-1]}" if sign else url.rsplit("@", 1)[-1]


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _in_ascii(host: str) -> str:
    """The name as it is looked up; empty for one that cannot be."""
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            return ""
    if not host.isascii():
        try:
            # What the transport's own client writes it by; it comes with that client, and few ever need it.
            import idna

            host = idna.encode(host.lower()).decode("ascii")
        except (ImportError, UnicodeError):
            return ""
    return host if _HOST_NAME.fullmatch(host) else ""


def _is_bare_ipv6(url: str) -> bool:
    """Whether several colons stand where a host and a port should."""
    host = url.partition("://")[2].partition("/")[0]
    return "[" not in host and "@" not in host and host.count(":") > 1


def _rebuilt(parts: SplitResult, netloc: str) -> str:
    return f"{parts.scheme}://{netloc}{parts.path}"


def _refused(url: str, reason: tuple[str, str]) -> ConfigError:
    # What stands before an @ may be a password, whatever else is wrong with the URL.
    return ConfigError(f"The base_url '{url.rsplit('@', 1)[-1][:200]}' is not accepted.", *reason)
