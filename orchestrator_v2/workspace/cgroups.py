"""Control groups for one command: a ceiling on processes and memory that also binds uid 0.

Limits of single processes are set in `launch.py`. Where no group may be made, `make` brings back none.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

_ROOT = Path("/sys/fs/cgroup")
_PREFIX = "orchestrator-"
# By version of the interface: controller, its file, and which of our ceilings goes in.
_V1 = (("pids", "pids.max", "processes"), ("memory", "memory.limit_in_bytes", "memory"))
_V2 = (("", "pids.max", "processes"), ("", "memory.max", "memory"))


class Group(msgspec.Struct, frozen=True):
    """Directories of one group, one for each hierarchy that was writable."""

    paths: tuple[Path, ...] = ()

    @property
    def procs(self) -> list[str]:
        """What a process writes its id into to join."""
        return [str(path / "cgroup.procs") for path in self.paths]

    def members(self) -> list[int]:
        found: set[int] = set()
        for path in self.paths:
            with suppress(OSError):
                found.update(int(pid) for pid in (path / "cgroup.procs").read_text().split())
        return sorted(pid for pid in found if pid > 1)  # a foreign process shows as 0, which kill takes for our group

    def remove(self) -> None:
        """Directories of a group that still has a member stay; the kernel refuses to remove them."""
        for path in self.paths:
            with suppress(OSError):
                path.rmdir()


def _own(text: str) -> dict[str, str]:
    """This process's place in each hierarchy, by controller; the unified one has the empty name."""
    places: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, place = line.split(":", 2)
        for controller in controllers.split(","):
            places[controller] = place
    return places


def _sweep(base: Path) -> None:
    """Removes groups of processes that were killed before they could; one with members stays."""
    for left in base.glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX).split("-")[0]
        if not Path("/proc", owner).exists():
            with suppress(OSError):
                left.rmdir()


def _make(base: Path, name: str, ceilings: Mapping[str, int]) -> Path | None:
    """A group below `base` with these files written; None, and nothing left behind, where that may not be."""
    path = base / name
    _sweep(base)
    try:
        path.mkdir()
    except OSError:
        return None
    try:
        for file, value in ceilings.items():
            (path / file).write_text(str(value))
    except OSError:
        path.rmdir()
        return None
    if not os.access(path / "cgroup.procs", os.W_OK):
        path.rmdir()
        return None
    return path


def make(*, processes: int, memory: int) -> Group:
    """A new group with ceilings on the number of processes and on `memory` in bytes; empty where not permitted."""
    try:
        own = _own(Path("/proc/self/cgroup").read_text())
    except (OSError, ValueError):
        return Group()
    value = {"processes": processes, "memory": memory}
    name = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    if "pids" in own or "memory" in own:
        made = [
            _make(_ROOT / controller / own[controller].lstrip("/"), name, {file: value[ceiling]})
            for controller, file, ceiling in _V1
            if controller in own
        ]
    else:
        made = [_make(_ROOT / own.get("", "").lstrip("/"), name, {file: value[what] for _, file, what in _V2})]
    return Group(tuple(path for path in made if path))
