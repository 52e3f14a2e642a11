"""The prompt templates: where they lie, their digest, and the sandboxed Jinja that fills them.

What goes into them is `prompt_builder.py`. Values are only ever values: nothing a user or a model wrote is a template.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from orchestrator_v2.core.errors import ConfigError

# Catalogs are data that templates are filled from: they are pinned with them.
_SUFFIX = (".j2", ".toml")


def template_root() -> Traversable:
    """The installed `subagent_prompts`, or the folder of that name beside the package in a checkout."""
    try:
        return files("subagent_prompts")
    except ModuleNotFoundError:
        return Path(__file__).parents[2] / "subagent_prompts"


def load_templates(root: Traversable | None = None) -> dict[str, str]:
    """All templates by their path below the root, in path order. Raises `ConfigError` when there are none."""
    if root is None:
        return dict(_shipped())
    found = dict(sorted(_walk(root, ""))) if root.is_dir() else {}
    if not found:
        raise ConfigError(
            "The prompt templates are missing.", f"No *.j2 file was found in {root}.", "Reinstall the package."
        )
    return found


@functools.cache
def _shipped() -> Mapping[str, str]:
    """Read once: they are part of the package, and settling a run looks at all of them."""
    return load_templates(template_root())


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            yield f"{prefix}{entry.name}", entry.read_text(encoding="utf-8")


def prompts_digest(sources: Mapping[str, str] | None = None) -> str:
    """SHA-256 over the names and texts of all templates, in hex; pinned into a run when it starts."""
    return _shipped_digest() if sources is None else _digest(sources)


@functools.cache
def _shipped_digest() -> str:
    return _digest(_shipped())


def _digest(texts: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(texts):
        for part in (name, texts[name]):
            data = part.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


class Templates:
    """A set of templates and the environment that renders them."""

    def __init__(self, sources: Mapping[str, str] | None = None) -> None:
        from jinja2 import DictLoader, StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        self.sources = load_templates() if sources is None else dict(sources)
        self._environment = ImmutableSandboxedEnvironment(
            loader=DictLoader(self.sources),
            undefined=StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def check(self, name: str) -> None:
        """Raises `ConfigError` when the template is missing or is no valid Jinja; its names are told by `render`."""
        from jinja2 import TemplateError

        try:
            self._environment.get_template(name)
        except TemplateError as problem:
            raise _broken(name, problem) from problem

    def render(self, name: str, data: Mapping[str, Any]) -> str:
        """The template filled with plain data. Raises `ConfigError` when it is missing or uses an unknown name."""
        from jinja2 import TemplateError

        try:
            return self._environment.get_template(name).render(data)
        except TemplateError as problem:
            raise _broken(name, problem) from problem


def _broken(name: str, problem: Any) -> ConfigError:
    return ConfigError(
        f"The prompt template '{name}' cannot be filled.",
        f"{type(problem).__name__}: {problem.message}.",
        "Mend the template, or reinstall the package.",
    )
