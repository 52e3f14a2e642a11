"""A workflow read from YAML: the words of the file, each mistake with its line and the nearest right word.

What makes a graph walkable is `phase_graph.py`; where workflow files lie is `bootstrap`'s business.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

import msgspec

from orchestrator_v2.core.errors import WorkflowError
from orchestrator_v2.core.workflow import Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph

_TOP = ("name", "description", "phases")
_PHASE = tuple(Phase.__struct_fields__)
_GATE = ("evidence", "review")


def load_workflow(
    text: str, *, source: str, agents: Collection[str] | None = None, checks: Collection[str] | None = None
) -> PhaseGraph:
    """The checked graph of a YAML text. Raises `WorkflowError` with the line of the first mistake."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        why = str(getattr(error, "problem", None) or "it cannot be read") + "."
        raise _refused(source, line, "is not YAML.", why, "Check indentation, quotes and brackets there.") from None
    if not isinstance(root, yaml.MappingNode):
        raise _refused(source, 1, "is not a mapping.", do="Begin with `name:` and `phases:`.")
    _refuse_unknown_keys(root, _TOP, source)
    lines = _phase_lines(root, source)
    document = _plain(root, text, source)
    for phase, line in zip(document.get("phases") or [], lines, strict=True):
        if not isinstance(phase, dict) or not phase.get("id") or not phase.get("agent"):
            raise _refused(source, line, "a phase has no `id` or no `agent`.", do="Give it both.")
    document.setdefault("name", source)
    try:
        workflow = msgspec.convert(document, Workflow)
    except msgspec.ValidationError as error:
        raise _refused(source, _line_of(str(error), lines), f"a value has the wrong type: {error}.") from None
    ids = [phase.id for phase in workflow.phases]
    return PhaseGraph(workflow, agents=agents, checks=checks, lines=dict(zip(ids, lines, strict=True)))


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


def _refuse_unknown_keys(node: Any, valid: tuple[str, ...], source: str) -> None:
    for key, _ in node.value:
        if key.value not in valid:
            near = get_close_matches(str(key.value), valid, n=1)
            guess = f"Did you mean '{near[0]}'?" if near else f"Use one of {', '.join(valid)}."
            raise _refused(source, key.start_mark.line + 1, f"unknown word '{key.value}'.", do=guess)


def _phase_lines(root: Any, source: str) -> list[int]:
    """The line of each phase; refuses unknown words in a phase or its gate on the way."""
    import yaml

    lines: list[int] = []
    for key, value in root.value:
        if key.value != "phases":
            continue
        if not isinstance(value, yaml.SequenceNode):
            raise _refused(
                source, key.start_mark.line + 1, "`phases` is not a list.", do="Begin each phase with `- id:`."
            )
        for phase in value.value:
            lines.append(phase.start_mark.line + 1)
            if not isinstance(phase, yaml.MappingNode):
                raise _refused(source, lines[-1], "a phase is not a mapping.", do="Begin it with `- id:`.")
            _refuse_unknown_keys(phase, _PHASE, source)
            for word, inner in phase.value:
                if word.value == "gate" and isinstance(inner, yaml.MappingNode):
                    _refuse_unknown_keys(inner, _GATE, source)
    return lines


def _line_of(problem: str, lines: list[int]) -> int | None:
    """The line of the phase that a msgspec path such as `$.phases[3].needs` speaks of."""
    _, found, rest = problem.partition("$.phases[")
    index = rest.partition("]")[0]
    return lines[int(index)] if found and index.isdigit() and int(index) < len(lines) else None
