"""The parts of simulated mode one by one: names, reading a brief, quoting a person's words, the catalog.

Whole projects are in `test_simulated_projects.py`.
"""

from __future__ import annotations

import ast
import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_v2.agents.simulated import clean, naming, quoting
from orchestrator_v2.agents.simulated.catalog import load_catalog
from orchestrator_v2.agents.simulated.drafting import draft
from orchestrator_v2.agents.simulated.reading import read_brief
from orchestrator_v2.agents.simulated.rendering import load_renderer
from orchestrator_v2.agents.simulated.spec import TYPES


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Pomodoro timer", "pomodoro_timer"),
        ("class", "class_app"),
        ("JSON", "json_app"),
        ("con", "con_app"),
        ("test", "test_app"),
        ("2048", "app_2048"),
        ("Größen & Maße", "groessen_masse"),
        ("Библиотека", "biblioteka"),
        ("Café Français", "cafe_francais"),
    ],
)
def test_packages_have_safe_names(title: str, name: str) -> None:
    """A title becomes a package name in ASCII that shadows nothing."""
    assert naming.package(title) == name


def test_scripts_without_a_table_get_a_hash() -> None:
    """Where no letter can be written in ASCII the name is made from a digest, another one for each title."""
    assert re.fullmatch(r"project_[0-9a-f]{8}", naming.package("番茄钟"))
    assert naming.package("番茄钟") != naming.package("番茄")


@given(st.text())
def test_names_are_always_identifiers(text: str) -> None:
    """Whatever the words, packages, fields and classes are Python names, and slugs are plain."""
    assert naming.package(text).isidentifier()
    assert naming.identifier(text).isidentifier()
    assert naming.class_name(text).isidentifier()
    assert re.fullmatch(r"[a-z0-9-]+", naming.slug(text))


@given(st.text())
def test_quoted_words_come_back(text: str) -> None:
    """A Python literal holds the words it was made from, TOML parses, and Markdown's quoting can be undone."""
    words = clean.quiet(clean.line(text))
    assert ast.literal_eval(quoting.pystr(text)) == words
    assert tomllib.loads(f"x = {quoting.tomlstr(text)}")["x"] is not None
    assert quoting.unmd(quoting.md(text)) == words
    ast.parse(f'"""{quoting.pydoc(text)}"""')


@given(st.text())
def test_a_fence_cannot_be_closed_from_inside(text: str) -> None:
    """The fence around a brief is longer than any run of backticks in it."""
    fenced = quoting.fenced(text)
    fence = fenced.partition("text\n")[0]
    inner = fenced.split("\n")[1:-1]
    assert fenced.endswith("\n" + fence)
    assert not any(fence in row for row in inner)


@pytest.mark.parametrize(
    ("brief", "title", "first"),
    [
        ("Build me a pomodoro timer with statistics", "Pomodoro timer", "timer"),
        ("# Library\n\nIt should keep books.\n\n- rate books", "Library", "records"),
        ("Ich möchte eine Einkaufsliste, die Erinnerungen hat", "Einkaufsliste", "done"),
        ("Je veux un minuteur avec export", "Minuteur", "timer"),
        ("Quiero una calculadora", "Calculadora", "calculator"),
    ],
)
def test_briefs_are_read_in_several_languages(brief: str, title: str, first: str) -> None:
    """Title and first requirement are what a person would say they are."""
    found = draft(brief)
    assert found.brief.title == title
    assert found.spec.requirements[0].uses[0].capability == first


def test_every_bullet_is_a_requirement_and_fences_are_none() -> None:
    """Bullets count one by one, also those nobody knows; what stands in a code fence asks for nothing."""
    brief = "# Zoo\n\n- feed the lions\n* wash the zebras\n3. sing\n\n```\n- not this\n```\n"
    quotes = [one.quote for one in draft(brief).spec.requirements if one.quote]
    assert quotes == ["feed the lions", "wash the zebras", "sing"]


def test_what_is_out_of_scope_is_not_built() -> None:
    """Bullets below such a heading are limits of the project, and no requirement is made of them."""
    found = draft("# Notes\n\n- search\n\n## Out of scope\n\n- CSV export\n")
    assert "export" not in {cap.module for cap in found.spec.caps}
    assert found.brief.excluded == ("CSV export",)


@pytest.mark.parametrize(
    ("brief", "language"),
    [
        ("A timer with the sound of the sea", "English"),
        ("Ein Timer mit dem Ton und der Uhr für eine Küche", "German"),
        ("таймер для кухни", "Russian"),
        ("番茄钟", "Chinese"),
        ("タイマーの統計", "Japanese"),
        ("مؤقت بسيط", "Arabic"),
        ("xyzzy", "not detected"),
    ],
)
def test_the_language_of_a_brief_is_told(brief: str, language: str) -> None:
    """The page about the brief names its language, or says that it does not know."""
    assert read_brief(brief).language == language


def test_unfinished_marks_look_the_same_and_are_no_marks() -> None:
    """Words such as a to-do mark are kept to the eye and are no longer one; an app named todo stays as it is."""
    quiet = clean.quiet("TODO: x, FIXME, lorem ipsum, todo app")
    assert quiet.replace(clean.JOINER, "") == "TODO: x, FIXME, lorem ipsum, todo app"
    assert clean.MARKERS.search(quiet) is None
    assert quiet.endswith("todo app")


def test_the_catalog_and_the_templates_belong_together() -> None:
    """Each capability has code, tests for every criterion and known records; each field has a known type."""
    catalog, renderer = load_catalog(), load_renderer()
    found = draft("Everything")
    entity = found.spec.primary
    for key, capability in catalog.capabilities.items():
        assert not capability.home or capability.home in catalog.entities
        assert not capability.other or capability.other == "*" or capability.other in catalog.entities
        values = {"spec": found.spec, "pkg": "x", "e": entity, "other": entity, "doc": "words"}
        for name, _ in capability.criteria:
            assert "def test_" in renderer.block("qa", f"capabilities/{key}.py", name, **values), (key, name)
        for block in ("service", "command") if capability.commands else ():
            assert renderer.block("developer", f"capabilities/{key}.py", block, **values)
    for kind in catalog.entities.values():
        assert kind.title != "id"
        assert all(field.type in TYPES for field in kind.fields)
        assert kind.when == "created_at" or kind.has(kind.when)
        assert not kind.measure or kind.has(kind.measure)
