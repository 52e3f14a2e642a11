"""Quality assurance: tests for the source, each naming the acceptance criteria that it proves.

Which check proves which criterion is matched here; a person's own words get the nearest check, and are marked so.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

import msgspec

from orchestrator_v2.agents.simulated import clean
from orchestrator_v2.agents.simulated.quoting import pydoc
from orchestrator_v2.agents.simulated.rendering import Renderer, load_renderer
from orchestrator_v2.agents.simulated.spec import Built, Criterion, Feature, Spec
from orchestrator_v2.agents.simulated.step import SimulatedStep, Work
from orchestrator_v2.agents.simulated.upstream import read_spec

_PACKAGE = re.compile(r"^src/([A-Za-z_]\w*)/__init__\.py$")
_WORDS = re.compile(r"\w+")
WIDTH = 105
LONGEST_WORDS = 400
SAME = 0.75
"""From this share of common words on, a criterion says the same as the check."""


class _Named(msgspec.Struct):
    """What a check stands for: the criteria in its own words, and those in a person's."""

    exact: list[Criterion] = []
    near: list[Criterion] = []


def prove(work: Work) -> list[SimulatedStep]:
    """The test suite in two steps: what the tests share, and a file for each part."""
    spec = read_spec(work.brief, work.answers, work.inputs)
    found = next((match[1] for path in sorted(work.inputs) if (match := _PACKAGE.match(path))), None)
    spec = msgspec.structs.replace(spec, package=found or spec.package)
    renderer = load_renderer()
    shared = {f"tests/{name}": renderer.file("qa", name, spec=spec) for name in ("conftest.py", "samples.py")}
    tests = _tests(spec, renderer)
    count = sum(len(requirement.criteria) for requirement in spec.requirements)
    return [
        SimulatedStep("What the tests share", "Fixtures and sample records.", shared),
        SimulatedStep("Tests", f"{len(tests)} file(s) for {count} acceptance criteria.", tests),
    ]


def _tests(spec: Spec, renderer: Renderer) -> dict[str, str]:
    named = match_criteria(spec)
    files = {}
    for cap in spec.caps:
        if cap.module == "journal":
            files["tests/test_journal.py"] = _journal(cap, spec, renderer)
            continue
        parts = [_block(cap, spec, renderer, "imports", "")]
        for key, text in cap.checks:
            parts.append(_block(cap, spec, renderer, key, _doc(text, named[cap.module, key])))
        files[f"tests/test_{cap.module}.py"] = _file(f"Tests of {cap.title.lower()}.", parts)
    return files


def match_criteria(spec: Spec) -> dict[tuple[str, str], _Named]:
    """For each check (module, name) the criteria that it stands for."""
    caps = {cap.module: cap for cap in spec.caps if cap.checks}
    named = {(cap.module, key): _Named([], []) for cap in caps.values() for key, _ in cap.checks}
    for requirement in spec.requirements:
        checks = [
            (use.capability, *check)
            for use in requirement.uses
            if use.capability in caps
            for check in caps[use.capability].checks
        ]
        for criterion in requirement.criteria if checks else ():
            module, key, exact = _nearest(criterion, checks)
            (named[module, key].exact if exact else named[module, key].near).append(criterion)
    return named


def _nearest(criterion: Criterion, checks: list[tuple[str, str, str]]) -> tuple[str, str, bool]:
    wanted = _words(criterion.text)
    scores = [len(wanted & _words(text)) / max(1, len(wanted | _words(text))) for _, _, text in checks]
    best = max(range(len(checks)), key=lambda place: (scores[place], -place))
    return checks[best][0], checks[best][1], scores[best] >= SAME


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORDS.findall(text.casefold()))


def _doc(text: str, named: _Named) -> str:
    ids = ", ".join(dict.fromkeys(one.id for one in named.exact))
    lines = [f"{ids}: {pydoc(text)}" if ids else pydoc(text)]
    if named.near:
        lines += ["", "The nearest check that the templates have for:"]
        lines += [f"{one.id}: {pydoc(one.text)}" for one in named.near]
    return _docstring(lines)


def _docstring(lines: list[str]) -> str:
    """The lines as they stand between triple quotes in a function, none over the line length."""
    wrapped = [part for line in lines for part in textwrap.wrap(clean.short(line, LONGEST_WORDS), WIDTH) or [""]]
    if len(wrapped) == 1:
        return wrapped[0]
    return "\n".join([wrapped[0], *(f"    {part}" if part else "" for part in wrapped[1:]), "    "])


def _journal(cap: Built, spec: Spec, renderer: Renderer) -> str:
    parts = [_block(cap, spec, renderer, "imports", "")]
    for feature in spec.features:
        values = {"test": _test_name(feature), "feature": feature}
        parts.append(_block(cap, spec, renderer, "feature", _feature_doc(feature), **values))
    return _file("Tests of the named journals.", parts)


def _feature_doc(feature: Feature) -> str:
    lines = [f"{one.id}: {pydoc(one.text)}" for one in feature.criteria]
    return _docstring(lines or [f"{feature.requirement} is a journal."])


def _test_name(feature: Feature) -> str:
    return "test_" + feature.slug.replace("-", "_")


def _block(cap: Built, spec: Spec, renderer: Renderer, block: str, doc: str, **values: object) -> str:
    shared: Mapping[str, object] = {"spec": spec, "pkg": spec.package, "e": cap.e, "other": cap.other, "doc": doc}
    return renderer.block("qa", f"capabilities/{cap.module}.py", block, **shared, **values)


def _file(words: str, parts: list[str]) -> str:
    head = f'"""{words}"""\n\nfrom __future__ import annotations\n\n'
    return head + "\n\n".join(part.rstrip("\n") + "\n" for part in parts)
