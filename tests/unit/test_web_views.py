"""What the page says: the terminal's words, honest money, versions, differences, charts, safe Markdown and code."""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator_v2.api.web import (
    charts,
    diff,
    file_view,
    frame,
    highlight,
    links,
    markdown,
    money_view,
    new_view,
    settings_view,
    text,
    timeline,
    usage_view,
    users_view,
    versions,
    words,
)
from orchestrator_v2.api.web.languages import LANGUAGES
from orchestrator_v2.cli import words as cli_words
from orchestrator_v2.core.accounts import LOCAL, OPERATIONS, Credential, UsageLine, User
from orchestrator_v2.core.errors import UnknownNameError
from orchestrator_v2.core.usage import nano_usd
from orchestrator_v2.engine import telling
from tests.unit import web_cases as cases


def test_every_kind_of_event_has_its_sentence_and_its_look() -> None:
    """None is left out, and a command in it bears the run's id."""
    events = [*cases.history("a reason"), *cases.history("b", mode="simulated")]
    rest = (
        cases.e.PhaseSkipped("plan", "why"),
        cases.e.ReviewDecided("plan", approved=False, by="ada", content="c", reason="no"),
        cases.e.RunRolledBack("plan", ("build",)),
        cases.e.RunCompleted(),
        cases.e.RunFailed("x", "what", "why", "do `orchestrator resume RUN`"),
        cases.e.RunCancelled("ada"),
    )
    said = [entry.event for entry in events] + list(rest)
    assert {type(event) for event in said} == set(telling._SAID)
    lines = [timeline.line(cases.e.Recorded(1, 1.0, event), "run_1") for event in said]
    assert all(line.text and line.look.mark for line in lines)
    assert "orchestrator resume run_1" in lines[-2].text


def test_states_are_called_what_the_terminal_calls_them() -> None:
    """Each state of a run and a phase has the terminal's words and mark."""
    for mine, theirs in ((words.RUN, cli_words.STATUSES), (words.PHASE, cli_words.PHASE)):
        for name, look in theirs.items():
            assert mine[name].words == look.words
    assert {look.mark for look in words.PHASE.values()} >= {look.mark for look in cli_words.PHASE.values()}


def test_the_timeline_is_newest_first_and_says_what_it_leaves_out() -> None:
    """Of a long history the newest lines stand, and the number of the others."""
    events = [cases.e.Recorded(n, 1.0, cases.e.RunResumed()) for n in range(1, timeline.SHOWN + 6)]
    shown = timeline.timeline(events, "run_1")
    assert (shown.lines[0].seq, shown.earlier) == (timeline.SHOWN + 5, 5)


def test_money_holds_what_is_under_way_and_never_calls_unknown_nothing() -> None:
    """A call under way is held beside what is spent; an unknown cost is said to be unknown."""
    facts = cases.facts("m")
    seen = money_view.money_view(facts.standing, facts.calls)
    assert (seen.spent, seen.budget, seen.left) == ("$0.0210", "$2.00", "$1.91")
    assert seen.reserved == "$0.0700"
    assert seen.percent + seen.reserved_percent <= 100
    unknown = replace(facts.standing, row=replace(facts.standing.row, spent=None))
    assert money_view.money_view(unknown, facts.calls).spent == "unknown"
    assert money_view.money_view(unknown, facts.calls).known == "$0.0010"


def test_versions_count_contents_and_not_rounds() -> None:
    """A round that made the same bytes again is no new version; a person's edit is one."""
    found = versions.versions(cases.history("x"))
    assert [version.number for version in found["src/x.py"]] == [1, 2]
    assert found["src/x.py"][1].artifact.provenance.kind == "human"
    assert len(found["tests/test_a.py"]) == 1


@given(st.lists(st.sampled_from("abcd"), max_size=30), st.lists(st.sampled_from("abcd"), max_size=30))
def test_a_difference_shows_every_line_that_changed_once(old: list[str], new: list[str]) -> None:
    """From the rows both texts can be read back, with folded lines counted; both views hold the same lines."""
    compared = diff.compare("\n".join(old), "\n".join(new))
    before, after = "\n".join(old).splitlines(), "\n".join(new).splitlines()
    if before == after:
        assert compared.rows == ()
        return
    folded = sum(row.skipped for row in compared.rows)
    assert sum(row.old is not None for row in compared.rows) + folded == len(before)
    assert sum(row.new is not None for row in compared.rows) + folded == len(after)
    for row in compared.rows:
        if row.old:
            assert "".join(part.text for part in row.old.parts) == before[row.old.number - 1]
        if row.new:
            assert "".join(part.text for part in row.new.parts) == after[row.new.number - 1]
    lines = list(diff.unified(compared.rows))
    assert sum(kind == "added" for kind, *_ in lines) == compared.added
    assert sum(kind == "removed" for kind, *_ in lines) == compared.removed


def test_a_difference_of_long_or_twisted_texts_ends_in_time() -> None:
    """Texts that make the comparison slow are refused with a reason or compared at once."""
    assert "too long" in diff.compare("a\n" * 20_000, "b\n").note
    assert diff.compare("a\n" * 1_500, "a\nb\n" * 700).rows
    assert diff.compare("x" * 300_000, "x" * 300_001).rows


@pytest.mark.parametrize("amounts", [{}, {"2026-01-01": 0}, {f"2026-01-{d:02}": d * 7 for d in range(1, 32)}])
def test_columns_stay_in_their_frame(amounts: dict[str, int]) -> None:
    """No bar leaves the picture, the tallest is the largest, and nothing is drawn for nothing."""
    chart = charts.columns(amounts, str)
    assert len(chart.bars) == len(amounts)
    for bar in chart.bars:
        assert 0 <= bar.x <= chart.width - bar.width
        assert 0 <= bar.y <= chart.height
        assert bar.height <= chart.height
    tallest = max(chart.bars, key=lambda bar: bar.height, default=None)
    if tallest and max(amounts.values()):
        assert amounts[tallest.name] == max(amounts.values())


@given(st.integers(1, 10**15))
def test_an_axis_ends_at_a_round_number_above_all(amount: int) -> None:
    """The end of the axis holds the amount and is at most ten times it."""
    top = charts._round_up(amount)
    assert amount <= top <= 10 * amount


def test_usage_counts_only_its_days_and_marks_what_is_unknown() -> None:
    """A line outside the span is left out, one with an unknown price makes the sum a least amount."""
    lines = [
        UsageLine("2026-03-02", "a", "m", "p1", 1, 10, 5, nano_usd(2)),
        UsageLine("2026-03-01", "b", "n", "p2", 1, 10, 5, None),
        UsageLine("2025-01-01", "b", "n", "p2", 9, 99, 99, nano_usd(50)),
    ]
    page = usage_view.usage_page(lines, today="2026-03-02", days=30, projects={"p1": "One"})
    assert page.total.cost_words == "over $2.00"
    assert page.total.calls == 2
    assert [row.name for row in page.project_rows] == ["One", "a removed project"]
    assert len(page.by_day.bars) == 30
    assert page.by_day.bars[-1].name == date(2026, 3, 2).isoformat()


def test_what_operations_cost_has_a_name_and_leads_to_no_project() -> None:
    """Operations belong to no project: their line says so, and there is nothing behind it to be opened."""
    lines = [UsageLine("2026-03-02", "a", "m", name, 1, 10, 5, nano_usd(2)) for name in ("p1", OPERATIONS)]
    names = {"p1": "One", OPERATIONS: "typed operations"}
    page = usage_view.usage_page(lines, today="2026-03-02", projects=names)
    assert {row.name: bool(row.link) for row in page.project_rows} == {"One": True, "typed operations": False}


def test_ceilings_compare_the_utc_day_and_month() -> None:
    """What is spent today and this month stands against each budget; a budget of nothing is full."""
    lines = [
        UsageLine("2026-03-02", "a", "m", "p", 1, 1, 1, nano_usd(4)),
        UsageLine("2026-03-01", "a", "m", "p", 1, 1, 1, nano_usd(6)),
    ]
    user = User("u", "u", "developer", 0, daily_budget=nano_usd(5), monthly_budget=nano_usd(100))
    day, month = settings_view.ceilings(user, lines, "2026-03-02")
    assert (day.spent, day.percent, day.tone) == ("$4.00", 80.0, "waits")
    assert (month.spent, month.percent, month.tone) == ("$10.00", 10.0, "good")
    shut = User("u", "u", "developer", 0, daily_budget=0)
    assert settings_view.ceilings(shut, [], "2026-03-02")[0].tone == "bad"


@given(st.integers(0, 10**13))
def test_a_budget_is_typed_as_it_was_stored(nano: int) -> None:
    """Dollars in a form give back the same nano-dollars."""
    from decimal import Decimal

    assert Decimal(users_view.dollars(nano)) * 10**9 == nano


def test_auto_says_what_it_comes_to() -> None:
    """With a usable key it is real, with none or a refused one it is simulated."""
    refused = cases.key("x")
    usable = cases.key("x", state="ok")
    assert "simulated" in new_view.auto_words([])
    assert "real" in new_view.auto_words([usable])
    form = new_view.new_form({}, [refused], [], key="k")
    assert "simulated" in form.auto
    assert not form.has_key


def test_a_form_that_was_refused_gives_back_what_was_typed() -> None:
    """Fields come back as they came, agents' models by agent, empty ones left out."""
    filled = new_view.filled_from(
        {"brief": " b ", "mode": "real", "agent.qa": "openai/x", "agent.data": "", "csrf": "c"}
    )
    assert (filled.brief, filled.mode, filled.models) == (" b ", "real", {"qa": "openai/x"})


def test_an_error_without_anything_valid_does_not_list_nothing() -> None:
    """An empty list says nothing to a person, so there is none."""
    seen = frame.problem(UnknownNameError("run", "run_z", ()), "req_1")
    assert (seen.status, seen.why, seen.correlation) == (404, "", "req_1")


def test_the_frame_of_ones_own_machine_signs_nobody_in_or_out() -> None:
    """Without accounts there is no sign-out, and whoever sits there may do everything."""
    own = frame.frame(User(LOCAL, LOCAL, "admin", 0), csrf="c")
    assert (own.has_accounts, own.may_write, own.is_admin) == (False, True, True)
    viewer = frame.frame(User("u", "u", "viewer", 0), csrf="c", path=links.USAGE)
    assert (viewer.has_accounts, viewer.may_write, viewer.is_admin) == (True, False, False)
    assert [place.name for place in viewer.places if place.is_here] == ["Usage"]


@pytest.mark.parametrize("name", ["..", ".", "a/../b", "a b", "ü", "x?y#z", "%2e%2e", "\ud800"])
def test_no_name_leaves_its_place_in_an_address(name: str) -> None:
    """Whatever a file or run is called, its address has no step upwards, no query and no fragment of the name's."""
    for address in (links.file("r", name), links.run(name), links.raw("r", name, 2).partition("?")[0]):
        assert not {"..", "."} & set(address.split("/"))
        assert "?" not in address
        assert "#" not in address


def test_markdown_links_lead_to_the_projects_files_or_safely_out() -> None:
    """A relative link leads to the file's page, an outer one tells nobody where it came from, others are words."""
    html = markdown.rendered(
        "[a](usage.md) [b](../README.md#x) [c](https://e.example/) [d](//e.example) [e](/users/me) [f](../../x)"
        " [g](//e.example/x)",
        run_id="run_1",
        path="docs/a.md",
    )
    found = re.findall(r'href="([^"]*)"', html)
    assert found == ["/ui/runs/run_1/files/docs/usage.md", "/ui/runs/run_1/files/README.md", "https://e.example/"]
    assert 'rel="noopener noreferrer nofollow"' in html


def test_markdown_pictures_are_words_and_headings_stand_below_the_pages() -> None:
    """No picture is fetched; the first heading of a document is the second of the page."""
    html = markdown.rendered("# T\n\n![a view](https://e.example/x.png)")
    assert "<h2>T</h2>" in html
    assert "<img" not in html
    assert "Picture: a view" in html


TWISTS = (
    *("[" * 9_000, "*a " * 9_000, "> " * 3_000, "`" * 9_001, "|a" * 4_000 + "\n|-", "<" * 9_000, "a\n" * 9_000),
    *("![" * 6_000, "[a](" * 6_000, "_" * 9_000, "- " * 3_000, "".join("`" * n + " " for n in range(1, 400))),
)


@pytest.mark.parametrize("twist", TWISTS, ids=range(len(TWISTS)))
def test_twisted_markdown_ends_in_time(twist: str) -> None:
    """Texts that make a parser work hard are rendered in seconds, not minutes."""
    import time

    began = time.monotonic()
    markdown.rendered(twist)
    assert time.monotonic() - began < 10


def test_code_has_as_many_lines_as_the_file_and_its_very_text() -> None:
    """Colouring changes no character, and the end of the last line is no line of its own."""
    code = 'def f(x):\n    """Two\n    lines."""\n    return x < 1 and "<b>"\n'
    lines = highlight.numbered(code, "python")
    assert len(lines) == 4
    plain = "\n".join(line.striptags() for line in lines)
    assert plain.replace(" ", "") == code.rstrip("\n").replace(" ", "").replace("\n", "\n")
    assert all(line.count("<span") == line.count("</span>") for line in lines)


def test_html_in_markdown_is_shown_and_not_used() -> None:
    """Tags that a model wrote are text to read; the sanitiser behind that takes what a parser might let through."""
    assert "&lt;b&gt;x&lt;/b&gt;" in markdown.rendered("<b>x</b>")
    assert markdown.sanitised("<p onclick=x style=y>a<script>b</script><a href='javascript:1'>c</a>") == (
        '<p>a<a rel="noopener noreferrer nofollow">c</a></p>'
    )


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_colouring_takes_time_by_the_length_of_the_text(language: str) -> None:
    """Texts that hold other lexers for minutes are coloured at once, in every language."""
    import time

    twists = (
        " \n",
        "\n",
        "a",
        "a ",
        "/",
        "//",
        "/*",
        "<",
        "<!-",
        '"\\',
        "'",
        "`",
        "a.",
        "a-",
        "- ",
        "&",
        "@",
        "[",
        '"a" ',
    )
    for twist in (*twists, *("".join(pair) for pair in pairwise(twists))):
        began = time.monotonic()
        highlight.numbered(twist * (12_000 // len(twist)), language)
        assert time.monotonic() - began < 2, twist


@given(st.text(max_size=200), st.sampled_from(["python", "json", "markdown", "html", "", "nonsense", "bash"]))
def test_colouring_loses_nothing(code: str, language: str) -> None:
    """Taking the tags away and reading the entities gives back what is shown of the text."""
    import html as entities

    whole = "\n".join(str(line) for line in highlight.numbered(code, language))
    plain = entities.unescape(re.sub(r"</?span[^>]*>", "", whole))
    assert plain.rstrip("\n") == text.visible(code).rstrip("\n")


def test_large_and_binary_files_are_said_to_be_so() -> None:
    """4 MiB are cut with a note, bytes that are no text are named, an empty file says so."""
    big = file_view.body_of(b"x = 1\n" * 700_000, "a.py")
    assert len(big.lines) * 6 <= file_view.SHOWN
    assert "only its beginning" in big.note
    assert file_view.body_of(b"\x00\x01", "a.md").kind == "binary"
    assert file_view.body_of(b"\xff\xfe", "a.txt").kind == "binary"
    assert file_view.body_of(b"", "a.md").kind == "empty"
    assert file_view.body_of(b"# a\n" * 50_000, "a.md").kind == "code"


@given(st.text(alphabet=st.sampled_from("ab\n\r\u202e\x00 é"), max_size=40))
def test_an_edit_gives_back_the_very_bytes_or_is_refused(content: str) -> None:
    """What a browser sends back unchanged is the file unchanged; what it would not keep is not offered."""
    raw = content.encode()
    edit = file_view.edit_of(raw, "a.md", "h")
    if edit.why_not:
        assert edit.text == ""
        return
    sent = edit.text.replace("\r\n", "\n").replace("\n", "\r\n")
    assert file_view.edited(sent, raw) == raw


def test_an_edit_keeps_windows_line_ends_and_leaves_what_it_cannot_keep() -> None:
    """CRLF stays CRLF; a byte order mark, mixed line ends and too large a file are refused with a reason."""
    edit = file_view.edit_of(b"a\r\nb\r\n", "a.txt", "h")
    assert not edit.why_not
    assert file_view.edited("a\r\nc\r\n", b"a\r\nb\r\n") == b"a\r\nc\r\n"
    assert file_view.edited("a\r\nc\r\n", b"a\nb\n") == b"a\nc\n"
    for content in (b"\xef\xbb\xbfa", b"a\r\nb\n", b"x" * (file_view.EDITABLE + 1), b"\xff"):
        assert file_view.edit_of(content, "a.txt", "h").why_not, content[:9]


def test_a_key_line_has_what_may_be_shown_and_nothing_else() -> None:
    """The view of a credential cannot hold a key: it is made of a value that has none."""
    assert "secret" not in Credential.__struct_fields__
    line = settings_view.key_line(
        settings_view.ProviderView("anthropic", False, "", "", (), "m", 1, ""), cases.key("why it failed")
    )
    assert (line.last_four, line.look.words, line.why) == ("x4Qz", "refused", "why it failed")
