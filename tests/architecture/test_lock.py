"""The lock is of today's `pyproject.toml`, and holds names, versions and hashes only."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
faults = runpy.run_path(str(ROOT / "scripts" / "check_lock.py"))["faults"]
PYPROJECT = (ROOT / "pyproject.toml").read_text()
LOCK = (ROOT / "requirements.lock").read_text()


def test_the_lock_is_up_to_date_and_names_no_address() -> None:
    """A checkout can be installed as it is, from whichever index the machine is set up for."""
    assert faults(PYPROJECT, LOCK) == []


@pytest.mark.parametrize(
    ("pyproject", "lock"),
    [
        (PYPROJECT.replace('"msgspec>=0.20"', '"msgspec>=0.21"'), LOCK),
        (PYPROJECT.replace('"ruff>=0.14"', '"ruff>=0.14", "black"'), LOCK),
        (PYPROJECT, LOCK + "--index-url https://example.org/simple\n"),
        (PYPROJECT, LOCK + "--find-links /opt/wheels\n"),
        (PYPROJECT, LOCK + "msgspec\n"),
        (PYPROJECT, LOCK + "msgspec @ https://example.org/msgspec.whl\n"),
        (PYPROJECT, ""),
    ],
)
def test_a_lock_that_does_not_fit_is_refused(pyproject: str, lock: str) -> None:
    """A dependency changed without `make lock`, an address or an unpinned name turns the check red."""
    assert faults(pyproject, lock)


def test_other_edits_of_pyproject_leave_the_lock_valid() -> None:
    """A changed description or tool setting does not ask for a new lock."""
    assert faults(PYPROJECT.replace("line-length = 120", "line-length = 100"), LOCK) == []


@pytest.mark.parametrize("name", ["requirements.lock", "benchmarks/requirements.lock"])
def test_every_pin_has_a_hash(name: str) -> None:
    """No package can be swapped for another file of the same version."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 20
    assert "://" not in "".join(lines)
    pins = [number for number, line in enumerate(lines) if "==" in line.split(";")[0]]
    assert all(lines[number + 1].startswith("    --hash=sha256:") for number in pins)
