"""What is heavy is imported when it is used: by law of the source and by measuring a fresh process."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "orchestrator_v2"
HEAVY = ("pydantic", "pydantic_settings", "sqlalchemy", "networkx", "alembic", "jinja2", "typer", "rich", "tenacity")
SDKS = ("anthropic", "openai", "google", "cohere", "mistralai", "groq", "ollama", "boto3", "litellm", "genai_prices")
LEAN_FLOORS = ("core", "engine")


def modules(folder: str) -> list[str]:
    paths = (path.relative_to(PACKAGE.parent) for path in (PACKAGE / folder).rglob("*.py"))
    return sorted(".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths)


def loaded_by(*names: str) -> set[str]:
    """The heavy top-level packages that a fresh process holds after importing `names`."""
    code = f"import sys\n{''.join(f'import {name}{chr(10)}' for name in names)}print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()} & {*HEAVY, *SDKS}


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return names


def test_the_front_door_is_light() -> None:
    """`import orchestrator_v2` loads no SDK, no pydantic, no SQLAlchemy and no networkx."""
    assert loaded_by("orchestrator_v2") == set()


@pytest.mark.parametrize("floor", LEAN_FLOORS)
def test_the_hot_floors_are_light(floor: str) -> None:
    """Importing every module of the floor loads nothing heavy: a cold start pays for what it uses."""
    assert loaded_by(*modules(floor)) == set()


def test_the_measure_sees_a_heavy_import() -> None:
    """The check above is able to fail: a process that imports pydantic is seen to hold it."""
    assert "pydantic" in loaded_by("pydantic")


def test_a_vendors_sdk_is_imported_in_one_file_only() -> None:
    """An SDK stands in its vendor's provider file and nowhere else; price rows in `llm.prices`."""
    packages = {str(path.relative_to(PACKAGE)): imported(path) for path in PACKAGE.rglob("*.py")}
    for sdk in SDKS:
        home = {"genai_prices": "llm/prices.py"}.get(sdk, "llm/providers/")
        found = [path for path, names in packages.items() if sdk in names]
        assert len(found) <= 1, (sdk, found)
        assert all(path.startswith(home) for path in found), (sdk, found)
