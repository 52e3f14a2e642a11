"""Which of a program's variables hold keys, to be taken out of all that it says: by name, or by what they look like.

Which variables a program is given is `command.py`; what a key is hidden from is `command_client.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import unquote

from orchestrator_v2.core.secrets import REDACTED, Secret, redact

# Whole words of a name, as TOKENIZERS and KEYMAP tell no key; and words that are written together, as in PGPASSWORD.
_WORD = re.compile(r"KEYS?|TOKEN|SECRETS?|PASS|PWD|PAT|AUTH|CREDENTIALS?|(?:PG|DB|SSH|MYSQL|SMB)PASS")
_ENDING = re.compile(r".+(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|(?:API|ACCESS|PRIVATE|SECRET)KEY)S?")
_WHOLE = re.compile(r"(?:PASSWORD|PASSWD|PASSPHRASE)S?")
_FORMS = (_WORD, _ENDING, _WHOLE)
# These are folders.
_NONE = frozenset({"PWD", "OLDPWD"})
_IN_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@:]*:([^\s/?#]+)@")
_IN_PAIR = re.compile(r"(?i)\b(?:password|passwd|pwd)=([^\s;&'\"]+)")


def secrets_in(
    names: Collection[str], listed: Collection[str] | None, environ: Mapping[str, str]
) -> tuple[Secret, ...]:
    """The keys in those variables. `listed` says which of them hold one; None: whichever seem to."""
    found: list[str] = []
    for name in names if listed is None else listed:
        value = environ.get(name, "").strip()
        found += [value] if listed is not None else _keys_of(name, value)
    return tuple(dict.fromkeys(Secret(value) for value in found if value.strip()))


def is_secret_name(name: str) -> bool:
    """Whether a variable of that name holds a key."""
    words = name.upper().split("_")
    return name.upper() not in _NONE and any(form.fullmatch(word) for form in _FORMS for word in words)


def _keys_of(name: str, value: str) -> Iterator[str]:
    """All of the value where its name or its shape says so, and passwords inside of it."""
    if is_secret_name(name) or redact(value) == REDACTED:
        yield value
    for password in (*_IN_URL.findall(value), *_IN_PAIR.findall(value)):
        yield password
        # A program may say it as it is.
        yield unquote(password)
