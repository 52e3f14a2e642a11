"""A credential that cannot be shown by accident, and the redactor that knows the live ones by value.

Where keys are found is `llm/auth.py`; how they are stored for many users is the `credentials` floor.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NoReturn

REDACTED = "[redacted]"

# Shapes of keys that the vendors document; a value that we do not hold is caught by its shape.
_SHAPES = re.compile(
    r"sk-[A-Za-z0-9_\-]{12,}|AIza[A-Za-z0-9_\-]{20,}|gsk_[A-Za-z0-9]{16,}|hf_[A-Za-z0-9]{16,}"
    r"|xai-[A-Za-z0-9]{16,}|(?<=[Bb]earer )[A-Za-z0-9._\-]{16,}"
)


class Secret:
    """A key that is in no repr, str, format, pickle or JSON; `reveal` is called in the transport only."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        if not value.strip():
            raise ValueError("a secret cannot be empty")
        self.__value = value.strip()

    def reveal(self) -> str:
        return self.__value

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
    """`text` without the values of `secrets`, and without anything shaped like a vendor's key."""
    for secret in secrets:
        text = text.replace(secret.reveal(), REDACTED)
    return _SHAPES.sub(REDACTED, text)
