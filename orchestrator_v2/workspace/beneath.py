"""Opening a path below a directory handle without ever following a link: `openat2`, or a walk where it is missing.

Whole trees are written and read in `files.py`.
"""

from __future__ import annotations

import ctypes
import errno
import os

from orchestrator_v2.core.errors import UnsafePathError

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPENAT2 = 437  # the same number on every Linux architecture
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_ESCAPES = frozenset({errno.ELOOP, errno.EXDEV})


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _openat2(root: int, path: str, flags: int, mode: int) -> int:
    how = _OpenHow(flags, mode, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
    libc = ctypes.CDLL(None, use_errno=True)
    handle: int = libc.syscall(
        ctypes.c_long(_OPENAT2),
        ctypes.c_int(root),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if handle < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return handle


def walk_beneath(root: int, path: str, flags: int, mode: int = 0o644) -> int:
    """The same by one `openat` a component, each with O_NOFOLLOW; raises `OSError`."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts or path.startswith("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    here = os.dup(root)
    try:
        for part in parts[:-1]:
            below = os.open(part, DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        return os.open(parts[-1] if parts else ".", flags | os.O_NOFOLLOW, mode, dir_fd=here)
    finally:
        os.close(here)


def open_beneath(root: int, path: str, flags: int, mode: int = 0o644) -> int:
    """A handle on `path` below the directory handle `root`; the caller closes it.

    Raises `UnsafePathError` when a link stands in the way or the path leaves `root`, else `OSError`.
    """
    try:
        try:
            return _openat2(root, path, flags, mode if flags & os.O_CREAT else 0)
        except OSError as error:
            # Kernels before 5.6 do not have the call, and some container filters refuse it.
            if error.errno not in {errno.ENOSYS, errno.EPERM, errno.EINVAL}:
                raise
            return walk_beneath(root, path, flags, mode)
    except OSError as error:
        if error.errno in _ESCAPES or (error.errno == errno.ENOTDIR and flags & os.O_DIRECTORY):
            raise UnsafePathError(
                f"'{path}' is not followed.", "A link or a file stands in its place.", "Remove it, then try again."
            ) from error
        raise
