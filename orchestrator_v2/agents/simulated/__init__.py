"""Simulated mode: a brief becomes a working Python project by deterministic code and templates, without any model.

The agent around it is `agents/simulated_agent.py`; the templates are in `subagent_prompts/*/simulated/`.
"""

from orchestrator_v2.agents.simulated.asking import questions
from orchestrator_v2.agents.simulated.phases import simulate
from orchestrator_v2.agents.simulated.rendering import SIMULATED_LINE
from orchestrator_v2.agents.simulated.step import SimulatedStep

__all__ = ["SIMULATED_LINE", "SimulatedStep", "questions", "simulate"]
