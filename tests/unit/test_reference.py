"""The pages about providers and models: made from the code, and their examples work as they stand."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from random import Random

import pytest

from orchestrator_v2.core.clock import ManualClock
from orchestrator_v2.core.errors import OrchestratorError
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.llm.catalog import Dialect, ModelRow, load_catalog
from orchestrator_v2.llm.factory import LLMFactory
from orchestrator_v2.llm.own_rows import PROVIDER_FIELDS, with_own_rows
from orchestrator_v2.llm.types import InvokeOptions, LLMConfig
from orchestrator_v2.testing.fake_openai import FakeOpenAI

ROOT = Path(__file__).parents[2]
ADDING = (ROOT / "docs/how-to/add-a-provider.md").read_text("utf-8")
USING = (ROOT / "docs/how-to/use-models.md").read_text("utf-8")
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def made() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "scripts" / "make_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("name", ["providers.md", "models.md", "errors.md"])
def test_the_reference_is_what_the_code_says(name: str) -> None:
    """The page on disk is the one that is made now; if this fails, run scripts/make_reference.py."""
    assert (ROOT / "docs/reference" / name).read_text("utf-8") == made()[name]


def test_the_reference_leaves_nothing_out() -> None:
    """Every provider that can be chosen, every model and every error has its line, each error with its sentence."""
    pages = made()
    catalog = {name: row for name, row in load_catalog().items() if row.wire}
    assert set(re.findall(r"^\| (\w+) \|", pages["providers.md"], re.MULTILINE)) - {"provider"} == set(catalog)
    models = set(re.findall(r"^\| `([^`]+)`", pages["models.md"], re.MULTILINE))
    assert models == {model for row in catalog.values() for model in row.models}
    lines = [line for line in pages["errors.md"].splitlines() if "Error`" in line]
    assert len(lines) == len({OrchestratorError, *_below(OrchestratorError)})
    assert [line for line in lines if line.endswith("|  |")] == []


def _below(kind: type[OrchestratorError]) -> set[type[OrchestratorError]]:
    own = {each for each in kind.__subclasses__() if each.__module__.startswith("orchestrator_v2.core")}
    return own.union(*(_below(each) for each in own))


def test_the_worked_example_of_a_vendor_is_spoken_to(tmp_path: Path) -> None:
    """The table of the how-to, with a local server's address in it, is all that it takes."""

    async def go():
        async with FakeOpenAI(default='{"name": "Acme"}') as server:
            path = tmp_path / "models.toml"
            path.write_text(blocks(ADDING, "toml")[0].replace("https://llm.acme.example/v1", server.base_url))
            catalog, problems = with_own_rows(path, now=1_795_219_200.0)
            assert problems == []
            factory = LLMFactory(clock=ManualClock(auto=True), random=Random(0), catalog=catalog)
            client = factory.create_client(LLMConfig("acme", "", Secret("acme-key-0000")))
            answer = await client.invoke("Hi", InvokeOptions(max_tokens=9, response_schema=SCHEMA))
            cheap = factory.resolve(LLMConfig("acme", "cheap"))
            await factory.aclose()
            assert server.problems == []
            return answer, server.requests[0], cheap

    answer, seen, cheap = asyncio.run(go())
    assert (answer.text, str(answer.provenance)) == ('{"name": "Acme"}', "real (acme/acme-large)")
    assert answer.cost == answer.usage.input_tokens * 1_200 + answer.usage.output_tokens * 4_800
    assert (seen.key, seen.body["max_completion_tokens"]) == ("acme-key-0000", 9)
    assert seen.body["response_format"]["type"] == "json_schema"
    assert (cheap.name, cheap.facts.window) == ("acme-small", 64_000)


def test_the_examples_of_own_prices_are_good(tmp_path: Path) -> None:
    """The overrides of the how-to load as they stand."""
    path = tmp_path / "models.toml"
    path.write_text(blocks(USING, "toml")[0])
    catalog, problems = with_own_rows(path, now=1_795_219_200.0)
    assert problems == []
    assert catalog["anthropic"].models["claude-sonnet-5-5"].price.search == 10_000_000
    assert catalog["anthropic"].models["claude-sonnet-6"].native_search


def test_the_example_of_what_a_local_model_can_is_good(tmp_path: Path) -> None:
    """The facts of the how-to load as they stand, and the level has the words that are given for it."""
    path = tmp_path / "models.toml"
    path.write_text(blocks(USING, "toml")[1])
    catalog, problems = with_own_rows(path, now=1_795_219_200.0)
    assert problems == []
    ollama = catalog["ollama"]
    facts = ollama.models["qwen3-vl:8b"]
    assert (facts.vision, facts.tools, facts.reasoning) == (True, True, ("none", "high"))
    assert (ollama.reasoning["none"], ollama.reasoning["high"]) == ({"think": False}, {"reasoning_effort": "high"})


def test_the_how_tos_name_every_field() -> None:
    """A field of a provider's table or dialect that is there is explained, and none that is gone."""
    rows = re.findall(r"^\| (`[\w`, ]+`) \|", ADDING[ADDING.index("| `dialect` |") :], re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"\w+", row)} - {"dialect"}
    assert explained == set(Dialect.__struct_fields__)
    told = set(re.findall(r"`(\w+)`", USING))
    assert {*PROVIDER_FIELDS, *ModelRow.__struct_fields__} <= told


def test_a_wire_of_ones_own_comes_by_its_entry_point(tmp_path: Path) -> None:
    """The how-to's module, installed as a package that names it, is a provider of the command line."""
    (tmp_path / "shout_llm.py").write_text(blocks(ADDING, "python")[0])
    points = tomllib.loads(blocks(ADDING, "toml")[1])["project"]["entry-points"]
    lines = [f"[{group}]\n{name} = {target}" for group, named in points.items() for name, target in named.items()]
    installed = tmp_path / "shout_llm-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: shout-llm\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("\n".join(lines))
    command = [sys.executable, "-m", "orchestrator_v2", "llm", "ask", "Hello.", "--provider", "shout", "--model", "any"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("HELLO.\n", 0), done.stderr
