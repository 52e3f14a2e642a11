"""A seal opens with its own key and its own words beside it, and with nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.core.errors import CredentialSealError
from orchestrator_v2.credentials.cipher import open_seal, seal

KEY = bytes(range(32))
KEYS = st.binary(min_size=32, max_size=32)


@given(key=KEYS, plaintext=st.binary(), aad=st.binary())
def test_what_is_sealed_opens_again(key, plaintext, aad):
    """Any bytes come back as they were, an empty value too."""
    assert open_seal(key, seal(key, plaintext, aad), aad) == plaintext


@given(plaintext=st.binary(max_size=80), aad=st.binary(max_size=20), data=st.data())
def test_no_flipped_bit_opens(plaintext, aad, data):
    """Each bit counts: of the version, the nonce, the ciphertext and the tag."""
    sealed = bytearray(seal(KEY, plaintext, aad))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CredentialSealError):
        open_seal(KEY, bytes(sealed), aad)


@given(plaintext=st.binary(max_size=40), aad=st.binary(), other=st.binary())
def test_no_other_aad_opens(plaintext, aad, other):
    """What is bound to one owner opens under no other words, also not under those with the version in front."""
    sealed = seal(KEY, plaintext, aad)
    for wrong in {other, aad + b"\x00", b"\x01" + aad} - {aad}:
        with pytest.raises(CredentialSealError):
            open_seal(KEY, sealed, wrong)


@given(key=KEYS, other=KEYS)
def test_no_other_key_opens(key, other):
    """Another key is an error, and no empty value."""
    sealed = seal(key, b"sk-one", b"")
    if key != other:
        with pytest.raises(CredentialSealError):
            open_seal(other, sealed, b"")


@given(length=st.integers(0, 28))
def test_what_is_cut_short_does_not_open(length):
    """No prefix opens, the empty one of a revoked key neither."""
    with pytest.raises(CredentialSealError):
        open_seal(KEY, seal(KEY, b"", b"")[:length], b"")


def test_the_form_is_version_nonce_ciphertext_tag():
    """The bytes on the disk are AES-256-GCM of the vendor's own making, by the randomness that was given."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = b"n" * 12
    sealed = seal(KEY, b"secret", b"aad", random=lambda size: nonce[:size])
    assert sealed[:13] == b"\x01" + nonce
    assert AESGCM(KEY).decrypt(nonce, sealed[13:], b"\x01aad") == b"secret"
    assert b"secret" not in sealed


def test_each_seal_has_its_own_nonce():
    """The same words sealed twice look different."""
    assert len({seal(KEY, b"secret", b"")[:13] for _ in range(100)}) == 100


def test_without_the_package_the_error_says_how_to_install_it():
    """The package is looked for when something is sealed, not when the module is imported."""
    code = """
import sys
from orchestrator_v2.credentials import cipher
assert not any(name.startswith("cryptography") for name in sys.modules)
sys.modules["cryptography.hazmat.primitives.ciphers.aead"] = None
try:
    cipher.seal(bytes(32), b"", b"")
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MissingExtraError")
    assert "pip install 'orchestrator-v2[server]'" in done.stdout
