"""Every page of the web face, made from values with one text in every place where foreign text can stand.

And what is looked for in what comes out: `faults` reads HTML as a strict reader would.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from orchestrator_v2.agents.estimating import PhaseEstimate
from orchestrator_v2.api.web import (
    file_view,
    frame,
    graph_svg,
    links,
    new_view,
    project_views,
    run_view,
    settings_view,
    usage_view,
    users_view,
    versions,
)
from orchestrator_v2.api.web.render import Pages
from orchestrator_v2.core import events as e
from orchestrator_v2.core.accounts import Credential, ProjectRow, Token, UsageLine, User
from orchestrator_v2.core.records import Artifact, Provenance, Receipt, content_hash
from orchestrator_v2.core.usage import Usage, nano_usd
from orchestrator_v2.core.workflow import Gate, Phase, Workflow
from orchestrator_v2.engine.phase_graph import PhaseGraph
from orchestrator_v2.engine.ports import RunRow
from orchestrator_v2.engine.transitions import fold
from orchestrator_v2.llm.ledger import CallRow
from orchestrator_v2.llm.manager import ProviderView, TrialResult
from orchestrator_v2.llm.types import Completion
from orchestrator_v2.parts import Standing
from orchestrator_v2.service.wishes import ProjectView, Wish

NOW = 1_770_000_000.0
PAGES = Pages()
VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
BLOCK = frozenset(
    {
        *("div", "p", "ul", "ol", "dl", "table", "section", "article", "form", "details", "fieldset", "pre"),
        *("blockquote", "h1", "h2", "h3", "h4", "nav"),
    }
)
ADDRESSES = frozenset({"href", "src", "action", "formaction", "hx-get", "hx-post", "sse-connect", "xlink:href"})


def workflow(text: str = "a title") -> Workflow:
    return Workflow(
        "default",
        (
            Phase("plan", "architect", title=text),
            Phase("build", "developer", needs=("plan",), outputs=("src/**",)),
            Phase("look", "consensus", needs=("build", "plan"), gate=Gate(review="human"), on_fail="build"),
        ),
        description=text,
    )


def artifact(path: str, content: bytes, kind: str = "simulated") -> Artifact:
    return Artifact(path, content_hash(content), len(content), Provenance(kind))


def history(text: str, *, mode: str = "real") -> list[e.Recorded]:
    """A run in which every kind of text has been said, up to a review that waits."""
    brief, path = text.encode("utf-8", "replace"), f"src/{text[:40] or 'x'}.py"
    receipt = Receipt(
        "tests", False, text, ("pytest", text[:80]), 1, 3, 2, 1, 0, 1.5, "ab" * 32, "process", output=text * 2
    )
    made = (artifact("docs/requirements.md", requirements(text)),)
    code = (artifact(path, brief), artifact("tests/test_a.py", TESTS))
    known = Provenance("real", "anthropic", text[:60])
    events: list[e.Event] = [
        e.RunStarted("prj_1", text, "0" * 64, workflow(text), mode, "anthropic", text, nano_usd(2)),
        e.TaskStarted("plan", "architect"),
        e.TaskCompleted("plan", result=text, artifacts=made, usage=Usage(900, 300, 100, 0, 1, 5_000_000)),
        e.TaskStarted("build", "developer"),
        e.TaskFailed("build", "x", text, text, text, parks_as="waiting_provider", resume_at=NOW),
        e.RunParked("waiting_provider", text, text, text, NOW + 60),
        e.RunResumed(text),
        e.TaskStarted("build", "developer", attempt=2),
        e.TaskCompleted("build", attempt=2, gate="failed", reasons=(text,), artifacts=code, receipts=(receipt,)),
        e.PhaseReopened("build", "look", text),
        e.TaskStarted("build", "developer", round=2),
        e.TaskCompleted("build", round=2, artifacts=code, receipts=(receipt,), provenance=known, notes=(text,)),
        e.ArtifactReplaced("build", artifact(path, brief + b"!", "human")),
        e.TaskStarted("look", "consensus"),
        e.TaskCompleted("look", result=text, gate="waiting", reviewed="c" * 64, artifacts=(artifact("r.md", brief),)),
        e.RunParked("waiting_review", text, text, text),
    ]
    return [e.Recorded(number, NOW - 100 + number, event) for number, event in enumerate(events, 1)]


TESTS = b"import src.a\n\n\ndef test_ac1_1_works():\n    assert True\n"


def requirements(text: str) -> bytes:
    line = " ".join(text.split()) or "a requirement"
    return f"# Requirements\n\n## R1: {line}\n\n- AC1.1: {line}\n- AC1.2: nothing\n".encode("utf-8", "replace")


def calls(text: str) -> list[CallRow]:
    done = Completion("x", usage=Usage(500, 200, 50, 0, 1, 1_000_000))
    return [
        CallRow(1, "plan/act/1", 1, "h", "anthropic", text, "done", NOW, 2_000_000, 1_000_000, done),
        CallRow(2, f"build/{text}", 1, "h", "anthropic", text, "failed", NOW, 1, 0, None, text),
        CallRow(3, "look/act/1", 1, "h", "anthropic", "m", "intent", NOW, 70_000_000, None),
    ]


def facts(text: str, *, events: list[e.Recorded] | None = None, mode: str = "real", **more: Any) -> run_view.Facts:
    events = history(text, mode=mode) if events is None else events
    state = fold("run_1", events)
    row = RunRow(
        "run_1",
        1,
        "prj_1",
        "u",
        text,
        "default",
        mode,
        state.status.value,
        NOW - 100,
        NOW,
        stopped=text,
        spent=91_000_000,
    )
    standing = Standing(state, row, interrupted=more.pop("interrupted", False))
    graph = PhaseGraph(state.begun.workflow)
    raw = text.encode("utf-8", "replace")
    known = {"docs/requirements.md": requirements(text), "tests/test_a.py": TESTS}
    wanted = run_view.wanted("", graph, standing)
    contents = {path: known.get(path, raw) for path in wanted}
    doing = {"build": graph_svg.Doing(text, NOW)}
    return run_view.Facts(standing, graph, NOW, events, calls(text), doing, contents, **more)


def somebody(text: str = "Ada") -> frame.Frame:
    user = User("u1", text, "admin", NOW, daily_budget=nano_usd(1), models=(text,))
    return frame.frame(user, csrf="csrf-of-ada", path="/", notice=text)


def all_pages(text: str) -> dict[str, str]:
    """Every page and part by name, with `text` wherever foreign text can stand."""
    return {
        **run_pages(text),
        **file_pages(text),
        **project_pages(text),
        **own_pages(text),
        **edge_pages(text),
    }


def run_pages(text: str) -> dict[str, str]:
    pages = {
        "run": PAGES.run_page(somebody(text), run_view.page_values(facts(text))),
        "run simulated": PAGES.run_page(somebody(), run_view.page_values(facts(text, mode="simulated"))),
        "run begun": PAGES.run_page(somebody(), run_view.page_values(facts(text, events=history(text)[:1]))),
        "run dead": PAGES.run_page(
            somebody(), run_view.page_values(facts(text, events=history(text)[:4], interrupted=True))
        ),
    }
    for name in links.PARTS:
        pages[f"part {name}"] = PAGES.part(name, somebody(), run_view.part_values(name, facts(text))) or ""
    return pages


def file_pages(text: str) -> dict[str, str]:
    raw = text.encode("utf-8", "replace") or b"x"
    path = f"docs/{text[:60] or 'a'}.md"
    known = [
        versions.Version(1, "build", 1, 3, NOW, artifact(path, raw)),
        versions.Version(2, "build", 2, 9, NOW, artifact(path, raw + b"\nmore\n")),
    ]
    pages = {}
    for name in (path, "a.py", "b.json", "c.html", "Makefile", "x" + text[-20:]):
        page = file_view.file_page("run_1", text, name, raw, known, number=2, editable=True)
        pages[f"file {name}"] = PAGES.page("file.html", somebody(), file=page)
    for view in ("unified", "split"):
        both = (raw, raw.replace(b"e", b"ee") + b"\nmore\n")
        page = file_view.diff_page("run_1", text, path, known, both, old=1, new=2, view=view)
        pages[f"diff {view}"] = PAGES.page("diff.html", somebody(), diff=page)
    return pages


def project_pages(text: str) -> dict[str, str]:
    row = ProjectRow("prj_1", 4, "u1", text, b"{}", NOW)
    wish = Wish(text, text, text, budget=nano_usd(1), assignments={text: text}, provider="anthropic", model=text)
    run = RunRow("run_1", 1, "prj_1", "u1", text, text, "simulated", "failed", NOW, NOW, stopped=text)
    views = [ProjectView(row, wish, run), ProjectView(row, wish)]
    listed = project_views.project_list(views, limit=1, before=9)
    page = project_views.project_page(views[0], [run, run], limit=1)
    lines = [PhaseEstimate(text, "qa", Usage(1, 1, cost=1), Usage(2, 2, cost=2), text)]
    estimate = new_view.estimate_view(text, lines, is_free=True)
    problem = frame.told_problem(400, text, text, text, text)
    form = new_view.new_form(
        {"default": PhaseGraph(workflow(text))},
        [key(text)],
        [f"anthropic/{text}"],
        key="once",
        filled=new_view.Filled(text, text, "default", "real", text, "human", text, {"qa": text}),
        estimate=estimate,
        problem=problem,
    )
    return {
        "projects": PAGES.page("projects.html", somebody(), list=listed),
        "project": PAGES.page("project.html", somebody(), project=page, key="once"),
        "new": PAGES.page("new.html", somebody(), form=form),
        "estimate": PAGES.render("estimate.html", frame=somebody(), estimate=estimate, problem=None),
        "estimate refused": PAGES.render("estimate.html", frame=somebody(), estimate=None, problem=problem),
    }


def key(text: str, *, state: Any = "invalid") -> Credential:
    return Credential("c1", "u1", "anthropic", text, text, text, "api_key", "x4Qz", "3fa9c1d2e4b5", NOW, state, text)


def own_pages(text: str) -> dict[str, str]:
    user = User("u1", "ada", "developer", NOW, models=(text,), daily_budget=nano_usd(1))
    providers = [
        ProviderView("anthropic", ready=False, missing=text, key_source="", key_variables=(), default_model=text,
                     models=3, base_url="")
    ]  # fmt: skip
    used = [UsageLine("2026-02-02", "anthropic", text, "prj_1", 3, 100, 50, 9_000_000)]
    settings = settings_view.settings_page(
        user,
        providers,
        [key(text)],
        [Token("t1", "u1", "token", text, "abcd", NOW, NOW)],
        used,
        today="2026-02-02",
        agents={"qa": text},
        models=[text],
        trial=TrialResult("anthropic", text, works=False, words=text),
        new_token="orc_once",
        problem=text,
    )
    usage = usage_view.usage_page(used, today="2026-02-02", projects={"prj_1": text})
    users = users_view.users_page(
        [user, User("u2", text, "viewer", NOW, disabled=True, sees="u1")],
        you="u1",
        new_user=text,
        new_token="orc_once",
        problem=text,
        filled={"name": text, "models": text},
    )
    return {
        "settings": PAGES.page("settings.html", somebody(), settings=settings),
        "usage": PAGES.page("usage.html", somebody(), usage=usage),
        "users": PAGES.page("users.html", somebody(), users=users),
        "error": PAGES.page("error.html", somebody(), problem=frame.told_problem(500, text, text, text, text)),
        "sign in": PAGES.page(
            "sign_in.html", frame.frame(None, csrf="c"), next=text, problem=frame.told_problem(401, text)
        ),
    }


def edge_pages(text: str) -> dict[str, str]:
    """The states with nothing in them, and what a viewer sees."""
    viewer = frame.frame(User("u3", text, "viewer", NOW), csrf="c")
    nothing = project_views.project_list([], limit=5)
    further = project_views.project_list([], limit=5, before=1)
    empty = usage_view.usage_page([], today="2026-02-02")
    bare = project_views.project_page(ProjectView(ProjectRow("p", 1, "u", "", b"{}", NOW), Wish("")), [], limit=5)
    seen = run_view.page_values(facts(text, may_write=False))
    settings = settings_view.settings_page(User("u3", "eve", "viewer", NOW), [], [], [], [], today="2026-02-02")
    return {
        "no projects": PAGES.page("projects.html", somebody(), list=nothing),
        "no projects to look at": PAGES.page("projects.html", viewer, list=nothing),
        "no older projects": PAGES.page("projects.html", somebody(), list=further),
        "bare project": PAGES.page("project.html", somebody(), project=bare, key="k"),
        "no usage": PAGES.page("usage.html", viewer, usage=empty),
        "settings of a viewer": PAGES.page("settings.html", viewer, settings=settings),
        "run of a viewer": PAGES.run_page(viewer, seen),
    }


class Strict(HTMLParser):
    """Reads HTML and notes what is not allowed in it: `faults`, `ids`, what labels and fields there are."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.fields: list[dict[str, str]] = []
        self.forms: list[dict[str, Any]] = []
        self.text: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if len(given) < len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        self._attributes(tag, given)
        if "p" in self.open and tag in BLOCK and "button" not in self.open:
            self.faults.append(f"<{tag}> stands in a <p>")
        self._form(tag, given)
        if tag not in VOID:
            self.open.append(tag)

    def _form(self, tag: str, given: dict[str, str]) -> None:
        if tag == "form":
            if "form" in self.open:
                self.faults.append("a form in a form")
            self.forms.append({**given, "fields": set()})
        if tag in {"input", "select", "textarea"}:
            self.fields.append({"tag": tag, **given})
            if "form" in self.open:
                self.forms[-1]["fields"].add(given.get("name", ""))
        if tag == "label":
            self.labels.add(given.get("for", ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1:]}")
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "script" in self.open and data.strip():
            self.faults.append("a script in the page")
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"a comment: {data[:40]}")

    def _attributes(self, tag: str, given: dict[str, str]) -> None:
        if tag in {"style", "iframe", "object", "embed", "base", "img", "foreignobject"}:
            self.faults.append(f"<{tag}>")
        if tag == "script" and not given.get("src", "").startswith("/static/"):
            self.faults.append("a script from elsewhere")
        for name, value in given.items():
            if name == "style" or name.startswith(("on", "hx-on")):
                self.faults.append(f"{name} on <{tag}>")
            if name in ADDRESSES:
                self.addresses.append(value)
                self._address(tag, name, value)
        if "id" in given:
            self.ids.append(given["id"])

    def _address(self, tag: str, name: str, value: str) -> None:
        plain = "".join(value.split()).lower()
        inside = plain.startswith(("/", "#")) and not plain.startswith("//")
        outside = tag == "a" and name == "href" and plain.startswith(("https://", "http://", "mailto:"))
        if plain and not inside and not outside:
            self.faults.append(f"{name}={value[:60]!r} on <{tag}>")


def read(html: str) -> Strict:
    reader = Strict()
    reader.feed(html)
    reader.close()
    return reader


def faults(html: str) -> list[str]:
    """What is wrong with the HTML of a page or a part."""
    reader = read(html)
    found = [*reader.faults, *(f"<{tag}> is never closed" for tag in reader.open)]
    twice = {name for name in reader.ids if reader.ids.count(name) > 1}
    found += [f"id {name!r} twice" for name in twice]
    for field in reader.fields:
        hidden = field.get("type") == "hidden"
        if not hidden and field.get("id") not in reader.labels and "aria-label" not in field:
            found.append(f"no label for {field.get('name') or field['tag']}")
    return found
