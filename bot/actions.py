"""What buttons and dialogs do. A click proves nothing but who clicked: the row behind the nonce says what it is for,
Slack says who the person is, policy says whether they may, and the incident says whether it is still possible.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from bot import modals
from bot.approvers import ask_others
from bot.blocks import escape
from bot.cards import reviewable
from bot.clicks import Click, clicked
from bot.conversation import feedback, postmortem, silence
from bot.conversation.acknowledge import acknowledge, actor
from bot.desk import Desk
from bot.dialogs import fill
from bot.wire import SlackFailure, calling, tolerated
from core.approval import Person, check_plan, decide, expiry, nonce_row, require
from core.errors import MiddlewatchError, Refused
from core.incidents import Incident, Outcome, advance, mark

STALE = "This button belongs to an older state of the card. Use the buttons the card shows now."
MODAL_TTL = 3_600.0
QUICK = 0.05
"""Seconds of work for which the ack of a submission may wait, so that the dialog changes once."""
SETTLE = 0.3
"""Seconds after a slow ack before the dialog is updated: the ack must have reached Slack first, or it would win."""


class Actions:
    """Bolt listeners for every button and dialog of the product."""

    def __init__(self, desk: Desk):
        self.desk = desk

    def register(self, app: Any) -> None:
        for action_id, listener in {
            "review": self.on_review, "acknowledge": self.on_acknowledge, "dismiss": self.on_dismiss,
            "more": self.on_more, "reject": self.on_reject, "postmortem": self.on_postmortem,
            "seconds": self.on_snooze_changed, "scope": self.on_snooze_changed,
        }.items():  # fmt: skip
            app.action(action_id)(listener)
        app.action(re.compile(r"feedback_(right|partly|wrong)"))(self.on_feedback)
        for callback, listener in {
            "approve": self.on_approve_submitted, "dismiss": self.on_dismiss_submitted,
            "snooze": self.on_snooze_submitted, "feedback": self.on_feedback_submitted,
        }.items():  # fmt: skip
            app.view(callback)(listener)

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

    # submissions

    async def on_approve_submitted(self, ack: Any, body: dict[str, Any]) -> None:
        click = clicked(body)
        if not click.values.get("reason", "").strip():
            await ack(response_action="errors", errors={"reason": "A reason is required: it goes into the audit log."})
            return
        await self._submitted(click, "approve", "Not approved", self._approve, ack)

    async def _approve(self, click: Click, row: dict[str, Any]) -> str:
        return await self._verdict(click, row, "approved")

    async def on_reject(self, ack: Any, body: dict[str, Any]) -> None:
        """A button inside the review dialog: one reject ends the proposal."""
        await ack()
        click = clicked(body)
        if not click.values.get("reason", "").strip():
            await self._guarded(click, lambda: self._ask_reason(click))
            return

        async def reject(click: Click, row: dict[str, Any]) -> str:
            return await self._verdict(click, row, "rejected")

        await self._submitted(click, "approve", "Not rejected", reject)

    async def _ask_reason(self, click: Click) -> None:
        row = await self.desk.nonces.look(click.nonce)
        incident = await self.desk.incidents.get(row["incident"]) if row else None
        if row is None or incident is None or incident.plan is None:
            raise Refused(STALE)
        policy, person = await self.desk.rules(), await self._person(click)
        role, problem = (
            self.desk.people.role(person),
            "Rejecting needs a reason too: it ends the proposal for everyone.",
        )
        await self._update(click, modals.review(incident, incident.plan, policy, click.nonce, role, problem))

    async def _verdict(self, click: Click, row: dict[str, Any], verdict: Any) -> str:
        """Decide on the latest revision, by compare-and-set; what to tell the person."""
        person, policy, now = await self._person(click), await self.desk.rules(), self.desk.now()
        reason = click.values["reason"].strip()
        said = ""

        def change(incident: Incident) -> Incident:
            nonlocal said
            approval, complete = decide(incident, row["digest"], person, verdict, reason, policy, now)
            approvals, who = [*incident.approvals, approval], actor(person)
            if verdict == "rejected":
                said = "Rejected. The incident stays open, with no proposal."
                return mark(incident, now=now, actor=who, what="rejected the proposal", reason=approval.reason,
                            approvals=approvals, plan=None)  # fmt: skip
            count = sum(1 for a in approvals if a.digest == approval.digest and a.verdict == "approved")
            required = incident.plan.required if incident.plan else 1
            what = f"approved {count}/{required}"
            if complete:
                said = "Approved. It is checked once more and then runs; the card shows what happens."
                return advance(incident, "approved", writer="converse", now=now, actor=who, what=what,
                               reason=approval.reason, approvals=approvals)  # fmt: skip
            said = f"Your approval counts ({count} of {required}). Somebody else must approve too."
            return mark(incident, now=now, actor=who, what=what, reason=approval.reason, approvals=approvals)

        after = await self._change(row["incident"], change)
        if after.state in ("diagnosed", "failed") and verdict == "approved":
            self.desk.later(ask_others(self.desk, after), "asking the other approvers")
        return said

    async def on_dismiss_submitted(self, ack: Any, body: dict[str, Any]) -> None:
        click = clicked(body)
        if not click.values.get("reason", "").strip():
            await ack(response_action="errors", errors={"reason": "Say why in a few words."})
            return

        async def work(click: Click, row: dict[str, Any]) -> str:
            person, now = await self._person(click), self.desk.now()
            require(person, "responder", self.desk.policy, "dismissing an incident")
            reason = click.values["reason"].strip()[:500]
            done = Outcome(verdict="dismissed", text=reason)
            await self._change(
                row["incident"],
                lambda i: advance(i, "dismissed", writer="converse", now=now, actor=actor(person), what="dismissed",
                                  reason=reason, outcome=done),
            )  # fmt: skip
            return "Closed as not an incident."

        await self._submitted(click, "dismissed", "Not dismissed", work, ack)

    async def on_snooze_submitted(self, ack: Any, body: dict[str, Any]) -> None:
        click = clicked(body)
        if not click.values.get("reason", "").strip():
            await ack(response_action="errors", errors={"reason": "Say who knows about it, or until when."})
            return

        async def work(click: Click, row: dict[str, Any]) -> str:
            incident = await self.desk.incidents.get(row["incident"])
            if incident is None:
                raise Refused(STALE)
            v = click.values
            return await silence.put(
                self.desk, await self._person(click), incident.tenant, incident.model,
                silence.signal_of(incident, v.get("scope", "")), silence.seconds_of(v.get("seconds", "")), v["reason"],
                incident.id,
            )  # fmt: skip

        await self._submitted(click, "snoozed", "Not snoozed", work, ack)

    async def on_feedback_submitted(self, ack: Any, body: dict[str, Any]) -> None:
        click = clicked(body)

        async def work(click: Click, row: dict[str, Any]) -> str:
            person, cause = await self._person(click), click.values.get("reason", "")
            await feedback.save(self.desk, row["incident"], person, row["verdict"], cause)
            return "Thank you: saved as an evaluation case."

        await self._submitted(click, "feedback", "Not saved", work, ack)

    # the frame around them all

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
                await self.desk.slack.chat_postMessage(channel=click.user, text=text, parse="none")

    async def _tell(self, click: Click, text: str) -> None:
        """To the person who clicked and to nobody else; `text` is safe mrkdwn."""
        if click.channel:
            with tolerated("chat.postEphemeral"):
                where = {"channel": click.channel, "user": click.user}
                await self.desk.slack.chat_postEphemeral(**where, text=text, parse="none")
        elif click.view:
            await self._update(click, modals.told("Middlewatch", text))
