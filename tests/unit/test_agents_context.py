"""What an agent's context refuses to show, and how it decides between real and simulated."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import pprint
import traceback

import msgspec
import pytest
from pydantic import TypeAdapter

from orchestrator_v2.agents.assignment import assign
from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.roles import ROLES
from orchestrator_v2.core.errors import ConfigError, CredentialMissingError
from orchestrator_v2.core.events import RunStarted
from orchestrator_v2.core.secrets import Secret
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.state_models import ProjectState, TaskDefinition
from orchestrator_v2.testing.scripted_llm import ScriptedLLM

PLANTED = "sk-ant-api03-planted-0123456789abcdef"


def _logged(value):
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "%s %r", (value, value), None)
    return logging.Formatter().format(record)


def _raised(value):
    try:
        raise ValueError(value)
    except ValueError:
        return traceback.format_exc()


SINKS = {
    "repr": repr,
    "str": str,
    "format": lambda c: f"{c} {c!r} {c!s} {c:}",
    "vars": lambda c: repr(vars(c)),
    "dict": lambda c: str(c.__dict__),
    "pprint": pprint.pformat,
    "logging": _logged,
    "exception": _raised,
    "pickle": pickle.dumps,
    "asdict": lambda c: repr(dataclasses.asdict(c)),
    "astuple": lambda c: repr(dataclasses.astuple(c)),
    "json": lambda c: json.dumps(vars(c)),
    "json default": lambda c: json.dumps(vars(c), default=str),
    "msgspec": msgspec.json.encode,
    "to_builtins": lambda c: repr(msgspec.to_builtins(c)),
    "pydantic": lambda c: TypeAdapter(object).dump_json(c),
    "pydantic repr": lambda c: repr(TypeAdapter(object).dump_python(c)),
    "deepcopy": lambda c: repr(copy.deepcopy(c)),
    "copy": lambda c: repr(copy.copy(c)),
    "replace": lambda c: repr(dataclasses.replace(c, brief="other")),
}


@pytest.mark.parametrize("sink", SINKS)
def test_a_planted_key_comes_out_of_no_sink(sink):
    """Each way of showing or storing a context leaves the key out or refuses, and the refusal does not show it."""
    context = AgentContext(llm_api_key=PLANTED, brief="A timer", task="Plan it", user_id="u1")
    try:
        shown = SINKS[sink](context)
    except (TypeError, ValueError) as refusal:
        shown = "".join(traceback.format_exception(refusal))
    text = shown.decode("latin-1") if isinstance(shown, bytes) else shown
    assert text
    assert PLANTED not in text
    assert PLANTED[8:-4] not in text
    assert context.credential == Secret(PLANTED)


def test_the_key_survives_a_replace_and_is_still_a_secret():
    """A changed copy of a context keeps the credential, sealed."""
    context = dataclasses.replace(AgentContext(llm_api_key=PLANTED), brief="other")
    assert isinstance(context.llm_api_key, Secret)
    assert context.credential is not None
    assert context.credential.reveal() == PLANTED


def test_pickling_a_context_with_a_key_is_refused_rather_than_losing_it():
    """Were the key dropped, `auto` would silently turn a real agent into a simulated one."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(AgentContext(llm_api_key=PLANTED))
    assert pickle.loads(pickle.dumps(AgentContext(brief="A timer"))).brief == "A timer"


def test_real_needs_a_client_or_a_key_and_is_never_simulated_instead():
    """The mode follows from what the context holds; real without a credential is an error."""
    client = ScriptedLLM([])
    assert not AgentContext().real
    assert AgentContext(llm_api_key=PLANTED).real
    assert AgentContext(client=client, mode="real").real
    assert not AgentContext(client=client, mode="simulated").real
    with pytest.raises(CredentialMissingError, match="needs a credential"):
        _ = AgentContext(mode="real").real


def test_an_empty_key_and_an_unknown_mode_are_refused_at_once():
    """A variable that was set to nothing does not become a simulated run."""
    with pytest.raises(CredentialMissingError, match="empty"):
        AgentContext(llm_api_key="  ")
    with pytest.raises(ConfigError, match="no mode 'reel'"):
        AgentContext(mode="reel")


def test_a_task_of_the_engine_keeps_its_key_its_round_and_its_reason():
    """Keys carry the round and not the attempt, so that a retried task finds what was paid for."""
    phase = Phase(id="development", agent="developer", outputs=("src/**",))
    first = TaskDefinition(run_id="r", phase=phase, round=2, attempt=1, feedback="tests failed")
    again = msgspec.structs.replace(first, attempt=4)
    one, two = (assign(task, phase, None, AgentContext(), ROLES["developer"]) for task in (first, again))
    assert one == two
    assert (one.key, one.round, one.feedback, one.phase) == ("development.r2", 2, "tests failed", phase)


def test_a_bare_phase_name_is_found_in_the_runs_workflow():
    """A caller who names a phase gets the outputs and the gate that the run's workflow gives it."""
    phase = Phase(id="planning", agent="architect", outputs=("docs/requirements.md",))
    started = RunStarted(project_id="p", name="n", brief="h", workflow=Workflow(name="w", phases=(phase,)), mode="real")
    state = ProjectState(run_id="r", started=started)
    context = AgentContext(project_state=state)
    assert assign("Do it", "planning", None, context, ROLES["architect"]).phase is phase
    assert assign("Do it", "other", state, context, ROLES["architect"]).phase == Phase(id="other", agent="architect")
    assert assign({"goal": "x", "n": 2}, None, None, AgentContext(), ROLES["qa"]).description == "goal: x\nn: 2"
    assert assign("Do it", None, None, AgentContext(), ROLES["qa"]).phase.id == "qa"
