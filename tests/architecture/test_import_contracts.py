"""The house of `.importlinter` stands, and each of its contracts is able to fall."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (
    "cli",
    "testing",
    "bootstrap",
    "server_bootstrap",
    "worker_bootstrap",
    "agents",
    "persistence",
    "durable",
    "credentials",
    "workspace",
    "telemetry",
    "config",
    "engine",
    "llm",
    "llm.factory",
    "llm.manager",
    "llm.providers",
    "core",
    "core.ids",
    "core.clock",
)
VIOLATIONS = {
    "upstairs": ("core", "from orchestrator_v2 import engine"),
    "sideways on the hearts' floor": ("engine", "import orchestrator_v2.llm"),
    "sideways on the storage floor": ("workspace", "import orchestrator_v2.config"),
    "sideways on the faces' floor": ("testing", "import orchestrator_v2.cli"),
    "storage opened by a face": ("cli", "def f():\n    from orchestrator_v2.persistence import x"),
    "a provider opened beside the factory": ("llm.manager", "import orchestrator_v2.llm.providers"),
    "a circle": ("core.ids", "import orchestrator_v2.core.clock"),
    "for type checking only": (
        "agents",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from orchestrator_v2 import bootstrap",
    ),
    "a room without a floor": ("attic", ""),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", str(ROOT / ".importlinter")]
    environment = dict(os.environ, PYTHONPATH=str(folder))
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def house(folder: Path, **sources: str) -> None:
    for room in {"", *ROOMS, *sources}:
        path = folder / "orchestrator_v2" / room.replace(".", "/") / "__init__.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sources.get(room, ""))


def test_the_package_keeps_its_import_contracts() -> None:
    """No import in the product goes upstairs, sideways, in a circle or round the wiring file."""
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_broken_contract_is_seen(tmp_path: Path, name: str) -> None:
    """Each way of breaking the house turns import-linter red, so its green means something."""
    room, source = VIOLATIONS[name]
    house(tmp_path, **{"core.clock": "import orchestrator_v2.core.ids" if name == "a circle" else "", room: source})
    result = lint(tmp_path)
    assert result.returncode == 1, result.stdout
    assert "BROKEN" in result.stdout, result.stdout


def test_an_empty_house_keeps_the_contracts(tmp_path: Path) -> None:
    """The tree that the violations are planted in is clean by itself."""
    house(tmp_path)
    result = lint(tmp_path)
    assert result.returncode == 0, result.stdout
