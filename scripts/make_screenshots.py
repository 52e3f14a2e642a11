"""Takes the pictures of `docs/images/` anew: a server of its own, a simulated project, a real browser.

    python scripts/make_screenshots.py

It needs Chromium (`scripts/get_browser.py`). What is in the pictures is what the page shows; nothing is retouched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from get_browser import find
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
BRIEF = "A pomodoro timer with statistics and CSV export"
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@contextmanager
def _server() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="orchestrator-pictures-") as home:
        environment = {
            **os.environ,
            "HOME": home,
            "XDG_CONFIG_HOME": f"{home}/config",
            "ORCHESTRATOR_DATA_DIR": f"{home}/data",
        }
        command = [sys.executable, "-m", "orchestrator_v2", "serve", "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)  # noqa: S603
        try:
            found = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
            if found is None:
                raise SystemExit("the server did not start")
            yield found[0]
        finally:
            process.kill()
            process.wait()


def _page(browser: Browser, address: str, size: Any, scheme: Any) -> Page:
    return browser.new_context(base_url=address, viewport=size, color_scheme=scheme, device_scale_factor=1).new_page()


def _started(page: Page) -> str:
    page.goto("/new")
    page.fill("#brief", BRIEF)
    page.fill("#name", "Pomodoro timer")
    page.check("#review-human")
    page.click("text=What may it cost?")
    page.wait_for_selector("#estimate table", state="attached")
    page.evaluate("window.scrollTo(0, 0)")
    page.screenshot(path=IMAGES / "new-project.png")
    page.click("button.main[type=submit]")
    page.wait_for_selector("button:has-text('Approve')")
    return page.url


def main() -> int:
    """Writes the pictures; exit code 1 without a browser."""
    path = find()
    if path is None:
        print("There is no Chromium; scripts/get_browser.py says what to install.", file=sys.stderr)
        return 1
    shutil.rmtree(IMAGES, ignore_errors=True)
    IMAGES.mkdir(parents=True)
    with _server() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        page = _page(browser, address, WIDE, "light")
        run = _started(page)
        page.wait_for_timeout(500)
        page.screenshot(path=IMAGES / "review.png")
        for _ in range(2):
            page.wait_for_selector("button:has-text('Approve')")
            mark = page.locator("input[name=content]").first.input_value()
            page.locator("button:has-text('Approve')").first.click()
            page.wait_for_selector(f"input[name=content][value='{mark}']", state="detached")
        page.wait_for_selector("#part-status .chip:has-text('completed')")
        page.goto(run)
        page.wait_for_timeout(500)
        page.screenshot(path=IMAGES / "run.png")
        dark = _page(browser, address, WIDE, "dark")
        dark.goto(run)
        dark.wait_for_timeout(500)
        dark.screenshot(path=IMAGES / "run-dark.png")
        phone = _page(browser, address, PHONE, "light")
        phone.goto(run)
        phone.wait_for_timeout(500)
        phone.screenshot(path=IMAGES / "run-phone.png")
        page.goto("/ui/settings")
        page.screenshot(path=IMAGES / "settings.png")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
