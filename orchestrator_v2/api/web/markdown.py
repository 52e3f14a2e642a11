"""A model's Markdown as HTML that is safe to show: parsed without raw HTML, then held against an allow-list.

Code in it is coloured by `highlight.py`; nothing is loaded from elsewhere, and a picture is shown as its words.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from urllib.parse import unquote, urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

from orchestrator_v2.api.web import links
from orchestrator_v2.api.web.highlight import CLASSES, highlighted
from orchestrator_v2.api.web.text import visible

# Past this a document is shown as plain text: the parser's time grows faster than the text (characters).
LONGEST = 64 * 1024
_TAGS = frozenset(
    {
        *("p", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s", "a"),
        *("table", "thead", "tbody", "tr", "th", "td", "hr", "br", "span"),
    }
)
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
_ASIDE = {"right", "center"}
_ALLOWED_CLASSES = {"span": set(CLASSES) | {"picture"}, "th": _ASIDE, "td": _ASIDE}
_ALIGNED = {"text-align:right": "right", "text-align:center": "center"}


def rendered(text: str, *, run_id: str = "", path: str = "") -> Markup:
    """`text` as HTML. Links to files of the project lead to their pages in `run_id`, seen from the file at `path`."""
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 12}).enable(["table", "strikethrough"])
    parser.options["highlight"] = lambda code, name, _: str(highlighted(code, name))
    parser.add_render_rule("image", _image)
    tokens = parser.parse(visible(text))
    _tame(tokens, _resolver(run_id, path))
    made = parser.renderer.render(tokens, parser.options, {})
    return Markup(sanitised(made))  # noqa: S704 (this is the sanitiser)


def sanitised(html: str) -> str:
    """`html` with nothing but the tags of Markdown, no address but http, https, mailto and our own."""
    return nh3.clean(
        html,
        tags=set(_TAGS),
        attributes=_ATTRIBUTES,
        allowed_classes=_ALLOWED_CLASSES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )


def _image(self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
    """A picture's words: nothing is fetched for a model's text."""
    token = tokens[at]
    alt = self.renderInlineAsText(token.children, options, env) if token.children else ""
    words = alt or str(token.attrGet("src") or "")
    return f'<span class="picture">{Markup.escape("Picture: " + words)}</span>'


def _tame(tokens: Sequence[Token], resolve: Callable[[str], str]) -> None:
    """Headings one step down (the page has the first), cells aligned by class, links resolved."""
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        style = str(token.attrs.pop("style", ""))
        if style in _ALIGNED:
            token.attrSet("class", _ALIGNED[style])
        if token.children:
            _tame(token.children, resolve)
            _lead(token.children, resolve)


def _lead(tokens: Sequence[Token], resolve: Callable[[str], str]) -> None:
    """Sets where each link leads; one that leads nowhere is its words alone."""
    opened: list[Token] = []
    for token in tokens:
        if token.type == "link_open":
            target = resolve(str(token.attrGet("href") or ""))
            token.attrSet("href", target)
            token.hidden = not target
            opened.append(token)
        elif token.type == "link_close" and opened:
            token.hidden = opened.pop().hidden


def _resolver(run_id: str, path: str) -> Callable[[str], str]:
    def resolve(href: str) -> str:
        try:
            parts = urlsplit(href)
        except ValueError:
            return ""
        if parts.scheme:
            return href
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(parts.path)))
        if not run_id or not parts.path or target.startswith(("/", "..")):
            return ""
        return links.file(run_id, target)

    return resolve
