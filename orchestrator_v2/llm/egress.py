"""Where a server's users may make it connect to: public addresses by https, and the origins that its operator lists.

What a listed or a checked address is connected to with is `egress_transport.py`; an operator's own base_url is
checked by `origin.py` alone.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from urllib.parse import urlsplit

from orchestrator_v2.core.errors import ConfigError, RequestRejectedError
from orchestrator_v2.llm.errors import make_error
from orchestrator_v2.llm.origin import check_base_url, normal_url, origin_of, without_user_info

# The addresses (as text) of a host, for a port. Raises `OSError` where it is not known.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOKUP_SECONDS = 5.0
_WHO = "Only the operator of this server can allow an address of its own network, by its list of allowed origins."
_NOT_PUBLIC = "It is not reached by public addresses alone, or its host is not known."
# All of IPv6 that is given out to hosts; what is in it and does not reach the internet is not `is_global`.
_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")
# Addresses that carry an IPv4 address, which is the one that counts, and how many bits stand behind it.
_CARRIERS = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # mapped, RFC 4291
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64, RFC 6052
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4, RFC 3056
)
# Called global by Python's table of this release or another, and nobody's server.
_SPECIAL = tuple(
    ipaddress.ip_network(each)
    for each in ("192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "2001::/23", "2620:4f:8000::/48", "3fff::/20")
)


class Egress:
    """`allowed` are origins or base URLs (`http://10.0.0.5:11434`) that may be anything, also http and private.

    `resolve` is asked once for a check and once for a connection. Raises `ConfigError` for an entry that is no origin.
    """

    def __init__(self, allowed: Iterable[str] = (), *, resolve: Resolver | None = None) -> None:
        self._listed = frozenset(_listed(each) for each in allowed)
        self._resolve = resolve or system_resolver

    def lists(self, url: str) -> bool:
        """Whether the operator lists the origin of `url`."""
        return origin_of(url) in self._listed

    def accept(self, url: str) -> str:
        """`url` as `check_base_url` gives it; nothing is looked up. Raises `ConfigError`."""
        accepted = check_base_url(url, listed=self._listed)
        if urlsplit(accepted).scheme != "https" and not self.lists(accepted):
            raise _refused(accepted, "A key would travel in the open, or to this server itself.", f"Use https. {_WHO}")
        return accepted

    async def check(self, url: str) -> str:
        """For saving: `url` as it is to be stored. Connects to nothing.

        Raises `ConfigError`, in the same words for an internal host as for one that is not known.
        """
        accepted = self.accept(url)
        if not self.lists(accepted):
            parts = urlsplit(accepted)
            try:
                async with asyncio.timeout(LOOKUP_SECONDS):
                    await self.addresses(parts.hostname or "", parts.port or 443)
            except (OSError, RequestRejectedError):
                raise _refused(accepted, _NOT_PUBLIC, f"Check its name. {_WHO}") from None
        return accepted

    async def addresses(self, host: str, port: int) -> list[str]:
        """All addresses of a host that is not listed, every one of them public: connect to these and no others.

        Raises `RequestRejectedError`, unbilled, if any is not; `OSError` where the host is not known.
        """
        try:
            found = [str(each) for each in await self._resolve(host, port)]
        except UnicodeError as error:
            raise socket.gaierror(socket.EAI_NONAME, "not a name that can be looked up") from error
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        if not all(is_public(each) for each in found):
            raise make_error(RequestRejectedError, _NOT_PUBLIC, unbilled=True, do=f"Check the base_url. {_WHO}")
        return found


def is_public(address: str) -> bool:
    """Whether that IP address is one of the internet's; what is no address is not."""
    try:
        inner = _carried(ipaddress.ip_address(address))
    except ValueError:
        return False
    if inner.version == 6 and inner not in _GIVEN_OUT:
        return False
    is_special = any(inner.version == each.version and inner in each for each in _SPECIAL)
    return inner.is_global and not (inner.is_multicast or inner.is_reserved or is_special)


async def system_resolver(host: str, port: int) -> list[str]:
    """All addresses by the system's resolver, in its order. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _carried(address: _Address) -> _Address:
    """The IPv4 address inside one of IPv6, else the address itself."""
    for network, behind in _CARRIERS:
        if address.version == 6 and address in network:
            return ipaddress.IPv4Address(int(address) >> behind & 0xFFFFFFFF)
    return address


def _listed(entry: str) -> str:
    try:
        return origin_of(normal_url(entry))
    except ConfigError as error:
        shown = without_user_info(entry)[:200]
        raise ConfigError(f"'{shown}' is no origin.", error.why, "Write it as http://10.0.0.5:11434.") from None


def _refused(url: str, why: str, do: str) -> ConfigError:
    return ConfigError(f"The base_url '{url[:200]}' is not accepted.", why, do)
