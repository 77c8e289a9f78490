"""What every button and dialog goes through: the row behind the nonce, the person, the dialog, the compare-and-set.

A click proves nothing but who clicked: the row behind the nonce says what it is for, Slack says who the person is,
policy says whether they may, and the incident says whether it is still possible.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from bot import modals
from bot.blocks import escape
from bot.clicks import Click
from bot.desk import Desk
from bot.dialogs import fill
from bot.wire import SlackFailure, calling, tolerated
from core.approval import Person, nonce_row
from core.errors import MiddlewatchError, Refused
from core.incidents import Incident

STALE = "This button belongs to an older state of the card. Use the buttons the card shows now."
MODAL_TTL = 3_600.0
QUICK = 0.05
"""Seconds of work for which the ack of a submission may wait, so that the dialog changes once."""
SETTLE = 0.3
"""Seconds after a slow ack before the dialog is updated: the ack must have reached Slack first, or it would win."""


class Frame:
    """What the listeners of `bot/actions.py` and `bot/submissions.py` share."""

    def __init__(self, desk: Desk):
        self.desk = desk

    async def _person(self, click: Click) -> Person:
        return await self.desk.people.person(click.team, click.user)

    async def _issue(self, click: Click, incident: Incident, purpose: str, ttl: float = MODAL_TTL, **extra: Any) -> str:
        row = nonce_row(incident, purpose, user=f"{click.team}/{click.user}", **extra)
        return await self.desk.nonces.issue(row, ttl=ttl)

    async def _change(self, incident_id: str, decide_: Callable[[Incident], Incident | None]) -> Incident:
        after = await self.desk.log.change(incident_id, decide_)
        self.desk.show(after)
        return after

    async def _row(self, value: str, purpose: str) -> tuple[dict[str, Any], Incident]:
        row = await self.desk.nonces.look(value) if 0 < len(value) <= 200 else None
        incident = await self.desk.incidents.get(row["incident"]) if row else None
        if row is None or incident is None or row.get("purpose") != purpose:
            raise Refused(STALE)
        return row, incident

    async def _with_row(self, click: Click, purpose: str, work: Callable[[Click, Incident], Awaitable[None]]) -> None:
        _, incident = await self._row(click.value, purpose)
        await work(click, incident)

    async def _dialog(
        self, click: Click, purpose: str, title: str,
        build: Callable[[Click, Incident, dict[str, Any]], Awaitable[modals.View]],
    ) -> None:  # fmt: skip
        """Open a light dialog at once (the trigger lives three seconds), then fill it or say why not in it."""
        opening = asyncio.create_task(self.desk.slack.views_open(trigger_id=click.trigger, view=modals.loading(title)))
        try:
            row, incident = await self._row(click.value, purpose)
            view = await build(click, incident, row)
        except MiddlewatchError as error:
            view = modals.told(title, escape(str(error), 1_000))
        try:
            with calling("views.open"):
                opened = await opening
        except SlackFailure as failure:
            await self._tell(click, f"The dialog could not be opened: {escape(failure)}")
            return
        await self._update(click, view, opened["view"]["id"])

    async def _submitted(
        self,
        click: Click,
        purpose: str,
        failed: str,
        work: Callable[[Click, dict[str, Any]], Awaitable[str]],
        ack: Any = None,
    ) -> None:
        """Do the work and say in the dialog what came of it: with the ack when it is quick, else a moment after."""
        doing = asyncio.create_task(self._spent(click, purpose, failed, work))
        if ack is not None:
            await asyncio.wait({doing}, timeout=QUICK)
            if doing.done():
                await ack(response_action="update", view=doing.result())
                return
            await ack(response_action="update", view=modals.told("One moment", "Checking who you are and what it is…"))
            await asyncio.sleep(SETTLE)
        await self._update(click, await doing)

    async def _spent(
        self, click: Click, purpose: str, failed: str, work: Callable[[Click, dict[str, Any]], Awaitable[str]]
    ) -> modals.View:
        """Spend the dialog's nonce (once, by whom it was issued to) and do the work; what the dialog then says."""
        try:
            known = await self.desk.nonces.look(click.nonce)
            if known is None or known.get("purpose") != purpose:
                raise Refused("This dialog was used already or is too old. Open it again from the card.")
            if known.get("user") != f"{click.team}/{click.user}":
                raise Refused("This dialog was opened by somebody else. Open it yourself from the card.")
            row = await self.desk.nonces.spend(click.nonce)
            if row is None:
                raise Refused("This dialog was used already. The card shows what came of it.")
            return modals.told("Done", escape(await work(click, row), 1_000))
        except MiddlewatchError as error:
            return modals.told(failed, escape(str(error), 1_000))

    async def _guarded(self, click: Click, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except MiddlewatchError as error:
            await self._tell(click, escape(str(error), 1_000))

    async def _update(self, click: Click, view: modals.View, view_id: str = "") -> None:
        if failure := await fill(self.desk.slack, view_id or click.view, view):
            text = f"The dialog could not be filled: {escape(failure)}. The card shows what came of it."
            with tolerated("chat.postMessage about a dialog"):
                await self.desk.slack.chat_postMessage(channel=click.user, text=text, parse="none", unfurl_links=False)

    async def _tell(self, click: Click, text: str) -> None:
        """To the person who clicked and to nobody else; `text` is safe mrkdwn."""
        if click.channel:
            with tolerated("chat.postEphemeral"):
                where = {"channel": click.channel, "user": click.user}
                await self.desk.slack.chat_postEphemeral(**where, text=text, parse="none")
        elif click.view:
            await self._update(click, modals.told("Middlewatch", text))
