"""App Home: the models, what is open, what waits for me, my stale runbooks, and how Middlewatch itself is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bot import wording as say
from bot.blocks import Block, actions, button, code, context, escape, header, name, numbered, section, span, when
from bot.conversation.look import health, model_line
from bot.desk import Desk, settled
from bot.wire import tolerated
from core.approval import Person, asked_for, expiry
from core.errors import MiddlewatchError
from core.incidents import Incident

MODELS = 25


class Home:
    """Publishes each person's Home when they open it."""

    def __init__(self, desk: Desk):
        self.desk = desk

    def register(self, app: Any) -> None:
        app.event("app_home_opened")(self.on_opened)
        app.action("home_refresh")(self.on_refresh)

    async def on_opened(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        if event.get("tab") == "home":
            await self.publish(body.get("team_id", ""), event["user"])

    async def on_refresh(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        user = body.get("user") or {}
        await self.publish(user.get("team_id") or (body.get("team") or {}).get("id", ""), user["id"])

    async def publish(self, team: str, user: str) -> None:
        try:
            person = await self.desk.people.person(team, user, fresh=False)
            blocks = await self.blocks(person)
        except MiddlewatchError as error:
            blocks = [section(escape(str(error), 600))]
        with tolerated("views.publish"):
            await self.desk.slack.views_publish(user_id=user, view={"type": "home", "blocks": numbered(blocks)[:100]})

    async def blocks(self, person: Person) -> list[Block]:
        """The whole Home of one person, under 100 blocks."""
        desk = self.desk
        if person.bot or person.guest:
            return [section("Guests and people of other workspaces cannot look in here.")]
        open_ = await desk.incidents.all(over=False)
        waiting = [i for i in open_ if self._waits_for(i, person)]
        blocks: list[Block] = []
        if waiting:
            blocks += [header(f"Waiting for you ({len(waiting)})"), *await self._cards(waiting[:5], waits=True)]
        blocks += [header(f"Open incidents ({len(open_)})")]
        blocks += await self._cards(open_[:10]) or [section("None. The watch is quiet.")]
        blocks += [header("Models"), *await self._models(open_)]
        for whose, stale in (await self._stale(person)).items():
            blocks += [header(whose), section("\n".join(stale[:10]))]
        blocks += [header("Middlewatch itself"), section(await health(desk))]
        refresh = button("Refresh", "home_refresh", "refresh", label="Read everything again")
        return [
            *blocks,
            actions(refresh),
            context(f"As of {when(desk.now(), '{time_secs}')}; you are {desk.people.role(person)}"),
        ]

    def _waits_for(self, incident: Incident, person: Person) -> bool:
        plan = incident.plan
        if plan is None or incident.state not in ("diagnosed", "failed"):
            return False
        if incident.hypothesis and incident.hypothesis.abstained:
            return False
        mine = any(a.by.id == person.id and a.digest == plan.digest for a in incident.approvals)
        mine = mine or asked_for(plan, person)
        fresh = self.desk.now() <= expiry(plan, self.desk.policy)
        return fresh and not mine and self.desk.people.role(person) in ("approver", "admin")

    async def _cards(self, incidents: Sequence[Incident], waits: bool = False) -> list[Block]:
        blocks = []
        for i in incidents:
            expires = expiry(i.plan, self.desk.policy) if i.plan else None
            state = say.state_line(i, self.desk.now(), expires)
            title = f"{i.severity} {escape(say.title(i), 150)}"
            where = await self._permalink(i)
            lines = [
                f"*<{where}|{title}>*" if where else f"*{title}*",
                f"{state}, since {when(i.onset)} ({code(i.id)})",
            ]
            if waits and i.plan and expires:
                lines.append(f"{escape(i.plan.summary, 200)}, expires in {span(expires - self.desk.now())}")
            blocks.append(section("\n".join(lines)))
        return blocks

    async def _permalink(self, incident: Incident) -> str:
        """Slack's own link to the card, asked once and kept with it."""
        row = await self.desk.cards.card(incident.id)
        if not row or "ts" not in row:
            return ""
        kept = await self.desk.cards.card(f"link:{incident.id}")
        if kept:
            return str(kept["link"])
        with tolerated("chat.getPermalink"):
            answer = await self.desk.slack.chat_getPermalink(channel=row["channel"], message_ts=row["ts"])
            await self.desk.cards.put_card(f"link:{incident.id}", {"link": answer["permalink"]})
            return str(answer["permalink"])
        return ""

    async def _models(self, open_: list[Incident]) -> list[Block]:
        models = await self.desk.telemetry.models()
        shown = models[:MODELS]
        windows = await asyncio.gather(*(self.desk.telemetry.windows(t, m, limit=60) for t, m in shown))
        lines = [
            model_line(t, m, open_, w, await self._outlook(t, m)) for (t, m), w in zip(shown, windows, strict=True)
        ]
        if len(models) > MODELS:
            lines.append(f"and {len(models) - MODELS} more")
        text = [lines[n : n + 8] for n in range(0, len(lines), 8)]
        return [section("\n".join(part)) for part in text] or [
            section("None yet. Publish one event to `inference.&lt;tenant&gt;.&lt;model&gt;` and it appears here.")
        ]

    async def _outlook(self, tenant: str, model: str) -> str:
        if self.desk.forecast is None:
            return ""
        said = await settled(self.desk.forecast(tenant, model))
        left = said.get("seconds_to_breach") if said else None
        return (
            f"{span(left)} to breach"
            if isinstance(left, int | float)
            else say.OUTLOOKS.get(said.get("level", "") if said else "", "no forecast")
        )

    async def _stale(self, person: Person) -> dict[str, list[str]]:
        """Overdue runbooks under a heading: those this person or one of their groups owns, then the others."""
        books = await self.desk.runbooks.overdue() if self.desk.runbooks else []
        me = {person.id, f"{person.team}/{person.id}", person.name, *(f"@{g}" for g in person.groups)}
        found: dict[str, list[str]] = {}
        for book in sorted(books, key=lambda book: book["owner"] not in me):
            line = f"{code(name(book['file']))} last verified {escape(book['last_verified'] or 'never', 30)}"
            owner = f", owner {escape(book['owner'], 40)}" if book["owner"] else ""
            found.setdefault("Your stale runbooks" if book["owner"] in me else "Stale runbooks", []).append(
                line + owner
            )
        return found
