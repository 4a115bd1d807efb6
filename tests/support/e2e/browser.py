"""A real browser for tests: Chromium by Playwright, and what its pages complained about."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

playwright = pytest.importorskip(
    "playwright.async_api", reason="needs Playwright: run `make test-explorer`"
)
axe = pytest.importorskip(
    "axe_playwright_python.async_playwright", reason="needs axe: run `make test-explorer`"
)

CHROMIUM = os.environ.get("FEDCOIN_CHROMIUM") or shutil.which("chromium")
"""The browser; None for the one that Playwright installed."""

IGNORED = ("Failed to load resource",)
"""What Chromium logs when a server is away or answers 404, which tests look at themselves."""


@dataclass
class Window:
    """A page of the browser, and what went wrong in it."""

    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        """Open a page of the explorer."""
        await self.page.goto(self.url + path)

    async def text(self, selector: str = "main") -> str:
        """Return the visible text of an element."""
        return str(await self.page.locator(selector).first.inner_text())

    async def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        found: int = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return found

    def check(self) -> None:
        """Check that no script failed, nothing broke the policy and no dialog was opened."""
        assert self.complaints == []
        assert self.dialogs == []


@asynccontextmanager
async def browse(url: str, **options: Any) -> AsyncIterator[Window]:
    """Open a window; `options` are those of a Playwright context, such as `color_scheme`."""
    # Chromium's sandbox does not work for root, as whom containers run tests.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            context = await browser.new_context(**options)
            page = await context.new_page()
            window = Window(page, url.rstrip("/"))
            page.on("console", lambda message: _note(window, message))
            page.on("pageerror", lambda error: window.complaints.append(str(error)))
            page.on("dialog", lambda dialog: window.dialogs.append(dialog.message))
            yield window
        finally:
            await browser.close()


def _note(window: Window, message: Any) -> None:
    if message.type in ("error", "warning") and not message.text.startswith(IGNORED):
        window.complaints.append(message.text)


async def find_barriers(window: Window) -> list[str]:
    """Return what axe finds that keeps people out (WCAG 2.1, levels A and AA)."""
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    found = await axe.Axe().run(window.page, options=options)
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found.response["violations"]
        for node in each["nodes"][:5]
    ]
