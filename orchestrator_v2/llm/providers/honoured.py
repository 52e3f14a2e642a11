"""What a model honours of a call's options on every wire: sampling, reasoning, pictures and tools.

Whether it does is data, in its row of the catalog; the options of one wire alone are in that wire's file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator_v2.llm.catalog import ModelInfo, levels_of
from orchestrator_v2.llm.errors import unsupported
from orchestrator_v2.llm.types import InvokeOptions, Message


def sampling(info: ModelInfo, options: InvokeOptions) -> dict[str, float]:
    """`temperature` and `top_p` as far as they are set.

    Raises `RequestRejectedError`, unsent, where the model takes neither.
    """
    asked = {"temperature": options.temperature, "top_p": options.top_p}
    given = {name: value for name, value in asked.items() if value is not None}
    if given and not info.facts.sampling:
        raise unsupported(f"The model '{info.name}' does not take a {next(iter(given))}.", "Leave it out.")
    return given


def with_reasoning(request: Mapping[str, Any], info: ModelInfo, options: InvokeOptions) -> dict[str, Any]:
    """The request with the level of reasoning laid into it, in its vendor's words.

    Raises `RequestRejectedError`, unsent, for a level that the model does not have, or has not beside tools.
    """
    level, beside_tools = options.reasoning, _beside_tools(info, options)
    levels = levels_of(info)
    if level and level not in levels:
        do = f"It has {', '.join(levels)}." if levels else "Leave it out: no level is known of it."
        raise unsupported(f"The model '{info.name}' takes no reasoning '{level[:40]}'.", do)
    if level and beside_tools and level != beside_tools:
        do = f"Use reasoning '{beside_tools}', or leave the tools out."
        raise unsupported(f"The model '{info.name}' takes no reasoning '{level}' beside tools.", do)
    return _laid_over(request, info.row.reasoning.get(level or beside_tools, {}))


def check_abilities(info: ModelInfo, messages: Sequence[Message], options: InvokeOptions) -> None:
    """Raises `RequestRejectedError`, unsent, for pictures or tools that are known not to be taken.

    Behind a base_url of somebody's own the server may do what the vendor's does not.
    """
    if info.own_base_url:
        return
    shows = options.images or any(message.images for message in messages)
    if shows and info.facts.vision is False:
        raise unsupported(f"The model '{info.name}' sees no pictures.", "Leave them out, or use another model.")
    if options.tools and info.facts.tools is False:
        raise unsupported(f"The model '{info.name}' takes no tools here.", "Leave them out, or use another model.")


def _beside_tools(info: ModelInfo, options: InvokeOptions) -> str:
    """The level that has to be said where tools are, at the vendor's own server."""
    return info.facts.tools_reasoning if options.tools and not info.own_base_url else ""


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` over `below`, object by object."""
    inner = {
        name: _laid_over(below[name], value)
        for name, value in above.items()
        if isinstance(value, Mapping) and isinstance(below.get(name), Mapping)
    }
    return {**below, **above, **inner}
