"""The stages of the alert pipeline, and the words they speak in: each takes a draft and may mute it, saying why.

Time is event time (the detections' own), so a replay gives the same alerts; only silences, which people set, run on the
wall clock `now`. The words are those of Prometheus Alertmanager.
"""

from __future__ import annotations

import enum
import fnmatch
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from core.events import ChangeRecorded, content_id, iso
from core.findings import Detection
from core.ports import Silence

Key = tuple[str, str, str]
"""tenant, model, version"""

SHARED = ("data_drift", "quality", "staleness", "silence", "prediction_drift")
"""Kinds of trouble that may come from a shared upstream."""
LOGGED = ("data_drift", "prediction_drift", "quality")
"""Kinds that are told to people only from `warn_effect` on; below it they are logged."""


class NotifyReason(enum.StrEnum):
    """Why an alert was sent, or was not."""

    FIRST = "first_firing"
    JOINED = "joined_group"
    WORSE = "got_worse"
    REOPENED = "fired_again"
    DIGEST = "storm_digest"
    RESOLVED = "resolved"
    DUPLICATE = "already_firing"
    SILENCED = "silenced"
    MAINTENANCE = "maintenance"
    UPSTREAM = "upstream_down"
    PLANNED = "planned_change"
    SMALL = "below_warning"
    WAITING = "waiting_for_group"


class Rules(Struct, frozen=True, kw_only=True):
    """How alerts are formed; the fields of policy's [alerting] and [detection] of the same names."""

    group_seconds: float = 0.0
    reopen_minutes: float = 30.0
    storm_cap: int = 20
    planned_change_minutes: float = 0.0
    shared_minutes: float = 60.0
    """Models with a shared upstream whose changes began within this of one another have one trouble."""
    warn_effect: float = 0.2
    critical_effect: float = 0.25


class Maintenance(Struct, frozen=True, kw_only=True):
    """A planned window in which nothing of these models is told. Event time."""

    tenant: str
    model: str = "*"
    start: float
    end: float
    reason: str = ""


class Context(Struct, kw_only=True):
    """What the stages may know of the world. Names of models are `model` within the key's tenant."""

    silences: Sequence[Silence] = ()
    changes: Sequence[ChangeRecorded] = ()
    """Recent changes of the tenant."""
    upstream: Mapping[str, Sequence[str]] = {}
    """model -> names of everything upstream of it in the lineage, nearest first."""
    down: Mapping[str, str] = {}
    """Upstream nodes known to be dead -> why."""
    maintenance: Sequence[Maintenance] = ()
    labels: Mapping[str, Mapping[str, str]] = {}
    """model -> labels such as owner, tier."""
    downstream: Mapping[str, int] = {}
    """model -> how many consumers hang on it."""


class Draft(Struct, kw_only=True):
    """An alert in the making: the detections of one kind on one model."""

    key: Key
    kind: str
    detections: list[Detection]
    labels: dict[str, str] = {}
    severity: str = "SEV4"
    fingerprint: str = ""
    group: str = ""
    reason: NotifyReason = NotifyReason.FIRST
    muted: NotifyReason | None = None
    why: str = ""

    @property
    def at(self) -> float:
        return max(d.at for d in self.detections)

    @property
    def onset(self) -> float:
        return min(d.onset for d in self.detections)

    def mute(self, reason: NotifyReason, why: str) -> None:
        self.muted, self.why = reason, why


class Firing(Struct, kw_only=True):
    """A fingerprint that fires, or did a short while ago."""

    key: Key
    kind: str
    group: str
    severity: str
    signals: list[str]
    since: float
    resolved: float | None = None
    sent: bool = False


class Group(Struct, kw_only=True):
    """Alerts that belong to one incident."""

    id: str
    tenant: str
    models: list[str]
    onset: float
    last: float
    kinds: list[str]
    upstream: list[str]
    digest: bool = False


class State(Struct, kw_only=True):
    """All that the pipeline remembers."""

    firings: dict[str, Firing] = {}
    groups: dict[str, Group] = {}
    recent: dict[str, list[float]] = {}
    """tenant -> event times of alerts that opened something in the last hour."""
    waiting: list[Draft] = []
    held: list[Draft] = []
    """Drafts muted by a silence or a dead upstream whose trouble lasts."""


Stage = Callable[[Draft, State, Context, Rules, float], None]


def fingerprint(key: Key, kind: str) -> str:
    """Identity of a trouble: the same model and kind of trouble, whatever the version."""
    return content_id("fp", key[0], key[1], kind)


def label(draft: Draft, state: State, context: Context, rules: Rules, now: float) -> None:
    """Say whose it is and how bad: severity from effect, importance, tier and blast radius."""
    tenant, model, version = draft.key
    draft.labels = {"tenant": tenant, "model": model, "version": version, **context.labels.get(model, {})}
    segments = sorted({d.segment for d in draft.detections if d.segment})
    if segments:
        draft.labels["segment"] = ", ".join(segments[:3])
    draft.fingerprint = fingerprint(draft.key, draft.kind)
    draft.severity = severity(draft, context, rules)


def severity(draft: Draft, context: Context, rules: Rules) -> str:
    """SEV1 (worst) to SEV4 by the worst of the draft's detections, raised or lowered by what hangs on the model."""
    score = max(_weight(d, rules) for d in draft.detections)
    known = [d.importance for d in draft.detections if d.importance > 0]
    if known and max(known) < 0.02:
        score -= 1
    tier = draft.labels.get("tier", "").lower().removeprefix("tier").strip("-_ ")
    score += {"1": 1, "critical": 1, "high": 1, "3": -1, "low": -1}.get(tier, 0)
    if context.downstream.get(draft.key[1], 0) >= 5:
        score += 1
    return f"SEV{min(max(4 - score, 1), 4)}"


def _weight(detection: Detection, rules: Rules) -> int:
    if detection.kind in ("silence", "staleness"):
        return 2
    if detection.kind == "forecast":
        return 1
    effect = abs(detection.effect or 0.0)
    if detection.signal == "error" or detection.kind == "concept_drift":
        base = detection.reference.mean if detection.reference and detection.reference.mean else 0.0
        return 2 if effect >= max(0.5 * base, 0.02) else 1
    return 2 if effect >= rules.critical_effect else 1 if effect >= rules.warn_effect else 0


def small(draft: Draft, state: State, context: Context, rules: Rules, now: float) -> None:
    """Significant but not material: logged, not told."""
    if draft.kind in LOGGED and all(abs(d.effect or 0.0) < rules.warn_effect for d in draft.detections):
        worst = max(abs(d.effect or 0.0) for d in draft.detections)
        draft.mute(NotifyReason.SMALL, f"effect {worst:.2f} is below {rules.warn_effect:g}")


def group(draft: Draft, state: State, context: Context, rules: Rules, now: float) -> None:
    """One incident per model at a time, and one for all models under a shared upstream whose changes began together."""
    tenant, model, _ = draft.key
    found = _own_group(draft, state, rules) or _shared_group(draft, state, context, rules)
    if found is None:
        name = content_id("grp", tenant, model, draft.kind, draft.at)
        found = state.groups[name] = Group(
            id=name, tenant=tenant, models=[], onset=draft.onset, last=draft.at, kinds=[],
            upstream=list(context.upstream.get(model, ())),
        )  # fmt: skip
    elif draft.reason is NotifyReason.FIRST:
        draft.reason = NotifyReason.JOINED
    if model not in found.models and found.models and draft.kind in SHARED:
        shared = [n for n in context.upstream.get(model, ()) if n in found.upstream]
        found.upstream = shared or found.upstream
        if shared:
            draft.labels["shared_upstream"] = shared[0]
    found.models = [*found.models, *([model] if model not in found.models else [])]
    found.kinds = [*found.kinds, *([draft.kind] if draft.kind not in found.kinds else [])]
    found.last = max(found.last, draft.at)
    draft.group = found.id


def _own_group(draft: Draft, state: State, rules: Rules) -> Group | None:
    tenant, model, _ = draft.key
    past = state.firings.get(draft.fingerprint)
    if past is not None and past.resolved is not None and draft.at - past.resolved <= 60 * rules.reopen_minutes:
        draft.reason = NotifyReason.REOPENED
        return state.groups.get(past.group)
    live = [f for f in state.firings.values() if f.key[:2] == (tenant, model) and f.resolved is None and f.sent]
    return state.groups.get(max(live, key=lambda f: f.since).group) if live else None


def _shared_group(draft: Draft, state: State, context: Context, rules: Rules) -> Group | None:
    above = set(context.upstream.get(draft.key[1], ()))
    if draft.kind not in SHARED or not above:
        return None
    near = [
        g for g in state.groups.values()
        if g.tenant == draft.key[0] and not g.digest and above & set(g.upstream) and draft.kind in g.kinds
        and abs(draft.onset - g.onset) <= 60 * rules.shared_minutes and _alive(g, state)
    ]  # fmt: skip
    return min(near, key=lambda g: abs(draft.onset - g.onset)) if near else None


def _alive(found: Group, state: State) -> bool:
    return any(f.group == found.id and f.resolved is None for f in state.firings.values())


def inhibit(draft: Draft, state: State, context: Context, rules: Rules, now: float) -> None:
    """A dead upstream mutes its consumers; a planned change mutes what it explains, where policy says so."""
    tenant, model, _ = draft.key
    for node in context.upstream.get(model, ()):
        if node in context.down:
            draft.mute(NotifyReason.UPSTREAM, f"upstream {node} is down: {context.down[node]}")
            return
        silent = state.firings.get(fingerprint((tenant, node, ""), "silence"))
        if silent is not None and silent.resolved is None:
            draft.mute(NotifyReason.UPSTREAM, f"upstream {node} is silent since {iso(silent.since)}")
            return
    for change in context.changes:
        after = draft.onset - change.at
        if (
            change.target == model
            and -600 <= after <= 60 * rules.planned_change_minutes
            and rules.planned_change_minutes > 0
        ):
            draft.mute(NotifyReason.PLANNED, f"{change.kind} {change.id} at {iso(change.at)} explains it")
            return


def maintenance(draft: Draft, state: State, context: Context, rules: Rules, now: float) -> None:
    """Nothing is told of a model during its maintenance."""
    tenant, model, _ = draft.key
    for planned in context.maintenance:
        if (
            planned.tenant == tenant
            and fnmatch.fnmatchcase(model, planned.model)
            and planned.start <= draft.at <= planned.end
        ):
            draft.mute(NotifyReason.MAINTENANCE, f"maintenance until {iso(planned.end)}: {planned.reason}")
            return


def silence(draft: Draft, state: State, context: Context, rules: Rules, now: float) -> None:
    """People's silences, by tenant, model and signal; a draft is muted when every one of its signals is."""
    tenant, model, _ = draft.key
    mine = [
        s for s in context.silences
        if s.tenant == tenant and fnmatch.fnmatchcase(model, s.model) and s.until > now
    ]  # fmt: skip
    loud = [d for d in draft.detections if not any(fnmatch.fnmatchcase(d.signal, s.signal) for s in mine)]
    if loud:
        draft.detections = loud
    elif mine:
        draft.mute(NotifyReason.SILENCED, f"silenced by {mine[0].by} until {iso(mine[0].until)}: {mine[0].reason}")


def dedup(draft: Draft, state: State, context: Context, rules: Rules, now: float) -> None:
    """The same trouble is told once, and again only when it got worse."""
    past = state.firings.get(draft.fingerprint)
    if past is None or past.resolved is not None or not past.sent:
        return
    if draft.severity < past.severity:  # SEV1 sorts before SEV2
        draft.reason = NotifyReason.WORSE
        draft.group = past.group
    else:
        draft.mute(NotifyReason.DUPLICATE, f"firing since {iso(past.since)}")


def storm(draft: Draft, state: State, context: Context, rules: Rules, now: float) -> None:
    """More new incidents in an hour than people can read become one digest."""
    if draft.reason is not NotifyReason.FIRST:
        return
    tenant = draft.key[0]
    recent = [at for at in state.recent.get(tenant, []) if draft.at - 3_600 <= at <= draft.at]
    state.recent[tenant] = [*recent, draft.at]
    if len(recent) < rules.storm_cap:
        return
    state.groups.pop(draft.group, None)
    digest = next(
        (g for g in state.groups.values() if g.digest and g.tenant == tenant and draft.at - g.last <= 3_600), None
    )
    if digest is None:
        name = content_id("storm", tenant, draft.at)
        digest = state.groups[name] = Group(
            id=name,
            tenant=tenant,
            models=[],
            onset=draft.onset,
            last=draft.at,
            kinds=[draft.kind],
            upstream=[],
            digest=True,
        )
    digest.models = [*digest.models, *([draft.key[1]] if draft.key[1] not in digest.models else [])]
    digest.last = max(digest.last, draft.at)
    draft.group, draft.reason = digest.id, NotifyReason.DIGEST


STAGES: tuple[Stage, ...] = (label, small, maintenance, silence, inhibit, dedup, group, storm)
