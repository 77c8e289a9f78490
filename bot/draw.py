"""The card's picture: drawn after the first card is out, uploaded once per look of the trouble, edited in."""

from __future__ import annotations

import hashlib

from bot.blocks import cut
from bot.cards import Picture
from bot.charts import Pictures, drawn, worth_drawing
from bot.desk import Desk, log
from bot.wire import SlackFailure, calling
from bot.wording import by_signal
from core.findings import Detection
from core.incidents import Incident

BEFORE, AFTER = 24 * 3_600.0, 24 * 3_600.0
"""Event time shown around the onset and the latest window."""


async def shown(desk: Desk, incident: Incident) -> Picture | None:
    """The picture Slack took for this card, if any; kept in a row of its own, because the outbox writes the card's."""
    known = await desk.cards.card(f"picture:{incident.id}")
    return Picture(file=known["file"], alt=known["alt"]) if known else None


def subject(incident: Incident) -> Detection | None:
    """The detection worth drawing: the largest shift that has both shapes, else the first."""
    found = by_signal(incident)
    return next((d for d in found if d.reference_histogram and d.current_histogram), found[0] if found else None)


def key(incident: Incident, d: Detection) -> str:
    """Changes when the picture should: another leading signal, another phase of the incident."""
    phase = {"resolved": "after", "failed": "after"}.get(incident.state, "before")
    return hashlib.sha256(f"{d.signal}|{d.detector}|{d.segment}|{d.at}|{phase}".encode()).hexdigest()[:16]


async def picture(desk: Desk, incident: Incident) -> bool:
    """Draw and upload the incident's picture if it is not the one shown; whether the card should be edited."""
    d = subject(incident)
    row = await desk.cards.card(incident.id)
    known = await desk.cards.card(f"picture:{incident.id}") or {}
    if d is None or row is None or "ts" not in row or known.get("key") == key(incident, d):
        return False
    if not await desk.cards.once(f"draw:{incident.id}:{key(incident, d)}", 60):
        return False
    every = await desk.telemetry.windows(incident.tenant, incident.model, since=incident.onset - BEFORE)
    windows = [w for w in every if w.end <= max(incident.opened + AFTER, every[-1].end - 7 * AFTER)] if every else []
    if not worth_drawing(d, windows):
        return False
    changes = []
    if windows:
        changes = await desk.changes.changes(incident.tenant, since=windows[0].start, until=windows[-1].end)
    related = [c for c in changes if c.target in (incident.model, *incident.models) or _held(incident, c.id)]
    charts = desk.charts or Pictures()
    extra = (related, desk.policy.detection.warn_effect) if isinstance(charts, Pictures) else ()
    png, alt = await drawn(charts.detection, d, windows, *extra)
    try:
        with calling("files.upload"):
            sent = await desk.slack.files_upload_v2(
                content=png, filename=f"{incident.id}.png", title=cut(alt, 80), alt_txt=cut(alt, 900)
            )
    except SlackFailure as failure:
        log.warning("picture of %s: %s", incident.id, failure)
        return False
    kept = {"file": sent["file"]["id"], "alt": alt, "key": key(incident, d)}
    await desk.cards.put_card(f"picture:{incident.id}", kept)
    return True


def _held(incident: Incident, change_id: str) -> bool:
    h = incident.hypothesis
    return bool(h and any(c.change == change_id for c in h.causes[:1]))
