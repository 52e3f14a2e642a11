"""The examples of the usage page: commands with the very lines that the generated program prints.

The tests run every example and compare; the examples themselves are data in `capabilities.toml`.
"""

from __future__ import annotations

import re
import shlex

from orchestrator_v2.agents.simulated.assembling import fill
from orchestrator_v2.agents.simulated.quoting import default_literal, sample_text
from orchestrator_v2.agents.simulated.spec import Built, Entity, Field, Spec

_MARK = re.compile(r"\{(other_)?(new|line)([^}]*)\}")
_DAY = "2026-01-05"
_AMOUNTS = {"int": "30", "float": "30.0", "money": "30.00"}
_TIMED = """$ start "{sample}" --minutes 25
Started {one} 1: {sample} (25 minutes planned)
$ finish
Finished {one} 1: {sample} after 25 minutes"""


def example_of(cap: Built, spec: Spec) -> str:
    """The capability's example as a console block; empty where it has none, or where nothing can be added by hand."""
    text = _with_sums(cap, spec) if "{sums}" in cap.example else cap.example.strip()
    if not text or (cap.e.made_by and "{new" in text):
        return ""
    kind = "" if cap.e.key == spec.primary.key else f" --kind {shlex.quote(cap.e.label)}"
    plain = fill(text, cap.e, cap.other).replace("{sample}", cap.e.sample).replace("{kind}", kind)
    return "```console\n" + "\n".join(_line(row, cap, spec) for row in plain.splitlines()) + "\n```"


def _with_sums(cap: Built, spec: Spec) -> str:
    """The example of the statistics: a record is made, and what is counted and summed follows from it."""
    field = next((field for field in cap.e.fields if field.name == cap.e.measure), None)
    amount = ""
    make = "$ {new}\nAdded {one} {line}"
    if cap.e.made_by == "start":
        make, amount = _TIMED, "25"
    elif field is not None and field.editable:
        amount = _AMOUNTS[field.type]
        make = f"$ {{new {field.name}={amount}}}\nAdded {{one}} {{line {field.name}={amount}}}"
    elif field is not None:
        amount = _empty(field)
    unit = cap.e.measure.replace("_", " ")
    counted = f"1 {{one}}, {amount} {unit}" if unit else "1 {one}"
    sums = [f"{_DAY}  {counted}", f"Together: {counted} on 1 day"]
    if unit:
        sums.append(f"Average: {float(amount):.1f} {unit} a day; best day: {_DAY}")
    return cap.example.strip().replace("{make}", make).replace("{sums}", "\n".join(sums))


def _line(text: str, cap: Built, spec: Spec) -> str:
    def replaced(match: re.Match[str]) -> str:
        entity = cap.other if match[1] else cap.e
        values = dict(pair.split("=", 1) for pair in match[3].strip().split(";") if pair)
        return _new(entity, values, spec) if match[2] == "new" else _shown(entity, values)

    filled = _MARK.sub(replaced, text)
    return filled.replace("$ ", f"$ python -m {spec.package} ", 1) if filled.startswith("$ ") else filled


def _new(entity: Entity, values: dict[str, str], spec: Spec) -> str:
    """The command that adds the sample record, with what is required and what is given."""
    end = "" if entity.key == spec.primary.key else f"-{entity.label.replace(' ', '-')}"
    options = (f"--{name.replace('_', '-')} {shlex.quote(text)}" for name, text in _given(entity, values).items())
    return " ".join([f"add{end}", shlex.quote(entity.sample), *options])


def _shown(entity: Entity, values: dict[str, str]) -> str:
    """The line that the generated program shows for the sample record."""
    given = _given(entity, values) | values
    texts = {field.name: given.get(field.name, _empty(field)) for field in entity.fields if field.name != entity.title}
    shown = (f"{name.replace('_', ' ')}: {text}" for name, text in texts.items() if text)
    return " | ".join([f"#1 {entity.sample}", *shown])


def _given(entity: Entity, values: dict[str, str]) -> dict[str, str]:
    wanted = [field for field in entity.fields if (field.required and field.editable) or field.name in values]
    texts = {field.name: values.get(field.name, sample_text(field, entity)) for field in wanted}
    return {name: text for name, text in texts.items() if name != entity.title}


def _empty(field: Field) -> str:
    """What the program shows for a field that was not set."""
    literal = default_literal(field).removeprefix('Decimal("').removesuffix('")')
    shown = {"False": "", "True": "yes", "None": "", "()": "", '""': ""}
    return shown.get(literal, literal.strip('"'))
