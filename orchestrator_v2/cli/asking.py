"""`--interactive`: the questions of the intake, asked before the run starts.

Which questions a brief raises is `agents/simulated`; what becomes of the answers is the intake's business.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from orchestrator_v2.cli import render
from orchestrator_v2.cli.sources import typed
from orchestrator_v2.core.text import one_line


def ask_questions(brief: str) -> dict[str, str]:
    """Question to answer; an empty answer leaves the question to the intake's assumptions."""
    from orchestrator_v2.agents.simulated import questions

    asked = questions(brief)
    if asked:
        render.say("Some questions first; Enter alone leaves one open.", sys.stderr)
    try:
        return _answers(asked)
    except KeyboardInterrupt:
        render.say("\nNo run was started.", sys.stderr)
        raise


def _answers(asked: Sequence[str]) -> dict[str, str]:
    answers: dict[str, str] = {}
    for number, question in enumerate(asked, 1):
        sys.stderr.write(f"{number}/{len(asked)} {one_line(question)}\n  > ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
        if not answer:
            break
        if answer.strip():
            answers[question] = one_line(typed(answer, "answer"))
    return answers
