"""A person's decisions on the page: rejected with a reason, edited in place, approved; bound to what was seen."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect
from server_process import Server
from test_projects_page import completed, start


def approve(page: Page) -> None:
    """Approves what waits, and waits until it is no longer that which waits."""
    mark = page.locator("input[name=content]").first.input_value()
    page.get_by_role("button", name=re.compile("Approve")).first.click()
    expect(page.locator(f"input[name=content][value='{mark}']")).to_have_count(0)


def test_a_review_is_rejected_then_approved(page: Page) -> None:
    """The reason is on the page of the next round, which waits anew; approved twice the run completes."""
    start(page, review="human")
    button = page.get_by_role("button", name=re.compile("Reject"))
    expect(button).to_be_visible()
    before = page.locator("input[name=content]").first.input_value()
    page.fill("textarea[name=reason]", "Say what a counter is called when it has no name.")
    button.click()
    expect(page.get_by_text("Your decision is recorded.")).to_be_visible()
    expect(page.locator("#part-timeline")).to_contain_text("Say what a counter is called")
    expect(page.locator(f"input[name=content][value='{before}']")).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile("Approve"))).to_be_visible()
    approve(page)
    expect(page.get_by_role("button", name=re.compile("Approve"))).to_be_visible()
    approve(page)
    completed(page)


def test_what_a_person_is_writing_is_not_swapped_away(page: Page, server: Server) -> None:
    """A change of the run in the middle of a sentence leaves the sentence; a decision on what is gone is refused."""
    run_id = start(page, review="human")
    box = page.locator("textarea[name=reason]").first
    expect(box).to_be_visible()
    box.fill("Half a sent")
    client = server.client()
    waiting = client.get(f"/runs/{run_id}")["reviews"][0]
    client.post(f"/runs/{run_id}/reviews", {"decision": "reject", "content": waiting["content"], "reason": "other"})
    client.standing(run_id, until=lambda it: bool(it["reviews"]) and it["reviews"] != [waiting])
    expect(page.locator("#part-timeline")).to_contain_text("other")
    assert box.input_value() == "Half a sent"
    page.get_by_role("button", name=re.compile("Reject")).first.click()
    expect(page.get_by_text("Not possible now")).to_be_visible()


def test_a_file_is_edited_in_place(page: Page, server: Server) -> None:
    """The person's text stands in the project, marked as theirs, and the review waits for it; then it is approved."""
    run_id = start(page, review="human")
    page.get_by_text("Edit in place").first.click()
    field = page.locator("textarea[name=text]").first
    field.fill(field.input_value() + "\nA person has looked at this.\n")
    page.locator("form:has(textarea[name=text]) button[type=submit]").first.click()
    expect(page.get_by_text("Your text is in place")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Approve"))).to_be_visible()
    expect(page.locator("#part-review")).to_contain_text("A person has looked at this.")
    made = {it["path"]: it["provenance"] for it in server.client().get(f"/runs/{run_id}/artifacts")}
    assert "human" in made.values()
    approve(page)
    expect(page.get_by_role("button", name=re.compile("Approve"))).to_be_visible()
    approve(page)
    completed(page)


def test_a_run_is_cancelled_with_a_question_first(page: Page) -> None:
    """Cancelling is two steps, and is final; the page says so."""
    start(page, review="human")
    expect(page.get_by_role("button", name=re.compile("Approve"))).to_be_visible()
    page.locator("#do-cancel summary").click()
    page.locator("#do-cancel button[type=submit]").click()
    expect(page.locator("#part-status .chip")).to_contain_text("cancelled")
