"""Keys, users and sessions in a browser: a stored key is never seen again, and nobody comes in without a token."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, Response, expect
from server_process import Server

KEY = "sk-ant-canary0000111122223333zyxw"


def test_a_key_is_stored_and_never_seen_again(page: Page) -> None:
    """In no answer, no attribute, no storage and no address; only its last four. Removed, it is gone."""
    bodies: list[str] = []

    def keep(response: Response) -> None:
        if "text" in response.headers.get("content-type", "") and response.status not in (301, 302, 303):
            bodies.append(response.text())

    page.goto("/ui/settings")
    page.on("response", keep)
    page.select_option("#provider", "anthropic")
    page.fill("#api_key", KEY)
    page.fill("#label", "work")
    page.locator("#add-key button[type=submit]").click()
    expect(page.get_by_text("Kept.")).to_be_visible()
    expect(page.locator("#key-anthropic, tr:has-text('work')").first).to_contain_text("zyxw")
    page.reload()
    page.goto("/new")
    expect(page.get_by_text("you have a key for anthropic")).to_be_visible()
    page.goto("/ui/settings")
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert KEY not in "".join([*bodies, page.content(), stored])
    assert len(bodies) >= 3
    page.locator("tr:has-text('work') summary").click()
    page.locator("tr:has-text('work') details button[type=submit]").click()
    expect(page.get_by_text("Removed.")).to_be_visible()
    expect(page.get_by_text("zyxw")).to_have_count(0)


def test_a_key_that_is_none_is_refused_without_being_echoed(page: Page) -> None:
    """The form comes back with what is wrong, and without what was typed as a key."""
    page.goto("/ui/settings")
    page.select_option("#provider", "anthropic")
    page.fill("#api_key", "not a key at all")
    page.locator("#add-key button[type=submit]").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be a key")
    assert "not a key at all" not in page.content()
    assert page.input_value("#api_key") == ""


def test_agents_have_models_of_their_own(page: Page) -> None:
    """What is kept here is what the next new project begins with."""
    page.goto("/ui/settings")
    page.fill("#agent-qa", "openai/gpt-6-luna")
    page.get_by_role("button", name="Keep this").click()
    expect(page.get_by_text("Kept.")).to_be_visible()
    page.goto("/new")
    assert page.input_value("#agent-qa") == "openai/gpt-6-luna"
    page.goto("/ui/settings")
    page.fill("#agent-qa", "nonsense")
    page.get_by_role("button", name="Keep this").click()
    expect(page.get_by_role("alert")).to_contain_text("names no model")
    page.fill("#agent-qa", "")
    page.get_by_role("button", name="Keep this").click()
    expect(page.get_by_text("Kept.")).to_be_visible()


def test_a_server_with_users_lets_nobody_in_without_a_token(chromium: Browser, tmp_path_factory) -> None:
    """A wrong token is refused; a right one leads where one wanted to go; signed out, one is out on every page."""
    with Server(tmp_path_factory.mktemp("users")) as server:
        ann, bob = server.user("ann", "admin"), server.user("bob")
        run_id = ann.short()
        context = chromium.new_context(base_url=server.url)
        page = context.new_page()
        page.goto(f"/ui/runs/{run_id}")
        expect(page).to_have_url(re.compile(r"/ui/sign-in\?next="))
        page.fill("#token", "orc_wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("not known")
        page.fill("#token", ann.token)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"**/ui/runs/{run_id}")
        cookie = context.cookies()[0]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert ann.token not in cookie["value"]
        page.goto("/ui/users")
        page.fill("#add-name", "eve")
        page.locator("form:has(#add-name) button[type=submit]").click()
        expect(page.locator("code.secret")).to_contain_text("orc_")
        page.get_by_role("button", name="Sign out").click()
        page.goto("/")
        expect(page).to_have_url(re.compile("sign-in"))

        page.fill("#token", bob.token)
        page.get_by_role("button", name="Sign in").click()
        page.goto(f"/ui/runs/{run_id}")
        expect(page.get_by_text("Not found").first).to_be_visible()
        page.goto("/ui/users")
        expect(page.get_by_text("Not allowed").first).to_be_visible()
        context.close()
