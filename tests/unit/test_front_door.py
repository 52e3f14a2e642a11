"""The public surface: what it names is there, and nothing else is promised."""

from __future__ import annotations

import pytest

import orchestrator_v2


def test_every_promised_name_is_there() -> None:
    """Each name of `__all__` can be imported, and the list is sorted."""
    assert orchestrator_v2.__all__ == sorted(orchestrator_v2.__all__)
    assert all(getattr(orchestrator_v2, name) for name in orchestrator_v2.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """Lazy names do not turn typing errors into something else."""
    with pytest.raises(AttributeError, match="Orchestrater"):
        _ = orchestrator_v2.Orchestrater
