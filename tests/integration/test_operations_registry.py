"""Operations that other packages bring, sound and broken, in front of the real command line and a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cli_process import ROOT, Cli, one_paragraph
from server_process import Server

from orchestrator_v2.config.loader import load_settings
from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.operation_bootstrap import open_operations
from orchestrator_v2.operations.handler import Answer, Data, OperationAgent, OperationHandler
from orchestrator_v2.operations.registry import GROUP, OperationRegistry, own_handlers
from orchestrator_v2.operations.soundness import sound

DATA = {"pillars": [{"name": "Two hands", "description": "Every action can be done with one button and one stick."}]}
PACKAGE = """
from collections.abc import Callable
from pathlib import Path
from orchestrator_v2.operations.handler import Answer, Data, OperationHandler

class Question(Data):
    text: str

class Callback(Data):
    call: Callable[[], int] | None = None

class Echo(Answer):
    text: str

class Sound(OperationHandler):
    operation_id = "other.sound"
    summary = "Says it again."
    request_schema = Question
    response_schema = Echo
    templates = Path(__file__).parent / "templates"
    template = "echo.md.j2"
    def simulate(self, request):
        return Echo(text=request.text)

class Schemaless(Sound):
    operation_id = "other.schemaless"
    request_schema = Callback

class Unmade(Sound):
    operation_id = "other.unmade"
    def __init__(self):
        raise RuntimeError("boom")

class Wordless(Sound):
    operation_id = "other.wordless"
    template = "nowhere.md.j2"

class Taken(Sound):
    operation_id = "pillars.validate"
"""
POINTS = {
    "other.sound": "other_pkg:Sound",
    "other.gone": "other_gone:X",
    "other.quits": "other_quits:X",
    "other.schemaless": "other_pkg:Schemaless",
    "other.unmade": "other_pkg:Unmade",
    "other.wordless": "other_pkg:Wordless",
    "other.renamed": "other_pkg:Sound",
    "other.thing": "other_pkg:__name__",
    "pillars.validate": "other_pkg:Taken",
}
HALF = "half.thing"
# Each broken one, and what has to be told of it.
BROKEN = {
    "other.gone": "No module named 'other_gone'",
    "other.quits": "SystemExit: 3",
    "other.schemaless": "`request_schema` has no JSON schema",
    "other.unmade": "it cannot be made (RuntimeError: boom)",
    "other.wordless": "nowhere.md.j2 is not there",
    "other.renamed": "`operation_id` is not 'other.renamed'",
    "other.thing": "no class of OperationHandler",
    "pillars.validate": "registered twice",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package 'other-pkg' installed: one operation of it is sound."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "other_pkg.py").write_text(PACKAGE)
    (folder / "other_quits.py").write_text("raise SystemExit(3)")
    (folder / "templates").mkdir()
    (folder / "templates/echo.md.j2").write_text("Say it again.")
    info = folder / "other_pkg-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-pkg\nVersion: 1.0\n")
    lines = [f"[{GROUP}]", *(f"{name} = {where}" for name, where in POINTS.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    nameless = folder / "half-1.0.dist-info"  # as an installation that was broken off leaves it
    nameless.mkdir()
    (nameless / "entry_points.txt").write_text(f"[{GROUP}]\n{HALF} = half:X\n")
    return folder


@pytest.fixture
def cli(tmp_path: Path, site: Path) -> Cli:
    return Cli(tmp_path, PYTHONPATH=f"{ROOT}:{site}")


def test_broken_operations_are_set_aside_and_told_by_the_list(cli: Cli) -> None:
    """The list has what can be asked on standard output, and on standard error what cannot, its package and why."""
    done = cli("op", "list", "--json")
    assert done.returncode == 0, done.stderr
    listed = {one["id"] for one in json.loads(done.stdout)}
    assert listed == {"other.sound", *(handler.operation_id for handler in own_handlers())}
    told = done.stderr.splitlines()
    assert len(told) == len(BROKEN) + 1
    assert f"{HALF} is set aside. The package (without a name) brings it as half:X" in done.stderr
    for name, why in BROKEN.items():
        (line,) = [line for line in told if f" {name} is set aside" in line]
        assert why in line and "'other-pkg'" in line and POINTS[name] in line


@pytest.mark.slow
def test_the_rest_goes_on_beside_broken_operations(cli: Cli) -> None:
    """This package's operations answer, also one whose name a broken one wanted, and so does the sound one."""
    assert cli("op", "pillars.validate", "--data", json.dumps(DATA)).returncode == 0
    done = cli("op", "other.sound", "--data", '{"text": "Hello"}')
    assert json.loads(done.stdout) == {"text": "Hello"}
    assert "set aside" not in done.stderr
    log = (cli.folder / "data/logs/orchestrator.log").read_text()
    assert all(f"The operation '{name}' is set aside" in log and why in log for name, why in BROKEN.items())


@pytest.mark.slow
@pytest.mark.parametrize("words", [("show", "other.unmade"), ("run", "other.unmade", "--data", "{}")])
def test_who_asks_for_a_broken_operation_is_told_what_is_wrong(cli: Cli, words: tuple[str, ...]) -> None:
    """Not that it is unknown: which package brings it, and what is wrong with it there."""
    done = cli("op", *words)
    assert (done.returncode, one_paragraph(done.stderr)) == (3, True), done.stderr
    assert "'other-pkg'" in done.stderr and BROKEN["other.unmade"] in done.stderr


@pytest.mark.slow
def test_a_server_starts_beside_broken_operations(tmp_path: Path, site: Path) -> None:
    """It lists and answers what is sound, tells what is not, and has said so in its log."""
    with Server(tmp_path, PYTHONPATH=f"{ROOT}:{site}") as server:
        client = server.client()
        assert {"pillars.validate", "other.sound"} <= {one["id"] for one in client.get("/operations")}
        assert client.post("/operations/pillars.validate", {"data": DATA})["success"]
        for answer in (
            client("GET", "/operations/other.schemaless"),
            client("POST", "/operations/other.schemaless", {"data": {}}),
        ):
            assert answer.status_code == 400, answer.text
            assert BROKEN["other.schemaless"] in answer.json()["why"] and "'other-pkg'" in answer.json()["why"]
        warned = [line for line in server.log() if line["level"] == "warning" and "set aside" in line["message"]]
        assert len(warned) == len(BROKEN) + 1


def test_a_server_that_does_not_start_leaves_no_process_behind(tmp_path: Path) -> None:
    """`with Server(...)` ends what it began, also where it never came to answer."""

    class Mute(Server):
        program = ("-c", "import sys, time; print('http://127.0.0.1:9', flush=True); time.sleep(60)")

        def _is_ready(self) -> bool:
            raise ConnectionError("nobody is there")

    server = Mute(tmp_path)
    with pytest.raises(ConnectionError), server:
        pass
    assert server.process.poll() is not None


class Question(Data):
    text: str


class Echo(Answer):
    text: str


class Whole(OperationHandler[Question, Echo]):
    """A sound one, to be spoiled in one respect at a time."""

    operation_id = "words.echo"
    summary = "Says it again."
    request_schema = Question
    response_schema = Echo
    templates = ROOT / "tests/unit/operation_templates"
    template = "words/count.md.j2"
    agents: ClassVar[Any] = (OperationAgent("a", "A", "You look."), OperationAgent("b", "B", "You look, too."))

    def simulate(self, request: Question) -> Echo:
        return Echo(text=request.text)


class Callback(Data):
    call: Callable[[], int] | None = None


class Unsayable(Answer):
    model_config: ClassVar[Any] = {"json_schema_extra": {"example": object()}}


def _raise(*_: object) -> None:
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    ("spoiled", "told"),
    [
        ({"operation_id": None}, "operation_id"),
        ({"operation_id": "nodot"}, "operation_id"),
        ({"summary": None}, "summary"),
        ({"request_schema": dict}, "`request_schema` is no pydantic model"),
        ({"request_schema": Callback}, "`request_schema` has no JSON schema"),
        ({"response_schema": Callback}, "`response_schema` has no JSON schema"),
        ({"response_schema": Unsayable}, "`response_schema` has no JSON schema"),
        ({"agents": None}, "agents"),
        ({"agents": ("x",)}, "agents"),
        ({"agents": (OperationAgent("a", "A", "b"), OperationAgent("a", "B", "b"))}, "there twice"),
        ({"agents": (OperationAgent("a b", "A", "b"),)}, "no name"),
        ({"agents": (OperationAgent("a", "A", ""),)}, "no charge"),
        ({"rounds": 3}, "rounds"),
        ({"rounds": True}, "rounds"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 257}, "concurrency"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 4e3}, "max_tokens"),
        ({"version": None}, "version"),
        ({"template": None}, "template"),
        ({"template": "words/nowhere.md.j2"}, "words/nowhere.md.j2 is not there"),
        ({"templates": "folder"}, "templates"),
        ({"templates": Path("/nowhere")}, "No *.j2 file was found in /nowhere"),
        ({"__init__": _raise}, "it cannot be made (RuntimeError: boom)"),
    ],
)
def test_whatever_is_wrong_with_a_class_is_told_at_registration(spoiled: dict[str, Any], told: str) -> None:
    """Nothing waits for the first request, and nothing but `ConfigError` comes out, with the class and the fault."""
    assert isinstance(sound(Whole), Whole)
    with pytest.raises(ConfigError) as caught:
        OperationRegistry([type("Spoiled", (Whole,), spoiled)])
    assert told in caught.value.why
    assert "Spoiled" in caught.value.what


@pytest.mark.parametrize("text", ["{% if %}", "{{ data | nofilter }}", "{% for x in y %}"])
def test_a_template_that_is_no_jinja_is_told_at_registration(tmp_path: Path, text: str) -> None:
    """Where its names come from is only known with the data; its form is known at once."""
    (tmp_path / "broken.md.j2").write_text(text)
    spoiled = type("Spoiled", (Whole,), {"templates": tmp_path, "template": "broken.md.j2"})
    with pytest.raises(ConfigError, match="its template is broken"):
        OperationRegistry([spoiled])


def test_all_faults_of_a_class_are_told_at_once() -> None:
    """Who mends it need not come again for each."""
    spoiled = type("Spoiled", (Whole,), {"summary": "", "rounds": 0, "max_tokens": -1})
    with pytest.raises(ConfigError) as caught:
        sound(spoiled)
    assert all(word in caught.value.why for word in ("summary", "rounds", "max_tokens"))


@pytest.mark.parametrize("given", ["words", Whole(), dict])
def test_what_is_no_handler_at_all_is_refused(given: Any) -> None:
    """An instance, a name and another class are told apart from a class of handlers."""
    with pytest.raises(ConfigError, match="no class of OperationHandler"):
        OperationRegistry([given])


def test_a_handler_given_in_code_is_refused_at_once(tmp_path: Path) -> None:
    """Its author is there to hear it: nothing is opened."""
    loaded = load_settings({"data_dir": str(tmp_path / "data")}, {}, tmp_path, tmp_path)
    spoiled = type("Spoiled", (Whole,), {"concurrency": 0})
    with pytest.raises(ConfigError, match="concurrency"):
        asyncio.run(open_operations(loaded, handlers=[spoiled]))


def test_the_operations_of_this_package_are_sound() -> None:
    """They are not looked at in each start, so they are here."""
    handlers: Sequence[Any] = own_handlers()
    assert handlers
    for handler in handlers:
        assert isinstance(sound(handler), handler)
