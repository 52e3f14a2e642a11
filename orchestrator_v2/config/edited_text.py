"""A configuration file's text with single values changed in it: YAML keeps its comments and order, JSON its order.

When it is written, and where to, is `config_manager.py`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator_v2.config.problems import dotted
from orchestrator_v2.config.project_file import UnreadableError, parse
from orchestrator_v2.core.errors import ConfigError


class EditedText:
    """Raises `UnreadableError` for what is no YAML or JSON with a table at its top."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        self._content = content
        # The same reader as everywhere, so that nobody edits what is not what runs would read.
        data = parse(path, path.name, content).data
        if not isinstance(data, dict):
            raise UnreadableError("There is no table of words at its top.", 1)
        self._is_json = path.suffix == ".json"
        self._tree: Any = data if self._is_json or not content.strip() else self._yaml_tree()
        self._changed = False

    @property
    def data(self) -> dict[str, Any]:
        """As a reader of the text would have it."""
        found: dict[str, Any] = parse(self._path, self._path.name, self.content()).data
        return found

    def put(self, key: Sequence[str], value: Any) -> None:
        """Raises `ConfigError` where something that is no table, or no list with that entry, stands above the key."""
        node, last = self._tree, key[-1]
        for end, part in enumerate(key[:-1], 1):
            if isinstance(node, list) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            elif isinstance(node, dict):
                if value is None and part not in node:
                    return
                if not isinstance(node.get(part), dict | list):
                    _refuse_over(node.get(part), key, end)
                    node[part] = {}
                node = node[part]
            else:
                raise _no_table(key, end)
        self._set(node, key, last, value)
        self._changed = True

    def _set(self, node: Any, key: Sequence[str], last: str, value: Any) -> None:
        if isinstance(node, list):
            if not last.isdigit() or int(last) >= len(node) + (value is not None):
                raise _no_table(key, len(key) - 1)
            if value is None:
                del node[int(last)]
            elif int(last) == len(node):
                node.append(self._written(value))
            else:
                node[int(last)] = self._written(value)
        elif value is None:
            node.pop(last, None)
        else:
            node[last] = self._written(value)

    def content(self) -> bytes:
        """The text as it would be saved; as it was read, where nothing was put."""
        if not self._changed:
            return self._content
        if self._is_json:
            return (json.dumps(self._tree, indent=2, ensure_ascii=False) + "\n").encode()
        out = io.StringIO()
        _round_trip().dump(self._tree, out)
        return out.getvalue().encode()

    def _yaml_tree(self) -> Any:
        from ruamel.yaml.error import YAMLError

        try:
            return _round_trip().load(self._content.decode("utf-8-sig"))
        except YAMLError:
            raise UnreadableError(
                "It can be read, but not edited here: it holds YAML that is not kept as it is."
            ) from None

    def _written(self, value: Any) -> Any:
        """`value` so that a reader of YAML 1.1, in which `no` is false, has the same text."""
        if self._is_json:
            return value
        if isinstance(value, dict):
            return {name: self._written(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._written(inner) for inner in value]
        if isinstance(value, str) and not _is_plain(value):
            from ruamel.yaml.scalarstring import DoubleQuotedScalarString

            return DoubleQuotedScalarString(value)
        return value


def _is_plain(text: str) -> bool:
    import yaml

    try:
        return bool(yaml.safe_load(text) == text) and text.isprintable()
    except yaml.YAMLError:
        return False


def _round_trip() -> Any:
    # Half of its time is its import, and only who edits needs it.
    from ruamel.yaml import YAML

    made = YAML()
    made.preserve_quotes = True
    made.width = 4096
    made.indent(mapping=2, sequence=4, offset=2)
    return made


def _refuse_over(value: object, key: Sequence[str], end: int) -> None:
    if value is not None:
        raise _no_table(key, end)


def _no_table(key: Sequence[str], end: int) -> ConfigError:
    return ConfigError(
        f"{dotted(key)} cannot be set.",
        f"Reason: {dotted(key[:end])} is no table that holds '{key[end] if end < len(key) else key[-1]}'.",
        f"Set {dotted(key[:end])} as a whole.",
    )
