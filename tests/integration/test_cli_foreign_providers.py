"""Providers that another package brings by an entry point, whole and broken, as the commands see them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest
from cli_process import ROOT, Cli, one_paragraph

from orchestrator_v2.core.clock import SystemClock
from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.types import LLMConfig

SHOUT = (ROOT / "docs/how-to/add-a-provider.md").read_text().split("```python\n")[1].split("```")[0]
POINTS = {
    "shout": "shout_llm:ShoutProvider",
    "gone": "module_that_is_not_there:Provider",
    "odd": "shout_llm:asyncio.Lock",
    "loud": "loud_llm:Provider",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages: one that works, and three that do not."""
    site = tmp_path / "site"
    info = site / "shouters-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouters\nVersion: 1\n")
    lines = "\n".join(f"{name} = {value}" for name, value in POINTS.items())
    (info / "entry_points.txt").write_text(f"[orchestrator_v2.providers]\n{lines}\n")
    (site / "shout_llm.py").write_text(SHOUT)
    (site / "loud_llm.py").write_text(
        "class Provider:\n    def __init__(self):\n        raise OSError('no\\nthroat')\n"
    )
    return site


@pytest.fixture
def cli(tmp_path: Path, site: Path) -> Cli:
    return Cli(tmp_path, PYTHONPATH=f"{ROOT}:{site}")


def test_a_broken_package_is_one_row_and_the_others_are_there(cli):
    """`providers` lists what cannot be loaded, and why; nothing of it stops the rest."""
    listed = {each["name"]: each for each in cli.json("providers")}
    assert listed["shout"]["ready"]
    assert listed["ollama"]["ready"]
    for name, words in {"gone": "ModuleNotFoundError", "odd": "it has no", "loud": "OSError: no throat"}.items():
        assert not listed[name]["ready"]
        assert listed[name]["missing"].startswith("cannot be loaded: ")
        assert words in listed[name]["missing"]
    assert cli("providers").returncode == 0


@pytest.mark.parametrize("name", ["gone", "odd", "loud"])
def test_using_a_broken_package_names_it(cli, name):
    """One paragraph with the package's name, as an error of the caller's, not a fault of ours."""
    for words in (("llm", "ask", "Hi", "--model", f"{name}/any"), ("providers", "test", name, "--model", "any")):
        said = cli(*words)
        assert said.returncode == 3
        assert f"'{name}' of the package shouters cannot be loaded" in said.stderr
        assert one_paragraph(said.stderr)


def test_a_provider_of_another_package_is_known_everywhere(cli):
    """By --provider, as provider/model, to `models` and to `providers test`."""
    assert cli("llm", "ask", "Hello.", "--model", "shout/any").stdout == "HELLO.\n"
    assert cli("llm", "ask", "Hello.", "--provider", "shout", "--model", "any").stdout == "HELLO.\n"
    listed = cli("models", "--provider", "shout")
    assert (listed.returncode, listed.stdout.startswith("This provider's models are not known by name")) == (0, True)
    assert cli("providers", "test", "shout", "--model", "any").returncode == 0
    unnamed = cli("providers", "test", "shout")
    assert unnamed.returncode == 3
    assert "No model of shout is named. It has no default model. Name one, as by --model NAME." in unnamed.stderr


def test_a_package_that_is_not_loaded_costs_the_others_nothing(site, monkeypatch):
    """The factory makes what it is asked for; the broken one raises only when it is named."""
    monkeypatch.syspath_prepend(str(site))

    async def go():
        factory = LLMFactory(clock=SystemClock(), random=Random(0))
        answer = await factory.create_client(LLMConfig("simulated", "simulated")).invoke("Hi")
        with pytest.raises(ConfigError, match="package shouters"):
            factory.create_client(LLMConfig("gone", "any"))
        await factory.aclose()
        return answer

    assert asyncio.run(go()).text
