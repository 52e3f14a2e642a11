"""Finds a project's configuration and reads it as data with line numbers, from YAML or JSON.

Whether what it says fits is `schema.py` and `project_checks.py`; what it means for an agent is `project_config.py`.
"""

from __future__ import annotations

import copy
import json
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchestrator_v2.config.problems import Problem, dotted, what_failed

FOLDER = ".bmad"
NAMES = ("project-config.yaml", "project-config.yml", "project-config.json")
AGENTS, AGENT_FILE = "agents", "config.json"
# Where a project that brings its own templates has them, a folder for each agent.
TEMPLATES = "subagent_prompts"
LARGEST_FILE = 1 << 18
# A file that is read at each start; an alias in YAML may stand for any number of nodes.
_MOST_NODES, _DEEPEST = 5_000, 16

_QUOTED = re.compile("'.{4,}'", re.DOTALL)

Key = tuple[str | int, ...]


class Document(msgspec.Struct, frozen=True):
    """A file as data, with the line (1-based) of each key; `shown` is its path for people."""

    path: Path
    shown: str
    data: Any
    lines: Mapping[Key, int] = {}

    def line(self, key: Key) -> int:
        """The line of that key, or of the nearest one above it."""
        return next((self.lines[key[:end]] for end in range(len(key), 0, -1) if key[:end] in self.lines), 1)

    def problem(self, key: Key, reason: str, *, what: str = "", valid: tuple[str, ...] = ()) -> Problem:
        return Problem(self.shown, self.line(key), dotted(key), what or what_failed(key), reason, valid, at=key)

    def without(self, keys: Iterable[Key]) -> Document:
        """The document without what stands at those keys; of a list, all of it goes."""
        data = copy.deepcopy(self.data) if isinstance(self.data, dict) else {}
        gone: list[Key] = []
        for key in keys:
            end = next((place for place, part in enumerate(key) if isinstance(part, int)), len(key))
            gone.append(key[:end])
            node: Any = data
            for part in key[: end - 1]:
                node = node.get(part) if isinstance(node, dict) else None
            if not end:
                data = {}
            elif isinstance(node, dict):
                node.pop(key[end - 1], None)
        kept = {key: line for key, line in self.lines.items() if not any(key[: len(one)] == one for one in gone)}
        return Document(self.path, self.shown, data, kept)


class Project(msgspec.Struct, frozen=True):
    """What a project's folder says: its file (None: none), and its agents' own files by role.

    `dotenv` is the source that variables of the folder's `.env` are noted with.
    """

    folder: Path
    document: Document | None
    agents: Mapping[str, Document] = {}
    dotenv: str = ".env"

    def documents(self) -> Iterator[Document]:
        if self.document is not None:
            yield self.document
        yield from self.agents.values()


class UnreadableError(ValueError):
    """A file that is no data: `line` is 1-based, 0 where it is not known."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


def find_folder(cwd: Path, home: Path) -> Path | None:
    """The nearest folder with a configuration, from `cwd` up to the root of its git repository, or to `home`.

    Outside of both it is `cwd` alone, and a folder of another owner ends the search: what lies in a folder that many
    may write to speaks for nobody.
    """
    path = [cwd, *cwd.parents]
    end = next((place for place, folder in enumerate(path) if folder == home or (folder / ".git").exists()), 0)
    try:
        owner = cwd.stat().st_uid
        for folder in path[: end + 1]:
            if folder.stat().st_uid != owner:
                return None
            if _has_configuration(folder):
                return folder
    except OSError:
        return None
    return None


def _has_configuration(folder: Path) -> bool:
    return any(os.path.lexists(folder / FOLDER / name) for name in (*NAMES, AGENTS)) or bool(agent_files(folder))


def agent_files(folder: Path) -> list[Path]:
    """The agents' own files of a project: in its `.bmad/agents`, and beside its own templates."""
    places = (folder / FOLDER / AGENTS, folder / TEMPLATES)
    return [found for place in places for found in sorted(place.glob(f"*/{AGENT_FILE}"))]


def is_own(path: Path, folder: Path) -> bool:
    """Whether the file is that folder's, and no link to one elsewhere: a repository may bring such a link."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def folder_of(path: Path) -> Path:
    """The project that a configuration file belongs to."""
    return path.parent.parent if path.parent.name == FOLDER else path.parent


def shown_path(path: Path, cwd: Path) -> str:
    """Relative to `cwd` where it lies below it."""
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)


def read_bytes(path: Path) -> bytes:
    """Raises `UnreadableError`; a pipe or device in the file's place is not waited for."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UnreadableError("It is no regular file.")
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UnreadableError(f"It cannot be read: {error.strerror or error}.") from None
    if len(content) > LARGEST_FILE:
        raise UnreadableError(f"It is larger than {LARGEST_FILE:,} bytes.")
    return content


def parse(path: Path, shown: str, content: bytes) -> Document:
    """The document in `content`, JSON or YAML by the name of `path`; an empty one holds nothing.

    Raises `UnreadableError`, whose words never repeat what stands there: it may be a key.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"It is not UTF-8 text (byte {error.start}).") from None
    if path.suffix == ".json":
        data = _json(text)
        lines = _yaml(text.replace("\t", " "))[1] if text.strip() else {}
    else:
        data, lines = _yaml(text)
    return Document(path, shown, {} if data is None else data, lines)


def _json(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"This is no JSON: {error.msg} (column {error.colno}).", error.lineno) from None
    except (RecursionError, ValueError) as error:
        reason = error.reason if isinstance(error, UnreadableError) else "This is no JSON that can be read."
        raise UnreadableError(reason) from None


def _no_number(word: str) -> float:
    raise UnreadableError(f"{word} is no number.")


def _yaml(text: str) -> tuple[Any, dict[Key, int]]:
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        reading = _Reading(loader)
        return (None if root is None else reading.value(root, ())), reading.lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableError(_sentence(error.problem), mark.line + 1 if mark else 0) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = error.reason if isinstance(error, UnreadableError) else "This is no YAML that can be read."
        raise UnreadableError(reason, getattr(error, "line", 0)) from None
    finally:
        loader.dispose()


def _sentence(problem: str | None) -> str:
    """The parser's own words, without what they quote."""
    plain = _QUOTED.sub("'…'", problem or "the lines do not fit together")
    return f"This is no YAML: {plain}."


class _Reading:
    """Makes data of YAML's nodes and notes where each key stands."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._nodes = 0
        self.lines: dict[Key, int] = {}

    def value(self, node: Any, key: Key) -> Any:
        self._nodes += 1
        line = node.start_mark.line + 1
        self.lines.setdefault(key, line)
        if self._nodes > _MOST_NODES or len(key) > _DEEPEST:
            raise UnreadableError("It is too large, or nested too deep.", line)
        if node.id == "mapping":
            return self._mapping(node, key)
        if node.id == "sequence":
            return [self.value(item, (*key, number)) for number, item in enumerate(node.value)]
        found = self._loader.construct_object(node)
        if isinstance(found, float) and not math.isfinite(found):
            raise UnreadableError("This is no number.", line)
        return found

    def _mapping(self, node: Any, key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            if name_node.id != "scalar":
                raise UnreadableError("A key is a word.", line)
            name = str(name_node.value)
            if name in found:
                raise UnreadableError(f"The key {dotted((*key, name))} stands there twice.", line)
            self.lines[*key, name] = line
            found[name] = self.value(value_node, (*key, name))
        return found
