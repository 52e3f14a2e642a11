"""The checks that read files as text, and the reading of reports that foreign code wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.workspace.evidence import _TEXT_CHECKS
from orchestrator_v2.workspace.junit import parse_report


def found(check: str, files: dict[str, str | bytes], context: dict[str, str] | None = None) -> str:
    """The problems that a check finds, as one text."""
    as_bytes = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    around = {path: text.encode() for path, text in (context or {}).items()}
    return "\n".join(_TEXT_CHECKS[check](as_bytes, around).problems)


@pytest.mark.parametrize(
    ("files", "fine"),
    [
        ({"a.md": "text"}, True),
        ({"a.py": "x = 1\n", "pkg/__init__.py": "", "d/.gitkeep": "", "pkg/py.typed": ""}, True),
        ({}, False),
        ({"pkg/__init__.py": ""}, False),
        ({"a.md": "text", "b.md": " \n\t\n"}, False),
    ],
)
def test_not_empty_wants_text_in_every_file(files: dict[str, str | bytes], fine: bool) -> None:
    """No file, or a blank one, fails; files that are empty by convention do not."""
    assert (found("not-empty", files) == "") is fine


@pytest.mark.parametrize(
    ("path", "content", "fault"),
    [
        ("a.py", "def f():\n    return '\\d'\n", ""),
        ("a.py", "\ufeffx = 1\n", ""),
        ("a.py", "x = (\n", "line 1"),
        ("a.py", "x = 1\nif x is 1:\n    x = 2\n", "line 2"),
        ("a.py", "x = 1\0", "null byte"),
        ("a.py", "(" * 5000, "parentheses"),
        ("a.py", "-" * 50_000 + "1", "nested"),
        ("a.py", "return 1\n", "outside function"),
        ("a.json", '{"a": [1, 2.5, null]}', ""),
        ("a.json", "{'a': 1}", "does not parse"),
        ("a.json", '{"a": NaN}', "NaN"),
        ("a.json", "[" * 100_000, "nested"),
        ("a.toml", "[project]\nname = 'x'\n", ""),
        ("a.toml", "name = \n", "does not parse"),
        ("a.yaml", "a: [1, 2]\n---\nb: 2\n", ""),
        ("a.yml", "a: [1, 2\n", "does not parse"),
        ("a.yaml", "!!python/object/apply:os.system ['touch /tmp/planted']\n", "does not parse"),
        ("Makefile", "all:\n\ttrue\n", ""),
        ("a.bin", b"\xff\xfe", "UTF-8"),
        ("a.md", "x" * 2_000_000, ""),
        ("a.json", '"' + "x" * 2_000_000 + '"', "1 MiB"),
    ],
)
def test_parses_names_the_file_and_the_fault(path: str, content: str | bytes, fault: str) -> None:
    """Each kind of file is parsed as itself; what does not parse is named, and nothing is executed."""
    said = found("parses", {path: content})
    assert fault in said if fault else said == ""
    assert path in said or not fault


STUB = "def f(a):\n    {}\n"
PLACEHOLDERS = (
    ("a.py", "# TODO: finish\nx = 1\n"),
    ("a.py", "x = 1  # FIXME later\n"),
    ("a.py", "x = 1  # XXX\n"),
    ("a.py", "# TODO(me) x\n"),
    ("a.py", "# TODO implement storage\n"),
    ("a.py", STUB.format("pass")),
    ("a.py", STUB.format("...")),
    ("a.py", STUB.format('"""Does it."""\n    ...')),
    ("a.py", STUB.format("raise NotImplementedError")),
    ("a.py", STUB.format("a = 1\n    raise NotImplementedError('later')")),
    ("a.py", "class A:\n    async def f(self): pass\n"),
    ("a.py", "class A:\n    @property\n    def f(self): pass\n"),
    ("a.py", STUB.format('"""Not implemented yet."""\n    return 1')),
    ("tests/test_a.py", "def test_a():\n    pass\n"),
    ("a.md", "Lorem ipsum dolor sit amet.\n"),
    ("a.md", "- TODO: write this\n"),
    ("a.md", "<!-- TODO: more -->\n"),
    ("a.md", "<insert name here>\n"),
    ("a.md", "This is [insert link].\n"),
    ("a.md", "Your code here\n"),
    ("a.js", "// TODO: x\n"),
    ("a.toml", "# FIXME\n"),
    ("a.md", "It is not implemented yet.\n"),
    ("a.md", "Placeholder text\n"),
)
NO_PLACEHOLDERS = (
    ("a.py", '"""A todo list. TODO: is a column."""\nTODO = "TODO: buy milk"\n\n\ndef todo():\n    return TODO\n'),
    ("a.py", "# Todo items are sorted by date.\n# TODO items have a state.\nx = 1\n"),
    ("a.py", "from typing import Protocol\nclass P(Protocol):\n    def f(self) -> int: ...\n"),
    (
        "a.py",
        "import abc\nclass P(abc.ABC):\n    @abc.abstractmethod\n    def f(self):\n        raise NotImplementedError",
    ),
    ("a.py", "from typing import overload\n@overload\ndef f(a: int) -> int: ...\ndef f(a):\n    return a\n"),
    ("a.py", "class E(Exception):\n    pass\n"),
    ("a.py", "def f():\n    try:\n        g()\n    except OSError:\n        pass\n"),
    ("a.py", "import click\n@click.group()\ndef cli():\n    pass\n"),
    ("a.py", "def f(x):\n    if x:\n        return 1\n    raise NotImplementedError_(x)\n"),
    ("tests/test_a.py", "class Fake:\n    def close(self):\n        pass\n"),
    ("a.md", "# Todo app\n\nAdds a todo. A TODO list.\n\n```\nTODO: milk\n```\n> TODO: quoted\n\nUse `TODO: x`.\n"),
    ("a.md", "See [insertion sort](x.md) and <https://insert.example>.\n"),
    ("data.json", '{"text": "lorem ipsum", "x": "TODO: y"}'),
    ("a.py", "def f(:\n"),
)


@pytest.mark.parametrize(("path", "text"), PLACEHOLDERS)
def test_text_that_stands_in_for_work_is_found(path: str, text: str) -> None:
    """Each kind of placeholder is named with its file and line."""
    assert f"{path}:" in found("no-placeholders", {path: text})


@pytest.mark.parametrize(("path", "text"), NO_PLACEHOLDERS)
def test_the_subjects_own_words_are_no_placeholders(path: str, text: str) -> None:
    """A todo app, an interface, a quoted line and an empty handler are all fine."""
    assert found("no-placeholders", {path: text}) == ""


def test_what_the_brief_says_is_its_subject() -> None:
    """A brief about filler text, quoted in the intake, does not fail every later phase; other phrases still do."""
    intake = "# Intake\n\n> A lorem ipsum generator\n\nIt makes lorem ipsum.\n"
    assert found("no-placeholders", {"docs/intake.md": intake}) == ""
    assert found("no-placeholders", {"README.md": "# Lorem ipsum generator\n"}, {"docs/intake.md": intake}) == ""
    assert "your code here" in found("no-placeholders", {"a.md": "your code here"}, {"docs/intake.md": intake})


DOCS = {
    "README.md": "# Top\n\n## The *first* `part`, yes\n",
    "docs/a (1).md": "# A\n",
    "img/x.png": "x",
    "src/app/m.py": "x",
}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[r](../README.md) ![i](../img/x.png) [d](../src/) [u](https://x.y/z#q) [m](mailto:a@b.c) <b>", ""),
        ("[a](../README.md#the-first-part-yes) [b](a%20%281%29.md) [c](<a (1).md>) [t](../README.md 'title')", ""),
        ("# Here\n\n# Here\n\n[1](#here) [2](#here-1) [x](#x)\n\n<a id='x'></a>", ""),
        ("[![badge](../img/x.png)](../README.md)\n\n[ref]: ../README.md\n", ""),
        ("`[no](link.md)`\n\n```\n[no](link.md)\n```\n", ""),
        ("[x](gone.md)", "points to nothing"),
        ("![x](../img/y.png)", "points to nothing"),
        ("[![badge](../img/x.png)](gone.md)", "points to nothing"),
        ("[ref]: gone.md", "points to nothing"),
        ("[x](#nowhere)", "heading"),
        ("[x](../README.md#second)", "heading"),
        ("[x](../../etc/passwd)", "leaves the project"),
        ("[x](/etc/passwd)", "absolute"),
    ],
)
def test_relative_links_must_resolve(text: str, fault: str) -> None:
    """Links to files, directories and headings resolve or are named; other machines and code are not looked at."""
    said = found("links", {"docs/page.md": text}, DOCS)
    assert fault in said if fault else said == ""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("## R1: Adds\n\n- AC1.1: one\n- AC1.2: two\n\n## R2: Lists\n\n- AC2.1: x\n", ""),
        ("# Nothing\n", "no requirement"),
        ("## R1: Adds\n", "R1 (Adds) has no acceptance criterion"),
        ("## R1: A\n- AC1.1: x\n## R1: B\n- AC1.2: y\n", "R1 is used 2 times"),
        ("## R1: A\n- AC1.1: x\n- AC1.1: y\n", "AC1.1 is used 2 times"),
    ],
)
def test_requirements_are_testable_and_unique(text: str, fault: str) -> None:
    """There is a requirement, each has a criterion, no id stands twice."""
    said = found("requirements", {"docs/requirements.md": text})
    assert fault in said if fault else said == ""


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        ("flowchart TD\n  a[One] --> b{Two}\n  b -->|yes (no| c((Three))\n", ""),
        ("erDiagram\n  A ||--o{ B : has\n  A {\n    int id\n  }\n  B }o--|| C : of\n", ""),
        ('sequenceDiagram\n  A->>B: hello ("x)"\n', None),
        ("---\ntitle: x\n---\n%% note [\ngraph LR\n  a --> b\n", ""),
        ("classDiagram\n  class A {\n    +run(x) int\n  }\n", ""),
        ("flowchart TD\n  a[One --> b\n", "is not closed"),
        ("flowchart TD\n  a] --> b\n", "closes nothing"),
        ("flowchart TD\n  a[x) --> b(y]\n", "closes nothing"),
        ("drawing\n  a --> b\n", "no diagram"),
        ("flowchart TD\n", "nothing in it"),
        ("", "no diagram"),
    ],
)
def test_a_diagram_has_a_known_kind_and_closed_brackets(block: str, fault: str | None) -> None:
    """Real diagrams pass; an unknown kind, an empty one and an open bracket are named."""
    said = found("diagram", {"a.md": f"# A\n\n```mermaid\n{block}```\n"})
    if fault is not None:
        assert fault in said if fault else said == ""


def test_a_document_without_a_diagram_fails() -> None:
    """Prose, and a block of another language, are no diagram."""
    assert "no Mermaid diagram" in found("diagram", {"a.md": "# A\n\n```python\nx\n```\n"})


def test_each_criterion_must_be_named_by_a_test() -> None:
    """By id in the text or the name, in this phase's files or the ones before; only below tests/."""
    context = {"docs/requirements.md": "## R1: A\n- AC1.1: x\n- AC1.2: y\n"}
    both = "def test_ac1_1():\n    assert 1\n\ndef test_b():\n    'AC1.2'\n    assert 1\n"
    assert found("traced", {"tests/test_a.py": both}, context) == ""
    assert "AC1.2 (y)" in found("traced", {"tests/test_a.py": both[:40]}, context)
    assert "AC1.1" in found("traced", {"src/test_a.py": both}, context)
    assert "no acceptance criterion" in found("traced", {"tests/test_a.py": both})


HOSTILE = st.one_of(
    st.binary(max_size=200), st.text(alphabet="[]()!<>`~#:\"'{}|-=>*\n rRACTODO1.\\/", max_size=300).map(str.encode)
)


@given(
    st.dictionaries(
        st.sampled_from(["a.md", "b.py", "c.json", "d.yaml", "e.toml", "docs/intake.md"]), HOSTILE, max_size=3
    )
)
def test_no_bytes_make_a_check_raise(files: dict[str, bytes]) -> None:
    """Whatever the files hold, each check brings back a finding, twice the same."""
    for check in _TEXT_CHECKS.values():
        assert check(files, {}) == check(files, {})


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["[", "](", '](a "', "`", "` ``", "```mermaid\n", "<insert ", "# [", "a(", "&a [*a,", "((", "- TODO", "\n"]
)
def test_no_text_makes_a_check_take_the_square_of_its_length(piece: str) -> None:
    """300 kB made to provoke backtracking are read in seconds: where the square is taken, this never ends."""
    text = (piece * 300_000)[:300_000].encode()
    for check in _TEXT_CHECKS.values():
        check({"a.md": text, "docs/requirements.md": text, "b.txt": text}, {})


def test_a_report_is_read_case_by_case() -> None:
    """Each outcome is told apart, and an error after a pass counts."""
    report = (
        b"<testsuites><testsuite><testcase classname='t' name='a'/><testcase name='b'><failure message='m'/></testcase>"
        b"<testcase name='c'><skipped type='pytest.xfail' message='n'/></testcase>"
        b"<testcase name='d'><error/></testcase>"
        b"<testcase name='e'><skipped/><error/></testcase></testsuite></testsuites>"
    )
    cases = parse_report(report)
    assert [case.outcome for case in cases] == ["passed", "failure", "skipped", "error", "error"]
    assert (cases[0].classname, cases[2].kind, cases[2].message) == ("t", "pytest.xfail", "n")


@pytest.mark.parametrize(
    "report",
    [
        b"", b"not xml", b"<a>", b"<a/>trailing", b"\xff\xfe\x00",
        b"<!DOCTYPE a><a/>",
        b"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        b"<a>" * 40 + b"</a>" * 40,
        b"<a>" + b" " * (9 << 20) + b"</a>",
    ],
)  # fmt: skip
def test_a_hostile_report_is_refused(report: bytes) -> None:
    """No document type, no entity, no depth, no flood, no rubbish."""
    with pytest.raises(ValueError, match=r"it (is|declares)"):
        parse_report(report)
