"""The front door: what is named in `__all__` is the public surface; everything else may move.

Names are imported when they are first used, so that `import orchestrator_v2` costs next to nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "AgentContext",
    "Gate",
    "Orchestrator",
    "Phase",
    "PhaseGraph",
    "RunRequest",
    "Workflow",
    "__version__",
    "create_agent",
    "open_orchestrator",
]

_HOMES = {
    "AgentContext": "orchestrator_v2.agents.context",
    "Gate": "orchestrator_v2.core.workflow",
    "Orchestrator": "orchestrator_v2.orchestrator",
    "Phase": "orchestrator_v2.core.workflow",
    "PhaseGraph": "orchestrator_v2.engine.phase_graph",
    "RunRequest": "orchestrator_v2.parts",
    "Workflow": "orchestrator_v2.core.workflow",
    "create_agent": "orchestrator_v2.agents.factory",
    "open_orchestrator": "orchestrator_v2.bootstrap",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestrator_v2' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
