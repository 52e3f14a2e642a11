"""`ResponseParser`: a model's text becomes a `PlanAnswer` or an `OutputAnswer`, or one `InvalidOutputError`.

The gate for hostile JSON (size, depth, controls) is `llm/structured.py`; the corrective turn is `llm_agent_mixin.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from orchestrator_v2.agents.paths import clean_path, path_problem
from orchestrator_v2.agents.schemas import OutputAnswer, PlanAnswer
from orchestrator_v2.core.errors import InvalidOutputError
from orchestrator_v2.llm.structured import clean_text, parse_json

MAX_PROBLEMS = 20

Model = TypeVar("Model", bound=BaseModel)


class ResponseParser:
    """Reads answers. Whatever the text holds, nothing but `InvalidOutputError` is raised, and it names every fault."""

    def plan(self, text: str) -> PlanAnswer:
        return read_answer(PlanAnswer, text)

    def output(
        self, text: str, *, outputs: Sequence[str] = (), taken: Collection[str] = (), verdict: bool = False
    ) -> OutputAnswer:
        """The answer of one step.

        `outputs` are the patterns its files must fit, `taken` the paths of other phases, and with `verdict` the
        answer must say whether it approves.
        """
        answer = read_answer(OutputAnswer, text)
        files = [file.model_copy(update={"path": clean_path(file.path)}) for file in answer.files]
        removed = [clean_path(path) for path in answer.removed]
        problems = [path_problem(path, outputs, taken) for path in (*(file.path for file in files), *removed)]
        problems += _doubles([file.path for file in files])
        if verdict and answer.approved is None:
            problems.append("approved: must be true or false, this step gives the verdict")
        if any(problems):
            raise misfit([problem for problem in problems if problem])
        return answer.model_copy(update={"files": files, "removed": removed})


def read_answer(model: type[Model], text: str) -> Model:
    """The answer in a model's text. Raises `InvalidOutputError` that names every fault."""
    try:
        return model.model_validate(parse_json(text))
    except ValidationError as problem:
        details = problem.errors(include_url=False, include_context=False, include_input=False)
        raise misfit([f"{'.'.join(map(str, one['loc'])) or 'answer'}: {one['msg']}" for one in details]) from None


def _doubles(paths: Sequence[str]) -> list[str]:
    return [f"{path!r} is given more than once" for path in sorted({one for one in paths if paths.count(one) > 1})]


def misfit(problems: Sequence[str]) -> InvalidOutputError:
    """The error for an answer with these faults; the corrective turn is told them."""
    shown = [clean_text(problem) for problem in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        shown.append(f"and {len(problems) - MAX_PROBLEMS} more")
    return InvalidOutputError("The model's answer does not fit what was asked for.", "; ".join(shown) + ".")
