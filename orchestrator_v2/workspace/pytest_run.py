"""The project's tests, really run, and whether what came back is believed.

The tests are foreign code in the process that reports on them, so the report is held against the source: each
test that can be seen there must be in it, and a control test of ours, which must fail, must have failed.
Where they run is `sandbox.py`; how the report is read is `junit.py`.
"""

from __future__ import annotations

import ast
import asyncio
import posixpath
import sys
import tempfile
from pathlib import Path

import msgspec

from orchestrator_v2.core.records import Receipt
from orchestrator_v2.workspace.files import read_file, remove_tree, write_tree
from orchestrator_v2.workspace.findings import Files, text_of
from orchestrator_v2.workspace.junit import MAX_REPORT, Case, parse_report
from orchestrator_v2.workspace.sandbox import ROOT, Ran, Sandbox

_REPORT = ".orchestrator-report.xml"
_OUTPUT = 6000
_ENVIRON = {
    "PYTHONPATH": f"{ROOT}/src",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "COLUMNS": "100",
}
_EXIT_WORDS = {2: "interrupted", 3: "pytest broke", 4: "pytest was called wrongly", 5: "no test was found"}


class _Counts(msgspec.Struct, frozen=True):
    collected: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def is_test_file(path: str) -> bool:
    name = posixpath.basename(path)
    return (name.startswith("test_") and name.endswith(".py")) or name.endswith("_test.py")


def visible_tests(files: Files) -> set[tuple[str, str]]:
    """(file, function) of every test that pytest must find by its own rules, read from the source."""
    found: set[tuple[str, str]] = set()
    for path, content in files.items():
        if not is_test_file(path):
            continue
        try:
            tree = ast.parse(text_of(content))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # the run itself fails on it
        found.update((path, name) for name in _test_names(tree.body))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and _is_test_class(node):
                found.update((path, name) for name in _test_names(node.body))
    return found


def _test_names(body: list[ast.stmt]) -> set[str]:
    functions = [node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {
        node.name
        for node in functions
        if node.name.startswith("test_") and not any("fixture" in ast.dump(d) for d in node.decorator_list)
    }


def _is_test_class(node: ast.ClassDef) -> bool:
    unittest = any("TestCase" in ast.dump(base) for base in node.bases)
    makes_itself = any(isinstance(item, ast.FunctionDef) and item.name == "__init__" for item in node.body)
    return unittest or (node.name.startswith("Test") and not makes_itself)


def _control(tree: str) -> tuple[str, bytes]:
    """Name and file of a test that must fail. Its name comes from the hash of the files, so they cannot hold it."""
    name = f"test_control_{tree[:16]}"
    source = (
        f"import pytest\n\n\n@pytest.mark.xfail(reason='{name}', strict=True)\n"
        f"def {name}():\n    raise AssertionError('{name}')\n"
    )
    return name, source.encode()


async def run_tests(files: Files, tree: str, *, sandbox: Sandbox, real: bool, timeout: float) -> Receipt:
    """Runs all tests of `files` (the whole tree, whose hash is `tree`) and says what they came to.

    Raises `SandboxUnavailableError` when `real` and there is no isolation, `UnsafePathError` for a file's name.
    """
    tests = sorted(path for path in files if is_test_file(path))
    if not tests:
        return Receipt("tests", False, "There is no test file (test_*.py).", tree=tree)
    control, source = _control(tree)
    folder = posixpath.commonpath([posixpath.dirname(path) for path in tests])
    command = (
        "-m", "pytest", "-q", "--no-header", "--tb=short", "-p", "no:cacheprovider",
        "-o", "addopts=", "-o", "junit_family=xunit2", "-o", "junit_logging=no",
        f"--junitxml={_REPORT}", folder or ".",
    )  # fmt: skip
    root = Path(tempfile.mkdtemp(prefix="orchestrator-tests-"))
    try:
        laid = {**files, posixpath.join(folder, f"{control}.py"): source}
        await asyncio.to_thread(write_tree, root, laid, durable=False)
        ran = await sandbox.run(
            (sys.executable, *command), root=root, timeout=timeout, require_isolation=real, environ=_ENVIRON
        )
        report = read_file(root, _REPORT, limit=MAX_REPORT)
    finally:
        await asyncio.shield(asyncio.to_thread(remove_tree, root))
    receipt = Receipt("tests", False, command=("python", *command), tree=tree)
    return _judged(receipt, ran, report, files, timeout)


def _judged(receipt: Receipt, ran: Ran, report: bytes | None, files: Files, timeout: float) -> Receipt:
    control = _control(receipt.tree)[0]
    cases, problems = _cases(report)
    own = [case for case in cases if case.name != control]
    counts = _count(own)
    problems = _run_faults(ran, timeout) + problems
    if not problems:
        problems = _case_faults(own, counts, files) + _control_faults([c for c in cases if c.name == control])
    passed = not problems
    detail = f"{counts.passed} of {counts.collected} tests passed" + (
        f", {counts.skipped} skipped" if counts.skipped else ""
    )
    return msgspec.structs.replace(
        receipt,
        passed=passed,
        detail=detail if passed else " ".join(problems),
        exit_code=ran.exit_code,
        tests_collected=counts.collected,
        tests_passed=counts.passed,
        tests_failed=counts.failed,
        tests_skipped=counts.skipped,
        duration=ran.duration,
        isolation=ran.isolation,
        output="" if passed else ran.output[-_OUTPUT:],
    )


def _cases(report: bytes | None) -> tuple[list[Case], list[str]]:
    if report is None:
        return [], ["The tests left no report: the process ended before pytest did."]
    try:
        return parse_report(report), []
    except ValueError as error:
        return [], [f"The report of the tests is not believed: {error}."]


def _count(cases: list[Case]) -> _Counts:
    outcomes = [case.outcome for case in cases]
    failed = outcomes.count("failure") + outcomes.count("error")
    return _Counts(len(cases), outcomes.count("passed"), failed, outcomes.count("skipped"))


def _run_faults(ran: Ran, timeout: float) -> list[str]:
    if ran.timed_out:
        return [f"The tests did not end within {timeout:g} seconds."]
    if ran.exit_code != 0:
        words = _EXIT_WORDS.get(ran.exit_code or 0, "tests failed" if ran.exit_code == 1 else "the process was ended")
        return [f"pytest ended with exit code {ran.exit_code} ({words})."]
    return []


def _case_faults(cases: list[Case], counts: _Counts, files: Files) -> list[str]:
    problems = []
    if not counts.collected:
        problems.append("No test was collected.")
    elif not counts.passed:
        problems.append("Every test was skipped.")
    if counts.failed:
        problems.append(f"{counts.failed} tests failed.")
    reported = {case.name.split("[", 1)[0] for case in cases}
    visible = visible_tests(files)
    missing = sorted(f"{path}::{name}" for path, name in visible if name not in reported)
    if missing or counts.collected < len(visible):
        shown = ", ".join(missing[:5]) or "some share a name"
        problems.append(f"{len(visible)} tests stand in the files, {counts.collected} were run; missing: {shown}.")
    return problems


def _control_faults(controls: list[Case]) -> list[str]:
    if len(controls) == 1 and controls[0].outcome == "skipped" and controls[0].kind == "pytest.xfail":
        return []
    return ["The results were tampered with: a control test that must fail is missing or was turned into a pass."]
