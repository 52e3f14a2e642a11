"""A workflow read from YAML: the words of the file, each mistake with its line and the nearest right word.

What makes a graph walkable is `phase_graph.py`; where workflow files lie is `bootstrap`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Any

import msgspec

from orchestrator_v2.core.errors import WorkflowError
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph, refuse

_TOP = ("name", "description", "phases")
_PHASE = tuple(Phase.__struct_fields__)
_GATE = ("evidence", "review")
# Types as people call them.
_WORDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list",
    "object": "a mapping", "null": "empty",
}  # fmt: skip
_MISFIT = re.compile(r"Expected `(\w+)[^`]*`, got `(\w+)`(?: - at `\$\.?([\w.]*))?")
Lines = dict[tuple[str, str], int]


def load_workflow(
    text: str,
    *,
    source: str,
    agents: Collection[str] | None = None,
    checks: Collection[str] | None = None,
    most: int | None = None,
) -> PhaseGraph:
    """The checked graph of a YAML text, of `most` phases at the most.

    Raises `WorkflowError` with the line of each mistake.
    """
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise _refused(source, 1, "is nested too deeply.", do="A phase is a mapping of a few words.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        why = str(getattr(error, "problem", None) or "it cannot be read") + "."
        raise _refused(source, line, "is not YAML.", why, "Check indentation, quotes and brackets there.") from None
    if not isinstance(root, yaml.MappingNode):
        raise _refused(source, 1, "is not a mapping.", do="Begin with `name:` and `phases:`.")
    nodes = _phase_nodes(root, source)
    if most is not None and len(nodes) > most:
        raise _refused(
            source, None, f"has {len(nodes):,} phases.", f"At most {most} are walked here.", "Leave some out."
        )
    unknown = [*_unknown_keys(root, _TOP, source), *(fault for node in nodes for fault in _unknown_in(node, source))]
    document = _plain(root, text, source)
    lines = [_lines_of(node) for node in nodes]
    pairs = zip(document.get("phases") or [], lines, strict=True)
    misfits = [fault for phase, places in pairs if (fault := _misfit(phase, Phase, places, source))]
    document = {"name": source, **document, "phases": document.get("phases") or []}
    top = {**document, "phases": []}
    misfits += [fault for fault in [_misfit(top, Workflow, _lines_of(root), source)] if fault]
    if misfits:
        refuse(source, sorted([*unknown, *misfits], key=lambda fault: fault.line or 0))
    workflow = msgspec.convert(document, Workflow)
    words = {
        (phase.id, *place): line for phase, places in zip(workflow.phases, lines, strict=True)
        for place, line in places.items()
    }  # fmt: skip
    return PhaseGraph(workflow, agents=agents, checks=checks, lines=words, found=unknown)


def _refused(source: str, line: int | None, what: str, why: str = "", do: str = "") -> WorkflowError:
    place = f"Workflow '{source}'" + (f", line {line}" if line else "")
    return WorkflowError(f"{place}: {what}", why, do, line=line)


def _plain(root: Any, text: str, source: str) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _refused(source, root.start_mark.line + 1, "cannot be read.", str(error)) from None
    if not isinstance(document, dict):
        raise _refused(source, 1, "is not a mapping.", do="Begin with `name:` and `phases:`.")
    return document


def _phase_nodes(root: Any, source: str) -> list[Any]:
    """The YAML nodes of the phases, each a mapping."""
    import yaml

    for key, value in root.value:
        if key.value != "phases":
            continue
        if not isinstance(value, yaml.SequenceNode):
            raise _refused(source, _line(key), "`phases` is not a list.", do="Begin each phase with `- id:`.")
        for node in value.value:
            if not isinstance(node, yaml.MappingNode):
                raise _refused(source, _line(node), "a phase is not a mapping.", do="Begin it with `- id:`.")
        return list(value.value)
    return []


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _unknown_in(phase: Any, source: str) -> Iterator[WorkflowError]:
    import yaml

    yield from _unknown_keys(phase, _PHASE, source)
    for word, inner in phase.value:
        if word.value == "gate" and isinstance(inner, yaml.MappingNode):
            yield from _unknown_keys(inner, _GATE, source)


def _unknown_keys(node: Any, valid: tuple[str, ...], source: str) -> Iterator[WorkflowError]:
    for key, _ in node.value:
        if key.value not in valid:
            near = get_close_matches(str(key.value), valid, n=1)
            guess = f"Did you mean '{near[0]}'?" if near else f"Use one of {', '.join(valid)}."
            yield _refused(source, _line(key), f"unknown word '{key.value}'.", do=guess)


def _lines_of(mapping: Any) -> Lines:
    """Where each word stands, by (field, word); a field by (field, ""), the whole by ("", "")."""
    lines = {("", ""): _line(mapping)}
    for key, value in mapping.value:
        _note(lines, str(key.value), key, value, depth=2)
    return lines


def _note(lines: Lines, field: str, key: Any, value: Any, depth: int) -> None:
    """Anchors may make a YAML file endless, so no more levels are looked at than a phase has."""
    import yaml

    lines[field, ""] = _line(key)
    if isinstance(value, yaml.ScalarNode):
        lines[field, str(value.value)] = _line(value)
    elif isinstance(value, yaml.SequenceNode):
        for item in value.value:
            lines.setdefault((field, str(item.value)), _line(item))
    elif depth > 1:
        for inner, deeper in value.value:
            lines[field, str(inner.value)] = _line(inner)
            _note(lines, f"{field}.{inner.value}", inner, deeper, depth - 1)


def _misfit(data: Any, kind: type, lines: Lines, source: str) -> WorkflowError | None:
    """What is wrong with the types in `data`, the part of the document whose words stand on `lines`."""
    if kind is Phase and not (isinstance(data, dict) and data.get("id") and data.get("agent")):
        return _refused(source, lines["", ""], "a phase has no `id` or no `agent`.", do="Give it both.")
    try:
        msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        found = _MISFIT.match(str(error))
        if found is None:
            return _refused(source, lines["", ""], "a value has the wrong type.", do="See the how-to on workflows.")
        expected, got = (_WORDS.get(word, word) for word in found.groups()[:2])
        field = (found[3] or "").strip(".")
        line = lines.get((field, "")) or lines["", ""]
        what = f"`{field}` has the wrong type: it must be {expected}, but it is {got}."
        return _refused(source, line, what, do=f"Write {expected} there.")
    return None
