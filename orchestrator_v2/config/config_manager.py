"""Reads, changes and saves a project's configuration file; comments, order and rights stay as they are.

What the file may say is `schema.py` and `project_checks.py`; how its text is changed is `edited_text.py`.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from orchestrator_v2.config.agent_names import role_of
from orchestrator_v2.config.choosing import as_words
from orchestrator_v2.config.edited_text import EditedText
from orchestrator_v2.config.loader import inspect_settings
from orchestrator_v2.config.problems import Problem, as_error
from orchestrator_v2.config.project_config import ProjectConfig
from orchestrator_v2.config.project_file import (
    FOLDER,
    NAMES,
    UnreadableError,
    find_folder,
    read_bytes,
    shown_path,
)
from orchestrator_v2.core.errors import ConfigError, UnknownNameError

T = TypeVar("T")

_NEW_FILE = 0o644
_ASSIGNMENTS = "agent_assignments"


class ConfigManager:
    """One file: `path`, else the one that is found from `cwd` upwards, else a new one in `cwd`. Not for two threads."""

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        home: Path | None = None,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._cwd, self._home = cwd or Path.cwd(), home or Path.home()
        self.path = self._cwd / path if path is not None else self._found()
        self._read: bytes | None = None
        self._text: EditedText | None = None

    def load(self) -> ConfigManager:
        """Reads the file anew, and forgets what was set; one that is not there is empty. Raises `ConfigError`."""
        self._read_anew()
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """What stands at a dotted key such as `agent_assignments.qa.model` (an alias does as well), or `default`."""
        value: Any = self._loaded.data
        for part in self._parts(key):
            if isinstance(value, str) and part in {"provider", "model"}:
                value = as_words(value)
            if isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            elif isinstance(value, dict) and part in value:
                value = value[part]
            else:
                return default
        return value

    def set(self, key: str, value: Any) -> None:
        """Puts a value (text, number, list, table) at a dotted key; None takes the key out. Nothing is written yet.

        Raises `ConfigError` where there is a value, and no table, above the key.
        """
        parts = self._parts(key)
        for end in range(1, len(parts)):
            above = self.get(".".join(parts[:end]))
            if isinstance(above, str) and parts[end] in {"provider", "model"} and "/" in above:
                # `provider/model` is short for the two words.
                self._loaded.put(parts[:end], as_words(above))
        self._loaded.put(parts, value)

    def validate(self) -> list[Problem]:
        """Everything that is wrong with what would be saved, each with file, line and key; also keys that are not set.

        Empty where nothing is wrong.
        """
        loaded, _ = inspect_settings(
            {}, self._environ, self._cwd, self._home, project_path=self.path, project_content=self._loaded.content()
        )
        return ProjectConfig(loaded).problems()

    def save(self) -> None:
        """Writes the file, whole or not at all. Raises `ConfigError`, and then nothing is written: where something is
        wrong with it, or where the file was changed since it was read."""
        wrong = [problem for problem in self.validate() if not problem.key_only]
        if wrong:
            raise as_error(wrong)
        content = self._loaded.content()
        # Through a link, the file behind it is changed.
        file = Path(os.path.realpath(self.path))
        file.parent.mkdir(parents=True, exist_ok=True)
        with _alone(file.parent):
            if self._on_disk() != self._read:
                raise ConfigError(
                    f"{self._shown} is not saved.",
                    "Reason: it was changed by somebody else since it was read.",
                    "Load it again, then set and save what you wanted.",
                )
            self._replace(file, content)
        self._read = content

    @property
    def _loaded(self) -> EditedText:
        return self._read_anew() if self._text is None else self._text

    def _read_anew(self) -> EditedText:
        content = self._on_disk()
        text = self._readable(lambda: EditedText(self.path, content or b""))
        self._read, self._text = content, text
        return text

    @property
    def _shown(self) -> str:
        return shown_path(self.path, self._cwd)

    def _found(self) -> Path:
        folder = find_folder(self._cwd, self._home)
        names = [] if folder is None else [folder / FOLDER / name for name in NAMES]
        return next((path for path in names if path.exists()), (folder or self._cwd) / FOLDER / NAMES[0])

    def _parts(self, key: str) -> list[str]:
        """The words of a dotted key, an agent's alias as the file has it."""
        parts = key.split(".")
        if len(parts) > 1 and parts[0] == _ASSIGNMENTS:
            try:
                role = role_of(parts[1])
            except UnknownNameError:
                return parts
            written = self._loaded.data.get(_ASSIGNMENTS)
            names = written if isinstance(written, dict) else {}
            parts[1] = next((name for name in names if _is_of(name, role)), parts[1])
        return parts

    def _on_disk(self) -> bytes | None:
        if not self.path.exists():
            return None
        return self._readable(lambda: read_bytes(self.path))

    def _readable(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except UnreadableError as error:
            problem = Problem(self._shown, error.line, "", "The configuration cannot be used.", error.reason)
            raise problem.error() from None

    def _replace(self, file: Path, content: bytes) -> None:
        """Another reader sees the old file or the new one; after this returns a power cut changes nothing."""
        mode = file.stat().st_mode & 0o7777 if file.exists() else _NEW_FILE
        draft = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
        try:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                os.fchmod(stream.fileno(), mode)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(file)
        except OSError as error:
            raise ConfigError(
                f"{self._shown} is not saved.", f"Reason: {error.strerror}.", "Make it writable."
            ) from error
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(file.parent)


def _is_of(name: str, role: str) -> bool:
    try:
        return role_of(name) == role
    except UnknownNameError:
        return False


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else who saves through this class does so in that folder meanwhile."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
