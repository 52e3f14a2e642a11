"""A secret is shown by no ordinary means, and redaction finds it by value and by shape."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import traceback
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.core.secrets import REDACTED, Secret, redact

KEY = "sk-ant-planted-0123456789abcdef"


class Holder(msgspec.Struct):
    """A value as agents hold it: a credential among ordinary fields."""

    secret: Secret


def in_traceback(secret: Secret) -> str:
    try:
        raise ValueError(secret)
    except ValueError:
        return traceback.format_exc()


SHOWN = {
    "repr": repr,
    "str": str,
    "format": lambda secret: f"{secret} {secret!r:>40} {secret!s}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
    "container": lambda secret: repr({"key": [secret, (secret,)]}),
    "struct": lambda secret: repr(Holder(secret)),
    "exception": in_traceback,
    "fingerprint": lambda secret: secret.fingerprint,
    "dir": lambda secret: repr(dir(secret)),
    "json": lambda secret: json.dumps({"key": secret}, default=str),
}


@pytest.mark.parametrize("way", SHOWN)
def test_no_ordinary_way_of_showing_shows_the_key(way: str) -> None:
    """What a log, an error text or a debugger prints of a secret is not the key."""
    shown = SHOWN[way](Secret(KEY))
    assert KEY not in shown
    assert KEY[:-4] not in shown
    assert KEY[8:20] not in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    """A secret in a value that crosses a process border stops it, with words that say what to do."""
    with pytest.raises(TypeError, match="pass a reference"):
        pickle.dumps({"key": Secret(KEY)}, protocol)


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
def test_a_secret_is_not_copied(copier) -> None:  # type: ignore[no-untyped-def]
    """There is one of each key; a copy would be a second place to lose it from."""
    with pytest.raises(TypeError, match="pass a reference"):
        copier(Secret(KEY))


@pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.msgpack.encode, json.dumps])
def test_a_secret_is_not_encoded(encode) -> None:  # type: ignore[no-untyped-def]
    """A dump that meets a secret fails; it does not write the key."""
    with pytest.raises(TypeError):
        encode({"key": Secret(KEY)})


def test_a_secret_has_no_dictionary_and_takes_no_attribute() -> None:
    """`vars()` finds nothing, and nothing can be hung onto a secret."""
    secret = Secret(KEY)
    with pytest.raises(TypeError):
        vars(secret)
    with pytest.raises(AttributeError):
        secret.note = KEY  # type: ignore[attr-defined]


@pytest.mark.parametrize("empty", ["", " ", "\n\t"])
def test_an_empty_key_is_refused(empty: str) -> None:
    """A missing key cannot pass for a key."""
    with pytest.raises(ValueError, match="empty"):
        Secret(empty)


def test_equal_keys_are_equal_and_others_are_not() -> None:
    """Secrets compare and hash by value, white space at the ends aside."""
    assert Secret(KEY) == Secret(f" {KEY}\n")
    assert len({Secret(KEY), Secret(KEY), Secret(KEY + "x")}) == 2
    assert Secret(KEY) != KEY


def test_the_last_four_of_a_short_key_are_not_shown() -> None:
    """Four of eight characters would be half the key."""
    assert Secret(KEY).last_four == "cdef"
    assert "word" not in repr(Secret("password"))


keys = st.text(min_size=8).filter(lambda text: len(text.strip()) >= 8)


@given(st.text(), keys, st.text())
def test_a_live_key_is_redacted_whatever_it_looks_like(before: str, key: str, after: str) -> None:
    """By its value: any key is gone from any text that holds it."""
    secret = Secret(key)
    if secret.reveal() in REDACTED:
        return
    assert secret.reveal() not in redact(f"{before}{secret.reveal()}{after}", [secret]).replace(REDACTED, "")
    assert REDACTED in redact(f"{before}{secret.reveal()}{after}", [secret])


def lowered(quoted: str) -> str:
    """The same percent-encoding in small letters, as some servers write it."""
    return "%".join(part[:2].lower() + part[2:] if number else part for number, part in enumerate(quoted.split("%")))


WRITTEN = {
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "urlsafe base64": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "base64 without padding": lambda key: base64.b64encode(key.encode()).decode().rstrip("="),
    "base64 of the header": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "percent-encoded": lambda key: quote(key, safe=""),
    "percent-encoded, small": lambda key: lowered(quote(key, safe="")),
    "in a path": quote,
    "in a form": quote_plus,
    "in JSON": lambda key: json.dumps({"key": key}),
    "in JSON as UTF-8": lambda key: json.dumps({"key": key}, ensure_ascii=False),
    "in JSON of others": lambda key: json.dumps(key).replace("/", "\\/"),
    "in a repr": lambda key: repr({"key": key}),
    "in a repr of bytes": lambda key: repr(key.encode()),
}
ODD = ["pla/nted+key==0123", "plän\"ted'\\key\t0123", "planted-plain-0123456789", "???>>>~~~planted"]


@pytest.mark.parametrize("way", WRITTEN)
@pytest.mark.parametrize("key", ODD)
def test_a_live_key_is_found_however_it_is_written(key: str, way: str) -> None:
    """Encoded or escaped, as servers and exceptions echo it, it is gone all the same, and a second time too."""
    secret, form = Secret(key), WRITTEN[way](key)
    for _ in range(2):
        said = redact(f"before {form} after", [secret])
        assert REDACTED in said
        assert said.startswith("before ")
        assert said.endswith(" after")
        left = said.replace(REDACTED, "").removeprefix("before ").removesuffix(" after")
        assert len(left) < len(form) - len(key) + 6, left


@pytest.mark.parametrize("short", ["a", "EMPTY", "none"])
def test_a_short_key_leaves_texts_alone(short: str) -> None:
    """A word that some local server takes for a key does not blot out every such word."""
    text = "There is an EMPTY and a none in a banana."
    assert redact(text, [Secret(short)]) == text


@pytest.mark.parametrize(
    "shaped",
    [
        KEY,
        "sk-proj-abcDEF0123456789_-x",
        "sk-or-v1-0123456789abcdef0123",
        "AIzaSyA-0123456789abcdefghijk",
        "gsk_0123456789abcdefghij",
        "hf_0123456789abcdefghij",
        "xai-0123456789abcdefghij",
        "Bearer eyJhbGciOi.abc-DEF_012345",
    ],
)
def test_a_foreign_key_is_redacted_by_its_shape(shaped: str) -> None:
    """A provider that echoes a key we do not hold cannot put it into our texts."""
    text = redact(f'{{"error": "invalid x-api-key: {shaped}"}}')
    assert shaped.removeprefix("Bearer ") not in text
    assert REDACTED in text
    assert text.startswith('{"error": "invalid x-api-key: ')


def test_ordinary_text_stays_as_it_is() -> None:
    """Words that only begin like a key are left alone."""
    text = "a task-based sk-short bearer of news, hf_small and risk-averse"
    assert redact(text, [Secret(KEY)]) == text
