"""The way to Temporal: TLS in front of a real server, certificates on both sides, an API key, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

pytest.importorskip("temporalio")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from temporal_server import TemporalServer

from orchestrator_v2.core.errors import ConfigError, DriverUnavailableError
from orchestrator_v2.durable.temporal_client import Temporal
from orchestrator_v2.durable.temporal_security import TemporalSecurity


class Certificates:
    """One authority, and certificates by it; another authority that nobody trusts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key, self._name = ec.generate_private_key(ec.SECP256R1()), _named("authority")
        self.ca, _ = self._written("ca", self._key, _named("authority"), is_ca=True)
        self.server, self.server_key = self._written("server", ec.generate_private_key(ec.SECP256R1()), _named("s"))
        self.client, self.client_key = self._written("client", ec.generate_private_key(ec.SECP256R1()), _named("c"))

    def _written(
        self, file: str, key: ec.EllipticCurvePrivateKey, subject: x509.Name, *, is_ca: bool = False
    ) -> tuple[Path, Path]:
        now = datetime.datetime.now(datetime.UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), True)
            .sign(self._key, hashes.SHA256())
        )
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        pem, secret = self._folder / f"{file}.pem", self._folder / f"{file}.key"
        pem.write_bytes(built.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(key.private_bytes(*form))
        return pem, secret


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@contextlib.asynccontextmanager
async def tls_before(server: TemporalServer, certificates: Certificates, *, mutual: bool) -> AsyncIterator[str]:
    """The address of a door of TLS in front of the server; `mutual` asks the client for its certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.server, certificates.server_key)
    context.set_alpn_protocols(["h2"])
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates.ca)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65_536):
                writer.write(part)
                await writer.drain()
        writer.close()

    async def door(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(carry(reader, inner_writer), carry(inner_reader, writer))

    async with await asyncio.start_server(door, "127.0.0.1", 0, ssl=context) as listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def checked(address: str, security: TemporalSecurity) -> None:
    await Temporal(address, "default", "queue", security).check()


def behind_tls(
    server: TemporalServer, certificates: Certificates, work: Callable[[str], Awaitable[None]], *, mutual: bool = False
) -> None:
    async def go() -> None:
        async with tls_before(server, certificates, mutual=mutual) as address:
            await work(address)

    asyncio.run(go())


def test_temporal_is_reached_by_tls(temporal: TemporalServer, certificates: Certificates, tmp_path: Path) -> None:
    """With its authority, also with an API key besides; in the clear, or by another authority, it is not reached."""
    key = tmp_path / "api-key"
    key.write_text("tmprl-0123456789\n")

    async def work(address: str) -> None:
        await checked(address, TemporalSecurity(ca_file=certificates.ca))
        await checked(address, TemporalSecurity(ca_file=certificates.ca, api_key_file=key))
        for security in (TemporalSecurity(), TemporalSecurity(tls=True), TemporalSecurity(ca_file=_other(tmp_path))):
            with pytest.raises(DriverUnavailableError, match=address):
                await checked(address, security)

    behind_tls(temporal, certificates, work)


def _other(folder: Path) -> Path:
    (folder / "other").mkdir()
    return Certificates(folder / "other").ca


def test_a_certificate_of_ones_own_is_shown(temporal: TemporalServer, certificates: Certificates) -> None:
    """Where the other side asks for one, it is let in with it and not without."""
    ca, cert, key = certificates.ca, certificates.client, certificates.client_key

    async def work(address: str) -> None:
        await checked(address, TemporalSecurity(ca_file=ca, cert_file=cert, key_file=key))
        with pytest.raises(DriverUnavailableError, match=address):
            await checked(address, TemporalSecurity(ca_file=ca))

    behind_tls(temporal, certificates, work, mutual=True)


def test_files_that_cannot_be_used_are_named(certificates: Certificates, tmp_path: Path) -> None:
    """Missing, empty, of another kind, a certificate without its key: before anything is sent, and no key is said."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "two-lines").write_text("tmprl-secret\nX-Other: 1\n")
    wrong = {
        "missing.pem": TemporalSecurity(ca_file=tmp_path / "missing.pem"),
        "empty": TemporalSecurity(api_key_file=tmp_path / "empty"),
        "not PEM": TemporalSecurity(ca_file=tmp_path / "two-lines"),
        "no API key": TemporalSecurity(api_key_file=tmp_path / "two-lines"),
        "needs its key": TemporalSecurity(cert_file=certificates.client),
        "the key its certificate": TemporalSecurity(key_file=certificates.client_key),
    }
    for words, security in wrong.items():
        with pytest.raises(ConfigError, match=words) as refused:
            security.options()
        assert "secret" not in str(refused.value)


def test_an_api_key_goes_by_tls_only(tmp_path: Path) -> None:
    """It is never sent in the clear."""
    (tmp_path / "key").write_text("tmprl-0123456789\n")
    options = TemporalSecurity(api_key_file=tmp_path / "key").options()
    assert options.pop("api_key") == "tmprl-0123456789"
    assert options.pop("tls")
    assert not options
    assert TemporalSecurity().options() == {}
