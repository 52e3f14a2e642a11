"""What holds for every test: laws are checked without a stopwatch, and the slow files are marked in one place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from reliability_report import pytest_addoption, pytest_configure, tell

__all__ = ["pytest_addoption", "pytest_configure", "tell"]

# Whole runs, whole processes and provider streams cut at every byte; `make test-fast` leaves them out.
SLOW = frozenset(
    {
        "test_anthropic_beside_sdk.py",
        "test_api_events.py",
        "test_api_keys.py",
        "test_api_operations.py",
        "test_api_projects.py",
        "test_api_runs.py",
        "test_api_safety.py",
        "test_api_schemathesis.py",
        "test_api_tenants.py",
        "test_api_users.py",
        "test_cli_bad_input.py",
        "test_cli_commands.py",
        "test_cli_operations.py",
        "test_cli_foreign_providers.py",
        "test_cli_models.py",
        "test_cli_own_models.py",
        "test_cli_places.py",
        "test_cli_secrets.py",
        "test_cli_standing.py",
        "test_cli_terminal.py",
        "test_cluster.py",
        "test_documents.py",
        "test_driver_contract.py",
        "test_end_to_end_workflow.py",
        "test_engine_simulation.py",
        "test_google_beside_sdk.py",
        "test_lanes_processes.py",
        "test_lean_imports.py",
        "test_llm_aimock.py",
        "test_llm_anthropic.py",
        "test_llm_anthropic_tools.py",
        "test_llm_batches.py",
        "test_llm_bedrock.py",
        "test_llm_google.py",
        "test_llm_llmock.py",
        "test_llm_mcp.py",
        "test_llm_openai.py",
        "test_one_server.py",
        "test_openai_beside_sdk.py",
        "test_real_mode_batches.py",
        "test_real_mode_budget.py",
        "test_real_mode_faults.py",
        "test_provider_contract.py",
        "test_provider_contract_input.py",
        "test_provider_contract_streams.py",
        "test_real_mode_run.py",
        "test_real_mode_wires.py",
        "test_replay_and_fork.py",
        "test_real_mode_draining.py",
        "test_simulated_projects.py",
        "test_simulated_quality.py",
        "test_state_machine.py",
        "test_thousand_listeners.py",
        "test_temporal_faults.py",
        "test_temporal_history.py",
        "test_tracing.py",
        "test_workspace_evidence.py",
        "test_workspace_git.py",
        "test_workspace_sandbox.py",
    }
)

# Two busy cores make any example slow.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without the slow ones their files are not even read: some import a vendor's SDK, which takes seconds."""
    return True if "not slow" in config.option.markexpr and is_slow(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_slow(Path(item.path)):
            item.add_marker(pytest.mark.slow)


def is_slow(path: Path) -> bool:
    return path.name in SLOW or path.parent.name in ("browser", "chaos")
