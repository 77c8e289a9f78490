"""`silence`, `ack`, `freeze`, `thaw`: what people tell Middlewatch, in the open and under their own rights."""

from __future__ import annotations

import msgspec

from bot.blocks import clean, code
from bot.commands import command
from bot.conversation import entities
from bot.conversation import silence as silences
from bot.conversation.acknowledge import acknowledge
from bot.conversation.answer import Answer, Asked
from bot.conversation.look import named
from bot.desk import Desk
from core.approval import require
from core.errors import Refused


@command(
    "silence <model|signal> 2h <reason>",
    "hear nothing of it for a while; shows what that would have hidden",
    writes=True,
    examples=("mute this", "stop alerting me about", "be quiet about the model for a while"),
)
async def silence(desk: Desk, asked: Asked) -> Answer:
    seconds = entities.seconds(asked.rest)
    if not asked.words or seconds is None:
        raise Refused("Say what, for how long and why, as in `silence flight-delay 2h planned backfill`.")
    what, reason = asked.words[0], " ".join(entities.without_span(asked.rest).split()[1:])
    require(asked.person, "responder", desk.policy, "silencing")
    tenant, model, signal = await _target(desk, asked, what)
    preview = await silences.preview(desk, tenant, model, signal, seconds)
    done = await silences.put(desk, asked.person, tenant, model, signal, seconds, reason)
    return Answer.of(done, f"*What this would have hidden*\n{preview}", cites=f"Reason: {clean(reason, 200)}")


async def _target(desk: Desk, asked: Asked, what: str) -> tuple[str, str, str]:
    """(tenant, model, signal pattern): a model, or a signal of the thread's model."""
    try:
        tenant, model = await entities.model(desk, what)
        return tenant, model, "*"
    except entities.Unclear:
        if asked.incident is None:
            raise
        i = asked.incident
        return i.tenant, i.model, silences.glob(entities.signal(what, await entities.signals(desk, i.tenant, i.model)))


@command("ack [incident]", "say that you have it", writes=True, examples=("I am on it", "acknowledge", "I take this"))
async def ack(desk: Desk, asked: Asked) -> Answer:
    incident = await named(desk, asked)
    return Answer.of(await acknowledge(desk, incident.id, asked.person))


@command("freeze [reason]", "the kill switch: nothing is approved or executed until thawed", writes=True,
         examples=("stop all actions", "kill switch"))  # fmt: skip
async def freeze(desk: Desk, asked: Asked) -> Answer:
    require(asked.person, "approver", desk.policy, "freezing actions")
    who = f"{asked.person.team}/{asked.person.id}"
    note = {"by": who, "at": desk.now(), "reason": clean(asked.rest, 300)}
    await desk.flags.set_flag("frozen", msgspec.json.encode(note))
    return Answer.of(f"Frozen by <@{asked.person.id}>: nothing is approved or executed until {code('/mw thaw')}.")


@command("thaw", "end the freeze", writes=True, examples=("allow actions again",))
async def thaw(desk: Desk, asked: Asked) -> Answer:
    require(asked.person, "admin", desk.policy, "thawing actions")
    if desk.policy.frozen:
        raise Refused("The freeze is in the policy file (frozen = true); change it there.")
    await desk.flags.set_flag("frozen", None)
    return Answer.of(f"Thawed by <@{asked.person.id}>: approvals and actions are possible again.")
