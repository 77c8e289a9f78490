"""What the card's buttons do: they open dialogs (submitted in `bot/submissions.py`) or write with one tap."""

from __future__ import annotations

import re
from typing import Any

from bot import modals
from bot.blocks import escape
from bot.cards import reviewable
from bot.clicks import Click, clicked
from bot.conversation import feedback, postmortem, silence
from bot.conversation.acknowledge import acknowledge, actor
from bot.frame import STALE, Frame
from core.approval import check_plan, expiry, require
from core.errors import Refused
from core.incidents import Incident, mark


class Actions(Frame):
    """Bolt listeners for every button and menu of a card."""

    def register(self, app: Any) -> None:
        for action_id, listener in {
            "review": self.on_review, "acknowledge": self.on_acknowledge, "dismiss": self.on_dismiss,
            "more": self.on_more, "postmortem": self.on_postmortem,
            "seconds": self.on_snooze_changed, "scope": self.on_snooze_changed,
        }.items():  # fmt: skip
            app.action(action_id)(listener)
        app.action(re.compile(r"feedback_(right|partly|wrong)"))(self.on_feedback)

    # opening dialogs: light first, filled after

    async def on_review(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        await self._dialog(clicked(body), "review", "Review", self._review)

    async def _review(self, click: Click, incident: Incident, row: dict[str, Any]) -> modals.View:
        policy = await self.desk.rules()
        plan = check_plan(incident, row["digest"], policy, self.desk.now())
        if not reviewable(incident, policy, self.desk.now()):
            raise Refused(f"This incident is {incident.state}; there is nothing to approve now.")
        person = await self._person(click)
        nonce = await self._issue(click, incident, "approve", ttl=max(expiry(plan, policy) - self.desk.now(), 1.0))
        return modals.review(incident, plan, policy, nonce, self.desk.people.role(person))

    async def on_dismiss(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()

        async def build(click: Click, incident: Incident, _: dict[str, Any]) -> modals.View:
            require(await self._person(click), "responder", self.desk.policy, "dismissing an incident")
            return modals.dismiss(incident, await self._issue(click, incident, "dismissed"))

        await self._dialog(clicked(body), "dismiss", "Not an incident", build)

    async def on_more(self, ack: Any, body: dict[str, Any]) -> None:
        """The three dots: the row behind the chosen value says which of them it was."""
        await ack()
        click = clicked(body)
        row = await self.desk.nonces.look(click.value)
        purpose = row["purpose"] if row else ""
        if purpose == "snooze":
            await self._dialog(click, "snooze", "Snooze", self._snooze)
        elif purpose == "runbook":
            await self._dialog(click, "runbook", "Runbook", self._runbook)
        elif purpose in ("again", "ticket", "page"):
            work = {"again": self._again, "ticket": self._ticket, "page": self._page}[purpose]
            await self._guarded(click, lambda: self._with_row(click, purpose, work))
        else:
            await self._tell(click, STALE)

    async def _snooze(self, click: Click, incident: Incident, _: dict[str, Any]) -> modals.View:
        require(await self._person(click), "responder", self.desk.policy, "silencing")
        nonce = await self._issue(click, incident, "snoozed")
        return modals.snooze(incident, nonce, await silence.preview_of(self.desk, incident, "0", 7200))

    async def _runbook(self, click: Click, incident: Incident, _: dict[str, Any]) -> modals.View:
        h = incident.hypothesis
        if h is not None and h.runbook:
            return modals.runbook(h.runbook)
        found = await self.desk.runbooks.search(f"{incident.kind} {incident.model}") if self.desk.runbooks else []
        if not found:
            raise Refused("No runbook fits this incident yet.")
        return modals.runbook(found[0].citation)

    async def on_snooze_changed(self, ack: Any, body: dict[str, Any]) -> None:
        """The preview follows what is chosen in the dialog."""
        await ack()
        click = clicked(body)
        row = await self.desk.nonces.look(click.nonce)
        incident = await self.desk.incidents.get(row["incident"]) if row else None
        if incident is None:
            return
        seconds, scope = click.values.get("seconds", ""), click.values.get("scope", "")
        preview = await silence.preview_of(self.desk, incident, scope, silence.seconds_of(seconds))
        await self._update(click, modals.snooze(incident, click.nonce, preview, seconds, scope))

    # one-tap writes

    async def on_acknowledge(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        click = clicked(body)
        await self._guarded(click, lambda: self._with_row(click, "acknowledge", self._acknowledge))

    async def _acknowledge(self, click: Click, incident: Incident) -> None:
        await acknowledge(self.desk, incident.id, await self._person(click))

    async def _again(self, click: Click, incident: Incident) -> None:
        person = await self._person(click)
        require(person, "responder", self.desk.policy, "starting an investigation")
        if incident.state not in ("opened", "diagnosed"):
            raise Refused(f"This incident is {incident.state}: nothing is investigated now.")
        await self._tell(click, "Investigating again; the card will be edited.")
        await self.desk.again(incident.id, actor(person))

    async def _ticket(self, click: Click, incident: Incident) -> None:
        person = await self._person(click)
        require(person, "responder", self.desk.policy, "opening a ticket")
        if self.desk.open_ticket is None:
            raise Refused("No ticket system is connected. Add `jira` to [receivers] in the policy.")
        ticket = await self.desk.open_ticket(incident, person)
        now, what = self.desk.now(), f"ticket {ticket} opened"
        await self._change(incident.id, lambda i: mark(i, now=now, actor=actor(person), what=what))
        await self._tell(click, f"Ticket {escape(ticket, 200)}")

    async def _page(self, click: Click, incident: Incident) -> None:
        person = await self._person(click)
        require(person, "responder", self.desk.policy, "paging")
        if self.desk.page is None:
            raise Refused("No pager is connected. Add `pagerduty` to [receivers] in the policy.")
        await self.desk.page(incident, f"asked by {person.name}")
        now = self.desk.now()
        await self._change(incident.id, lambda i: mark(i, now=now, actor=actor(person), what="paged the on-call"))
        await self._tell(click, "The on-call was paged.")

    async def on_feedback(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()
        click, verdict = clicked(body), str(action.get("action_id", "")).removeprefix("feedback_")
        if verdict != "right":

            async def build(click: Click, incident: Incident, _: dict[str, Any]) -> modals.View:
                nonce = await self._issue(click, incident, "feedback", verdict=verdict)
                return modals.wrong(incident, nonce, verdict)

            await self._dialog(click, f"feedback:{verdict}", "Feedback", build)
            return

        async def save(click: Click, incident: Incident) -> None:
            await feedback.save(self.desk, incident.id, await self._person(click), "right", "")
            await self._tell(click, "Thank you: saved as an evaluation case.")

        await self._guarded(click, lambda: self._with_row(click, "feedback:right", save))

    async def on_postmortem(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        click = clicked(body)

        async def draft(click: Click, incident: Incident) -> None:
            await self._person(click)
            await postmortem.post(self.desk, incident, click.channel, click.message)

        await self._guarded(click, lambda: self._with_row(click, "postmortem", draft))
