"""What a user hands in, read and refused early: the brief, amounts of money, replaced files.

What is checked of them later, in any face of the product, is `settling.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from orchestrator_v2.core.errors import BriefError, ConfigError, InputError

# No run costs a million dollars; a budget above it is a slip of the finger.
_LARGEST_BUDGET = Decimal(1_000_000)
# Below what is shown of an amount, and of what any call costs.
_SMALLEST_BUDGET = Decimal("0.0001")
# Read at most this much of a brief (bytes); how much is allowed is told by `settling.py`, which knows why.
_READ = 4 << 20


def read_brief(words: Sequence[str], file: str | None) -> str:
    """The brief from the command line, a file or, for `-`, standard input. Raises `BriefError`."""
    if words and file is not None:
        raise BriefError("There are two briefs.", "One is in words, one is --brief.", "Give one of them.")
    if file is not None:
        return _decoded(_bytes_of(file), "standard input" if file == "-" else f"'{file}'")
    text = " ".join(words)
    if not text.strip():
        raise BriefError(
            "There is no brief.",
            "Nothing was said of what is to be built.",
            'Say it: orchestrator run "A pomodoro timer with statistics", or read it with --brief FILE.',
        )
    if len(words) == 1 and _is_file(text):
        raise BriefError(
            f"'{text}' is a file, not a brief.", "Words are taken as they are.", f"Read it with --brief {text}."
        )
    return typed(text, "brief")


def typed(text: str, what: str) -> str:
    """What was typed, whole: in a C locale Python keeps the bytes it cannot read as lone surrogates.

    Raises `BriefError` where those bytes are not UTF-8.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        raise BriefError(
            f"The {what} is not UTF-8 text.",
            "The terminal sent bytes that cannot be read, or its locale is another one.",
            "Set LANG to a UTF-8 locale such as C.UTF-8, or read the brief from a file with --brief.",
        ) from None


def _is_file(text: str) -> bool:
    try:
        return len(text) < 1024 and Path(text).is_file()
    except (OSError, ValueError):
        return False


def _bytes_of(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read(_READ)
    path = Path(file)
    try:
        if path.is_dir():
            raise BriefError(
                f"The brief '{file}' is a directory.", "One text is read.", "Name a file in it, such as brief.md."
            )
        with path.open("rb") as stream:
            return stream.read(_READ)
    except FileNotFoundError:
        raise BriefError(f"The brief '{file}' is not there.", do="Check the path.") from None
    except (OSError, ValueError) as error:
        why = f"{getattr(error, 'strerror', None) or error}."
        raise BriefError(f"The brief '{file}' cannot be read.", why, "Check the path and its rights.") from None


def _decoded(content: bytes, source: str) -> str:
    if b"\x00" in content:
        raise BriefError(f"The brief {source} is binary.", "It holds NUL bytes.", "Give a text file, in UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BriefError(
            f"The brief {source} is not UTF-8 text.",
            f"Byte {error.start} (0x{content[error.start]:02x}) cannot be read.",
            "Save it as UTF-8.",
        ) from None


def read_budget(text: str | None) -> int | None:
    """Nano-dollars for an amount such as `2`, `0.50` or `$2`. Raises `ConfigError`."""
    from orchestrator_v2.core.usage import NANO

    if text is None:
        return None
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise ConfigError(f"The budget '{text}' is no amount.", "It is in US dollars.", "Write it as 2 or 0.50.")
    if not 0 <= amount <= _LARGEST_BUDGET:
        raise ConfigError(
            f"The budget '{text}' is not possible.", "It is a run's ceiling in US dollars.", "Use 0 to 1000000."
        )
    if 0 < amount < _SMALLEST_BUDGET:
        raise ConfigError(f"The budget '{text}' pays for nothing.", do=f"Use 0, or ${_SMALLEST_BUDGET} and more.")
    return int(amount * NANO)


def read_parallelism(number: int | None) -> int:
    """Tasks at once, 0 for the settings' number. Raises `ConfigError`."""
    if number is not None and not 1 <= number <= 256:
        raise ConfigError(f"The parallelism {number} is not possible.", do="Use 1 to 256.")
    return number or 0


def read_replacements(pairs: Sequence[str]) -> dict[str, bytes]:
    """Contents by project path, from `PATH=FILE` words. Raises `InputError`."""
    found: dict[str, bytes] = {}
    for pair in pairs:
        path, equals, file = pair.partition("=")
        if not (path and equals and file):
            raise InputError(
                f"'{pair}' does not say which file takes whose place.",
                "--with takes PATH=FILE: a path in the project, and a file here.",
                "Write it as --with docs/architecture.md=./mine.md.",
            )
        if path in found:
            raise InputError(f"'{path}' is replaced twice.", do="Give one --with for each path.")
        found[path] = _replacement(path, file)
    return found


def _replacement(path: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        why = f"{getattr(error, 'strerror', None) or error}."
        raise InputError(f"'{file}', which is to replace '{path}', cannot be read.", why, "Check the path.") from None
