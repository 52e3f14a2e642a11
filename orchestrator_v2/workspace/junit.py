"""Reading a JUnit report that foreign code may have written: bounded, without a document type, without entities.

Whether to believe it is `pytest_run.py`.
"""

from __future__ import annotations

from xml.parsers import expat

import msgspec

MAX_REPORT = 8 << 20
_MAX_DEPTH = 32
_OUTCOMES = frozenset({"failure", "error", "skipped"})


class Case(msgspec.Struct):
    """One test. `outcome` is passed, failure, error or skipped; `kind` is the report's type, `message` its text."""

    classname: str
    name: str
    outcome: str = "passed"
    kind: str = ""
    message: str = ""


class _Reader:
    """The expat callbacks, and the cases seen so far."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self._path: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= _MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        inside_case = bool(self._path) and self._path[-1] == "testcase"
        self._path.append(tag)
        if tag == "testcase":
            self.cases.append(Case(attributes.get("classname", ""), attributes.get("name", "")))
        elif inside_case and tag in _OUTCOMES and self.cases[-1].outcome in {"passed", "skipped"}:
            case = self.cases[-1]
            case.outcome, case.kind, case.message = tag, attributes.get("type", ""), attributes.get("message", "")

    def end(self, _tag: str) -> None:
        self._path.pop()

    def refuse(self, *_: object) -> None:
        raise ValueError("it declares a document type or an entity")


def parse_report(content: bytes) -> list[Case]:
    """The test cases in the order of the report. Raises `ValueError`, whose text says why."""
    if len(content) > MAX_REPORT:
        raise ValueError("it is too large")
    reader, parser = _Reader(), expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise ValueError(f"it is no XML ({error})") from error
    return reader.cases
