"""`handoff`: what the next person on call needs to know, in one message."""

from __future__ import annotations

from bot import wording as say
from bot.blocks import code, escape, span, when
from bot.commands import command
from bot.conversation import entities
from bot.conversation.answer import Answer, Asked
from bot.conversation.look import health, listed
from bot.desk import Desk


@command("handoff [12h]", "shift summary: open, closed, executed, waiting, silenced", examples=(
    "summarise my shift", "what happened overnight", "hand over", "what should the next person know",
))  # fmt: skip
async def handoff(desk: Desk, asked: Asked) -> Answer:
    length, now = entities.seconds(asked.rest) or 12 * 3_600.0, desk.now()
    recent = [i for i in await desk.incidents.all(limit=500) if i.changed_at >= now - length]
    open_, closed = [i for i in recent if not i.over], [i for i in recent if i.over]
    done = [
        f"{code(i.id)} {escape(say.title(i), 120)}: {escape(i.outcome.text if i.outcome else i.state, 160)}"
        for i in closed
    ]
    waiting = [i for i in open_ if i.plan is not None and i.state in ("diagnosed", "failed")]
    unowned = [i for i in open_ if not i.acknowledged_by]
    quiet = [
        f"{code(s.model)} {code(s.signal)} until {when(s.until)}: {escape(s.reason, 120)}"
        for s in await desk.silences.silences(now)
    ]
    return Answer.of(
        f"*Handoff: the last {span(length)}*\n{len(recent)} incidents moved, {len(open_)} open, "
        f"{len(waiting)} waiting for approval, {len(unowned)} acknowledged by nobody",
        "*Open*\n" + listed(open_, desk),
        "*Closed*\n" + ("\n".join(done[:12]) or "none"),
        "*Silenced now*\n" + ("\n".join(quiet[:10]) or "nothing"),
        "*Middlewatch*\n" + await health(desk),
        cites=f"From the audit log's view at {when(now, '{time_secs}')}",
    )
