"""One real run through the whole stack, wire included: what the model was shown, what it cost, where the key is not."""

from __future__ import annotations

import base64
import logging
import urllib.parse
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from real_mode import KEY, against, git, request

from orchestrator_v2 import Orchestrator
from orchestrator_v2.core.usage import usd
from orchestrator_v2.engine.state_models import ProjectState
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic
from orchestrator_v2.testing.worked_answers import BRIEF, STEPS, Asked, asked, call_count

ENCODED_KEYS = {
    "plain": KEY.encode(),
    "base64": base64.b64encode(KEY.encode())[4:-4],
    "base64, one off": base64.b64encode(b"x" + KEY.encode())[4:-4],
    "base64, two off": base64.b64encode(b"xx" + KEY.encode())[4:-4],
    "hex": KEY.encode().hex().encode(),
    "quoted": urllib.parse.quote(KEY, safe="").encode(),
    "wide": KEY.encode("utf-16-le"),
    "middle": KEY[14:30].encode(),
}


class Walked(msgspec.Struct, frozen=True):
    """A finished real run: its state, what the server saw, its ledger, and everything it wrote (by name)."""

    state: ProjectState
    seen: list[Seen]
    calls: list[CallRow]
    sinks: dict[str, bytes]
    out: Path


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    home = tmp_path_factory.mktemp("real")
    logged: list[str] = []
    handler = logging.Handler(0)
    handler.emit = lambda record: logged.append(handler.format(record))  # type: ignore[method-assign]
    logging.getLogger("orchestrator_v2").addHandler(handler)

    async def work(orchestrator: Orchestrator, server: FakeAnthropic) -> Walked:
        # A person may paste the key where it does not belong.
        state = await orchestrator.run(request(brief=f"{BRIEF}\n\nMy key is {KEY}.", out=home / "out"))
        events = await orchestrator.events(state.run_id)
        sinks = {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}
        sinks["events"] = repr(events).encode() + msgspec.json.encode(events)
        sinks["state"] = repr(state).encode()
        sinks["row"] = repr(await orchestrator.row(state.run_id)).encode()
        sinks["orchestrator"] = repr([vars(orchestrator), vars(orchestrator).values()]).encode()
        calls = await orchestrator.calls(state.run_id)
        sinks["ledger"] = repr(calls).encode()
        return Walked(state, server.requests, calls, sinks, home / "out")

    try:
        result: Walked = against(home, work, log_prompts=True)
    finally:
        logging.getLogger("orchestrator_v2").removeHandler(handler)
    result.sinks["history"] = git(result.out, "log", "-p", "--all").encode()
    result.sinks["prompts"] = b"\n".join(seen.raw for seen in result.seen)
    result.sinks["log"] = "\n".join(logged).encode()
    return result


def prompts(walked: Walked, phase: str) -> dict[int, str]:
    """The prompts of a phase by step; 0 is the plan's."""
    found = {asked(seen.prompt): seen.prompt for seen in walked.seen}
    return {one.step: prompt for one, prompt in found.items() if one.phase == phase}


def test_the_run_completes_and_its_tests_really_ran(walked: Walked) -> None:
    """The model's own project passes its own tests behind walls, and is laid out."""
    assert (walked.state.status, walked.state.stopped) == ("completed", "")
    (receipt,) = [one for one in walked.state.phase("qa").receipts if one.check == "tests"]
    assert (receipt.isolation, receipt.tests_collected, receipt.tests_passed) == ("bubblewrap", 3, 3)
    written = {path: text for steps in STEPS.values() for files in steps for path, text in files.items()}
    assert {path: (walked.out / path).read_text("utf-8") for path in written} == written


def test_the_brief_is_in_the_first_prompt_and_in_all_others(walked: Walked) -> None:
    """Whoever works knows what is wanted."""
    assert BRIEF in walked.seen[0].prompt
    assert all(BRIEF in seen.prompt for seen in walked.seen)


@pytest.mark.parametrize(
    ("phase", "path"),
    [
        ("architecture", "docs/requirements.md"),
        ("development", "docs/architecture.md"),
        ("development", "docs/data-model.json"),
        ("qa", "src/tally/counting.py"),
        ("release_review", "docs/reviews/code.md"),
    ],
)
def test_what_a_phase_made_is_in_the_prompts_of_those_that_stand_on_it(walked: Walked, phase: str, path: str) -> None:
    """The text of the file, whole, in the plan's prompt and in every step's."""
    text = (walked.out / path).read_text("utf-8").strip()
    found = prompts(walked, phase)
    assert len(found) == 1 + len(STEPS[phase])
    assert all(text in prompt for prompt in found.values())


def test_each_plan_step_is_acted_on_once_as_itself(walked: Walked) -> None:
    """N steps make N different calls, each sent once, each naming its own step and showing what came before."""
    counted = Counter(asked(seen.prompt) for seen in walked.seen)
    wanted = [Asked(phase, step) for phase, steps in STEPS.items() for step in range(len(steps) + 1)]
    assert counted == dict.fromkeys(wanted, 1)
    assert len({seen.raw for seen in walked.seen}) == len(walked.seen) == call_count()
    third = prompts(walked, "development")[3]
    assert "development step 3" in third.split("This is step 3:")[1]
    assert (walked.out / "src/tally/store.py").read_text("utf-8").strip() in third


def test_the_cost_is_the_ledgers_everywhere(walked: Walked) -> None:
    """Every sent call is one settled row; their sum is what the run, its phases and RUN.md say."""
    assert [row.outcome for row in walked.calls] == ["done"] * len(walked.seen)
    charged = [row.charged for row in walked.calls]
    assert all(charged) and all(row.reserved and row.reserved >= (row.charged or 0) for row in walked.calls)
    total = sum(amount or 0 for amount in charged)
    assert walked.state.usage.cost == total > 0
    assert walked.state.usage.calls == len(walked.seen)
    assert sum(phase.usage.cost or 0 for phase in walked.state.phases.values()) == total
    report = (walked.out / "RUN.md").read_text("utf-8")
    assert {line.split("|")[2].strip() for line in report.splitlines() if line.startswith("| Cost")} == {usd(total)}
    assert f"Real: made by anthropic/{walked.state.begun.model}" in report


def test_everything_made_says_that_a_model_made_it(walked: Walked) -> None:
    """Artifacts carry provider and model; only the engine's report does not."""
    made = {str(a.provenance) for phase in walked.state.phases.values() for a in phase.artifacts}
    assert made == {f"real (anthropic/{walked.state.begun.model})", "engine"}


@pytest.mark.parametrize("form", ENCODED_KEYS)
def test_the_key_is_in_nothing_that_was_written_or_sent_in_a_body(walked: Walked, form: str) -> None:
    """Not in prompts, events, state, ledger, database, WAL, logs, files or git history, in no encoding."""
    hits = [name for name, content in walked.sinks.items() if ENCODED_KEYS[form] in content]
    assert hits == []


def test_the_search_for_the_key_looks_in_the_right_places(walked: Walked) -> None:
    """What must be found is found: the key on the wire's header, the brief in prompt, database, log and history."""
    assert {seen.key for seen in walked.seen} == {KEY}
    words = BRIEF.encode()
    hits = {Path(name).name for name, content in walked.sinks.items() if words in content}
    assert {"prompts", "llm-requests.log"} < hits
    assert hits & {"orchestrator.db", "orchestrator.db-wal"}
    assert b"def added" in walked.sinks["history"]
    assert b"My key is [redacted]." in walked.sinks["prompts"]
