"""A real browser for tests of pages: Chromium of the system, which nothing is downloaded for, watched for everything it complains of."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from runner.domain.actor import Actor
from tests.web.serving import Site

AXE = Path(sys.prefix) / "axe-core" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE = 30_000  # milliseconds; a busy machine takes its time, and a test that passes never waits for it


def chromium() -> str | None:
    """The system's browser."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


needs_browser = pytest.mark.skipif(
    (chromium() is None or find_spec("playwright") is None) and os.environ.get("TESTS_NEED") != "chromium",
    reason="Chromium and playwright are needed: apt-get install chromium, make servers",
)


@contextmanager
def browser() -> Iterator[Any]:
    """A browser of its own."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        try:
            yield found
        finally:
            found.close()


@contextmanager
def signed_in(browser: Any, web: Site, actor: Actor, *, expected: Sequence[str] = (), **options: Any) -> Iterator[Any]:
    """A page in which this actor is signed in. Whatever it complains of fails the test, but for what has one of these texts in it."""
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
    context.add_cookies([{"name": "lzr", "value": web.person(actor).cookie, "url": web.address}])
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    told = _watched(page, web)
    try:
        yield page
        assert [one for one in told if not any(text in one for text in expected)] == []
    finally:
        context.close()


def _watched(page: Any, web: Site) -> list[str]:
    """What the page complains of, as it does: errors, content that is refused, dialogs, requests to elsewhere."""
    told: list[str] = []

    def dialog(shown: Any) -> None:
        told.append(f"dialog: {shown.message}")
        shown.dismiss()

    page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(web.address) else told.append(request.url))
    page.on("dialog", dialog)
    return told
