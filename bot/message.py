"""One card's message: posted once, edited in place, its history in the thread.

Before posting, a mark is stored; if the answer is lost, our own message metadata is looked for before anything is
posted again. What Slack does not take whole is shown in part.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bot.blocks import Block, numbered, section
from bot.cards import Card
from bot.channels import Channels
from bot.thread import broadcast, note
from bot.wire import Ambiguous, Away, Gone, Ratelimited, SlackFailure, TooMuch, calling
from core.incidents import Incident
from core.ports import Cards, Incidents

log = logging.getLogger("middlewatch.outbox")

EVENT_TYPE = "middlewatch_incident"

Render = Callable[[Incident, dict[str, Any]], Awaitable[Card]]
"""The card of an incident; may note in the given row which nonces it issued."""


class Message:
    """Writes cards. Raises SlackFailure, saying whether asking again is safe."""

    def __init__(
        self, slack: Any, channels: Channels, cards: Cards, incidents: Incidents, render: Render,
        now: Callable[[], float] = time.time,
    ):  # fmt: skip
        self.slack, self.channels, self.cards, self.incidents = slack, channels, cards, incidents
        self.render, self.now = render, now
        self.name = secrets.token_hex(6)

    async def show(self, lane: str, incident: Incident) -> Incident:
        """Have the message show the incident's latest revision; that revision."""
        incident = await self._latest(incident)
        row = dict(await self.cards.card(incident.id) or {})
        if "ts" not in row:
            await self._post(lane, incident, row)
        else:
            await self._edit(incident, row)
        return incident

    async def _latest(self, incident: Incident) -> Incident:
        kept = await self.incidents.get(incident.id)
        return kept if kept is not None and kept.revision > incident.revision else incident

    async def _post(self, lane: str, incident: Incident, row: dict[str, Any]) -> None:
        channel = await self.channels.id(lane)
        if row.get("posting"):
            found = await self.found(channel, incident.id, row["posting"])
            if found:
                row |= {"channel": channel, "ts": found, "hash": ""}
                row.pop("posting", None)
                await self._remember(incident, row)
                await self._edit(incident, row)
                return
        elif not await self.cards.once(f"post:{incident.id}", 15) and row.get("poster") != self.name:
            raise Away("another process is posting this card")
        card = await self.render(incident, row)
        row |= {"channel": channel, "lane": lane, "posting": self.now(), "poster": self.name}
        await self.cards.put_card(incident.id, row)
        try:
            sent, level = await self._send("chat.postMessage", card, incident, channel=channel)
        except (Ambiguous, asyncio.CancelledError):
            raise
        except SlackFailure:
            row.pop("posting")
            await self.cards.put_card(incident.id, row)
            raise
        row.pop("posting")
        row |= {"ts": sent["ts"], "noted": 1, "level": level}
        await self._remember(incident, row, card)

    async def _edit(self, incident: Incident, row: dict[str, Any]) -> None:
        if incident.revision < row.get("revision", 0):
            return
        before = dict(row)
        card = await self.render(incident, row)
        if card.hash == row.get("hash"):
            if row != before or incident.revision != row.get("revision"):
                await self._remember(incident, row, card)
            return
        try:
            _, row["level"] = await self._send("chat.update", card, incident, channel=row["channel"], ts=row["ts"])
        except Gone:
            row.pop("ts")
            kept = {k: row[k] for k in ("channel", "lane", "poster") if k in row}
            await self.cards.put_card(incident.id, kept)
            raise Away(f"the card of {incident.id} was deleted; it will be posted again") from None
        await self._remember(incident, row, card)

    async def _remember(self, incident: Incident, row: dict[str, Any], card: Card | None = None) -> None:
        row |= {"revision": incident.revision, "state": incident.state}
        row.setdefault("severity", incident.severity)
        if card:
            row["hash"] = card.hash
        await self.cards.put_card(incident.id, row)
        await self.cards.put_card(f"thread:{row['channel']}:{row['ts']}", {"incident": incident.id})

    async def _send(self, method: str, card: Card, incident: Incident, **where: str) -> tuple[Any, int]:
        """The call with as much of the card as Slack takes; the answer and how far it had to be cut down."""
        metadata = {
            "event_type": EVENT_TYPE,
            "event_payload": {"incident": incident.id, "revision": incident.revision},
        }
        extra: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False} if "post" in method else {}
        call = self.slack.chat_postMessage if "post" in method else self.slack.chat_update
        refused: TooMuch | None = None
        for level, blocks in enumerate(smaller(card)):
            try:
                with calling(method):
                    answer = await call(
                        **where, text=card.text, blocks=numbered(blocks), metadata=metadata, parse="none",
                        link_names=False, **extra,
                    )  # fmt: skip
            except TooMuch as failure:
                refused = failure
                log.warning("%s", failure)
                continue
            return answer, level
        raise refused or Ambiguous("nothing was sent")

    async def found(self, channel: str, incident_id: str, since: float) -> str | None:
        """The timestamp of our own message about this incident, if it is in the channel."""
        cursor = ""
        for _ in range(5):
            with calling("conversations.history"):
                page = await self.slack.conversations_history(
                    channel=channel, oldest=f"{since - 120:.6f}", include_all_metadata=True, limit=200, cursor=cursor
                )
            for message in page.get("messages", ()):
                data = message.get("metadata") or {}
                ours = data.get("event_type") == EVENT_TYPE and message.get("bot_id")
                if ours and (data.get("event_payload") or {}).get("incident") == incident_id:
                    return message["ts"]
            cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                break
        return None

    async def has_news(self, incident: Incident) -> bool:
        """Whether the thread has not heard everything yet."""
        row = await self.cards.card(incident.id) or {}
        if "ts" not in row:
            return False
        loud = broadcast(incident, row["severity"], row.get("told", ""))
        return bool(loud or note(incident, int(row.get("noted", 1)))[0])

    async def tell(self, incident: Incident) -> None:
        """History goes to the thread, quietly, each entry once; a loud line only for what deserves it."""
        incident = await self._latest(incident)
        row = dict(await self.cards.card(incident.id) or {})
        if "ts" not in row:
            return
        before = dict(row)
        text, blocks = note(incident, int(row.get("noted", 1)))
        loud = broadcast(incident, row["severity"], row.get("told", ""))
        if not text and not loud:
            return
        row |= {"noted": len(incident.timeline), "severity": incident.severity}
        if loud:
            row["told"] = incident.state if incident.over else incident.severity
        await self.cards.put_card(incident.id, row)  # before posting: a thread line may be lost, never doubled
        try:
            with calling("chat.postMessage in a thread"):
                await self.slack.chat_postMessage(
                    channel=row["channel"], thread_ts=row["ts"], text=loud or text, blocks=numbered(blocks) or None,
                    reply_broadcast=bool(loud), unfurl_links=False, unfurl_media=False, parse="none", link_names=False,
                )  # fmt: skip
        except (Ratelimited, Away):
            await self.cards.put_card(incident.id, before)  # surely not posted: say it later
            raise
        except SlackFailure as failure:
            log.warning("thread of %s: %s", incident.id, failure)


def smaller(card: Card) -> list[list[Block]]:
    """The card's blocks and what to fall back to: without the picture, in brief, and as text alone."""
    plain = [b for b in card.blocks if b["type"] != "image"]
    brief = [section(card.text), *(b for b in card.blocks if b["type"] == "actions")]
    steps = [card.blocks, plain, brief, []]
    return [s for n, s in enumerate(steps) if n == 0 or s != steps[n - 1]]
