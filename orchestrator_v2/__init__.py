"""The front door: what is named in `__all__` is the public surface; everything else may move.

Names are imported when they are first used, so that `import orchestrator_v2` costs next to nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "AgentContext",
    "AgentRegistry",
    "AgentTask",
    "ConfigManager",
    "ExecutionResult",
    "Gate",
    "LLMOrchestrator",
    "LLMRequest",
    "LLMResponse",
    "OperationError",
    "OperationHandler",
    "Orchestrator",
    "Phase",
    "PhaseGraph",
    "ProjectConfig",
    "RunRequest",
    "TaskExecutor",
    "Workflow",
    "__version__",
    "create_agent",
    "open_operations",
    "open_operations_sync",
    "open_orchestrator",
]

_HOMES = {
    "AgentContext": "orchestrator_v2.agents.context",
    "AgentRegistry": "orchestrator_v2.tasks.agent_registry",
    "AgentTask": "orchestrator_v2.tasks.agent_task",
    "ConfigManager": "orchestrator_v2.config.config_manager",
    "ExecutionResult": "orchestrator_v2.tasks.agent_task",
    "Gate": "orchestrator_v2.core.workflow",
    "LLMOrchestrator": "orchestrator_v2.operations.orchestrator",
    "LLMRequest": "orchestrator_v2.operations.types",
    "LLMResponse": "orchestrator_v2.operations.types",
    "OperationError": "orchestrator_v2.core.operation_errors",
    "OperationHandler": "orchestrator_v2.operations.handler",
    "Orchestrator": "orchestrator_v2.orchestrator",
    "Phase": "orchestrator_v2.core.workflow",
    "PhaseGraph": "orchestrator_v2.engine.phase_graph",
    "ProjectConfig": "orchestrator_v2.config.project_config",
    "RunRequest": "orchestrator_v2.parts",
    "TaskExecutor": "orchestrator_v2.tasks.task_executor",
    "Workflow": "orchestrator_v2.core.workflow",
    "create_agent": "orchestrator_v2.agents.factory",
    "open_operations": "orchestrator_v2.operation_bootstrap",
    "open_operations_sync": "orchestrator_v2.operation_bootstrap",
    "open_orchestrator": "orchestrator_v2.bootstrap",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestrator_v2' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
