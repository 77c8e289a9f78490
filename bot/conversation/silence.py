"""Silences: a wish to hear nothing of something for a while, shown first with what it would have hidden."""

from __future__ import annotations

import fnmatch

from bot.blocks import clean, code, escape, span, when
from bot.desk import Desk
from bot.wording import by_signal, title
from core.approval import Person, require
from core.errors import Refused
from core.events import content_id
from core.incidents import Incident, mark
from core.ports import Silence

LONGEST = 7 * 86_400.0
LOOK_BACK = 7 * 86_400.0
"""Seconds of the past that the preview looks at."""


def seconds_of(text: str) -> float:
    """The chosen duration in seconds, two hours when nothing sensible was chosen, at most a week."""
    return min(max(float(text), 60.0), LONGEST) if text.isdigit() else 7_200.0


def signal_of(incident: Incident, scope: str) -> str:
    """The signal pattern behind a dialog's choice: an index into the incident's own signals, or everything."""
    found = by_signal(incident)[:20]
    if scope.isdigit() and int(scope) < len(found):
        return glob(found[int(scope)].signal)
    return "*"


def glob(signal: str) -> str:
    """`signal` as a pattern that matches exactly itself."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in signal)


async def preview_of(desk: Desk, incident: Incident, scope: str, seconds: float) -> str:
    return await preview(desk, incident.tenant, incident.model, signal_of(incident, scope), seconds)


async def preview(desk: Desk, tenant: str, model: str, signal: str, seconds: float) -> str:
    """What such a silence would have hidden during the last seven days, in mrkdwn."""
    now = desk.now()
    recent = [i for i in await desk.incidents.all(limit=500) if i.opened_at >= now - LOOK_BACK]
    hit = [i for i in recent if hidden(i, tenant, model, signal)]
    until = f"It would end {when(now + seconds)}."
    if not hit:
        return f"Nothing in the last 7 days. {until}"
    alerts = sum(1 for i in hit for a in i.alerts if _matches(a.tenant, a.model, tenant, model))
    real = sum(1 for i in hit if i.outcome is not None and i.outcome.verdict in ("confirmed", "not_recovered"))
    last = max(hit, key=lambda i: i.opened_at)
    return (
        f"In the last 7 days: {alerts} {'alert' if alerts == 1 else 'alerts'} in {len(hit)} "
        f"{'incident' if len(hit) == 1 else 'incidents'}, {real} of them real enough to be acted on. "
        f"Latest: {escape(title(last), 120)} ({code(last.id)}). {until}"
    )


def _matches(tenant: str, model: str, wanted_tenant: str, wanted_model: str) -> bool:
    return tenant == wanted_tenant and wanted_model in ("*", model)


def hidden(incident: Incident, tenant: str, model: str, signal: str) -> bool:
    """Whether every detection of the incident falls under the silence: only then would no card have come."""
    if not _matches(incident.tenant, incident.model, tenant, model):
        return False
    found = [d.signal for a in incident.alerts for d in a.detections]
    return bool(found) and all(fnmatch.fnmatchcase(s, signal) for s in found)


async def put(
    desk: Desk, person: Person, tenant: str, model: str, signal: str, seconds: float, reason: str, incident_id: str = ""
) -> str:
    """Silence and say so. Raises Refused."""
    require(person, "responder", desk.policy, "silencing")
    if not reason.strip():
        raise Refused("A reason is required: say who knows about it, or until when.")
    now, by = desk.now(), f"{person.team}/{person.id}"
    until = now + min(seconds, LONGEST)
    silence = Silence(
        id=content_id("sil", tenant, model, signal, until, by), tenant=tenant, model=model, signal=signal, until=until,
        by=by, reason=clean(reason, 300),
    )  # fmt: skip
    await desk.silences.put_silence(silence)
    what = f"silenced {model} {signal} for {span(until - now)}"
    if incident_id:
        incident = await desk.incidents.get(incident_id)
        if incident is not None and not incident.over:
            await desk.log.change(incident_id, lambda i: mark(i, now=now, actor=by, what=what, reason=silence.reason))
    return f"Quiet until {when(until)}: {code(model)} {code(signal)}. The incident itself stays open."
