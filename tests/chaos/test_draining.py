"""SIGTERM to the real command: what is under way ends and is kept, nothing new is sent, nothing is paid for twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from killing import BRIEF, KEY, Ended, assert_no_task_twice, assert_sound, git, rows, statuses
from reliability_report import Tell

from orchestrator_v2.testing.anthropic_rules import Seen
from orchestrator_v2.testing.fake_anthropic import FakeAnthropic, Reply
from orchestrator_v2.testing.worked_answers import Asked, asked, worked_reply


async def _command(home: Path, url: str, *arguments: str) -> asyncio.subprocess.Process:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")},
        "ORCHESTRATOR_BASE_URL": url,
        "ANTHROPIC_API_KEY": KEY,
        "HOME": str(home),
    }
    environment.pop("CLAUDE_CODE_OAUTH_TOKEN", None)
    command = (sys.executable, "-m", "orchestrator_v2", "--data-dir", str(home / "data"), *arguments)
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe, cwd=home)


async def _ended(process: asyncio.subprocess.Process) -> Ended:
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), errors.decode())


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.chaos)])
def test_a_signal_drains_and_resume_goes_on(number: signal.Signals, tmp_path: Path, tell: Tell) -> None:
    """Sent while two agents are asked: both answers are kept and nothing more is asked; the exit names the signal."""
    answered: Counter[Asked] = Counter()
    both_asked = asyncio.Event()

    def slow(seen: Seen) -> Reply:
        answered[asked(seen.prompt)] += 1
        if answered.keys() >= {Asked("architecture"), Asked("data")}:
            both_asked.set()
        reply = worked_reply(seen)
        waits = asked(seen.prompt).phase in {"architecture", "data"}
        return Reply(reply.text, usage=reply.usage, silence=0.4 if waits else 0.0)

    async def work() -> float:
        async with FakeAnthropic(default=slow) as server:
            arguments = ("run", BRIEF, "--real-llm", "--out", str(tmp_path / "out"))
            process = await _command(tmp_path, server.base_url, *arguments)
            async with asyncio.timeout(30):
                await both_asked.wait()
            process.send_signal(number)
            asked_to_stop = time.monotonic()
            ended = await _ended(process)
            took = time.monotonic() - asked_to_stop
            assert ended.code == 128 + number, ended
            assert statuses(tmp_path) == ["running"]
            assert {row[0] for row in rows(tmp_path, "SELECT outcome FROM model_calls")} == {"done"}
            # The calls under way ended; their phases have more to ask, and that was not begun.
            assert assert_no_task_twice(tmp_path) == 2
            assert max(answered.values()) == 1
            assert sum(answered.values()) == len(rows(tmp_path, "SELECT id FROM model_calls"))
            assert Asked("design_review") not in answered
            assert (tmp_path / "out/docs/requirements.md").is_file()
            ((run_id,),) = rows(tmp_path, "SELECT run_id FROM runs")
            again = await _ended(await _command(tmp_path, server.base_url, "resume", str(run_id)))
            assert again.code == 0, again
            return took

    took = asyncio.run(work())
    tell(
        "promises",
        f"{number.name} to a command with two calls in flight",
        where="SQLite",
        ended_in_s=f"{took:.1f}",
        calls=sum(answered.values()),
        extra_paid=sum(count - 1 for count in answered.values()),
    )
    assert took < 32
    assert statuses(tmp_path) == ["completed"]
    assert set(answered.values()) == {1}
    assert sum(answered.values()) == 27
    assert assert_no_task_twice(tmp_path) == 12
    assert_sound(tmp_path)
    assert git(tmp_path / "out", "fsck", "--strict", "--no-dangling") == ""
