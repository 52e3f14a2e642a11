"""What the API answers about what there is to choose from: workflows, agents, providers.

What it answers about projects and runs is `answers.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from pydantic import BaseModel

from orchestrator_v2.agents.roles import Role
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.llm.manager import ProviderView


class WorkflowAnswer(BaseModel):
    name: str
    description: str
    phases: list[dict[str, Any]]

    @classmethod
    def of(cls, graph: PhaseGraph) -> WorkflowAnswer:
        flow = graph.workflow
        return cls(name=flow.name, description=flow.description, phases=[msgspec.to_builtins(it) for it in flow.phases])


class AgentAnswer(BaseModel):
    name: str
    title: str
    charge: str
    responsibilities: list[str]
    aliases: list[str]

    @classmethod
    def of(cls, role: Role) -> AgentAnswer:
        return cls(
            name=role.name,
            title=role.title,
            charge=role.charge,
            responsibilities=list(role.responsibilities),
            aliases=list(role.aliases),
        )


class ProviderAnswer(BaseModel):
    """A provider that a key can be stored for. `models` counts those that are not retired."""

    name: str
    default_model: str
    models: int
    base_url: str
    key_stored: bool

    @classmethod
    def of(cls, view: ProviderView, stored: Collection[str]) -> ProviderAnswer:
        return cls(
            name=view.name,
            default_model=view.default_model,
            models=view.models,
            base_url=view.base_url,
            key_stored=view.name in stored,
        )
