"""The Slack side seen by people in a real browser: four eyes, refusal, snooze, chat with a chart, Home, faults."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from core.errors import Retry
from core.incidents import changed
from tests.bot import examples as x
from tests.bot.conftest import told

pytestmark = [pytest.mark.browser, pytest.mark.servers]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PATIENCE = 60_000


@pytest.fixture
async def story(tmp_path):
    """As everywhere, but browsers on a slow machine may take longer than Slack's three seconds."""
    async with told(tmp_path, patience=PATIENCE / 1000) as running:
        yield running


@pytest.fixture
async def page_of(story):
    """`await page_of("ana")`: the workspace's page as that person; script errors and foreign requests fail the test."""
    from playwright.async_api import async_playwright

    wrong: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)

        async def opened(name: str, where: str = "channel=ml-oncall", **how):
            context = await browser.new_context(**{"viewport": {"width": 1280, "height": 1000}, **how})
            context.set_default_timeout(PATIENCE)
            page = await context.new_page()
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("request", lambda r: wrong.append(r.url) if urlsplit(r.url).hostname != "127.0.0.1" else None)
            await page.goto(f"{story.workspace.url}/?as={name}&{where}")
            return page

        yield opened
        await browser.close()
    assert wrong == []


async def approve(page, reason: str) -> None:
    await page.get_by_role("button", name="Review rollback").click()
    await page.get_by_label("Reason").fill(reason)
    await page.get_by_role("button", name="Approve", exact=True).click()


async def test_four_eyes(story, page_of):
    """Ana approves, is refused a second time, Chloé completes it; Ben is refused by role."""
    await story.show(x.diagnosed(p=x.plan(created=story.clock(), required=2)))
    ana, ben, chloe = await page_of("ana"), await page_of("ben"), await page_of("chloe")
    await ana.get_by_role("heading", name="SEV2 flight-delay v2 is drifting").wait_for()
    await approve(ben, "looks right to me")
    await ben.get_by_text("You are responder here").wait_for()
    await approve(ana, "temperatures are Celsius")
    await ana.get_by_text("Your approval counts (1 of 2)").wait_for()
    await ana.get_by_role("dialog").get_by_role("button", name="Close").first.click()
    await ana.get_by_text("Approved 1/2").first.wait_for()
    await approve(ana, "really")
    await ana.get_by_text("somebody else must be the second pair of eyes").wait_for()
    await approve(chloe, "I see it too")
    await chloe.get_by_text("It is checked once more and then runs").wait_for()
    assert story.views.rows["inc_1f0c"].state == "approved"


async def test_a_blank_reason_is_said_in_the_dialog(story, page_of):
    """The dialog stays open with the error under the field, and nothing is approved."""
    await story.show(x.diagnosed(p=x.plan(created=story.clock())))
    page = await page_of("ana")
    await approve(page, "   ")
    await page.get_by_text("A reason is required").wait_for()
    assert story.views.rows["inc_1f0c"].state == "diagnosed"


async def test_snooze_with_its_preview(story, page_of):
    """The three dots open the snooze dialog, whose preview follows the chosen scope."""
    await story.show(x.diagnosed())
    page = await page_of("ben")
    await page.get_by_label("More actions").click()
    await page.get_by_role("menuitem", name="Snooze").click()
    await page.get_by_text("1 alert in 1 incident").wait_for()
    await page.get_by_label("What should be quiet?").select_option(label="everything of flight-delay")
    await page.get_by_label("Reason").fill("backfill")
    await page.get_by_role("button", name="Snooze", exact=True).click()
    await page.get_by_text("Quiet until").wait_for()
    assert story.views.silences_[0].signal == "*"


async def test_chat_with_a_chart(story, page_of):
    """Asked in a direct message, the answer holds a picture with words for those who cannot see it."""
    page = await page_of("ben", "channel=dm")
    field = page.get_by_label("Message Middlewatch")
    await field.fill("show temp of flight-delay since 12h")
    await field.press("Enter")
    await page.get_by_text("1 reply").click()
    image = page.locator("#thread img[alt*='PSI of temp']")
    await image.wait_for()
    assert (
        await image.evaluate("i => i.complete ? i.naturalWidth : new Promise(r => i.onload = () => r(i.naturalWidth))")
        > 800
    )


async def test_home_shows_what_waits_for_me(story, page_of):
    """App Home lists what waits for Ana, the models and their trend."""
    await story.show(x.diagnosed(p=x.plan(created=story.clock())))
    page = await page_of("ana", "home=1")
    await page.get_by_role("heading", name="Waiting for you (1)").wait_for()
    await page.get_by_text("Middlewatch itself").wait_for()


@pytest.mark.parametrize("kind", ["rate_limit", "error", "lost_answer"])
async def test_faults_lose_nothing(story, page_of, kind):
    """With a fault on every second call the reader still sees one card, and it ends in the latest state."""
    page = await page_of("ana")
    for method in ("chat.postMessage", "chat.update"):
        await story.people.fault(kind, method=method, times=2, seconds=1)
    for incident in (x.first(), x.diagnosed(at=x.NOW + 9), x.approved()):
        await story.views.put(incident)
        for _ in range(10):
            try:
                await story.converse.on_incident(changed(incident))
                break
            except Retry:
                continue
    await page.get_by_text("waiting to run").wait_for()
    assert await page.get_by_role("heading", name="SEV2 flight-delay v2 is drifting").count() == 1


async def test_phone_and_dark(story, page_of):
    """At 390 px, dark, the card does not overflow and its first button is reachable."""
    await story.show(x.diagnosed(p=x.plan(created=story.clock())))
    page = await page_of("ana", viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True,
                         color_scheme="dark")  # fmt: skip
    await page.get_by_role("button", name="Review rollback").tap()
    await page.get_by_label("Reason").wait_for()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
