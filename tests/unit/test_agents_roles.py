"""The eight roles, their aliases, and that each finds its templates."""

from __future__ import annotations

from importlib.resources import files

import pytest

from orchestrator_v2.agents.assignment import Assignment
from orchestrator_v2.agents.context import AgentContext
from orchestrator_v2.agents.prompt_builder import PromptBuilder
from orchestrator_v2.agents.roles import ROLES, resolve_role
from orchestrator_v2.agents.schemas import AgentPlan, PlanStep
from orchestrator_v2.agents.templates import Templates, load_templates, prompts_digest
from orchestrator_v2.core.errors import ConfigError, UnknownNameError
from orchestrator_v2.engine.workflow_file import load_workflow

YAML = (files("orchestrator_v2") / "workflows" / "default.yaml").read_text(encoding="utf-8")
PHASES = [phase for phase in load_workflow(YAML, source="default").workflow.phases if phase.agent != "engine"]
EIGHT = {"architect", "developer", "qa", "documentarian", "consensus", "steward", "reviewer", "data"}


def test_there_are_the_eight_roles_and_no_alias_means_two_of_them():
    """A name leads to one role only."""
    names = [name for role in ROLES.values() for name in (role.name, *role.aliases)]
    assert set(ROLES) == EIGHT
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("alias", "role"),
    [
        ("system-architect", "architect"),
        ("Winston", "architect"),
        ("dev", "developer"),
        ("James", "developer"),
        ("Software Engineer", "developer"),
        ("tester", "qa"),
        ("QA", "qa"),
        ("tech_writer", "documentarian"),
        ("judge", "consensus"),
        ("janitor", "steward"),
        ("code-reviewer", "reviewer"),
        ("dba", "data"),
        ("data-architect", "data"),
        (" architect agent ", "architect"),
    ],
)
def test_an_alias_finds_its_role_however_it_is_spelled(alias, role):
    """Case, spaces, underscores and a trailing `agent` do not matter."""
    assert resolve_role(alias).name == role


def test_an_unknown_name_is_refused_with_the_nearest():
    """A typing mistake is answered with the name that was meant, also when that is an alias."""
    with pytest.raises(UnknownNameError, match="Did you mean 'developer'"):
        resolve_role("develper")
    with pytest.raises(UnknownNameError, match="Did you mean 'winston'"):
        resolve_role("winstn")


def test_every_role_and_alias_finds_its_templates():
    """No name leads to a role without words."""
    sources = load_templates()
    for role in ROLES.values():
        for name in (role.name, *role.aliases):
            folder = resolve_role(name).templates
            assert {f"{folder}/{kind}.md.j2" for kind in ("system", "plan", "act")} <= set(sources)


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.id)
def test_every_phase_of_the_default_workflow_has_words_of_its_own_and_they_render_for_every_role(phase):
    """No template uses a name that is not there, first time or again, and no built-in phase has the fallback words."""
    assert f"_shared/phases/{phase.id}.md.j2" in load_templates()
    builder = PromptBuilder()
    context = AgentContext(brief="A timer", upstream={"docs/a.md": "a"}, current={"docs/b.md": "b"})
    plan = AgentPlan(summary="s", steps=[PlanStep(title="one"), PlanStep(title="two")])
    for role in ROLES.values():
        for feedback in ("", "it was red"):
            given = Assignment(phase, phase.id, feedback=feedback)
            prompts = [builder.plan(role, given, context, room=100_000)]
            prompts += [
                builder.act(role, given, context, plan=plan, number=number, made={}, room=100_000) for number in (1, 2)
            ]
            for prompt in prompts:
                assert role.charge in prompt.system
                assert (feedback in prompt.messages[-1].content) or not feedback


def test_the_digest_changes_with_any_word_and_with_any_name():
    """A run that is pinned to a digest knows when its prompts were changed."""
    shipped = load_templates()
    first = next(iter(shipped))
    assert prompts_digest() == prompts_digest(dict(reversed(shipped.items())))
    assert prompts_digest({**shipped, first: shipped[first] + " "}) != prompts_digest()
    assert prompts_digest({"a": "bc"}) != prompts_digest({"ab": "c"})


def test_a_folder_without_templates_is_a_clear_error(tmp_path):
    """A broken installation says so, and what to do."""
    with pytest.raises(ConfigError, match="Reinstall"):
        load_templates(tmp_path)
    with pytest.raises(ConfigError, match="Reinstall"):
        load_templates(tmp_path / "missing")


def test_a_template_with_an_unknown_name_or_a_way_out_of_the_sandbox_is_refused():
    """Undefined values and attribute tricks end in an error, never in an empty or leaking prompt."""
    for text in ("{{ nobody }}", "{{ ''.__class__.__mro__ }}", "{{ items.append(1) }}"):
        with pytest.raises(ConfigError, match="cannot be filled"):
            Templates({"x": text}).render("x", {"items": []})
