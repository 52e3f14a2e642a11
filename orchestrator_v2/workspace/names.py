"""The law for file names that a model, a template or a user may give a project's files.

What is written under such a name, and how, is `files.py`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import NoReturn

from orchestrator_v2.core.errors import UnsafePathError

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 1024
MAX_DEPTH = 16

_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "123456789¹²³"]
)
_REFUSED = frozenset({".git", ".env", "sitecustomize.py", "usercustomize.py"})
# Cc control, Cf format (bidi marks, zero width, BOM), Cs surrogates, Co private use, Cn unassigned, Zl and Zp lines.
_BAD_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Zero-width joiners stand inside ordinary words of Indic scripts and inside emoji, and change no direction.
_JOINERS = frozenset("\u200c\u200d")


def _refuse(name: str, why: str) -> NoReturn:
    shown = ascii(name[:120])
    raise UnsafePathError(
        f"The file name {shown} is refused.", why, "Use a plain relative path such as 'src/app/main.py'."
    )


def _name_fault(part: str) -> str:
    """Why one component is refused; empty when it is fine."""
    # HFS+ ignores the joiners, so '.gi\u200dt' would be '.git' there.
    folded = "".join(c for c in unicodedata.normalize("NFKC", part).casefold() if c not in _JOINERS)
    faults = (
        (part in {"", ".", ".."}, "It has an empty, '.' or '..' component."),
        (len(part.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES, "A component is longer than 255 bytes."),
        (part[-1:] in {".", " "} or part[:1] == " ", "A component begins with a space, or ends with a dot or space."),
        (folded.split(".")[0].rstrip() in _DEVICES, "It names a device on some systems."),
        (
            folded in _REFUSED or folded.startswith("git~") or folded.endswith(".pth"),
            "It changes how git or Python work.",
        ),
        (folded.strip(". ") == "", "A component has no visible character."),
    )
    return next((why for wrong, why in faults if wrong), "")


def _path_fault(name: str, path: str) -> str:
    faults = (
        (not path, "It is empty."),
        (path.startswith("/") or path.startswith("~"), "It is absolute."),
        ("\\" in path or ":" in path, "It has a backslash or a colon (a drive or a stream on some systems)."),
        (
            any(unicodedata.category(c) in _BAD_CATEGORIES and c not in _JOINERS for c in name),
            "It has a control, direction or unassigned character.",
        ),
        (len(path.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES, "It is longer than 1,024 bytes."),
        (path.count("/") >= MAX_DEPTH, "It is deeper than 16 levels."),
    )
    return next((why for wrong, why in faults if wrong), "")


def safe_path(name: str) -> str:
    """`name` in NFC, if it is a relative path that stays below its root on every common system.

    Raises `UnsafePathError` for anything else.
    """
    path = unicodedata.normalize("NFC", name)
    why = _path_fault(name, path)
    if why:
        _refuse(name, why)
    for part in path.split("/"):
        why = _name_fault(part)
        if why:
            _refuse(name, why)
    return path


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def check_collisions(paths: Iterable[str]) -> None:
    """Raises `UnsafePathError` when two paths are one file, or one is both file and directory, on some system."""
    files: dict[str, str] = {}
    for path in paths:
        other = files.setdefault(_folded(path), path)
        if other != path:
            _refuse(path, f"It is the same file as {other!a} where case does not count.")
    directories: dict[str, str] = {}
    for folded, path in files.items():
        parts, spelled = folded.split("/"), path.split("/")
        for depth in range(1, len(parts)):
            parent, here = "/".join(parts[:depth]), "/".join(spelled[:depth])
            if parent in files:
                _refuse(path, f"Its directory {here!a} is also a file.")
            if directories.setdefault(parent, here) != here:
                _refuse(path, f"Its directory is spelled in two ways: {here!a}, {directories[parent]!a}.")
