"""How a connection to Temporal is kept private and who it says it is: TLS, a certificate of one's own, an API key.

The connection itself is `temporal_client.py`; what may be set is in `config/settings.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from orchestrator_v2.core.errors import ConfigError


class TemporalSecurity(msgspec.Struct, frozen=True):
    """Files are read when a connection is made, so that a new one counts from the next start on.

    `ca_file` is the authority that Temporal's certificate is checked against (none: the system's), `cert_file` and
    `key_file` are this side's certificate, `api_key_file` holds an API key. Each means TLS, as `tls` does.
    """

    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    api_key_file: Path | None = None

    def options(self) -> dict[str, Any]:
        """What `Client.connect` is given besides. Raises `ConfigError` for files that cannot be that."""
        if (self.cert_file is None) != (self.key_file is None):
            raise ConfigError(
                "A certificate for Temporal needs its key, and the key its certificate.",
                "Only one of the two is set.",
                "Set ORCHESTRATOR_TEMPORAL_CERT_FILE and ORCHESTRATOR_TEMPORAL_KEY_FILE, or neither.",
            )
        if not (self.tls or self.ca_file or self.cert_file or self.api_key_file):
            return {}
        from temporalio.service import TLSConfig

        own = TLSConfig(
            server_root_ca_cert=_pem(self.ca_file),
            client_cert=_pem(self.cert_file),
            client_private_key=_pem(self.key_file),
        )
        return {"tls": own} if self.api_key_file is None else {"tls": own, "api_key": _key(self.api_key_file)}


def _pem(path: Path | None) -> bytes | None:
    if path is None:
        return None
    found = _read(path)
    if b"-----BEGIN " not in found:
        # Temporal's client would say no more than that nobody answers.
        raise _unreadable(path, "It is not PEM.")
    return found


def _key(path: Path) -> str:
    found = _read(path).decode("ascii", "replace").strip()
    if not found.isascii() or not found.isprintable():
        raise _unreadable(path, "It holds more than one line of ASCII, so it is no API key.")
    return found


def _read(path: Path) -> bytes:
    try:
        found = path.expanduser().read_bytes()
    except OSError as error:
        raise _unreadable(path, f"{error.strerror or error}.") from error
    if not found.strip():
        raise _unreadable(path, "It is empty.")
    return found


def _unreadable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"The file {path} for the connection to Temporal cannot be used.",
        why,
        "Name another with ORCHESTRATOR_TEMPORAL_CA_FILE, _CERT_FILE, _KEY_FILE or _API_KEY_FILE.",
    )
