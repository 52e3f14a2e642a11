"""Quality assurance: tests for the source, each naming the acceptance criteria that it proves.

Which check proves which criterion is matched here. A person's own words, which no check proves, get a test that is
skipped and says so: nothing counts as proved because something else was tested.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

import msgspec

from orchestrator_v2.agents.simulated import clean
from orchestrator_v2.agents.simulated.assembling import JOURNAL_CRITERIA
from orchestrator_v2.agents.simulated.quoting import pydoc
from orchestrator_v2.agents.simulated.rendering import Renderer, load_renderer
from orchestrator_v2.agents.simulated.spec import Built, Criterion, Feature, Spec
from orchestrator_v2.agents.simulated.step import SimulatedStep, Work, fitting
from orchestrator_v2.agents.simulated.upstream import read_spec
from orchestrator_v2.engine.trace import tests_naming_criteria

_PACKAGE = re.compile(r"^src/([A-Za-z_]\w*)/__init__\.py$")
_WORDS = re.compile(r"\w+")
WIDTH = 105
LONGEST_WORDS = 400
UNPROVED = "tests/test_not_proved.py"
SAME = 0.75
"""From this share of common words on, a criterion says the same as the check."""


class _Check(msgspec.Struct, frozen=True):
    """A check of a module in its own words; `same_kind` where it is made on the kind of record that is asked for."""

    module: str
    key: str
    text: str
    same_kind: bool


class _Named(msgspec.Struct):
    """What a check stands for: the criteria in its own words, and those in a person's that it is only nearest to."""

    exact: list[Criterion] = []
    near: list[Criterion] = []


def prove(work: Work) -> list[SimulatedStep]:
    """The test suite in two steps: what the tests share, and a file for each part."""
    spec = read_spec(work.brief, work.answers, work.inputs)
    found = next((match[1] for path in sorted(work.inputs) if (match := _PACKAGE.match(path))), None)
    spec = msgspec.structs.replace(spec, package=found or spec.package)
    renderer = load_renderer()
    shared = {f"tests/{name}": renderer.file("qa", name, spec=spec) for name in ("conftest.py", "samples.py")}
    named = match_criteria(spec)
    tests = _tests(spec, named, renderer)
    unproved = _unproved(spec, named)
    if unproved:
        tests[UNPROVED] = renderer.file("qa", "not_proved.py", unproved=unproved)
    words = f"{clean.counted(len(tests), 'file')} for {_criteria(sum(len(one.criteria) for one in spec.requirements))}"
    rest = f", {len(unproved)} not proved (nearest check only)" if unproved else ""
    notes = tuple(f"{one.id} is not proved, nearest check only: {clean.short(one.text, 200)}" for one, *_ in unproved)
    return [
        SimulatedStep("What the tests share", "Fixtures and sample records.", shared),
        SimulatedStep("Tests", f"{words}{rest}.", tests, notes=fitting(notes)),
    ]


def _criteria(count: int) -> str:
    return clean.counted(count, "acceptance criterion", "acceptance criteria")


def _tests(spec: Spec, named: Mapping[tuple[str, str], _Named], renderer: Renderer) -> dict[str, str]:
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
    """For each check (module, name) the criteria that it proves, and those that it is only nearest to."""
    caps = {cap.module: cap for cap in spec.caps if cap.checks}
    named = {(cap.module, key): _Named([], []) for cap in caps.values() for key, _ in cap.checks}
    for requirement in spec.requirements:
        checks = [
            _Check(use.capability, key, text, caps[use.capability].e.key == use.entity)
            for use in requirement.uses
            if use.capability in caps
            for key, text in caps[use.capability].checks
        ]
        for criterion in requirement.criteria if checks else ():
            check, proves = _nearest(criterion, checks)
            stands = named[check.module, check.key]
            (stands.exact if proves else stands.near).append(criterion)
    return named


def _nearest(criterion: Criterion, checks: list[_Check]) -> tuple[_Check, bool]:
    """The check that says most of what the criterion says, and whether that is enough to prove it."""
    wanted = _words(criterion.text)
    scores = [_likeness(wanted, _words(check.text)) for check in checks]
    best = max(range(len(checks)), key=lambda place: (scores[place], -place))
    return checks[best], scores[best] == 1 or (checks[best].same_kind and scores[best] >= SAME)


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORDS.findall(text.casefold()))


def _unproved(spec: Spec, named: Mapping[tuple[str, str], _Named]) -> list[tuple[Criterion, str, str, str]]:
    """Each criterion that no check proves, the name of its test, its words as a docstring, the nearest check."""
    near = [(one, f"tests/test_{module}.py") for (module, _), names in named.items() for one in names.near]
    near += [(one, "tests/test_journal.py") for feature in spec.features for one in _own_words(feature)]
    order = {one.id: place for place, one in enumerate(one for each in spec.requirements for one in each.criteria)}
    found = sorted({one.id: (one, path) for one, path in near}.values(), key=lambda row: order[row[0].id])
    return [(one, _name_of(one), _docstring([f"{one.id}: {_words_of(one.text)}"]), path) for one, path in found]


def _name_of(criterion: Criterion) -> str:
    return f"test_{criterion.id.lower().replace('.', '_')}_not_proved_nearest_check_only"


def not_proved(tests: Mapping[str, str]) -> list[str]:
    """The ids of the criteria that only a skipped test names, in the order of the files."""
    skipped = [text for path, text in tests.items() if path == UNPROVED]
    others = tests_naming_criteria({path: text for path, text in tests.items() if path != UNPROVED})
    return [name for text in skipped for name in tests_naming_criteria({UNPROVED: text}) if name not in others]


def _own_words(feature: Feature) -> list[Criterion]:
    """The criteria of a journal that say something else than that it is a journal."""
    ours = [_words(text.format(slug=feature.slug)) for text in JOURNAL_CRITERIA]
    return [one for one in feature.criteria if not any(_likeness(_words(one.text), words) >= SAME for words in ours)]


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / max(1, len(one | other))


def _doc(text: str, named: _Named) -> str:
    ids = ", ".join(dict.fromkeys(one.id for one in named.exact))
    return _docstring([f"{ids}: {_words_of(text)}" if ids else _words_of(text)])


def _words_of(text: str) -> str:
    return clean.short(pydoc(text), LONGEST_WORDS)


def _docstring(lines: list[str]) -> str:
    """The lines as they stand between triple quotes in a function, none over the line length."""
    wrapped = [part for line in lines for part in textwrap.wrap(line, WIDTH) or [""]]
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
    own = {one.id for one in _own_words(feature)}
    lines = [f"{one.id}: {_words_of(one.text)}" for one in feature.criteria if one.id not in own]
    return _docstring(lines or [f"{feature.requirement} is a journal."])


def _test_name(feature: Feature) -> str:
    return "test_" + feature.slug.replace("-", "_")


def _block(cap: Built, spec: Spec, renderer: Renderer, block: str, doc: str, **values: object) -> str:
    shared: Mapping[str, object] = {"spec": spec, "pkg": spec.package, "e": cap.e, "other": cap.other, "doc": doc}
    return renderer.block("qa", f"capabilities/{cap.module}.py", block, **shared, **values)


def _file(words: str, parts: list[str]) -> str:
    head = f'"""{words}"""\n\nfrom __future__ import annotations\n\n'
    return head + "\n\n".join(part.rstrip("\n") + "\n" for part in parts)
