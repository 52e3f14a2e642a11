"""A credential that cannot be shown by accident, and the redactor that knows the live ones by value.

Where keys are found is `llm/auth.py`; how they are stored for many users is the `credentials` floor.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import NoReturn
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"
# A shorter key is not looked for: it would blot out half of any text, and guards nothing.
SHORTEST = 6

# Shapes of keys that the vendors document; a value that we do not hold is caught by its shape.
_SHAPES = re.compile(
    r"orc_[A-Za-z0-9_\-]{20,}|sk-[A-Za-z0-9_\-]{12,}|AIza[A-Za-z0-9_\-]{20,}|gsk_[A-Za-z0-9]{16,}|hf_[A-Za-z0-9]{16,}"
    r"|xai-[A-Za-z0-9]{16,}|(?<=[Bb]earer )[A-Za-z0-9._\-]{16,}"
)
_ESCAPED = re.compile("%[0-9A-F]{2}")


class Secret:
    """A key that is in no repr, str, format, pickle or JSON; `reveal` is called in the transport only."""

    __slots__ = ("__forms", "__value")

    def __init__(self, value: str) -> None:
        if not value.strip():
            raise ValueError("a secret cannot be empty")
        self.__value = value.strip()
        self.__forms: tuple[str, ...] | None = None

    def reveal(self) -> str:
        return self.__value

    def hidden_from(self, text: str) -> str:
        """`text` without this key, whichever way it is written there; worked out once, as a log asks for every line."""
        if self.__forms is None:
            written = dict.fromkeys(form for form in _forms(self.__value) if len(form) >= SHORTEST)
            self.__forms = tuple(sorted(written, key=len, reverse=True))
        for form in self.__forms:
            text = text.replace(form, REDACTED)
        return text

    @property
    def is_short(self) -> bool:
        """Too short to be looked for in texts."""
        return len(self.__value) < SHORTEST

    @property
    def last_four(self) -> str:
        return self.__value[-4:] if len(self.__value) >= 12 else "····"

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits of SHA-256; tells two keys apart and shows neither."""
        return hashlib.sha256(self.__value.encode()).hexdigest()[:12]

    def __repr__(self) -> str:
        return f"Secret(…{self.last_four})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__value

    def __hash__(self) -> int:
        return hash(("Secret", self.__value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: pass a reference to the credential instead")


def redact(text: str, secrets: Iterable[Secret] = ()) -> str:
    """`text` without `secrets`, encoded or escaped ones too, and without anything shaped like a vendor's key."""
    for secret in secrets:
        text = secret.hidden_from(text)
    return _SHAPES.sub(REDACTED, text)


def _forms(value: str) -> Iterator[str]:
    """The key as it is, as base64 with and without `Bearer`, in a URL, inside JSON, in a repr of text or bytes."""
    if len(value) < SHORTEST:
        return
    yield value
    raw = value.encode(errors="surrogatepass")
    for content in (raw, b"Bearer " + raw):
        for encoded in (base64.b64encode(content), base64.urlsafe_b64encode(content)):
            # Some leave the padding out.
            yield encoded.decode().rstrip("=")
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield quoted
        yield _ESCAPED.sub(lambda found: found[0].lower(), quoted)
    for inside in (json.dumps(value), json.dumps(value, ensure_ascii=False), repr(value)):
        yield inside[1:-1]
        yield inside[1:-1].replace("/", "\\/")
    yield repr(raw)[2:-1]
