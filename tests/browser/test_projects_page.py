"""A brief to a finished project in a browser: live, by keyboard alone, without scripts, on a phone, in the dark."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from playwright.sync_api import Browser, Page, expect
from server_process import Server

BRIEF = "A tally counter with named counters"


def start(page: Page, *, name: str = "", review: str = "agent", brief: str = BRIEF) -> str:
    """Fills the form and sends it; gives the run's id."""
    page.goto("/new")
    page.fill("#brief", brief)
    page.fill("#name", name)
    page.check(f"#review-{review}")
    page.click("button.main[type=submit]")
    page.wait_for_url(re.compile(r"/ui/runs/run_"))
    return page.url.partition("?")[0].rpartition("/")[2]


def completed(page: Page) -> None:
    expect(page.locator("#part-status .chip")).to_contain_text("completed")


def test_a_project_is_made_and_watched_to_its_end(page: Page) -> None:
    """One load of the page: the graph, the timeline, the files and the evidence come by themselves; the zip unpacks."""
    page.goto("/")
    page.get_by_role("link", name=re.compile("first project|New project")).first.click()
    expect(page.get_by_role("heading", name="New project")).to_be_visible()
    start(page, name="Tally")
    completed(page)
    expect(page.locator("#part-status")).to_contain_text("12 of 12 phases")
    expect(page.locator("#part-status")).to_contain_text("Simulated")
    expect(page.locator("#part-timeline li").first).to_contain_text("completed")
    expect(page.locator("#part-evidence")).to_contain_text(re.compile(r"\d+ tests passed"))
    expect(page.locator("#part-money")).to_contain_text("$0.00")
    with page.expect_download() as download:
        page.get_by_role("link", name="Zip").click()
    names = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())).namelist()
    assert any(name.endswith("/RUN.md") for name in names)
    page.get_by_role("link", name="README.md", exact=True).click()
    expect(page.locator("main article, main .markdown").first).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("link", name="Tally")).to_be_visible()


def test_a_price_is_told_before_the_start(page: Page) -> None:
    """What a real run may cost, phase by phase, with a ceiling that was typed kept as it is."""
    page.goto("/new")
    page.fill("#brief", BRIEF)
    page.fill("#budget", "2.50")
    page.get_by_role("button", name="What may it cost?").click()
    expect(page.locator("#estimate")).to_contain_text(re.compile(r"\$\d.* to \$\d"))
    assert page.input_value("#budget") == "2.50"


def test_whoever_reloads_or_comes_late_sees_all_of_it(page: Page, server: Server) -> None:
    """Reloaded in the middle, and opened anew at the end: as many entries as the run has events, none twice."""
    run_id = start(page)
    page.reload()
    completed(page)
    events = server.client().events(run_id)
    other = page.context.new_page()
    other.goto(f"/ui/runs/{run_id}")
    numbers = re.compile(r"#(\d+)")
    for shown in (page, other):
        expect(shown.locator("#part-timeline")).to_contain_text(f"#{len(events)}")
        found = [int(number) for number in numbers.findall(shown.locator("#part-timeline").inner_text())]
        assert len(found) == len(set(found))
        assert max(found) == len(events)


def test_by_keyboard_alone(page: Page) -> None:
    """Tab and Enter lead from the first page to a started run; what has the focus can be seen."""
    page.goto("/")
    page.keyboard.press("Tab")
    assert "skip" in (page.evaluate("document.activeElement.textContent") or "").lower()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href')") == "/new":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/new")
    page.focus("#brief")
    page.keyboard.type(BRIEF)
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    shadow = page.evaluate("getComputedStyle(document.activeElement).boxShadow")
    assert (outline, shadow) != ("none", "none")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "Start":
            break
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/ui/runs/"))
    completed(page)


def test_without_scripts_every_form_works(chromium: Browser, server: Server) -> None:
    """Plain posts and links: a project is made, its page loaded again until it is done, and deleted."""
    context = chromium.new_context(base_url=server.url, java_script_enabled=False)
    page = context.new_page()
    run_id = start(page, name="Plain")
    server.client().standing(run_id)
    page.get_by_role("link", name="Load the latest").click()
    completed(page)
    page.get_by_role("link", name="Plain").first.click()
    page.get_by_text(re.compile("^Delete")).first.click()
    page.check("#confirm")
    page.get_by_role("button", name=re.compile("Delete")).click()
    expect(page.get_by_text("gone from your list")).to_be_visible()
    context.close()


HOSTILE = "<script>alert(1)</script> {{7*7}} <img src=x onerror=alert(2)> [x](javascript:alert(3)) \u202eevil"


def test_a_hostile_brief_is_text(page: Page) -> None:
    """Nothing in it runs, is fetched or is worked out, on any page that shows it; a dialog would fail this test."""
    run_id = start(page, name="<b onmouseover=alert(4)>x</b>", brief=HOSTILE)
    completed(page)
    for address in (f"/ui/runs/{run_id}/files/docs/intake.md", f"/ui/runs/{run_id}", "/"):
        page.goto(address)
        assert page.locator("main script, main img[src='x'], main [onerror], main [onmouseover]").count() == 0
        assert page.locator("a[href^='javascript']").count() == 0
    assert "{{7*7}}" in page.content() or "49" not in page.locator("main").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_runs_off_the_screen(chromium: Browser, server: Server, scheme: str, width: int) -> None:
    """Each page fits a phone and a wide screen, in both colours; what is wide scrolls in its own box."""
    client = server.client()
    run_id = client.short(project_name="A name that is rather long for a phone, and then some more of it")
    client.standing(run_id)
    context = chromium.new_context(
        base_url=server.url,
        viewport={"width": width, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    pages = ("/", "/new", "/ui/settings", "/ui/usage", "/ui/users", "/ui/sign-in", "/ui/runs/none")
    for address in (*pages, f"/ui/runs/{run_id}", f"/ui/runs/{run_id}/files/docs/intake.md"):
        page.goto(address)
        over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert over <= 0, f"{address} is {over} px too wide"
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = sum(int(part) for part in re.findall(r"\d+", ground)[:3]) > 382
        assert light == (scheme == "light"), f"{address} is {ground}"
    context.close()


def test_a_server_that_went_away_and_came_back_is_caught_up_with(chromium: Browser, tmp_path_factory) -> None:
    """Killed in mid-run and started again on its port: the open page ends on `completed` without being loaded anew."""
    home = tmp_path_factory.mktemp("restarted")
    with Server(home) as server:
        context = chromium.new_context(base_url=server.url)
        page = context.new_page()
        start(page, review="human")
        expect(page.get_by_role("button", name=re.compile("Approve"))).to_be_visible()
        page.evaluate("window.sameLoad = true")
        port = server.port
        server.kill()
        expect(page.locator("#live-words")).to_have_text("reconnecting")
        server.words = ("--port", str(port))
        server.start()
        expect(page.locator("#live-words")).to_have_text("live", timeout=40_000)
        run_id = page.url.partition("?")[0].rpartition("/")[2]
        client = server.client()
        for _ in range(2):
            waiting = client.standing(run_id)["reviews"][0]
            client.post(f"/runs/{run_id}/reviews", {"decision": "approve", "content": waiting["content"]})
            client.standing(
                run_id, until=lambda it, seen=waiting: it["reviews"] not in ([], [seen]) or not it["reviews"]
            )
        completed(page)
        assert page.evaluate("window.sameLoad") is True
        context.close()
