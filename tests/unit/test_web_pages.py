"""Every page and part: well formed, labelled, without inline script or style, and safe with hostile text in it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_v2.api.guard import CSP
from orchestrator_v2.api.web.render import STATIC, static_file
from tests.unit import web_cases as cases

HOSTILE = (
    "<script>alert(1)</script>",
    "</title></textarea></pre></svg><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "javascript:alert(1)",
    "[a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](data:text/html,<script>1</script>)",
    "![x](https://evil.example/x.png) <svg/onload=alert(1)>",
    "{{7*7}} {% raw %} ${7*7} #{7*7}",
    "\u202egnp.exe\u202c \u2066x\u2069 \x00\x1b[31m\x07",
    "\ud800 \udfff",
    "<https://ok.example/> <style>*{display:none}</style><!-- --><base href=//evil>",
    "```html\n<script>alert(1)</script>\n```\n\n    <b onclick=x>\n",
    "[ref]: javascript:alert(1)\n[ref] <a href='javascript:1'>x</a>\n\n|a|b|\n|-|:-:|\n|<i>|`x`|",
    "# h\n" * 50 + "[x](//evil.example) [y](/users/me) [z](../../../../etc/passwd) [w](docs/a.md)",
    "",
    " \n\t ",
    "a" * 5_000,
)
PIECES = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30)), max_size=4).map("".join)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_page_runs_or_breaks_on_hostile_text(text: str) -> None:
    """With the text in every place where foreign text can stand, each page stays well formed and runs nothing."""
    pages = cases.all_pages(text)
    assert len(pages) > 35
    assert {name: found for name, html in pages.items() if (found := cases.faults(html))} == {}
    assert all(html.encode("utf-8") for name, html in pages.items())


@settings(max_examples=12)
@given(PIECES)
def test_no_mixture_of_texts_breaks_a_page(text: str) -> None:
    """Whatever is put together, what comes out has no tag, attribute or address that a template did not write."""
    for name, html in cases.all_pages(text).items():
        assert cases.faults(html) == [], name
        html.encode("utf-8")


def test_the_strict_reader_sees_each_fault() -> None:
    """The check above is able to fail, for each thing that it looks for."""
    for broken in (
        "<p><div></div></p>",
        "<div><span></div>",
        "<div>",
        "<input name=a>",
        "<i id=a></i><i id=a></i>",
        "<b onclick=x></b>",
        "<b style=x></b>",
        "<style></style>",
        "<script>1</script>",
        "<script src=https://e.example></script>",
        "<a href=javascript:x></a>",
        "<a href=//e.example></a>",
        "<form><form></form></form>",
        "<!-- x -->",
        "<img src=/x>",
    ):
        assert cases.faults(broken), broken


def test_a_template_in_a_brief_stays_text() -> None:
    """`{{7*7}}` is shown as it was typed, on every page that shows it."""
    pages = cases.all_pages("{{7*7}} {% x %}")
    assert "{{7*7}}" in "".join(cases.read(pages["project"]).text)
    assert all("49" not in "".join(cases.read(pages[name]).text) for name in ("project", "new", "error"))


def test_bidi_and_control_characters_do_not_reach_the_page() -> None:
    """What would turn a line round or hide in it is blanked or shown by its number."""
    for name, html in cases.all_pages("a\u202eb\u2066c\x1bd\u200fe").items():
        # In fields it is a person's own input, given back as it came.
        shown = re.sub(r'value="[^"]*"|<textarea.*?</textarea>', "", html, flags=re.DOTALL)
        assert not re.search("[\u202e\u2066\x1b\u200f]", shown), name


def test_every_form_that_posts_carries_the_csrf_token_and_works_without_script() -> None:
    """Each form has a method, an address and the token; nothing is posted by script alone."""
    posted = 0
    for name, html in cases.all_pages("x").items():
        for form in cases.read(html).forms:
            assert form["action"].startswith("/"), name
            if form["method"] == "post":
                posted += 1
                assert "csrf" in form["fields"], (name, form)
    assert posted > 30


def test_a_review_is_bound_to_the_content_that_was_seen() -> None:
    """Approve and reject carry the hash that stands in the state; an edit carries the file's own."""
    forms = cases.read(cases.all_pages("x")["run"]).forms
    decide = next(form for form in forms if form["action"].endswith("/reviews"))
    edit = next(form for form in forms if form["action"].endswith("/edit"))
    assert {"csrf", "phase", "content", "reason"} <= decide["fields"]
    assert {"csrf", "phase", "path", "seen_file", "text"} <= edit["fields"]
    assert f'value="{"c" * 64}"' in cases.all_pages("x")["run"]


def test_a_viewer_is_offered_nothing_that_changes() -> None:
    """The page of one who may only look has no form but the one that signs out."""
    for name in ("run of a viewer", "settings of a viewer", "no projects to look at"):
        posts = [form["action"] for form in cases.read(cases.edge_pages("x")[name]).forms]
        assert posts == ["/ui/sign-out"], name


def test_no_stored_key_can_be_on_a_page() -> None:
    """The settings show last four and fingerprint; the field for a key is empty, hidden and not remembered."""
    html = cases.own_pages("x")["settings"]
    field = next(field for field in cases.read(html).fields if field.get("name") == "api_key")
    assert field["type"] == "password"
    assert field["autocomplete"] == "off"
    assert "value" not in field
    assert "x4Qz" in html
    assert "3fa9c1d2e4b5" in html


def test_a_part_is_sent_again_only_when_it_changed() -> None:
    """The mark in a part is what it answers to: the same content gives nothing, another gives all of it."""
    values = cases.run_view.part_values("timeline", cases.facts("x"))
    html = cases.PAGES.part("timeline", cases.somebody(), values)
    assert html
    mark = next(field["value"] for field in cases.read(html).fields if field.get("name") == "seen")
    assert cases.PAGES.part("timeline", cases.somebody(), values, seen=mark) is None
    assert f'value="{mark}"' in cases.PAGES.run_page(cases.somebody(), cases.run_view.page_values(cases.facts("x")))
    other = cases.run_view.part_values("timeline", cases.facts("y"))
    assert cases.PAGES.part("timeline", cases.somebody(), other, seen=mark)


def test_simulated_work_is_marked_wherever_it_is_shown() -> None:
    """The run's head, the project's runs and the list of projects each say it in words."""
    assert "No model was asked" in cases.run_pages("x")["run simulated"]
    for name in ("project", "projects"):
        assert ">Simulated<" in cases.project_pages("x")[name]


def test_every_page_can_be_walked_by_keyboard_and_heard() -> None:
    """A language, a title, one first heading, a skip link to the content; graphs and charts have words."""
    for name, html in cases.all_pages("x").items():
        if html.lstrip().startswith("<!doctype"):
            assert '<html lang="en">' in html, name
            assert html.count("<h1") == 1, name
            assert 'href="#main"' in html, name
            assert 'id="main"' in html, name
    assert html_of_graph_has_words()


def html_of_graph_has_words() -> bool:
    html = cases.run_pages("x")["part graph"]
    return html.count('role="group" aria-label="Workflow default') == 2 and "build before look" not in html


def test_static_files_are_the_ones_that_were_vendored() -> None:
    """htmx and its extension are those of VERSIONS.md, with their licences; no other file is served."""
    import hashlib
    from importlib import resources

    folder = resources.files("orchestrator_v2.api.web").joinpath("static")
    noted = folder.joinpath("VERSIONS.md").read_text()
    for name in ("htmx.min.js", "sse.min.js"):
        found = static_file(name)
        assert found
        assert hashlib.sha256(found[0]).hexdigest() in noted
        assert "PERMISSION" in folder.joinpath(name.replace(".min.js", ".LICENSE")).read_text().upper()
    assert all(static_file(name) for name in STATIC)
    assert static_file("../render.py") is None
    assert static_file("VERSIONS.md") is None


def test_the_policy_lets_no_inline_script_or_style_through() -> None:
    """The pages are made for this policy, and the script they bring asks for no more than it allows."""
    assert "unsafe" not in CSP
    script = static_file("page.js")
    assert script
    assert not re.search(rb"\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write", script[0])
