"""`run`, `resume` and `retry`: the commands that begin a run or go on with one.

How a run is driven and shown is `driving.py`; where the brief comes from is `sources.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator_v2.cli import render
from orchestrator_v2.cli import run_options as o
from orchestrator_v2.cli.given import Given, Json, RunId, given, out_path, person
from orchestrator_v2.cli.sources import read_brief, read_budget, read_parallelism, typed
from orchestrator_v2.core.errors import ConfigError, InputError

_MODES = ("auto", "simulated", "real")


def run(
    context: typer.Context,
    *,
    words: o.Words = None,
    brief: o.Brief = None,
    out: o.Out = None,
    name: o.Name = "",
    mode: o.Mode = "",
    real_llm: o.RealLlm = False,
    workflow: o.WorkflowName = "default",
    provider: o.Provider = "",
    model: o.Model = "",
    budget: o.Budget = None,
    parallelism: o.Parallelism = None,
    human_review: o.HumanReview = False,
    interactive: o.Interactive = False,
    batch: o.Batch = False,
    wait: o.Wait = False,
    json: Json = False,
) -> int:
    """Turn a brief into a project: simulated and free unless --mode says otherwise."""
    if interactive and brief == "-":
        raise InputError(
            "--interactive cannot ask when the brief comes from standard input.",
            "Both would be read from there.",
            "Give the brief as a file.",
        )
    text = read_brief(words or (), brief)
    fields: dict[str, Any] = {
        "name": typed(name, "name"),
        "workflow": workflow,
        "mode": _mode(mode, real_llm),
        "provider": provider,
        "model": model,
        "budget": read_budget(budget),
        "review": "human" if human_review else "agent",
        "out": out_path(out),
        "parallelism": read_parallelism(parallelism),
        "batch": batch,
    }
    options = given(context)
    options.settings()
    if interactive:
        from orchestrator_v2.cli.asking import ask_questions

        fields["answers"] = ask_questions(text)
    return _drive_new(options, text, fields, wait=wait, as_json=json)


def _drive_new(options: Given, text: str, fields: dict[str, Any], *, wait: bool, as_json: bool) -> int:
    from orchestrator_v2.cli.driving import drive
    from orchestrator_v2.parts import RunRequest

    request = RunRequest(text, **fields)

    async def begin(orchestrator: Any, watching: Any) -> Any:
        session = await orchestrator.start(request)
        _mention_unused(request, session.state.begun.mode)
        await _mention_interrupted(orchestrator, session.state.run_id)
        state = await orchestrator.drive(session)
        return await orchestrator.wait(state) if wait else state

    return drive(options, begin, as_json=as_json)


def _mode(mode: str, real_llm: bool) -> str:
    if real_llm and mode not in {"", "real"}:
        raise InputError(f"--real-llm and --mode {mode} contradict each other.", do="Give one of them.")
    if mode and mode not in _MODES:
        raise ConfigError(f"'{mode}' is no mode.", do=f"Use one of {', '.join(_MODES)}.")
    return "real" if real_llm else mode


def _mention_unused(request: Any, mode: str) -> None:
    """A model that was named and is not asked."""
    named = [f"--{option} {value}" for option in ("provider", "model") if (value := getattr(request, option))]
    if named and mode == "simulated":
        render.note(f"{' and '.join(named)}: not used, for a simulated run asks no model. With one: --mode real.")


async def _mention_interrupted(orchestrator: Any, own: str) -> None:
    """Runs whose process died; none of them is gone on with unasked."""
    others = [row.run_id for row in await orchestrator.interrupted() if row.run_id != own]
    if others:
        render.note(
            f"Interrupted: {', '.join(others[:5])}{', …' if len(others) > 5 else ''}. "
            "To go on: orchestrator resume RUN."
        )


def resume(
    context: typer.Context, run_id: RunId, budget: o.Budget = None, wait: o.Wait = False, json: Json = False
) -> int:
    """Go on with a run; what is done stays done."""
    amount = read_budget(budget)
    from orchestrator_v2.cli.driving import drive

    async def go_on(orchestrator: Any, watching: Any) -> Any:
        state = await orchestrator.state(run_id)
        watching.seed(state)
        await _mention_interrupted(orchestrator, state.run_id)
        state = await orchestrator.resume(state.run_id, by=person(), budget=amount)
        return await orchestrator.wait(state) if wait else state

    return drive(given(context), go_on, as_json=json)


def retry(
    context: typer.Context,
    run_id: RunId,
    phase: Annotated[str, typer.Argument(metavar="PHASE", help="The phase to do again.", show_default=False)],
    json: Json = False,
) -> int:
    """Do one phase, and all that stands on it, again."""
    from orchestrator_v2.cli.driving import drive

    async def again(orchestrator: Any, watching: Any) -> Any:
        state = await orchestrator.state(run_id)
        watching.seed(state)
        return await orchestrator.retry(state.run_id, phase, by=person())

    return drive(given(context), again, as_json=json)
