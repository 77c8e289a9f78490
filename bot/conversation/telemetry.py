"""`show`, `changes`, `forecast`: numbers over time, with a picture where one helps."""

from __future__ import annotations

import re

from bot import wording as say
from bot.blocks import code, escape, link, number, span, sparkline, utc, when
from bot.charts import Pictures, drawn
from bot.commands import command
from bot.conversation import entities
from bot.conversation.answer import Answer, Asked
from bot.desk import Desk, settled
from core.errors import Refused
from core.ports import ChangeRecorded

_OF = re.compile(r"\s+(?:of|in|for|from)\s+", re.I)


@command("show <signal> of <model> [since 6h]", "a signal over time, as a chart", examples=(
    "show me the feature", "plot the score", "chart of the latency", "how has the signal moved",
    "draw the last day", "graph the error rate", "how did the feature evolve", "plot the feature of the model",
))  # fmt: skip
async def show(desk: Desk, asked: Asked) -> Answer:
    length = entities.seconds(asked.rest) or 86_400.0
    wanted, _, rest = _split(entities.without_span(asked.rest))
    tenant, model = await entities.model(desk, rest or (asked.incident.model if asked.incident else ""))
    known = await entities.signals(desk, tenant, model)
    signal = entities.signal(wanted, known)
    every = [w for w in await desk.telemetry.windows(tenant, model) if signal in w.signals and not w.segment]
    if not every:
        raise Refused(f"No window of {model} holds {signal} yet.")
    end = every[-1].end
    windows = [w for w in every if w.end >= end - length] or every[-2:]
    start = windows[0].start
    changes = [c for c in await desk.changes.changes(tenant, since=start, until=end) if _about(c, model, signal)]
    onset = next(
        (i.onset for i in await desk.incidents.all(limit=50) if i.model == model and start <= i.onset <= end), None
    )
    level = desk.policy.detection.warn_effect
    picture = await drawn(Pictures().series, signal, windows, changes, onset, level)
    last = windows[-1].signals[signal]
    now = f"PSI {number(last.psi)}" if last.psi is not None else number(last.value or last.summary.mean)
    mean = f", mean {number(last.summary.mean)}" if last.psi is not None and last.summary.mean is not None else ""
    return Answer.of(
        f"{say.signal(signal)} of {code(model)}: {now}{mean} in the last window, over {span(end - start)}",
        cites=f"{len(windows)} windows, {utc(start)} to {utc(end)} (event time), last {code(windows[-1].id)}",
        picture=picture,
    )


def _split(text: str) -> tuple[str, str, str]:
    parts = _OF.split(text, maxsplit=1)
    if len(parts) == 2:
        return parts[0].strip(), "of", parts[1].strip()
    words = text.split()
    return (words[0], "", " ".join(words[1:])) if words else ("", "", "")


def _about(change: ChangeRecorded, model: str, signal: str) -> bool:
    return change.target == model or signal.partition(":")[2] in change.summary or change.target in signal


@command("changes <model|feature> [since 2d]", "what was changed, newest first", examples=(
    "what changed", "what changed around the model", "did anybody change something in the model",
    "was something deployed",
    "releases of the model", "recent deployments", "what was released before it broke",
))  # fmt: skip
async def changes(desk: Desk, asked: Asked) -> Answer:
    length = entities.seconds(asked.rest) or 7 * 86_400.0
    wanted = entities.without_span(asked.rest) or (asked.incident.model if asked.incident else "")
    tenants = list(dict.fromkeys(t for t, _ in await desk.telemetry.models()))
    latest = await _event_now(desk)
    found: list[tuple[str, ChangeRecorded]] = []
    for tenant in tenants:
        around = await _around(desk, tenant, wanted)
        for c in await desk.changes.changes(tenant, since=latest - length, until=latest + 86_400):
            text = f"{c.target} {c.summary} {c.kind}".casefold()
            if not wanted or wanted.casefold() in text or c.target in around:
                found.append((tenant, c))
    found.sort(key=lambda pair: -float(pair[1].at))
    hosts = desk.policy.links.hosts
    lines = [f"{when(float(c.at))} {link(c.url, escape(f'{c.kind} of {c.target}', 120), hosts)}{_versions(c)}: "
             f"{escape(c.summary, 160)} {code(c.id, 40)}" for _, c in found[:15]]  # fmt: skip
    about = f" around {code(wanted)}" if wanted else ""
    if not lines:
        return Answer.of(f"Nothing was recorded{about} in the {span(length)} before {when(latest)}.",
                         cites="From the change log (subject change.&lt;tenant&gt;)")  # fmt: skip
    return Answer.of(f"*Changes{about}*\n" + "\n".join(lines), cites="From the change log, by event time")


def _versions(c: ChangeRecorded) -> str:
    return f" {code(c.from_ or '-', 24)} → {code(c.to, 24)}" if c.to else ""


async def _around(desk: Desk, tenant: str, wanted: str) -> set[str]:
    """What feeds the thing asked about: a change there is a change to it."""
    view = await desk.graph(tenant) if wanted else None
    if view is None or view.node(wanted) is None:
        return set()
    return {str(n.get("name") or n.get("node")) for n in view.upstream(wanted)}


async def _event_now(desk: Desk) -> float:
    """The latest event time seen: a replay of 2013 has its own present."""
    ends = []
    for tenant, model in (await desk.telemetry.models())[:50]:
        windows = await desk.telemetry.windows(tenant, model, limit=2_000)
        ends += [windows[-1].end] if windows else []
    return max(ends, default=desk.now())


@command("forecast <model>", "when a target would be breached, or an honest “no forecast”", examples=(
    "will it breach", "how long until the sla breaks", "predict the next hours", "when will it get worse",
    "how long do we have", "predict the model",
))  # fmt: skip
async def forecast(desk: Desk, asked: Asked) -> Answer:
    tenant, model = await entities.model(desk, asked.rest or (asked.incident.model if asked.incident else ""))
    said = await settled(desk.forecast(tenant, model)) if desk.forecast else None
    windows = [w for w in await desk.telemetry.windows(tenant, model, limit=60) if not w.segment]
    trend = sparkline([max((s.psi or 0.0 for s in w.signals.values()), default=0.0) for w in windows])
    if not said:
        return Answer.of(f"No forecast for {code(model)}: the evidence does not support one. Drift so far {trend}",
                         cites=f"{len(windows)} windows")  # fmt: skip
    text = escape(said.get("text") or "", 400)
    if isinstance(said.get("seconds_to_breach"), int | float):
        low, high = said.get("low"), said.get("high")
        interval = f" (80% interval {span(low)} to {span(high)})" if low is not None and high is not None else ""
        text = f"{span(said['seconds_to_breach'])} to breach{interval}. {text}"
    return Answer.of(f"*Forecast of {code(model)}* {text}\nDrift so far {trend}",
                     cites=f"Signal {code(str(said.get('signal', '-')))}, {len(windows)} windows")  # fmt: skip
