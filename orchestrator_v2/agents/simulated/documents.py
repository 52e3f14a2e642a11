"""The documents: intake, requirements, architecture, data model, README and usage, each a template filled.

Reviews and the hygiene report, which measure, are `reviewing.py` and `tidying.py`.
"""

from __future__ import annotations

import json
import re

from orchestrator_v2.agents.simulated import clean, describing
from orchestrator_v2.agents.simulated.asking import asked, understand
from orchestrator_v2.agents.simulated.exemplifying import example_of
from orchestrator_v2.agents.simulated.proving import not_proved
from orchestrator_v2.agents.simulated.quoting import pystr, sample_text
from orchestrator_v2.agents.simulated.rendering import load_renderer
from orchestrator_v2.agents.simulated.spec import Entity, Spec
from orchestrator_v2.agents.simulated.step import SimulatedStep, Work
from orchestrator_v2.agents.simulated.upstream import MODEL, REQUIREMENTS, read_spec

_TEST = re.compile(r"^def test_", re.MULTILINE)
_LINKS = {
    "docs/usage.md": "How to use it",
    "docs/requirements.md": "Requirements and acceptance criteria",
    "docs/architecture.md": "Architecture",
    "docs/data-model.md": "Data model",
    "docs/intake.md": "How the brief was understood",
}


def take_in(work: Work) -> list[SimulatedStep]:
    """docs/intake.md"""
    found = understand(work.brief, work.answers, work.asked)
    pairs, others = asked(found, work.answers)
    text = load_renderer().file("architect", "intake.md", draft=found, asked=pairs, others=others)
    seen = clean.counted(len(found.spec.requirements), "requirement") + " seen"
    rest = (clean.counted(len(found.assumptions), "assumption"), clean.counted(len(pairs), "question"))
    words = f"{', '.join((seen, *rest))}."
    return [SimulatedStep("Intake", words, {"docs/intake.md": text})]


def plan(work: Work) -> list[SimulatedStep]:
    """docs/requirements.md"""
    found = understand(work.brief, work.answers, work.asked)
    text = load_renderer().file(
        "architect",
        "requirements.md",
        spec=found.spec,
        modules={cap.module for cap in found.spec.modules},
        constraints=found.brief.constraints,
        excluded=found.brief.excluded,
    )
    criteria = sum(len(one.criteria) for one in found.spec.requirements)
    several = clean.counted(len(found.spec.requirements), "requirement")
    words = f"{several} with {clean.counted(criteria, 'acceptance criterion', 'acceptance criteria')}."
    return [SimulatedStep("Requirements", words, {REQUIREMENTS: text})]


def architect(work: Work) -> list[SimulatedStep]:
    """docs/architecture.md"""
    spec = read_spec(work.brief, work.answers, work.inputs)
    text = load_renderer().file(
        "architect",
        "architecture.md",
        spec=spec,
        storeless=describing.STORELESS,
        modules={cap.module for cap in spec.modules},
    )
    words = f"{clean.counted(len(spec.modules), 'service')} over one store; every requirement has its place."
    return [SimulatedStep("Architecture", words, {"docs/architecture.md": text})]


def model_data(work: Work) -> list[SimulatedStep]:
    """docs/data-model.md and docs/data-model.json"""
    spec = read_spec(work.brief, work.answers, work.inputs)
    relations = [
        (*(one.cls for one in ((cap.other, cap.e) if forward else (cap.e, cap.other))), words)
        for cap in spec.caps
        for forward, words in _RELATIONS.get(cap.module, ())
        if cap.e != cap.other
    ]
    types = {field.type for entity in spec.entities for field in entity.fields}
    text = load_renderer().file("data", "data-model.md", spec=spec, relations=relations, types=types)
    fields = sum(len(entity.fields) for entity in spec.entities)
    words = f"{clean.counted(len(spec.entities), 'kind')} of record with {clean.counted(fields, 'field')}."
    return [SimulatedStep("Data model", words, {"docs/data-model.md": text, MODEL: _model_json(spec)})]


_RELATIONS = {
    "orders": ((True, "is ordered in"),),
    "budget": ((True, "limits"),),
    "members": ((False, "is given"),),
}


def _model_json(spec: Spec) -> str:
    model = {
        "simulated": True,
        "project": {"title": spec.title, "package": spec.package},
        "entities": [_entity_json(entity) for entity in spec.entities],
    }
    return json.dumps(model, ensure_ascii=False, indent=2) + "\n"


def _entity_json(entity: Entity) -> dict[str, object]:
    return {
        "name": entity.cls,
        "key": entity.key,
        "label": entity.label,
        "plural": entity.plural,
        "about": entity.about,
        "when": entity.when,
        "measure": entity.measure,
        "sample": entity.sample,
        "fields": [
            {
                "name": field.name,
                "type": field.type,
                "required": field.required,
                "editable": field.editable,
                "default": field.default,
            }
            | ({"least": int(field.least)} if field.least else {})
            for field in entity.fields
        ],
    }


def document(work: Work) -> list[SimulatedStep]:
    """README.md and docs/usage.md"""
    spec = read_spec(work.brief, work.answers, work.inputs)
    examples = {cap.module: example_of(cap, spec) for cap in spec.caps}
    commands = {cap.module: describing.commands_of(cap, spec) for cap in spec.caps}
    tests = {path: text for path, text in work.inputs.items() if path.startswith("tests/") and "/test_" in path}
    shown = [cap for cap in spec.modules if examples[cap.module]]
    first = next((cap.module for cap in (*(cap for cap in shown if cap.e == spec.primary), *shown)), "")
    quote = next((one.quote for one in spec.requirements if one.quote), "")
    sample = {field.name: sample_text(field, spec.primary) for field in spec.primary.fields if field.required}
    readme = load_renderer().file(
        "documentarian",
        "README.md",
        spec=spec,
        purpose=_purpose(spec, quote),
        tour=examples.get(first, ""),
        groups=[(cap.title, commands[cap.module]) for cap in spec.modules],
        tests=sum(len(_TEST.findall(text)) for text in tests.values()),
        test_files=len(tests),
        unproved=len(not_proved(tests)),
        links=[(path, words) for path, words in _LINKS.items() if path in work.inputs or path == "docs/usage.md"],
    )
    usage = load_renderer().file(
        "documentarian",
        "usage.md",
        spec=spec,
        commands=commands,
        examples=examples,
        python_sample="{" + ", ".join(f"{pystr(name)}: {pystr(text)}" for name, text in sample.items()) + "}",
    )
    words = f"{clean.counted(sum(map(len, commands.values())), 'command')} described."
    return [SimulatedStep("Documentation", words, {"README.md": readme, "docs/usage.md": usage})]


def _purpose(spec: Spec, quote: str) -> str:
    titles = [cap.title.lower() for cap in spec.modules if cap.module not in ("records", "journal")]
    kept = " and ".join([", ".join(titles[:-1]), titles[-1]] if len(titles) > 1 else titles)
    program = f"A command-line program that keeps {spec.primary.plural}"
    return f"{program}, with {kept}." if kept else f"{program}."


def improvise(work: Work, role: str) -> list[SimulatedStep]:
    """docs/<phase>.md for a phase that the templates do not know."""
    spec = read_spec(work.brief, work.answers, work.inputs)
    seen = [(path, text.count("\n") + 1) for path, text in sorted(work.inputs.items())]
    heading = clean.short(work.phase.replace("_", " "), 60).capitalize() or "Notes"
    return [
        SimulatedStep(
            heading,
            f"{clean.counted(len(seen), 'file')} seen.",
            {
                f"docs/{safe_name(work.phase)}.md": load_renderer().file(
                    "architect",
                    "generic.md",
                    spec=spec,
                    heading=heading,
                    phase=safe_name(work.phase),
                    role=role,
                    seen=seen,
                )
            },
        )
    ]


def safe_name(phase: str) -> str:
    """A phase id as a file name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", phase).strip("-_") or "phase"
