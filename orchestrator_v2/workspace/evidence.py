"""Receipts: what the engine measured itself, and the only thing that passes an evidence gate.

The checks are `text_checks.py`, `placeholders.py`, `links.py` and `pytest_run.py`; when they run is the engine's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from orchestrator_v2.core.clock import Clock, SystemClock
from orchestrator_v2.core.errors import WorkflowError
from orchestrator_v2.core.records import Receipt, content_hash, tree_hash
from orchestrator_v2.workspace.findings import Check, Files
from orchestrator_v2.workspace.links import links
from orchestrator_v2.workspace.placeholders import no_placeholders
from orchestrator_v2.workspace.pytest_run import run_tests
from orchestrator_v2.workspace.sandbox import Sandbox
from orchestrator_v2.workspace.text_checks import diagram, not_empty, parses, requirements, traced

_TESTS = "tests"
_TEXT_CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "not-empty": not_empty,
        "parses": parses,
        "no-placeholders": no_placeholders,
        "links": links,
        "requirements": requirements,
        "diagram": diagram,
        "traced": traced,
    }
)
CHECKS: tuple[str, ...] = (*_TEXT_CHECKS, _TESTS)
_MAX_PROBLEMS = 20
_MAX_DETAIL = 3000
_MAX_FEEDBACK = 8192


def _hash(files: Files) -> str:
    return tree_hash([(path, content_hash(content)) for path, content in files.items()])


class MeasuredEvidence:
    """The engine's `Evidence`. `test_timeout` is in seconds for one whole run of a project's tests."""

    def __init__(self, sandbox: Sandbox, *, clock: Clock | None = None, test_timeout: float = 120.0) -> None:
        self._sandbox = sandbox
        self._clock = clock or SystemClock()
        self._test_timeout = test_timeout

    async def measure(
        self, checks: Sequence[str], files: Mapping[str, bytes], *, real: bool, context: Mapping[str, bytes]
    ) -> list[Receipt]:
        """A receipt for each of `checks`, in order, over `files` within `context`.

        Raises `WorkflowError` for a check that is not in `CHECKS`, `SandboxUnavailableError` when `real` and
        generated code cannot be isolated.
        """
        for name in checks:
            if name not in CHECKS:
                raise WorkflowError(f"There is no check named '{name}'.", f"Valid: {', '.join(CHECKS)}.")
        return [await self._measure(name, files, real, context) for name in checks]

    async def _measure(self, name: str, files: Files, real: bool, context: Files) -> Receipt:
        if name == _TESTS:
            whole = {**context, **files}
            return await run_tests(whole, _hash(whole), sandbox=self._sandbox, real=real, timeout=self._test_timeout)
        started = self._clock.monotonic()
        finding = _TEXT_CHECKS[name](files, context)
        shown = "\n".join(finding.problems[:_MAX_PROBLEMS])[:_MAX_DETAIL]
        more = len(finding.problems) - _MAX_PROBLEMS
        return Receipt(
            name,
            not finding.problems,
            (shown + (f"\n… and {more} more" if more > 0 else "")) if finding.problems else finding.detail,
            duration=self._clock.monotonic() - started,
            tree=_hash(files),
        )


def feedback(receipts: Sequence[Receipt]) -> str:
    """What failed, for the agent that does the work again; at most 8 KiB, empty when nothing failed."""
    failed = [receipt for receipt in receipts if not receipt.passed]
    if not failed:
        return ""
    room = _MAX_FEEDBACK // len(failed) - 16
    return "\n\n".join(_report(receipt, room) for receipt in failed)


def _report(receipt: Receipt, room: int) -> str:
    """The check and its detail whole where they fit, then as much of the output's end as there is room for."""
    head = f"Check '{receipt.check}' failed.\n{receipt.detail}".encode()[:room].decode("utf-8", "ignore")
    left = room - len(head.encode()) - 40
    if not receipt.output or left <= 0:
        return head
    tail = receipt.output.encode("utf-8", "replace")[-left:].decode("utf-8", "ignore")
    return f"{head}\nThe end of the output:\n{tail}"
