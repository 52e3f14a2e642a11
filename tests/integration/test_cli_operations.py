"""`orchestrator op` as a process: asked, listed, shown, and told what is wrong."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_process import ROOT, Cli, one_paragraph
from model_server import OPERATORS, ModelServer

from orchestrator_v2.testing.fake_anthropic import Reply

DATA = json.dumps(
    {
        "pillars": [
            {"name": "Tense silence", "description": "The player hears danger before it is seen, in every level."},
            {"name": "Two hands", "description": "Every action can be done with one button and one stick."},
        ]
    }
)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_an_operation_is_asked_from_the_command_line(cli: Cli) -> None:
    """Results alone on standard output, how they came to be on standard error; the issue's command, just so."""
    done = cli("op", "pillars.validate", "--data", DATA)
    assert done.returncode == 0, done.stderr
    assert {it["name"] for it in json.loads(done.stdout)["pillars"]} == {"Tense silence", "Two hands"}
    assert "simulated, 0 calls, $0.00" in done.stderr


def test_data_comes_from_a_file_or_standard_input_too(cli: Cli) -> None:
    """`@file` and `-` give the same answer as the words themselves, from the cache."""
    (cli.folder / "data.json").write_text("\ufeff" + DATA)
    by_words = cli("op", "run", "pillars.validate", "--data", DATA).stdout
    by_file = cli("op", "pillars.validate", "--data", "@data.json")
    by_stdin = cli("op", "pillars.validate", "--data", "-", stdin=DATA.encode())
    assert json.loads(by_words)["pillars"]
    assert by_words == by_file.stdout == by_stdin.stdout
    assert "an earlier answer" in by_file.stderr
    assert "an earlier answer" in by_stdin.stderr


def test_an_agentic_answer_is_shown_whole_in_json_and_again_by_its_run(cli: Cli) -> None:
    """`--json` prints the whole response; `result` and `runs` find it again, `list` of projects' runs does not."""
    whole = cli.json("op", "pillars.improve", "--data", DATA, "--agentic")
    assert whole["success"] and len(whole["metadata"]["agents_used"]) >= 3
    run_id = whole["metadata"]["run_id"]
    assert cli.json("op", "result", run_id)["results"] == whole["results"]
    assert [row["run_id"] for row in cli.json("op", "runs")] == [run_id]
    assert cli.json("list") == []


def test_operations_are_listed_and_shown(cli: Cli) -> None:
    """What there is, and the schema of one: enough to write a request by."""
    assert "pillars.evaluate_contradictions" in cli("op", "list").stdout
    shown = json.loads(cli("op", "show", "pillars.validate").stdout)
    assert "pillars" in shown["data"]["properties"] and shown["modes"] == ["monolithic", "agentic"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("op", "pillars.validate", "--data", "{"),
            "--data is not JSON. Expecting property name enclosed in double quotes (line 1, column 2)",
        ),
        (("op", "pillars.validate", "--data", "[1]"), "not a JSON object"),
        (("op", "pillars.validate", "--data", "@nowhere.json"), "'nowhere.json' cannot be read. No such file"),
        (("op", "pillars.validate", "--data", "@"), "--data @ names no file"),
        (("op", "pillars.validate", "--data", "@."), "'.' cannot be read. Is a directory"),
        (("op", "pillars.validate", "--data", '{"pillars": ' + "9" * 5_000 + "}"), "too many digits"),
        (("op", "pillars.validate", "--data", '{"a": ' * 5_000 + "1" + "}" * 5_000), "nested too deeply"),
        (("op", "pillars.validate", "--data", '{"a": {"b": 1, "c": 2, "b": 1}}'), "--data has 'b' twice"),
        (("op", "pillars.validate", "--data", '{"a": NaN}'), "--data holds NaN"),
        (("op", "pillars.validate", "--data", '{"pillars": []}'), "pillars: List should have at least 1 item"),
        (("op", "pillars.validat", "--data", DATA), "Did you mean 'validate'?"),
        (("op", "pilars.validate", "--data", DATA), "Did you mean 'pillars'?"),
        (("op", "run", "validate", "--data", DATA), "names no operation"),
        (("op", "pillars.validate", "--data", DATA, "--prefer", "moon"), "model_preference"),
        (("op", "pillars.validate", "--data", DATA, "--timeout", "0"), "timeout_ms"),
        (("op", "pillars.validate", "--data", DATA, "--timeout", "nan"), "'nan' is no number of seconds"),
        (("op", "pillars.validate", "--data", DATA, "--timeout", "inf"), "'inf' is no number of seconds"),
        (("op", "pillars.validate", "--data", DATA, "--real-llm"), "needs a key"),
        (("op", "pillars.validate", "--data", DATA, "--model", "claude-haiku"), "needs a key"),
        (("op", "result", "op_nothing"), "no operation's run"),
    ],
)
def test_wrong_input_is_one_paragraph_and_exit_code_3(cli: Cli, words: tuple[str, ...], said: str) -> None:
    """What, why, what to do; nothing is asked of anybody."""
    done = cli(*words)
    assert done.returncode == 3, done.stderr
    assert one_paragraph(done.stderr) and said in done.stderr, done.stderr
    assert done.stdout == ""


def test_standard_input_that_is_no_text_is_told(cli: Cli) -> None:
    """Bytes that are not UTF-8 are refused by name, and not taken for something else."""
    done = cli("op", "pillars.validate", "--data", "-", stdin=b'{"pillars": "\xff"}')
    assert (done.returncode, one_paragraph(done.stderr)) == (3, True), done.stderr
    assert "Standard input cannot be read. It is not UTF-8 text." in done.stderr


VIEW = json.dumps({"summary": "Seen.", "findings": [], "disagreements": []})
COUNTED = json.dumps({"words": 2, "longest": "hello"})
COUNT = ("op", "words.count", "--data", '{"text": "hello you"}', "--real-llm", "--agentic")


def _answer(seen: Any, silence: float = 0.0) -> Reply:
    """A good answer to the summing up, and to each agent's question."""
    return Reply(text=COUNTED if "Specialists have looked" in seen.prompt else VIEW, silence=silence)


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def counting(tmp_path: Path, models: ModelServer) -> Cli:
    """With an operation of three agents, two asked at a time: seven calls in all."""
    info = tmp_path / "site/counting-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[orchestrator_v2.operations]\nwords.count = operation_cases:CountWords\n")
    return Cli(
        tmp_path,
        PYTHONPATH=f"{ROOT}:{ROOT}/tests/unit:{tmp_path}/site",
        ANTHROPIC_API_KEY=OPERATORS,
        ORCHESTRATOR_BASE_URL=models.url,
        ORCHESTRATOR_PROVIDER="anthropic",
        ORCHESTRATOR_MODEL="claude-sonnet-5-5",
    )


def _begun(cli: Cli, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        cli.command(*words), env=cli.environment, cwd=cli.folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("shape", [(), ("--json",)])
def test_a_signal_drains_an_operation_and_it_is_gone_on_with(
    counting: Cli, models: ModelServer, number: int, code: int, shape: tuple[str, ...]
) -> None:
    """The calls in flight end and are kept, none is begun; the command that is said goes on, and asks none again."""
    models.fresh(lambda seen: _answer(seen, 1.0))
    process = _begun(counting, *COUNT, *shape)
    _until(lambda: len(models.fake.requests) == 2)
    process.send_signal(number)
    said, told = process.communicate(timeout=40)
    assert process.returncode == code, told
    (run_id,) = re.findall(r"Go on: orchestrator op resume (op_\w+)", told)
    assert len(models.fake.requests) == 2
    left = json.loads(said) if shape else counting.json("op", "result", run_id)
    assert (left["success"], left["metadata"]["run_id"], left["metadata"]["usage"]["calls"]) == (False, run_id, 2)
    models.answers = _answer
    done = counting("op", "resume", run_id)
    assert (done.returncode, json.loads(done.stdout or "null")) == (0, json.loads(COUNTED)), done.stderr
    assert len(models.fake.requests) == 7


def test_an_operation_whose_answer_was_on_its_way_is_answered(counting: Cli, models: ModelServer) -> None:
    """Where nothing is left to do after the call in flight, a signal takes nothing away."""
    models.fresh(lambda seen: Reply(text=COUNTED, silence=1.0))
    process = _begun(counting, *COUNT[:-1])
    _until(lambda: models.fake.requests)
    process.send_signal(signal.SIGTERM)
    said, told = process.communicate(timeout=40)
    assert (process.returncode, json.loads(said or "null")) == (0, json.loads(COUNTED)), told


def test_a_second_signal_leaves_an_operation_at_once(counting: Cli, models: ModelServer) -> None:
    """It does not wait for the calls in flight; how to go on is said, and nothing that was recorded is lost."""
    models.fresh(lambda seen: _answer(seen, 20.0))
    process = _begun(counting, *COUNT)
    assert process.stderr is not None
    _until(lambda: len(models.fake.requests) == 2)
    process.send_signal(signal.SIGINT)
    assert "Stopping" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=10)
    assert process.returncode == 130
    (run_id,) = re.findall(r"Left at once.*Go on: orchestrator op resume (op_\w+)", told)
    models.answers = _answer
    assert counting("op", "resume", run_id).returncode == 0


def test_a_signal_ends_the_wait_for_another_process(counting: Cli, models: ModelServer) -> None:
    """Who waits for a run that another drives has nothing in flight: it leaves at once, and the other goes on."""
    models.fresh(lambda seen: Reply(text=COUNTED, silence=4.0))
    driving = _begun(counting, *COUNT[:-1])
    _until(lambda: models.fake.requests)
    run_id = counting.json("op", "runs")[0]["run_id"]
    waiting = _begun(counting, "op", "resume", run_id)
    time.sleep(1.5)
    assert waiting.poll() is None
    began = time.monotonic()
    waiting.send_signal(signal.SIGTERM)
    _, told = waiting.communicate(timeout=20)
    assert (waiting.returncode, time.monotonic() - began < 2) == (143, True), told
    assert "nothing was begun here" in told
    said, _ = driving.communicate(timeout=40)
    assert (driving.returncode, json.loads(said)) == (0, json.loads(COUNTED))
    assert len(models.fake.requests) == 1


def test_a_run_without_money_goes_on_with_a_new_budget(counting: Cli, models: ModelServer) -> None:
    """`resume --budget` takes a new ceiling in dollars; without one the run waits as before."""
    models.fresh(_answer)
    poor = counting(*COUNT, "--budget", "0.0001")
    assert poor.returncode != 0
    assert models.fake.requests == []
    run_id = counting.json("op", "runs")[0]["run_id"]
    assert counting("op", "resume", run_id).returncode != 0
    refused = counting("op", "resume", run_id, "--budget", "much")
    assert (refused.returncode, one_paragraph(refused.stderr)) == (3, True), refused.stderr
    done = counting("op", "resume", run_id, "--budget", "1")
    assert (done.returncode, json.loads(done.stdout or "null")) == (0, json.loads(COUNTED)), done.stderr
