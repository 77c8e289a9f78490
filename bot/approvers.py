"""Asking the others: a direct message with a link, to each approver who has not approved, once per plan and person."""

from __future__ import annotations

from bot.blocks import escape, name
from bot.desk import Desk
from bot.wire import tolerated
from core.incidents import Incident


async def ask_others(desk: Desk, incident: Incident) -> None:
    """Nothing happens when the plan or the card is gone."""
    row, plan = await desk.cards.card(incident.id), incident.plan
    if plan is None or not row or "ts" not in row:
        return
    have = {a.by.id for a in incident.approvals if a.digest == plan.digest}
    if plan.four_eyes and plan.requested_by:
        have.add(plan.requested_by.rpartition("/")[2])
    link = (await desk.slack.chat_getPermalink(channel=row["channel"], message_ts=row["ts"]))["permalink"]
    for user in await desk.people.approvers():
        if user in have or not await desk.cards.once(f"ask:{plan.digest[:24]}:{user}", 86_400):
            continue
        text = f"{incident.severity} {name(incident.model)}: your approval is needed. {escape(plan.summary, 200)}"
        with tolerated("chat.postMessage to an approver"):  # the others are asked all the same
            await desk.slack.chat_postMessage(
                channel=user, text=f"{text} <{link}|Open the card>", unfurl_links=False, unfurl_media=False
            )
