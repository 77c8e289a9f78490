"""The whole story in a real browser: read the card, be refused, review, approve, see Confirmed."""

import os
from pathlib import Path

import pytest

from tests.loop.town import Town

pytestmark = [pytest.mark.processes, pytest.mark.browser]
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip
PATIENCE = 60_000
"""Milliseconds that the page may take to show what the product needs a moment for."""


async def shot(page, name: str) -> None:
    """Keep a picture when SCREENSHOTS names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        await page.screenshot(path=str(Path(folder) / f"{name}.png"))


@pytest.fixture
async def browser():
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        await running.close()


async def page_of(browser, town, name, **how):
    context = await browser.new_context(**{"viewport": {"width": 1280, "height": 1000}, **how})
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    await page.goto(f"{town.workspace_url}/?as={name}&channel=ml-oncall")
    return page


async def approve(page, reason: str) -> None:
    """Press the button, give a reason, approve."""
    await page.get_by_role("button", name="Review rollback").click()
    dialog = page.get_by_role("dialog", name="Review rollback")
    await dialog.get_by_text("Success test").wait_for()
    await dialog.get_by_label("Reason").fill(reason)
    await shot(page, f"review-{reason.split()[0].lower()}")
    await dialog.get_by_role("button", name="Approve").click()


async def test_a_person_reads_is_refused_approves_and_sees_confirmed(browser, tmp_path, prepared):
    """Ben is refused in the dialog, Ana on her phone in the dark approves, and both pages say Confirmed."""
    async with Town(tmp_path, prepared) as town:
        ben = await page_of(browser, town, "ben")
        await town.serve(1_500, version="1")
        await town.deploy("2")
        await town.serve(600, version="2", shift=4.0)
        await ben.get_by_role("button", name="Review rollback").wait_for()
        await ben.get_by_text("What caused it?").wait_for()
        await ben.locator("img[alt*='temp']").first.wait_for()
        await shot(ben, "card-light")
        await approve(ben, "Please do it")
        await ben.get_by_text("approving needs the role approver").first.wait_for()
        await shot(ben, "refused")
        assert town.rollbacks() == []

        ana = await page_of(
            browser, town, "ana", viewport={"width": 390, "height": 844}, color_scheme="dark", is_mobile=True
        )
        await ana.get_by_role("button", name="Review rollback").wait_for()
        await shot(ana, "card-phone-dark")
        await approve(ana, "Temperatures look wrong since version 2")
        await town.state("verifying")
        await town.serve(1_000, version="1")
        await ana.get_by_text("Confirmed:").first.wait_for()
        await shot(ana, "confirmed-phone-dark")
        await ben.keyboard.press("Escape")
        await ben.get_by_text("Confirmed:").first.wait_for()
        await shot(ben, "confirmed-light")
        assert [(r.before, r.to) for r in town.rollbacks()] == [("2", "1")]
        assert await ana.get_by_role("button", name="Review rollback").count() == 0
