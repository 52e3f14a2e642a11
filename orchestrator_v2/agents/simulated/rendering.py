"""The templates of simulated mode: one sandboxed environment, and rendering a file or one block of it.

Where the prompts lie is `agents/templates.py`; a person's text is only ever a value here, never a template.
"""

from __future__ import annotations

from functools import cache, reduce
from operator import truediv
from typing import Any

from orchestrator_v2.agents.simulated.describing import about, cap_title, met_by, spaced
from orchestrator_v2.agents.simulated.quoting import FILTERS
from orchestrator_v2.agents.templates import template_root

SIMULATED_LINE = "Simulated: made from deterministic templates, no model was asked."


class Renderer:
    """Renders `<role>/simulated/<name>.j2`."""

    def __init__(self) -> None:
        from jinja2 import FunctionLoader, StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        root = template_root()
        self._environment = ImmutableSandboxedEnvironment(
            loader=FunctionLoader(lambda name: reduce(truediv, name.split("/"), root).read_text(encoding="utf-8")),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
        )
        self._environment.filters.update(FILTERS)
        self._environment.globals["simulated_line"] = SIMULATED_LINE
        for describe in (about, cap_title, met_by, spaced):
            self._environment.filters[describe.__name__] = describe

    def file(self, role: str, name: str, /, **values: Any) -> str:
        """The whole template."""
        return _ended(self._environment.get_template(f"{role}/simulated/{name}.j2").render(values))

    def block(self, role: str, name: str, block: str, /, **values: Any) -> str:
        """One block of the template; empty where it has none of that name."""
        template = self._environment.get_template(f"{role}/simulated/{name}.j2")
        if block not in template.blocks:
            return ""
        return _ended("".join(template.blocks[block](template.new_context(values))))


@cache
def load_renderer() -> Renderer:
    """The renderer over the shipped folder; it holds compiled templates and nothing of any project."""
    return Renderer()


def _ended(text: str) -> str:
    return text.strip("\n") + "\n"
