"""The page in a real browser, with an unmodified Bolt app behind it."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from bot.workspace import serve
from bot.workspace.people import text_of

pytestmark = [pytest.mark.browser, pytest.mark.servers]
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip


def plain(text: str) -> dict:
    return {"type": "plain_text", "text": text}


def section(text: str) -> dict:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def button(action_id: str, text: str, **more) -> dict:
    return {"type": "button", "action_id": action_id, "text": plain(text), **more}


CARD = [
    {"type": "header", "text": plain("SEV2 flight-delay v2 is drifting")},
    section("*What's going on?* `temp` fell [E1]"),
    {"type": "actions", "elements": [
        button("review", "Review rollback", style="primary"),
        button("dismiss", "Not an incident", style="danger", confirm={
            "title": plain("Sure?"), "text": plain("It closes."), "confirm": plain("Close it"), "deny": plain("Keep")}),
        {"type": "overflow", "action_id": "more", "options": [{"text": plain("Snooze 2 h"), "value": "snooze"}]},
    ]},
]  # fmt: skip


def dialog(note: str = "loading") -> dict:
    why = {"type": "plain_text_input", "action_id": "reason", "multiline": True}
    return {
        "type": "modal", "callback_id": "review", "title": plain("Review rollback"), "submit": plain("Approve"),
        "blocks": [section(note), {"type": "input", "block_id": "why", "label": plain("Reason"), "element": why}],
    }  # fmt: skip


@pytest.fixture
async def workspace(tmp_path):
    """A workspace that gives a slow machine more than Slack's three seconds."""
    async with await serve(data_dir=tmp_path / "workspace", ack_seconds=60, trigger_seconds=60) as running:
        yield running


@pytest.fixture
async def browser():
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        await running.close()


@pytest.fixture
async def open_page(browser, workspace):
    """`await open_page("ana")`: the page as that person; fails the test on script errors and foreign requests."""
    wrong: list[str] = []

    async def opened(name: str, where: str = "channel=ml-oncall", **how):
        context = await browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
        context.set_default_timeout(60_000)
        page = await context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        page.on("request", lambda r: wrong.append(r.url) if urlsplit(r.url).hostname != "127.0.0.1" else None)
        await page.goto(f"{workspace.url}/?as={name}&{where}")
        return page

    yield opened
    assert wrong == []


@pytest.fixture
async def watch(bolt_app, connect, client):
    """A small incident bot: one card, a review dialog, refusal for all but ana, /mw, a Home."""
    pressed: asyncio.Queue = asyncio.Queue()

    @bolt_app.action("review")
    async def on_review(ack, body, client):
        await ack()
        if body["user"]["id"] != "U0ANA":
            await client.chat_postEphemeral(
                channel=body["channel"]["id"], user=body["user"]["id"], text="Only approvers may review this."
            )
            return
        opened = await client.views_open(trigger_id=body["trigger_id"], view=dialog())
        await client.views_update(view_id=opened["view"]["id"], view=dialog("PSI 1.27, undo: deploy v2 again"))

    @bolt_app.view("review")
    async def on_submit(ack, view, client):
        reason = view["state"]["values"]["why"]["reason"]["value"]
        if len(reason.split()) < 3:
            await ack(response_action="errors", errors={"why": "At least three words, please."})
            return
        await ack()
        await client.chat_update(channel="C0MLONCALL", ts=card["ts"], text="approved", blocks=[section("Confirmed.")])

    @bolt_app.action("dismiss")
    @bolt_app.action("more")
    async def on_other(ack, action):
        await ack()
        await pressed.put(action.get("selected_option", {}).get("value") or action["action_id"])

    @bolt_app.command("/mw")
    async def on_command(ack, command):
        await ack(f"you asked: {command['text']}")

    @bolt_app.event("app_home_opened")
    async def on_home(event, client):
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [section("All quiet.")]})

    @bolt_app.event("message")
    async def on_message(event, client):
        if event.get("channel_type") == "im" and event.get("client_msg_id"):
            await client.chat_postMessage(
                channel=event["channel"], text=f"you said {event['text']}", thread_ts=event["ts"]
            )

    async with connect(bolt_app):
        card = await client.chat_postMessage(channel="ml-oncall", text="SEV2 flight-delay", blocks=CARD)
        yield pressed


async def test_review_is_corrected_approved_and_confirmed(open_page, watch):
    """The card is read, the dialog fills in place, a poor reason is refused inline, a good one changes the card."""
    page = await open_page("ana")
    await page.get_by_role("heading", name="SEV2 flight-delay v2 is drifting").wait_for()
    await page.get_by_role("button", name="Review rollback").click()
    await page.get_by_role("dialog", name="Review rollback").wait_for()
    await page.get_by_text("undo: deploy v2 again").wait_for()
    await page.get_by_label("Reason").fill("too short")
    await page.get_by_role("button", name="Approve").click()
    await page.get_by_text("At least three words, please.").wait_for()
    assert await page.get_by_label("Reason").input_value() == "too short"
    await page.get_by_label("Reason").fill("temperatures are Celsius")
    await page.get_by_role("button", name="Approve").click()
    await page.get_by_text("Confirmed.").wait_for()
    assert await page.get_by_role("dialog").count() == 0
    assert await page.get_by_role("button", name="Review rollback").count() == 0


async def test_another_person_is_refused_in_private(open_page, watch, people):
    """Ben, chosen in the switcher, is told that he may not; Ana's page does not show it."""
    page = await open_page("ana")
    await page.get_by_label("Acting as Ana Ruiz; switch person").click()
    await page.get_by_role("link", name="Ben Okafor").click()
    await page.get_by_label("Acting as Ben Okafor; switch person").wait_for()
    await page.get_by_role("button", name="Review rollback").click()
    await page.get_by_text("Only approvers may review this.").wait_for()
    await page.get_by_text("Only visible to you").wait_for()
    assert "Only approvers" not in text_of(await people.as_user("ana").messages("ml-oncall"))


async def test_typed_words_survive_an_update_of_the_dialog(open_page, watch, client, workspace):
    """views.update of the open dialog changes its text and keeps what was typed and the focus."""
    page = await open_page("ana")
    await page.get_by_role("button", name="Review rollback").click()
    await page.get_by_text("undo: deploy v2 again").wait_for()
    await page.get_by_label("Reason").press_sequentially("half a sen")
    view = workspace.views.stack("U0ANA")[-1]
    await client.views_update(view_id=view["id"], view=dialog("evidence changed"))
    await page.get_by_text("evidence changed").wait_for()
    await page.keyboard.type("tence")
    assert await page.get_by_label("Reason").input_value() == "half a sentence"
    await page.keyboard.press("Escape")
    await page.wait_for_function("!document.querySelector('#modal').open")
    assert workspace.views.stack("U0ANA") == []


async def test_confirm_and_overflow(open_page, watch):
    """A confirm dialog answered with no sends nothing, with yes the action; an overflow sends its option."""
    page = await open_page("ana")
    await page.get_by_role("button", name="Not an incident").click()
    await page.get_by_role("button", name="Keep").click()
    await page.get_by_label("More actions").click()
    await page.get_by_role("menuitem", name="Snooze 2 h").click()
    assert await asyncio.wait_for(watch.get(), 60) == "snooze"
    await page.get_by_role("button", name="Not an incident").click()
    await page.get_by_role("button", name="Close it").click()
    assert await asyncio.wait_for(watch.get(), 60) == "dismiss"


def edited(said: str) -> list[dict]:
    """The card after an edit: a block more above the buttons, and new ids for all, as this app gives them."""
    return [{**b, "block_id": f"{said}-{n}"} for n, b in enumerate([CARD[0], section(said), CARD[1], CARD[2]])]


async def test_an_edit_under_the_finger_loses_no_click(open_page, watch, client):
    """Between pointer down and up the card may be edited and grow: the dialog opens, and the edit is seen after."""
    page = await open_page("ana")
    button = page.get_by_role("button", name="Review rollback")
    box = await button.bounding_box()
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await page.mouse.down()
    ts = await page.locator("#messages .message").last.get_attribute("data-ts")
    async with page.expect_response("**/ui/messages*"):
        await client.chat_update(channel="C0MLONCALL", ts=ts, text="t", blocks=edited("a picture came"))
    await page.mouse.up()
    await page.get_by_role("dialog", name="Review rollback").wait_for()
    await page.locator("#messages").get_by_text("a picture came").wait_for()


async def test_a_click_on_the_rendering_before_counts(open_page, watch, client):
    """A person who presses the button of a card that was edited a moment ago gets the dialog."""
    page = await open_page("ana")
    ts = await page.locator("#messages .message").last.get_attribute("data-ts")
    await page.route("**/ui/messages*", lambda route: None)  # this page does not get to see the edit
    await client.chat_update(channel="C0MLONCALL", ts=ts, text="t", blocks=edited("a picture came"))
    await page.get_by_role("button", name="Review rollback").click()
    await page.get_by_role("dialog", name="Review rollback").wait_for()
    await page.unroute("**/ui/messages*")


async def test_an_edit_keeps_every_node_that_did_not_change(open_page, watch, client):
    """After an edit the button is the same node, with the focus it had; an open menu stays open."""
    page = await open_page("ana")
    message = page.locator("#messages .message").last
    await page.get_by_role("button", name="Review rollback").focus()
    await message.evaluate("m => { window.was = m.querySelector('.primary'); m.querySelector('details').open = true; }")
    ts = await message.get_attribute("data-ts")
    await client.chat_update(channel="C0MLONCALL", ts=ts, text="t", blocks=edited("a picture came"))
    await page.locator("#messages").get_by_text("a picture came").wait_for()
    assert await message.evaluate("m => m.querySelector('.primary') === window.was")
    assert await page.evaluate("document.activeElement === window.was")
    assert await page.get_by_role("menuitem", name="Snooze").is_visible()


async def test_slash_commands_complete_and_answer(open_page, watch):
    """Typing /m offers /mw and then its words; Enter runs it and the answer is seen by the asker."""
    page = await open_page("ana", "channel=general")
    field = page.get_by_label("Message #general")
    await field.press_sequentially("/m")
    await page.get_by_role("option", name="/mw").wait_for()
    await field.press("Tab")
    await page.get_by_role("option", name="/mw incidents").wait_for()
    await field.press_sequentially("status")
    await field.press("Enter")
    await page.get_by_text("you asked: status").wait_for()
    assert await field.input_value() == ""


async def test_a_thread_is_opened_answered_and_counted(open_page, watch, client):
    """A reply typed in the thread pane appears there and is counted under the card."""
    page = await open_page("ana")
    await page.locator("#messages .message").first.hover()
    await page.get_by_role("button", name="Reply in thread").first.click()
    await page.get_by_label("Reply", exact=True).fill("looking")
    await page.get_by_label("Reply", exact=True).press("Enter")
    await page.locator("#thread").get_by_text("looking").wait_for()
    await page.get_by_role("button", name="1 reply").wait_for()


async def test_home_is_published_and_shown(open_page, watch):
    """Opening Home asks the app and shows what it publishes."""
    page = await open_page("chloe")
    await page.get_by_role("link", name="Home").click()
    await page.get_by_text("All quiet.").wait_for()


async def test_the_fault_panel_orders_a_fault(open_page, watch, workspace):
    """A fault ordered on the panel stands in the workspace, and "clear all" takes it away."""
    page = await open_page("ana")
    await page.get_by_role("button", name="Workspace panel").click()
    await page.get_by_label("Method").fill("chat.update")
    await page.get_by_role("button", name="Order").click()
    await page.get_by_text("rate_limit on chat.update, 1 to come").wait_for()
    assert workspace.faults.listed()[0]["method"] == "chat.update"
    await page.get_by_role("button", name="Clear all").click()
    await page.get_by_text("rate_limit on chat.update").wait_for(state="detached")
    assert workspace.faults.listed() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_can_approve(open_page, watch, workspace, scheme):
    """At 390 px nothing overflows, channels are one tap away, and the dialog's buttons are in reach."""
    workspace.set_banner("event time runs 21600x faster")
    page = await open_page(
        "ana", "channel=general", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True,
        color_scheme=scheme,
    )  # fmt: skip
    await page.get_by_text("event time runs 21600x faster").wait_for()
    await page.get_by_role("button", name="Channels").first.tap()
    await page.get_by_role("link", name="ml-oncall").tap()
    await page.get_by_role("button", name="Review rollback").tap()
    await page.get_by_label("Reason").fill("temperatures are Celsius")
    box = await page.get_by_role("button", name="Approve").bounding_box()
    assert box["y"] + box["height"] <= 844
    assert box["height"] >= 40
    await page.get_by_role("button", name="Approve").tap()
    await page.get_by_text("Confirmed.").wait_for()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_hostile_text_stays_text(open_page, watch, client):
    """Script and markup in a message are shown, not run."""
    page = await open_page("ana", "channel=general")
    nasty = "<img src=x onerror=alert(1)> &lt;script&gt;alert(1)&lt;/script&gt; <javascript:alert(1)|click me>"
    await client.chat_postMessage(channel="general", text=nasty, blocks=[section(nasty)])
    await page.get_by_text("click me").wait_for()
    assert await page.locator("#messages script, #messages a[href^=javascript], #messages img[onerror]").count() == 0


async def test_a_suggested_prompt_is_asked_and_answered_in_view(open_page, watch, client):
    """In the app's direct message a prompt is sent by one click, and the answer's thread opens by itself."""
    prompts = [{"title": "How are the models?", "message": "status"}]
    await client.assistant_threads_setSuggestedPrompts(channel_id="D0ANA", prompts=prompts)
    page = await open_page("ana", "channel=dm")
    await page.get_by_role("button", name="How are the models?").click()
    await page.locator("#thread").get_by_text("you said status").wait_for()


async def test_a_permalink_leads_to_its_message(open_page, watch, client, workspace):
    """chat.getPermalink's address opens the channel at the message."""
    sent = await client.chat_postMessage(channel="general", text="the one")
    link = (await client.chat_getPermalink(channel=sent["channel"], message_ts=sent["ts"]))["permalink"]
    page = await open_page("ana")
    await page.goto(link)
    await page.get_by_role("heading", name="#general").wait_for()
    await page.get_by_text("the one").wait_for()
