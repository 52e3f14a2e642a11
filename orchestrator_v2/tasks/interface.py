"""`Interface`: how an agent is reached, as data: which ways it has, in which order, and what each way needs.

What happens on a way is `api_way.py` and `command_way.py`; the walk along them is `task_executor.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from orchestrator_v2.core.errors import UnknownNameError


class Way(StrEnum):
    """One way to have a task done; its value is what `ExecutionResult.metadata["execution_method"]` says."""

    API = "api"
    CLI = "cli"


class Interface(StrEnum):
    API = "api"
    CLI = "cli"
    HYBRID = "hybrid"


WAYS: Mapping[Interface, tuple[Way, ...]] = MappingProxyType(
    {
        Interface.API: (Way.API,),
        Interface.CLI: (Way.CLI,),
        Interface.HYBRID: (Way.API, Way.CLI),
    }
)


def open_ways(interface: Interface, allowed: Iterable[Interface]) -> tuple[Way, ...]:
    """The ways of `interface` that a task allows, which names interfaces; none named allows all."""
    names = tuple(allowed)
    open_to_it = {way for name in names for way in WAYS[name]} if names else set(Way)
    return tuple(way for way in WAYS[interface] if way in open_to_it)


def interface_named(name: Interface | str) -> Interface:
    """The interface of that name, in any case. Raises `UnknownNameError` with the nearest name."""
    wanted = str(name).strip().lower()
    if wanted not in {one.value for one in Interface}:
        raise UnknownNameError("interface", str(name), [one.value for one in Interface])
    return Interface(wanted)
