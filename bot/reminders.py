"""What happens when nobody answers: a few quiet reminders in the thread, then one page, then silence."""

from __future__ import annotations

from bot import wording as say
from bot.blocks import escape, span
from bot.cards import reviewable
from bot.desk import Desk, log
from bot.wire import tolerated
from core.approval import expiry
from core.errors import MiddlewatchError
from core.incidents import Incident, mark

AFTER = {"SEV1": 300.0, "SEV2": 600.0, "SEV3": 3_600.0, "SEV4": 14_400.0}
"""Seconds after which nobody having acknowledged deserves a reminder; each next one waits twice as long."""
MOST = 3


def due(incident: Incident, now: float) -> int:
    """Which reminder is due now: 0 none, 1..MOST a reminder, MOST + 1 the one page. Pure.

    >>> from tests.bot.examples import first, NOW
    >>> [due(first(), NOW + t) for t in (0, 700, 1900, 4300, 9100)]
    [0, 1, 2, 3, 4]
    """
    if incident.over or incident.acknowledged_by or incident.state not in ("opened", "diagnosed", "failed"):
        return 0
    waited, wait, count = now - incident.opened_at, AFTER[incident.severity], 0
    while count <= MOST and waited >= wait:
        count += 1
        waited, wait = waited - wait, wait * 2
    return count


class Reminders:
    """Looked at every half minute."""

    def __init__(self, desk: Desk):
        self.desk = desk

    async def tick(self) -> None:
        """Remind, page once, and let cards show that a proposal has expired."""
        now = self.desk.now()
        for incident in await self.desk.incidents.all(over=False):
            number = due(incident, now)
            if number and await self.desk.cards.once(f"remind:{incident.id}:{number}", 30 * 86_400):
                await self._remind(incident, number, now)
            plan = incident.plan
            if plan and incident.state in ("diagnosed", "failed") and not reviewable(incident, self.desk.policy, now):
                key = f"expired:{plan.digest[:24]}"
                if now > expiry(plan, self.desk.policy) and await self.desk.cards.once(key, 30 * 86_400):
                    await self.desk.outbox.show(incident, urgent=False)

    async def _remind(self, incident: Incident, number: int, now: float) -> None:
        row = await self.desk.cards.card(incident.id)
        if number > MOST:
            await self._page(incident, now)
            return
        if not row or "ts" not in row:
            return
        waited = span(now - incident.opened_at)
        what = escape(say.title(incident), 150)
        text = f"Nobody has acknowledged this for {waited} ({number} of {MOST} reminders). {what}"
        with tolerated("chat.postMessage of a reminder"):
            await self.desk.slack.chat_postMessage(
                channel=row["channel"], thread_ts=row["ts"], text=text, parse="none", unfurl_links=False
            )

    async def _page(self, incident: Incident, now: float) -> None:
        if self.desk.page is None:
            log.warning(
                "incident %s: nobody answers and no pager is connected ([receivers] in the policy)", incident.id
            )
            return
        await self.desk.page(incident, "nobody acknowledged it")
        try:
            what = "paged the on-call: nobody acknowledged"
            await self.desk.log.change(incident.id, lambda i: mark(i, now=now, actor="converse", what=what))
        except MiddlewatchError as error:
            log.warning("incident %s: paged, but it could not be recorded: %s", incident.id, error)
