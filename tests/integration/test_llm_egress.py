"""Where a server's users may make it connect to, on real sockets: what is refused is never connected to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpcore2
import httpx2
import msgspec
import pytest
from tls_authority import authority

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import (
    ConfigError,
    CredentialMissingError,
    ProviderUnavailableError,
    RequestRejectedError,
)
from orchestrator_v2.core.probe import no_probe
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.egress import Egress, is_public
from orchestrator_v2.llm.egress_transport import GuardedTransport
from orchestrator_v2.llm.errors import from_exception
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.pool import ClientPool
from orchestrator_v2.llm.provider import Timeouts
from orchestrator_v2.llm.retry import RetryConfig
from orchestrator_v2.llm.transport import create_http_client
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig, Message
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply

KEY = Secret("sk-canary-egress-0123456789abcdef")
PUBLIC, PUBLIC6 = "93.184.216.34", "2606:2800:220:1::1"
ASK, OPTIONS = (Message("user", "Hi"),), InvokeOptions(max_tokens=50)
ONCE = RetryConfig(max_attempts=1)


class Names:
    """A resolver: gives each answer in order, then the last for ever, and counts how often it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Forwarding(httpcore2.AsyncNetworkBackend):
    """A network in which every address is the local `port`; it remembers which were connected to."""

    def __init__(self, port: int, *, silent: Iterable[str] = ()) -> None:
        self._inner = httpcore2.AnyIOBackend()
        self._port = port
        self._silent = tuple(silent)
        self.connected: list[tuple[str, int]] = []

    async def connect_tcp(self, host: str, port: int, timeout: float | None = None, *rest: Any) -> Any:
        self.connected.append((host, port))
        if host in self._silent:
            raise httpcore2.ConnectError("nothing listens there")
        return await self._inner.connect_tcp("127.0.0.1", self._port, timeout)


class Listening:
    """A server of plain bytes that counts who connects and what comes, and answers with `answer`."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") -> None:
        self._answer = answer
        self.connections = 0
        self.received = b""
        self.names: list[str | None] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while chunk := await reader.read(65_536):
            self.received += chunk
            writer.write(self._answer)
            await writer.drain()
        writer.close()

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listening]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self


def factory(egress: Egress | None) -> LLMFactory:
    return LLMFactory(clock=ManualClock(auto=True), random=Random(0), egress=egress)


def guarded(base_url: str, provider: str = "anthropic") -> LLMConfig:
    return LLMConfig(provider, "claude", KEY, base_url, guarded=True)


INTERNAL = [
    "127.0.0.1", "127.9.9.9", "10.0.0.5", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "0.1.2.3", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.7",
    "203.0.113.9", "198.18.0.1", "192.0.0.9", "192.88.99.1",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1",
    "2001::1", "100::1", "3fff::1", "5f00::1", "::7f00:1", "::ffff:0:7f00:1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:c0a8:101::",
    "localhost", "", "1.2.3", "0x7f.1",
]  # fmt: skip


@pytest.mark.parametrize("address", INTERNAL)
def test_an_address_that_is_not_the_internets_is_not_public(address):
    """Loopback, private, link-local, shared, multicast, reserved, and all that carries one of those inside."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, PUBLIC6, "1.1.1.1", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"]
)
def test_an_address_of_the_internet_is_public(address):
    """Also where it is carried inside one of IPv6."""
    assert is_public(address)


def test_a_name_is_accepted_for_saving_only_if_all_its_addresses_are_public():
    """One internal address among many is enough to refuse; nothing is connected to in either case."""

    async def go() -> None:
        names = Names([PUBLIC, PUBLIC6])
        assert await Egress(resolve=names).check("https://Model.example/v1/") == "https://Model.example/v1"
        assert names.asked == [("model.example", 443)]
        assert await Egress(resolve=names).check("https://model.example:8443") == "https://model.example:8443"
        for address in ("127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1"):
            for mixed in ([address], [PUBLIC, address], [address, PUBLIC]):
                with pytest.raises(ConfigError, match="operator of this server"):
                    await Egress(resolve=Names(mixed)).check("https://model.example")

    asyncio.run(go())


def test_what_is_said_of_an_internal_host_is_what_is_said_of_none():
    """Nobody learns from a refusal which names and ports there are inside."""

    async def unknown(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    async def go() -> None:
        said = set()
        async with Listening().running() as server:
            url = f"https://inside.example:{server.port}"
            for resolve in (Names(["127.0.0.1"]), Names(["10.255.255.1"]), Names([]), unknown):
                with pytest.raises(ConfigError) as caught:
                    await Egress(resolve=resolve).check(url)
                said.add(str(caught.value))
                assert caught.value.__suppress_context__
            assert server.connections == 0
        assert len(said) == 1

    asyncio.run(go())


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1", "https://[::1]:8443/v1", "https://2130706433", "https://0x7f.1", "https://127.1",
     "https://localhost", "https://localhost.", "https://[::ffff:127.0.0.1]", "https://169.254.169.254/latest",
     "http://model.example", "http://localhost:11434", "http://127.0.0.1:1", "ftp://model.example",
     "https://me:secret@model.example"],
)  # fmt: skip
def test_every_spelling_of_this_machine_is_refused_by_the_systems_own_resolver(url):
    """Numbers in odd forms, names of this host, plain http to it, and what is no base_url at all."""
    with pytest.raises(ConfigError) as caught:
        asyncio.run(Egress().check(url))
    assert "secret" not in str(caught.value)


def test_the_operators_list_is_of_origins():
    """Scheme, host and port have to be those of the list; a path, case and a default port make no difference."""

    async def go() -> None:
        egress = Egress(["http://10.0.0.5:11434/", "https://Lab.example"], resolve=Names(["10.0.0.5"]))
        assert await egress.check("http://10.0.0.5:11434/v1/") == "http://10.0.0.5:11434/v1"
        assert await egress.check("https://lab.example:443/v1") == "https://lab.example:443/v1"
        for other in ("http://10.0.0.5", "http://10.0.0.5:11435", "https://10.0.0.5:11434", "http://10.0.0.6:11434"):
            with pytest.raises(ConfigError):
                await egress.check(other)
        for bad in ("10.0.0.5:11434", "http://", "https://u:secret@x.example", "http://x:99999", ""):
            with pytest.raises(ConfigError) as caught:
                Egress([bad])
            assert "secret" not in str(caught.value)

    asyncio.run(go())


def test_a_listed_origin_works_from_end_to_end_and_its_neighbour_gets_no_byte():
    """A guarded call reaches the listed local server by http; on another port nobody is even connected to."""

    async def go() -> None:
        async with FakeAnthropic() as listed, Listening().running() as other:
            names = Names(["127.0.0.1"])
            models = factory(Egress([listed.base_url], resolve=names))
            answer = await models.create_client(guarded(listed.base_url)).invoke(ASK, OPTIONS)
            assert (answer.text, listed.problems) == ("Hello.", [])
            for url in (f"http://127.0.0.1:{other.port}", f"http://localhost:{other.port}"):
                with pytest.raises(ConfigError):
                    models.create_client(guarded(url))
            client = models.create_client(guarded(f"https://inside.example:{other.port}"), retry=ONCE)
            with pytest.raises(RequestRejectedError) as caught:
                await client.invoke(ASK, OPTIONS)
            assert caught.value.unbilled
            assert names.asked == [("inside.example", other.port)]
            assert (other.connections, other.received) == (0, b"")
            await models.aclose()

    asyncio.run(go())


def test_a_private_origin_by_http_is_accepted_where_it_is_listed():
    """`http://10.0.0.5:11434` is for a user whose operator lists it, and for nobody else."""
    url = "http://10.0.0.5:11434/v1"
    assert factory(Egress([url])).create_client(guarded(url)).info.base_url == url
    for models, config in (
        (factory(Egress()), guarded(url)),
        (factory(Egress([url])), msgspec.structs.replace(guarded(url), guarded=False)),
    ):
        with pytest.raises(ConfigError):
            models.create_client(config)


@pytest.mark.parametrize("provider", ["anthropic", "openai", "google", "bedrock", "ollama"])
def test_every_wire_asks_the_operators_list(provider):
    """No wire has a way around it: plain http to this machine is refused unless it is listed."""
    url = "http://127.0.0.1:9/bedrock-runtime.eu-central-1.amazonaws.com"
    config = guarded(url if provider != "bedrock" else "http://bedrock-runtime.eu-central-1.localhost:9", provider)
    with pytest.raises(ConfigError):
        factory(Egress()).create_client(config)
    factory(Egress([config.base_url])).create_client(config)


def test_a_packaged_address_on_this_machine_is_guarded_too():
    """A user who names no base_url for Ollama would reach the operator's: that origin has to be listed as well."""
    config = LLMConfig("ollama", "llama3", guarded=True)
    with pytest.raises(ConfigError, match="operator of this server"):
        factory(Egress()).create_client(config)
    factory(Egress(["http://localhost:11434"])).create_client(config)


def test_a_guarded_configuration_without_an_egress_is_refused():
    """Nobody forgets the guard by leaving a parameter out."""
    for work in (factory(None).create_client, factory(None).resolve):
        with pytest.raises(ConfigError, match="Egress"):
            work(guarded("https://model.example"))


def test_a_server_user_without_a_key_is_not_lent_the_operators_aws_chain():
    """Bedrock without a key of its own would sign with the machine's."""
    config = LLMConfig("bedrock", "claude", None, "https://bedrock-runtime.eu-central-1.amazonaws.com", guarded=True)
    with pytest.raises(CredentialMissingError, match="not for its users"):
        factory(Egress()).create_client(config)


def test_a_guarded_client_shares_neither_connections_nor_lanes_with_an_unguarded_one():
    """The same key at the same address by the operator's word uses other sockets."""

    async def go() -> None:
        async with FakeAnthropic() as server:
            models = factory(Egress([server.base_url]))
            for config in (guarded(server.base_url), LLMConfig("anthropic", "claude", KEY, server.base_url)) * 2:
                await models.create_client(config).invoke(ASK, OPTIONS)
            assert server.connections == 2
            await models.aclose()

    asyncio.run(go())


def test_a_role_of_a_guarded_default_stays_guarded():
    """Another model or server for one role is a user's word as much as the default is."""
    default = guarded("https://model.example")
    roles = {"qa": {"provider": "openai", "base_url": "http://127.0.0.1:1"}, "data": {"base_url": "http://127.0.0.1:1"}}
    models = LLMFactory(clock=ManualClock(), random=Random(0), egress=Egress(), default=default, roles=roles)
    for role in ("qa", "data", "developer"):
        assert models.get_provider(agent_type=role).guarded


def test_a_redirect_from_a_listed_origin_is_not_followed():
    """A server that is allowed cannot send the key on to one that is not."""

    async def go() -> None:
        async with Listening().running() as inside:
            moved = Reply(status=307, headers={"Location": f"http://127.0.0.1:{inside.port}/v1/messages"})
            async with FakeAnthropic([moved]) as listed:
                models = factory(Egress([listed.base_url]))
                with pytest.raises(RequestRejectedError):
                    await models.create_client(guarded(listed.base_url), retry=ONCE).invoke(ASK, OPTIONS)
                await models.aclose()
            assert inside.connections == 0

    asyncio.run(go())


def test_a_client_cannot_be_made_past_the_guard():
    """Also the innermost function refuses a base_url that the egress does not accept."""
    for url in ("http://127.0.0.1:1", "http://model.example"):
        with pytest.raises(ConfigError):
            create_http_client(url, Timeouts(), no_probe, Egress())


@asynccontextmanager
async def tls_server(folder: Path, certified: str) -> AsyncIterator[tuple[Listening, ssl.SSLContext]]:
    server, client = authority(folder, certified)
    listening = Listening()
    server.sni_callback = lambda _, name, __: listening.names.append(name)
    async with listening.running(server):
        yield listening, client


async def get(transport: httpx2.AsyncBaseTransport, url: str, *, times: int = 1, close: bool = False) -> None:
    headers = {"Connection": "close"} if close else {}
    async with httpx2.AsyncClient(transport=transport, trust_env=False) as http:
        for _ in range(times):
            (await http.get(url, headers=headers)).raise_for_status()


def test_the_checked_address_is_connected_to_and_the_name_is_looked_up_once(tmp_path):
    """The socket is opened to the number that was checked, while TLS and Host keep to the name."""

    async def go() -> None:
        async with tls_server(tmp_path, "model.example") as (server, trusted):
            names, network = Names([PUBLIC]), Forwarding(server.port)
            transport = GuardedTransport(Egress(resolve=names), httpx2.Limits(), tls=trusted, network=network)
            await get(transport, "https://model.example/v1", times=3)
            assert names.asked == [("model.example", 443)]
            assert network.connected == [(PUBLIC, 443)]
            assert server.names == ["model.example"]
            assert b"Host: model.example\r\n" in server.received

    asyncio.run(go())


def test_a_certificate_of_another_name_does_not_pass(tmp_path):
    """The certificate is held against the name, not against the number that is connected to."""

    async def go() -> None:
        async with tls_server(tmp_path, "other.example") as (server, trusted):
            network = Forwarding(server.port)
            transport = GuardedTransport(Egress(resolve=Names([PUBLIC])), httpx2.Limits(), tls=trusted, network=network)
            with pytest.raises(httpx2.ConnectError) as caught:
                await get(transport, "https://model.example/v1")
            error = from_exception(caught.value)
            assert isinstance(error, RequestRejectedError)
            assert "certificate" in error.why
            assert server.received == b""

    asyncio.run(go())


def test_a_name_that_is_rebound_to_this_machine_reaches_nothing(tmp_path):
    """First a public answer, then 127.0.0.1: the first connection uses the first answer, the second is not made."""

    async def go() -> None:
        async with tls_server(tmp_path, "rebind.example") as (public, trusted), Listening().running() as inside:
            names, network = Names([PUBLIC], ["127.0.0.1"]), Forwarding(public.port)
            transport = GuardedTransport(Egress(resolve=names), httpx2.Limits(), tls=trusted, network=network)
            url = f"https://rebind.example:{inside.port}/v1"
            async with httpx2.AsyncClient(transport=transport, trust_env=False) as http:
                await http.get(url, headers={"Connection": "close"})
                assert len(names.asked) == 1
                with pytest.raises(RequestRejectedError):
                    await http.get(url)
            assert len(names.asked) == 2
            assert network.connected == [(PUBLIC, inside.port)]
            assert (public.connections, inside.connections) == (1, 0)

    asyncio.run(go())


def test_the_next_checked_address_is_tried_where_one_is_dead(tmp_path):
    """A host with several public addresses works while one of them does."""

    async def go() -> None:
        async with tls_server(tmp_path, "model.example") as (server, trusted):
            network = Forwarding(server.port, silent=[PUBLIC6])
            egress = Egress(resolve=Names([PUBLIC6, PUBLIC]))
            await get(
                GuardedTransport(egress, httpx2.Limits(), tls=trusted, network=network), "https://model.example/v1"
            )
            assert network.connected == [(PUBLIC6, 443), (PUBLIC, 443)]

    asyncio.run(go())


def test_a_name_that_cannot_be_looked_up_now_is_tried_again_later():
    """A resolver that fails or is slow is the network's fault, not the request's."""

    async def failing(host: str, port: int) -> list[str]:
        raise OSError(-3, "Temporary failure in name resolution")

    async def silent(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return [PUBLIC]

    async def go() -> None:
        for resolve in (failing, silent):
            models = LLMFactory(
                clock=ManualClock(auto=True),
                random=Random(0),
                egress=Egress(resolve=resolve),
                timeouts=Timeouts(connect=0.1),
                pool=ClientPool(),
            )
            client = models.create_client(guarded("https://model.example"), retry=RetryConfig(max_attempts=2))
            with pytest.raises(ProviderUnavailableError) as caught:
                await client.invoke(ASK, OPTIONS)
            assert caught.value.unbilled
            await models.aclose()

    asyncio.run(go())
