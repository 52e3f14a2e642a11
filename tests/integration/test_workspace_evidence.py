"""Receipts over real runs of generated tests, and the ways in which a project may pretend that its tests passed."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path

import pytest

from orchestrator_v2.core.errors import SandboxUnavailableError, UnsafePathError, WorkflowError
from orchestrator_v2.core.records import Receipt, content_hash, tree_hash
from orchestrator_v2.engine.ports import Evidence
from orchestrator_v2.workspace.evidence import CHECKS, MeasuredEvidence, feedback
from orchestrator_v2.workspace.isolation import find_bwrap
from orchestrator_v2.workspace.sandbox import Sandbox

needs_bwrap = pytest.mark.skipif(find_bwrap() is None, reason="bubblewrap is not installed")
SOURCE = {
    "src/app/__init__.py": b"",
    "src/app/core.py": b"def add(a, b):\n    return a + b\n",
    "pyproject.toml": b"[project]\nname = 'app'\nversion = '1'\n",
    "docs/requirements.md": b"## R1: Adds\n\n- AC1.1: two numbers\n",
}
TESTS = {
    "tests/test_core.py": (
        b"import pytest\nfrom app.core import add\n\n\n@pytest.mark.parametrize('n', [1, 2])\ndef test_ac1_1(n):\n"
        b"    assert add(n, n) == 2 * n\n\n\nclass TestMore:\n    def test_zero(self):\n        assert add(0, 0) == 0\n"
    )
}
FAILING = {
    "tests/test_core.py": TESTS["tests/test_core.py"]
    + b"\n\ndef test_wrong():\n    print('SEEN')\n    assert add(1, 1) == 3\n"
}


def run_tests(
    tests: dict[str, bytes], *, real: bool = True, timeout: float = 20.0, source: dict[str, bytes] = SOURCE
) -> Receipt:
    evidence: Evidence = MeasuredEvidence(Sandbox(), test_timeout=timeout)
    return asyncio.run(evidence.measure(["tests"], tests, real=real, context=source))[0]


@needs_bwrap
def test_passing_tests_make_a_full_receipt() -> None:
    """Counts, exit code, command, isolation, duration and the hash of all that was measured are there."""
    receipt = run_tests(TESTS)
    assert receipt.passed, receipt
    assert receipt.detail == "3 of 3 tests passed"
    assert (receipt.tests_collected, receipt.tests_passed, receipt.tests_failed, receipt.tests_skipped) == (3, 3, 0, 0)
    assert receipt.exit_code == 0 and receipt.command[:3] == ("python", "-m", "pytest")
    assert receipt.isolation.startswith("bubblewrap") and receipt.duration > 0
    assert receipt.tree == tree_hash([(path, content_hash(content)) for path, content in {**SOURCE, **TESTS}.items()])


@needs_bwrap
def test_a_passing_receipt_says_the_same_each_time() -> None:
    """But for the duration two runs agree in every byte, and no place or time of the machine is in them."""
    one, two = run_tests(TESTS), run_tests(TESTS)
    assert one.passed and one.output == "" == two.output
    assert {**_fields(one), "duration": 0} == {**_fields(two), "duration": 0}
    assert not re.search(r"\d\.\d+s|/tmp|/root|/home", f"{one.detail} {one.command}")


def _fields(receipt: Receipt) -> dict[str, object]:
    return {name: getattr(receipt, name) for name in receipt.__struct_fields__}


@needs_bwrap
def test_failing_tests_come_back_with_what_the_developer_needs() -> None:
    """One failure among passes fails the check; the feedback shows the assertion and stays small."""
    receipt = run_tests(FAILING)
    assert not receipt.passed
    assert (receipt.exit_code, receipt.tests_collected, receipt.tests_failed) == (1, 4, 1)
    text = feedback([receipt])
    assert "test_wrong" in text and "assert 2 == 3" in text and "SEEN" in text
    assert len(text.encode()) <= 8192


SWALLOW = (
    b"def pytest_collection_modifyitems(items):\n"
    b"    items[:] = [i for i in items if 'control' in i.name or i.name == 'test_zero']\n"
)
ALL_PASS = (
    b"import pytest\n\n\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item, call):\n"
    b"    report = (yield).get_result()\n    report.outcome = 'passed'\n    vars(report).pop('wasxfail', None)\n"
)
FORGE = (
    b"import os\nopen('.orchestrator-report.xml', 'w').write(\"<testsuites><testsuite>\" + ''.join("
    b"f\"<testcase name='{n}'/>\" for n in ('test_ac1_1[1]', 'test_ac1_1[2]', 'test_zero', 'test_wrong'))"
    b' + "</testsuite></testsuites>")\nos._exit(0)\n'
)
LINK = b"import os\nos.symlink('/etc/hostname', '.orchestrator-report.xml')\nos._exit(0)\n"
ENTITIES = (
    b"import os\nopen('.orchestrator-report.xml', 'w').write("
    b"\"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>\")\nos._exit(0)\n"
)
CONFIG = b"[tool.pytest.ini_options]\npython_functions = 'nothing_*'\n"
CHEATS = {
    "exits with 0 before pytest ends": ({"tests/conftest.py": b"import os\nos._exit(0)\n"}, "left no report"),
    "forges a report": ({"tests/conftest.py": FORGE}, "tampered with"),
    "plants a link as report": ({"tests/conftest.py": LINK}, "left no report"),
    "plants entities in the report": ({"tests/conftest.py": ENTITIES}, "not believed"),
    "drops tests from the collection": ({"tests/conftest.py": SWALLOW}, "3 tests stand in the files, 1 were run"),
    "turns failures into passes": ({"tests/conftest.py": ALL_PASS}, "tampered with"),
    "a conftest at the root that drops tests": ({"conftest.py": SWALLOW}, "were run"),
    "a configuration that finds nothing": ({"pyproject.toml": CONFIG}, "exit code 5|were run"),
    "a configuration that leaves files out": (
        {"pyproject.toml": b"[tool.pytest.ini_options]\naddopts = '--ignore=tests/test_core.py'\n"},
        "tests failed",
    ),
}


@needs_bwrap
@pytest.mark.parametrize("name", CHEATS)
def test_a_project_cannot_pretend_that_its_tests_passed(name: str) -> None:
    """Each way of hiding a failing test is caught, and never becomes a pass."""
    files, said = CHEATS[name]
    receipt = run_tests({**FAILING, **files})
    assert not receipt.passed
    assert re.search(said, receipt.detail), receipt.detail


@needs_bwrap
@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ({}, "no test file"),
        ({"tests/test_a.py": b"x = 1\n"}, "No test was collected"),
        (
            {"tests/test_a.py": b"import pytest\n\n\n@pytest.mark.skip\ndef test_a():\n    assert 0\n"},
            "Every test was skipped",
        ),
        ({"tests/test_a.py": b"def test_a(:\n"}, "exit code 2"),
        ({"tests/test_a.py": b"import gone\n\n\ndef test_a():\n    assert 1\n"}, "exit code 2"),
        ({"tests/test_a.py": b"def test_a():\n    assert 1\n\n\ndef test_a():\n    assert 0\n"}, "exit code 1"),
        (
            {"tests/test_a.py": b"import time\n\n\ndef test_a():\n    time.sleep(60)\n"},
            "did not end within 1.5 seconds",
        ),
    ],
)
def test_tests_that_prove_nothing_do_not_pass(tests: dict[str, bytes], said: str) -> None:
    """No file, no test, only skips, a fault in collection, no end: each is a failure that says so."""
    receipt = run_tests(tests, timeout=1.5)
    assert not receipt.passed and said in receipt.detail, receipt


@needs_bwrap
def test_ordinary_projects_are_not_suspected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixture called test_client, unittest classes, packages, subdirectories, a maze left behind: all pass."""
    tests = {
        "tests/__init__.py": b"",
        "tests/conftest.py": b"import pytest\n\n\n@pytest.fixture\ndef test_client():\n    return 1\n",
        "tests/unit/__init__.py": b"",
        "tests/unit/test_a.py": (
            b"import unittest\nimport pytest\n\n\n@pytest.fixture\ndef test_data():\n    return 2\n\n\n"
            b"def test_both(test_client, test_data):\n    assert test_client + test_data == 3\n\n\n"
            b"class Case(unittest.TestCase):\n    def test_in_case(self):\n        self.assertTrue(True)\n\n\n"
            b"class Helper:\n    def test_not_collected(self):\n        return 1\n"
        ),
        "tests/test_cli.py": (
            b"import os, subprocess, sys\n\n\ndef test_cli(tmp_path):\n"
            b"    run = subprocess.run([sys.executable, '-c', 'import app.core'], cwd=tmp_path)\n"
            b"    assert run.returncode == 0\n\n\n"
            b"def test_maze():\n    for _ in range(1200):\n        os.mkdir('d')\n        os.chdir('d')\n"
            b"    os.chdir('/project')\n"
        ),
    }
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # /tmp itself is also in other tests' hands
    receipt = run_tests(tests)
    assert receipt.passed, (receipt.detail, receipt.output)
    assert receipt.tests_collected == 4
    assert not list(tmp_path.iterdir()), "the throw-away tree is gone"


def test_without_a_sandbox_real_work_is_blocked_and_simulated_work_says_how_it_ran() -> None:
    """Real mode fails closed; the package's own templates run as a limited process, and the receipt tells."""
    evidence = MeasuredEvidence(Sandbox(bwrap="/bin/false"))
    with pytest.raises(SandboxUnavailableError):
        asyncio.run(evidence.measure(["tests"], TESTS, real=True, context=SOURCE))
    receipt = asyncio.run(evidence.measure(["tests"], TESTS, real=False, context=SOURCE))[0]
    assert receipt.passed, (receipt.detail, receipt.output)
    assert receipt.isolation.startswith("process")


def test_every_check_is_measured_in_the_order_asked() -> None:
    """Text checks need no sandbox, and each receipt names its check, its tree and what it found."""
    evidence = MeasuredEvidence(Sandbox(bwrap="/bin/false"))
    names = [name for name in CHECKS if name != "tests"][::-1]
    receipts = asyncio.run(evidence.measure(names, SOURCE, real=True, context=TESTS))
    assert [receipt.check for receipt in receipts] == names
    assert {receipt.check for receipt in receipts if not receipt.passed} == {"diagram"}
    assert all(receipt.tree == tree_hash([(p, content_hash(c)) for p, c in SOURCE.items()]) for receipt in receipts)
    assert feedback(receipts).startswith("Check 'diagram' failed.\nThere is no Mermaid diagram")


def test_an_unknown_check_names_the_valid_ones() -> None:
    """A workflow with a check that does not exist is told which ones do, before anything is measured."""
    with pytest.raises(WorkflowError) as caught:
        asyncio.run(MeasuredEvidence(Sandbox()).measure(["not-empty", "vibes"], {}, real=False, context={}))
    assert "'vibes'" in caught.value.what and all(name in caught.value.why for name in CHECKS)


def test_an_unsafe_name_is_refused_before_anything_runs() -> None:
    """A file name that leaves the tree never reaches the disk."""
    with pytest.raises(UnsafePathError):
        run_tests({**TESTS, "../test_x.py": b"x"}, real=False)


def test_feedback_is_bounded_and_empty_when_all_passed() -> None:
    """Many failures with much output in any script share 8 KiB; passes say nothing."""
    assert feedback([Receipt("parses", True)]) == ""
    many = [Receipt(f"c{n}", False, "日本" * 3000, output="é" * 9000) for n in range(7)]
    text = feedback([*many, Receipt("parses", True, "fine")])
    assert len(text.encode()) <= 8192
    assert all(f"Check 'c{n}' failed." in text for n in range(7)) and "parses" not in text
    one = feedback([Receipt("tests", False, "1 tests failed.", output="x" * 9000 + "THE END")])
    assert one.endswith("THE END") and len(one) > 4000
