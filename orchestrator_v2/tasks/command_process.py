"""Runs one program, nobody's shell between: bounded in time and output, and its whole process group ended with it.

What is started is `command.py`, what the output means `command_answer.py`. There are no walls around the program: it is
one that the operator has installed; generated code is run by `workspace/sandbox.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from typing import Literal

import msgspec

from orchestrator_v2.core.errors import InputError, WorkspaceError

_PIECE = 1 << 16
# A pipe's whole content, and no more: a survivor that has left the group may go on writing.
_LAST_READS = 32

Ending = Literal["exit", "timeout", "output_too_large"]


class Ran(msgspec.Struct, frozen=True):
    """What a program did. `exit_code` is None when it was ended by us, negative when by a signal of somebody else."""

    ending: Ending
    exit_code: int | None
    stdout: bytes
    stderr: bytes


class Limits(msgspec.Struct, frozen=True):
    """Seconds and bytes; TERM is followed by KILL after `grace` seconds."""

    timeout: float
    stdout: int
    stderr: int
    grace: float


class _Pipe:
    """What is read from the program, up to `limit` bytes; then nothing more is read, and `over` is set."""

    def __init__(self, limit: int, over: asyncio.Event) -> None:
        self.content = bytearray()
        self.reader, self.writer = os.pipe()
        self._limit = limit
        self._over = over
        os.set_blocking(self.reader, False)

    def listen(self) -> None:
        os.close(self.writer)
        self.writer = -1
        asyncio.get_running_loop().add_reader(self.reader, self.take)

    def take(self) -> bool:
        """One read; False where there was nothing to read, or room for nothing more."""
        if len(self.content) > self._limit:
            return False
        try:
            piece = os.read(self.reader, _PIECE)
        except BlockingIOError:
            return False
        self.content += piece
        if not piece or len(self.content) > self._limit:
            asyncio.get_running_loop().remove_reader(self.reader)
        if len(self.content) > self._limit:
            self._over.set()
        return bool(piece)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.reader)
        for handle in (self.reader, self.writer):
            if handle >= 0:
                os.close(handle)


async def run_command(
    argv: Sequence[str], *, stdin: str, environ: Mapping[str, str], folder: str, limits: Limits
) -> Ran:
    """Runs `argv` with exactly `environ`, in `folder`. Cancelling ends the program before it returns.

    Raises `InputError` for what cannot be handed over, `WorkspaceError` where it cannot be started.
    """
    over = asyncio.Event()
    with ExitStack() as opened:
        out, err = _pipes(limits, over, opened)
        process = await _started(argv, stdin, environ, folder, (out.writer, err.writer))
        grace = limits.grace
        try:
            out.listen()
            err.listen()
            ending = await _ending(process, over, limits.timeout)
            grace = 0.0 if ending == "exit" else limits.grace
        finally:
            await _end(process, grace)
            _drain(out, err)
        # What was still in the pipes may have been too much.
        ending = "output_too_large" if over.is_set() else ending
        exit_code = process.returncode if ending == "exit" else None
        return Ran(ending, exit_code, bytes(out.content[: limits.stdout]), bytes(err.content[: limits.stderr]))


def _pipes(limits: Limits, over: asyncio.Event, opened: ExitStack) -> tuple[_Pipe, _Pipe]:
    try:
        out = opened.enter_context(closing(_Pipe(limits.stdout, over)))
        return out, opened.enter_context(closing(_Pipe(limits.stderr, over)))
    except OSError as error:
        raise WorkspaceError(
            "No program can be started now.", f"{error.strerror or error}.", "Run fewer tasks at once."
        ) from None


async def _started(
    argv: Sequence[str], stdin: str, environ: Mapping[str, str], folder: str, outputs: tuple[int, int]
) -> asyncio.subprocess.Process:
    try:
        # A file and not a pipe: a program that never reads its input cannot hold us up.
        with tempfile.TemporaryFile() as file:
            file.write(stdin.encode())
            file.seek(0)
            return await asyncio.create_subprocess_exec(
                *argv, stdin=file, stdout=outputs[0], stderr=outputs[1],
                env=dict(environ), cwd=folder, start_new_session=True,
            )  # fmt: skip
    except ValueError as error:  # NUL, or half a character
        raise InputError("The task cannot be handed to a program.", f"{error}.", "Take that out of it.") from None
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename or argv[0]}."
        raise WorkspaceError(f"The program '{argv[0]}' could not be started.", reason, "Check the command.") from None


async def _ending(process: asyncio.subprocess.Process, over: asyncio.Event, seconds: float) -> Ending:
    """What happens first: it ends, it prints too much, or its time is over."""
    ways = {asyncio.ensure_future(process.wait()): "exit", asyncio.ensure_future(over.wait()): "output_too_large"}
    try:
        done, _ = await asyncio.wait(ways, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in ways:
            each.cancel()
    if over.is_set():
        return "output_too_large"
    return "exit" if done else "timeout"


async def _end(process: asyncio.subprocess.Process, grace: float) -> None:
    """TERM for the group, KILL when `grace` is over, and the program reaped; also while this task is cancelled."""
    ending = asyncio.ensure_future(_terminate(process, grace))
    cancelled = False
    while not ending.done():
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            cancelled = True
    ending.result()
    if cancelled:
        raise asyncio.CancelledError


async def _terminate(process: asyncio.subprocess.Process, grace: float) -> None:
    if grace and process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        waiting = asyncio.ensure_future(process.wait())
        await asyncio.wait({waiting}, timeout=grace)
        waiting.cancel()
    # The program may be gone and a child of it not.
    _signal(process.pid, signal.SIGKILL)
    await process.wait()


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _drain(*pipes: _Pipe) -> None:
    """What is still in the pipes; by then everybody in the group is gone."""
    for pipe in pipes:
        for _ in range(_LAST_READS):
            if not pipe.take():
                break
