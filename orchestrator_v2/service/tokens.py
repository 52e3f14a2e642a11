"""Bearer tokens: how one is made, what is kept of it, and how it is known again.

Who bears which is the store's; what a role may do is `rights.py`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

# The shape is known to the redactor (`core/secrets.py`), so a token in a log is blotted out.
PREFIX = "orc_"
_BYTES = 32
_LONGEST = 200


def new_token(random_bytes: Callable[[int], bytes]) -> str:
    """256 bits of randomness in 43 letters."""
    return PREFIX + base64.urlsafe_b64encode(random_bytes(_BYTES)).decode().rstrip("=")


def token_hash(token: str) -> str:
    """What is kept. A plain hash will do: nobody guesses 256 random bits, and a slow one would be paid each request."""
    return hashlib.sha256(token[:_LONGEST].encode("utf-8", "surrogatepass")).hexdigest()
