"""`status`, `why`, `incidents`, `audit`: what is going on, why, and who did what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bot import wording as say
from bot.blocks import code, escape, link, name, number, span, sparkline, when
from bot.commands import command
from bot.conversation import entities
from bot.conversation.answer import Answer, Asked
from bot.desk import Desk
from bot.thread import line
from core import detect
from core.approval import expiry
from core.errors import Refused, Unavailable
from core.events import WindowClosed
from core.incidents import Incident


@command("status", "models, open incidents, and how Middlewatch itself is", examples=(
    "how are things", "is everything ok", "what is the state of the models", "are any models unhealthy right now",
    "give me an overview", "is anything broken", "are we healthy", "how are all the models doing",
))  # fmt: skip
async def status(desk: Desk, asked: Asked) -> Answer:
    models, incidents = await desk.telemetry.models(), await desk.incidents.all(over=False)
    shown = models[:20]
    trends = await asyncio.gather(*(desk.telemetry.windows(t, m, limit=60) for t, m in shown))
    lines = [model_line(t, m, incidents, w) for (t, m), w in zip(shown, trends, strict=True)]
    if len(models) > 20:
        lines.append(f"and {len(models) - 20} more; {code('/mw why <model>')} for one")
    told = "*Models*\n" + ("\n".join(lines) or "none has sent events yet")
    return Answer.of(told, "*Open incidents*\n" + listed(incidents, desk), "*Middlewatch*\n" + await health(desk),
                     cites=f"Windows and incidents as of {when(desk.now(), '{time_secs}')}")  # fmt: skip


def model_line(
    tenant: str, model: str, incidents: list[Incident], windows: list[WindowClosed], outlook: str = ""
) -> str:
    """One model in two lines: health by word and what is foreseen; trend and how fresh."""
    mine = [i for i in incidents if i.tenant == tenant and model in (i.models or [i.model])]
    state = f"*{mine[0].severity}* {say.KINDS.get(mine[0].kind, ('in trouble',))[0]}" if mine else "healthy"
    first = f"{code(model)} {state}{f', {outlook}' if outlook else ''}"
    whole = [w for w in windows if not w.segment]
    if not whole:
        return f"{first}, no window yet"
    trend = sparkline([max((s.psi or 0.0 for s in w.signals.values()), default=0.0) for w in whole])
    return f"{first}\n{trend} v{name(whole[-1].version, 20)}, last window {when(whole[-1].end)}"


def listed(incidents: list[Incident], desk: Desk) -> str:
    lines = []
    for i in incidents[:12]:
        expires = expiry(i.plan, desk.policy) if i.plan else None
        state = say.state_line(i, desk.now(), expires)
        lines.append(f"{code(i.id)} {i.severity} {escape(say.title(i), 120)}: {state}")
    if len(incidents) > 12:
        lines.append(f"and {len(incidents) - 12} more")
    return "\n".join(lines) or "none"


async def health(desk: Desk) -> str:
    """What Middlewatch knows of itself: how far detection is, what waits to be shown, the kill switch."""
    parts = []
    seen = await detect.health(desk.flags)
    if seen:
        age = span(desk.now() - seen.get("at", 0.0))
        parts.append(f"{number(seen.get('events', 0))} events and {number(seen.get('labels', 0))} labels read")
        parts.append(f"up to {when(seen.get('event_time', 0.0))} event time, reported {age} ago")
    else:
        parts.append("detection has not reported yet")
    parts.append(f"{desk.outbox.waiting()} cards waiting to be shown")
    if desk.backlog is not None:
        parts.append(await _backlog(desk.backlog))
    closed = await desk.incidents.all(limit=200)
    diagnosed = [i for i in closed if i.hypothesis is not None]
    if diagnosed:
        unsure = sum(1 for i in diagnosed if i.hypothesis and i.hypothesis.abstained)
        parts.append(f"not sure of the cause in {unsure} of {len(diagnosed)} incidents")
    if (await desk.rules()).frozen:
        parts.append("*actions are frozen*")
    return ", ".join(parts)


async def _backlog(read: Callable[[], Awaitable[tuple[int, int]]]) -> str:
    """Nobody's answer waits for this longer than five seconds."""
    try:
        waiting, dead = await asyncio.wait_for(read(), 5.0)
    except (Unavailable, TimeoutError):
        return "*the message bus does not answer*"
    said = f"{number(waiting)} messages waiting, {number(dead)} dead letters"
    return said + (f" ({code('python -m bot dead')} says why)" if dead else "")


@command("why <model>", "the latest incident of a model: what, since when, why, what to do", examples=(
    "why is it failing", "what is wrong with this model", "what caused the drift", "what happened to the model",
    "explain the incident", "what is the root cause", "what is the problem with the model",
))  # fmt: skip
async def why(desk: Desk, asked: Asked) -> Answer:
    incident = asked.incident
    if asked.words or incident is None:
        tenant, model = await entities.model(desk, asked.rest)
        mine = [
            i for i in await desk.incidents.all(limit=500) if i.tenant == tenant and model in (i.models or [i.model])
        ]
        if not mine:
            windows = await desk.telemetry.windows(tenant, model, limit=60)
            return Answer.of(f"{code(model)} has had no incident. " + model_line(tenant, model, [], windows))
        incident = next((i for i in mine if not i.over), mine[0])
    return explained(incident, desk)


def explained(incident: Incident, desk: Desk) -> Answer:
    """The incident in four paragraphs, each sentence cited."""
    h = incident.hypothesis
    known = [e.id for e in h.evidence] if h else []
    facts = [
        f"{escape(c.text, 300)} {say.cited(c.citations, known)}" for c in (h.claims if h else ()) if c.role == "fact"
    ]
    facts = facts or [f"{say.measured(d)} [A1]" for d in say.by_signal(incident)[:4]]
    head = (
        f"*{incident.severity} {escape(say.title(incident), 200)}* since {when(incident.onset)} ({code(incident.id)})"
    )
    if h is None:
        cause = "Still investigating."
    elif h.abstained:
        cause = f"Not sure. Needs a person: {escape(h.missing, 400)}"
    else:
        claims = [c for c in h.claims if c.role in ("cause", "ruled_out")]
        cause = f"*Cause ({h.confidence:.2f})* {escape(h.headline, 300)}\n" + "\n".join(
            f"• {'ruled out: ' if c.role == 'ruled_out' else ''}{escape(c.text, 300)} {say.cited(c.citations, known)}"
            for c in claims
        )
    if seen := say.seen_before(h):
        cause += f"\n{seen}"
    expires = expiry(incident.plan, desk.policy) if incident.plan else None
    todo = f"*Now* {say.state_line(incident, desk.now(), expires)}"
    if incident.outcome:
        todo += f"\n{escape(incident.outcome.text, 300)}"
    hosts = desk.policy.links.hosts
    cites = " · ".join(link(str(e.result.get("url") or ""), f"{e.id} {escape(e.title, 60)}", hosts) for e in (
        h.evidence if h else ())) or f"A1 alert {code(incident.alerts[0].id)}"  # fmt: skip
    return Answer.of(head + "\n" + "\n".join(f"• {f}" for f in facts), cause, todo, cites=cites)


@command("incidents", "open incidents, then the latest closed ones", examples=(
    "list the incidents", "what is open", "what is on fire", "show everything that is open",
    "which incidents happened today",
))  # fmt: skip
async def incidents(desk: Desk, asked: Asked) -> Answer:
    open_, closed = await desk.incidents.all(over=False), await desk.incidents.all(over=True, limit=8)
    past = [f"{code(i.id)} {i.severity} {escape(say.title(i), 120)}, {when(i.changed_at)}" for i in closed[:8]]
    return Answer.of("*Open*\n" + listed(open_, desk), "*Latest closed*\n" + ("\n".join(past) or "none"),
                     cites="From the audit log's view; `audit <incident>` shows one in full")  # fmt: skip


@command("audit <incident>", "every entry of an incident: when, who, what, why, and the hash chain", examples=(
    "who approved this", "show the history of the incident", "what was done and by whom",
))  # fmt: skip
async def audit(desk: Desk, asked: Asked) -> Answer:
    incident = await named(desk, asked)
    lines = [line(e) for e in incident.timeline[-25:]]
    took = span(incident.changed_at - incident.opened_at)
    return Answer.of(
        f"*{code(incident.id)}* revision {incident.revision}, {incident.state}, {took} from first to last entry\n"
        + "\n".join(lines),
        cites=f"Chain: this entry `{incident.hash[:16]}`, the one before `{incident.previous[:16] or '(first)'}`; "
        "`python -m bot audit verify` checks the whole log",
    )


async def named(desk: Desk, asked: Asked) -> Incident:
    """The incident that is meant: by id, by the thread it was asked in, or the only open one. Raises Refused."""
    if asked.words:
        wanted = asked.words[0].strip("`")
        found = await desk.incidents.get(wanted)
        if found is None:
            known = [i.id for i in await desk.incidents.all(limit=50)]
            raise entities.Unclear(
                f"I know no incident {code(wanted)}.", [i for i in known if wanted in i][:3] or known[:3]
            )
        return found
    if asked.incident is not None:
        return asked.incident
    open_ = await desk.incidents.all(over=False)
    if len(open_) == 1:
        return open_[0]
    if not open_:
        raise Refused("No incident is open. Name one, or see `incidents`.")
    raise entities.Unclear("Which incident?", [i.id for i in open_[:4]])
