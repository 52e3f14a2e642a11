"""Providers that other packages bring by an entry point: which there are, and one of them, loaded.

What a provider is stands in `provider.py`; which name means which provider is `factory.py`'s.
"""

from __future__ import annotations

from typing import Any

from orchestrator_v2.core.errors import ConfigError
from orchestrator_v2.llm.provider import Provider

# The name of an entry point is the provider's; what it points at is a callable that makes it.
GROUP = "orchestrator_v2.providers"
_OWED = ("needs_credential", "missing_extra", "connect")
_SHOWN = 200


def foreign_names() -> list[str]:
    """The names that other packages bring; nothing of theirs is imported."""
    # Looking at what is installed costs more than the rest of a start, and most never ask.
    from importlib.metadata import entry_points

    return [point.name for point in entry_points(group=GROUP)]


def load_foreign(name: str) -> Provider | None:
    """The provider of that name, None where no package has it.

    Raises `ConfigError` naming the package, whatever goes wrong in it.
    """
    from importlib.metadata import entry_points

    point = next(iter(entry_points(group=GROUP, name=name)), None)
    if point is None:
        return None
    try:
        provider: Provider = point.load()()
        lacking = [part for part in _OWED if not hasattr(provider, part)]
        if not lacking:
            # Asked here, where it is known whose fault it would be.
            provider.missing_extra()
    except Exception as error:
        raise _broken(point, f"{type(error).__name__}: {error}") from error
    if lacking:
        raise _broken(point, f"it has no {lacking[0]}")
    return provider


def _broken(point: Any, why: str) -> ConfigError:
    package = point.dist.name if point.dist else "that brings it"
    said = " ".join(why.split())[:_SHOWN]
    return ConfigError(
        f"The provider '{point.name}' of the package {package} cannot be loaded.",
        f"{point.value}: {said}.",
        "Repair or remove that package.",
    )
