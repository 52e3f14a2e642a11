"""`Pages`: the templates of the page, with escaping always on, and fragments that are sent only when they changed.

What they show is made by the views beside this file; nothing here reads a store or sends a byte.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator_v2.api.web import links, text
from orchestrator_v2.api.web.file_view import shown_path
from orchestrator_v2.api.web.frame import Frame
from orchestrator_v2.api.web.graph_svg import age_of
from orchestrator_v2.core.text import count, whole

STATIC = {
    "htmx.min.js": "text/javascript",
    "sse.min.js": "text/javascript",
    "page.js": "text/javascript",
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
}


class Pages:
    """The templates, read once. Values that a template names and does not get are an error, never an empty place."""

    def __init__(self) -> None:
        self._jinja = Environment(
            loader=PackageLoader("orchestrator_v2.api.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._jinja.filters.update(
            moment=text.moment,
            stamp=text.stamp,
            size=text.size,
            path=shown_path,
            number=_thousands,
            slug=text.slug,
            ago=age_of,
        )
        self._jinja.globals.update(url=links, count=count, version=_version())

    def render(self, template: str, **values: Any) -> str:
        """The template as HTML that can be sent. Raises `jinja2.UndefinedError` where a value is missing."""
        return whole(self._jinja.get_template(template).render(**values))

    def page(self, template: str, frame: Frame, **values: Any) -> str:
        """A whole page in its frame."""
        return self.render(template, frame=frame, **values)

    def part(self, name: str, frame: Frame, values: dict[str, Any], *, seen: str = "") -> str | None:
        """A part of a run's page with the mark of its content; None where that is what was `seen`: answer 204."""
        inner = self.render(f"run_{name}.html", frame=frame, **values)
        mark = digest(inner)
        return None if mark == seen else self.render("part.html", inner=Markup(inner), mark=mark)  # noqa: S704 (rendered above)

    def run_page(self, frame: Frame, values: dict[str, Any]) -> str:
        """A run's page with all its parts, each marked as `part` marks it."""
        parts = {name: Markup(self.part(name, frame, values) or "") for name in links.PARTS}  # noqa: S704 (rendered above)
        return self.page("run.html", frame, parts=parts, **values)


def digest(html: str) -> str:
    """A short name of a content."""
    return hashlib.sha256(html.encode()).hexdigest()[:16]


def static_file(name: str) -> tuple[bytes, str] | None:
    """A static file and its media type; None for any other name."""
    if name not in STATIC:
        return None
    return resources.files(__package__).joinpath("static", name).read_bytes(), STATIC[name]


def _thousands(number: int) -> str:
    return f"{number:,}"


def _version() -> str:
    """Changes with the static files, so that a browser asks for new ones."""
    folder = resources.files(__package__).joinpath("static")
    whole = b"".join(folder.joinpath(name).read_bytes() for name in sorted(STATIC))
    return hashlib.sha256(whole).hexdigest()[:10]
