"""Safe ASCII names: packages, classes, fields and short names, whatever the script they come from.

The words for people are kept beside them, as they were written.
"""

from __future__ import annotations

import builtins
import hashlib
import keyword
import re
import sys
import unicodedata
from functools import cache

from orchestrator_v2.agents.simulated.clean import loud
from orchestrator_v2.agents.simulated.reading import vocabulary

_CLASS = re.compile(r"[A-Z][A-Za-z0-9]{0,39}")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
_TAKEN = (
    {word.lower() for word in keyword.kwlist}
    | set(keyword.softkwlist)
    | {name.lower() for name in dir(builtins)}
    | set(sys.stdlib_module_names)
    | _DEVICES
    | {
        "test",
        "tests",
        "src",
        "docs",
        "pytest",
        "conftest",
        "samples",
        "setup",
        "hypothesis",
        "build",
        "dist",
        "distutils",
        "imp",
    }
)
_MODEL_NAMES = {
    "Record",
    "Store",
    "ClassVar",
    "Decimal",
    "App",
    "None",
    "True",
    "False",
    "R",
    "Any",
    "Path",
    "Day",
    "Summary",
    "Line",
    "Place",
    "Unit",
    "Heading",
    "Error",
}


@cache
def _letters() -> dict[int, str]:
    return {ord(letter): latin for letter, latin in vocabulary().letters.items()}


def ascii_words(text: str) -> list[str]:
    """The text's words in lower-case ASCII letters and digits; scripts without a table give none."""
    lowered = unicodedata.normalize("NFC", loud(text)).lower().translate(_letters())
    plain = unicodedata.normalize("NFKD", lowered)
    kept = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return re.findall(r"[a-z0-9]+", kept.replace("'", "").encode("ascii", "replace").decode())


def digest(text: str) -> str:
    """Eight hexadecimal digits that stand for the text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


def package(title: str) -> str:
    """A package name that shadows nothing: `pomodoro_timer`, or `project_<hash>` where no letter is left."""
    words = ascii_words(title)
    letters = sum(len(word) for word in words)
    foreign = sum(sign.isalpha() for sign in title)
    if not words or letters * 2 < foreign:
        return f"project_{digest(title)}"
    name = _joined(words, 40)
    name = f"app_{name}" if name[0].isdigit() else name
    return f"{name}_app" if name in _TAKEN else name


def slug(text: str, *, separator: str = "-", length: int = 40, fallback: str = "feature") -> str:
    """A short name for a command line or a file."""
    words = ascii_words(text)
    return _joined(words, length, separator) if words else f"{fallback}{separator}{digest(text)}"


def identifier(text: str, fallback: str = "field") -> str:
    """A Python name for a field or a variable."""
    name = slug(text, separator="_", fallback=fallback)
    name = f"{fallback}_{name}" if name[0].isdigit() else name
    return f"{name}_" if keyword.iskeyword(name) or keyword.issoftkeyword(name) else name


def class_name(text: str) -> str:
    """A Python class name that does not clash with those of the templates."""
    words = identifier(text, "item").split("_")
    name = text if _CLASS.fullmatch(text) else "".join(part.capitalize() for part in words)
    taken = name in _MODEL_NAMES or name in dir(builtins) or keyword.iskeyword(name)
    return f"{name}Entry" if taken else name


def _joined(words: list[str], length: int, separator: str = "_") -> str:
    name = words[0][:length]
    for word in words[1:]:
        if len(name) + len(separator) + len(word) > length:
            break
        name += separator + word
    return name
