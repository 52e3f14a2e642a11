"""A person's words written into Python, TOML, Markdown and Mermaid so that they stay words.

Each function is a filter of the templates; what is quoted is decided there.
"""

from __future__ import annotations

import json
import re

from orchestrator_v2.agents.simulated import clean
from orchestrator_v2.agents.simulated.spec import Entity, Field, Spec

ANNOTATIONS = {
    "str": "str",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "date": "date | None",
    "datetime": "datetime | None",
    "money": "Decimal",
    "list": "tuple[str, ...]",
}
_EMPTY = {
    "str": '""',
    "int": "0",
    "float": "0.0",
    "bool": "False",
    "date": "None",
    "datetime": "None",
    "money": 'Decimal("0.00")',
    "list": "()",
}
METAVARS = {
    "str": "TEXT",
    "int": "N",
    "float": "NUMBER",
    "bool": "YES",
    "date": "DATE",
    "datetime": "MOMENT",
    "money": "AMOUNT",
    "list": "A,B",
}
"""What stands for a value on the command line, by the type of its field."""
# An underscore between letters or digits is no emphasis, and field names have many.
_MARKDOWN = re.compile(r"([\\`*\[\]|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|~(?=~)|(?<=~)~)")
_MERMAID = re.compile(r"[^\w \-.,/]", re.UNICODE)
_DOCSTRING = re.compile(r'[\\"]')


def pystr(text: str) -> str:
    """A Python string literal, in the quotes that need fewer escapes; what does not print is escaped."""
    words = clean.quiet(clean.line(text))
    quote = "'" if words.count('"') > words.count("'") else '"'
    inner = repr(words + "\"'")[1:-4].replace("\\'", "'")
    return quote + inner.replace(quote, "\\" + quote) + quote


def pytuple(texts: tuple[str, ...]) -> str:
    """A Python tuple literal of strings."""
    return "(" + ", ".join(map(pystr, texts)) + ("," if len(texts) == 1 else "") + ")"


def pydoc(text: str) -> str:
    """Words that may stand inside a docstring: one line, no quotes, no backslashes, no marks."""
    printable = "".join(sign for sign in clean.quiet(clean.line(text)) if sign.isprintable())
    return _DOCSTRING.sub("'", printable).strip() or "Project"


def tomlstr(text: str) -> str:
    """A TOML basic string."""
    return json.dumps("".join(sign for sign in clean.quiet(clean.line(text)) if sign.isprintable()), ensure_ascii=False)


def a(label: str) -> str:
    """The label with its article."""
    return f"an {label}" if label.startswith(("a", "e", "i", "o", "u")) else f"a {label}"


def first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def md(text: str) -> str:
    """Words on one Markdown line: they start no heading, list, link, table cell, code or HTML."""
    escaped = _MARKDOWN.sub(r"\\\1", clean.quiet(clean.line(text))).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"^([#>+\-=~]|\d+[.)])", r"\\\1", escaped)


def unmd(text: str) -> str:
    """The words that `md` wrote, as they were."""
    return re.sub(r"\\(.)", r"\1", text.replace("&lt;", "<").replace("&amp;", "&"))


def fenced(text: str) -> str:
    """The text, line for line, in a fence that it cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{clean.quiet(clean.text(text)).rstrip()}\n{fence}"


def mermaid(text: str, length: int = 40) -> str:
    """A label for a diagram: letters, digits, spaces and a few marks."""
    label = " ".join(_MERMAID.sub(" ", clean.short(clean.quiet(text), length)).split())
    return label or "project"


def pymap(pairs: dict[str, str]) -> str:
    """A Python dict literal from strings to whole numbers."""
    return "{" + ", ".join(f"{pystr(name)}: {number}" for name, number in pairs.items()) + "}"


def kind_option(entity: Entity, spec: Spec) -> str:
    """The arguments of a command that name the kind of record, after others; none where there is one kind only."""
    return f', "--kind", {pystr(entity.label)}' if spec.several else ""


def annotation(field: Field) -> str:
    return ANNOTATIONS[field.type]


def default_literal(field: Field) -> str:
    """The field's default as Python source; an unusable default gives the type's empty value."""
    if not field.default:
        return _EMPTY[field.type]
    if field.type == "str":
        return pystr(field.default)
    if field.type == "int" and re.fullmatch(r"-?\d{1,15}", field.default):
        return str(int(field.default))
    if field.type == "float" and re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", field.default):
        return str(float(field.default))
    if field.type == "bool":
        return str(field.default.lower() in ("true", "yes", "1"))
    return _EMPTY[field.type]


def field_types(entities: tuple[Entity, ...]) -> set[str]:
    return {field.type for entity in entities for field in entity.fields}


_SAMPLES = {
    "int": "3",
    "float": "2.5",
    "bool": "yes",
    "date": "2026-01-31",
    "datetime": "2026-01-31T09:30",
    "money": "12.50",
    "list": "red, blue",
}


_NAMED_SAMPLES = {
    ("int", "planned_minutes"): "50",
    ("int", "minutes"): "45",
    ("int", "pages"): "320",
    ("int", "year"): "1999",
    ("int", "stock"): "12",
    ("int", "servings"): "4",
    ("int", "calories"): "650",
    ("int", "points"): "10",
    ("float", "value"): "72.5",
}


def sample_text(field: Field, entity: Entity) -> str:
    """What a person might type for the field."""
    if field.type == "str":
        return entity.sample if field.name == entity.title else f"Some {field.name.replace('_', ' ')}"
    return _NAMED_SAMPLES.get((field.type, field.name), _SAMPLES[field.type])


def first_id(doc: str) -> str:
    """The criterion that a docstring begins with, in brackets; empty where it names none."""
    match = re.match(r"AC\d+\.\d+", doc)
    return f"({match[0]})" if match else ""


FILTERS = {
    function.__name__: function
    for function in (pystr, pytuple, pydoc, tomlstr, md, fenced, mermaid, annotation, default_literal, field_types)
} | {
    "sample_text": sample_text,
    "pymap": pymap,
    "kind_option": kind_option,
    "first_id": first_id,
    "a": a,
    "first_upper": first_upper,
}
FILTERS |= {"line": clean.line, "short": clean.short, "counted": clean.counted}
