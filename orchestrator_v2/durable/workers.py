"""A worker's name, and whether the worker of that name is gone: so that a killed process's runs are free at once.

Claims and leases themselves are the journal's. A worker on another machine is never called gone here; its lease
runs out.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# A process that was killed and that nobody has reaped yet is still listed, in one of these states.
_DEAD = frozenset("ZXx")


def _started(pid: int) -> str:
    """When a living process was started, in the kernel's ticks; empty for one that is dead, reaped or not."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if facts[0] in _DEAD else facts[19]


def _machine() -> str:
    boot = _BOOT_ID.read_text("utf-8").strip() if _BOOT_ID.exists() else ""
    return f"{socket.gethostname()}/{boot}"


def worker_name() -> str:
    """This process: machine, boot, process id and start time; no two processes share one."""
    pid = os.getpid()
    return f"{_machine()}/{pid}/{_started(pid)}"


def is_gone(name: str) -> bool:
    """Whether the worker of that name ran on this machine and does not any more."""
    machine, _, rest = name.rpartition("/")[0].rpartition("/")
    pid, started = rest, name.rpartition("/")[2]
    if machine != _machine() or not pid.isdigit() or not started:
        return False
    return _started(int(pid)) != started
