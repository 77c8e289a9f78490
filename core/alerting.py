"""From detections to alerts: one visible line of stages, each pure, each leaving its reason behind.

    label | small | maintenance | silence | inhibit | dedup | group | storm

What a stage mutes is kept in `Pipeline.muted` with its reason, never dropped unseen. The stages themselves, and the
words they speak in, are in `core.alert_stages`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from core.alert_stages import (
    STAGES,
    Context,
    Draft,
    Firing,
    Group,
    Key,
    Maintenance,
    NotifyReason,
    Rules,
    Stage,
    State,
    fingerprint,
)
from core.events import AlertFired, AlertResolved, content_id
from core.findings import Detection

__all__ = [
    "STAGES", "Context", "Draft", "Firing", "Group", "Maintenance", "NotifyReason", "Pipeline", "Rules", "State",
    "rules_of",
]  # fmt: skip


ContextOf = Callable[[str, str], Context]
"""What is known around a model (tenant, model)."""
HELD = (NotifyReason.SILENCED, NotifyReason.UPSTREAM)
"""What these mute is told when they end, if the trouble still lasts."""
MOST_HELD = 1_000


class Pipeline:
    """The stages in order, and what they remember. `push` with no detections lets the key's waiting alerts go."""

    def __init__(self, rules: Rules | Any = None, stages: Sequence[Stage] = STAGES):
        self.rules = rules if isinstance(rules, Rules) else rules_of(rules)
        self.stages = tuple(stages)
        self.state = State()
        self.muted: list[Draft] = []
        """What the last push did not send, with `muted` and `why`."""

    def push(
        self,
        key: Key,
        detections: Sequence[Detection],
        context: Context | None = None,
        now: float = 0.0,
        *,
        calms: Sequence[Any] = (),
        cause: str = "",
    ) -> list[AlertFired | AlertResolved]:
        """Alerts to publish. `now` is wall clock; `calms` are ended troubles (anything with kind, at, rows)."""
        context = context or Context()
        self.muted = []
        out: list[AlertFired | AlertResolved] = []
        for calm in calms:
            resolved = self._resolve(key, calm, cause)
            out += [resolved] if resolved else []
        for draft in [*self._released(key, detections), *_drafts(key, detections)]:
            if not self._waits(draft):
                out += self._through(draft, context, now, cause)
        self._forget(max([d.at for d in detections] + [c.at for c in calms], default=0.0))
        return out

    def later(self, context_of: ContextOf, now: float, at: float) -> list[AlertFired]:
        """Alerts whose time has come without a detection of their own: those that waited for others long enough (event
        time is `at`; infinity lets all go), and troubles that last although what muted them is over."""
        over = [w for w in self.state.waiting if at - min(d.at for d in w.detections) >= self.rules.group_seconds]
        self.state.waiting = [w for w in self.state.waiting if w not in over]
        held, self.state.held, self.muted = self.state.held, [], []
        out: list[AlertFired] = []
        for draft in [*over, *held]:
            draft.muted, draft.why = None, ""
            out += self._through(draft, context_of(*draft.key[:2]), now, "waited" if draft in over else "unmuted")
        self.muted = [draft for draft in self.muted if draft not in held]
        return out

    def _through(self, draft: Draft, context: Context, now: float, cause: str) -> list[AlertFired]:
        """The draft through every stage: its alert, or none, and why."""
        for stage in self.stages:
            stage(draft, self.state, context, self.rules, now)
            if draft.muted is not None:
                self.muted.append(draft)
                if draft.muted in HELD:
                    others = [one for one in self.state.held if one.fingerprint != draft.fingerprint]
                    self.state.held = [*others, draft][-MOST_HELD:]
                return []
        return [self._sent(draft, now, cause)]

    def _waits(self, draft: Draft) -> bool:
        """With `group_seconds`, a new draft waits for others of its model; a released one has `why` set."""
        if self.rules.group_seconds <= 0 or draft.why == "released":
            draft.why = ""
            return False
        for other in self.state.waiting:
            if other.key == draft.key and other.kind == draft.kind:
                other.detections = [*other.detections, *draft.detections]
                return True
        self.state.waiting.append(draft)
        draft_copy = msgspec.structs.replace(draft, muted=NotifyReason.WAITING, why="more may come")
        self.muted.append(draft_copy)
        return True

    def _released(self, key: Key, detections: Sequence[Detection]) -> list[Draft]:
        latest = max((d.at for d in detections), default=float("inf"))
        mine = [w for w in self.state.waiting if w.key == key]
        ready = [w for w in mine if latest - min(d.at for d in w.detections) >= self.rules.group_seconds]
        self.state.waiting = [w for w in self.state.waiting if w not in ready]
        for draft in ready:
            draft.why = "released"
        return ready

    def _sent(self, draft: Draft, now: float, cause: str) -> AlertFired:
        tenant, model, version = draft.key
        past = self.state.firings.get(draft.fingerprint)
        again = past is not None and past.resolved is None
        self.state.firings[draft.fingerprint] = Firing(
            key=draft.key, kind=draft.kind, group=draft.group, severity=draft.severity, sent=True,
            signals=sorted({d.signal for d in draft.detections} | set(past.signals if again else ())),
            since=past.since if again else draft.at,
        )  # fmt: skip
        hit = self.state.groups.get(draft.group)
        return AlertFired(
            id=content_id("alert", draft.fingerprint, draft.at, draft.reason, draft.severity),
            cause=cause,
            actor="detect",
            at=draft.at,
            tenant=tenant,
            model=model,
            version=version,
            fingerprint=draft.fingerprint,
            group=draft.group,
            kind=draft.kind,
            severity=draft.severity,
            onset=draft.onset,
            detections=draft.detections,
            reason=str(draft.reason),
            labels=draft.labels,
            models=list(hit.models) if hit else [model],
            fired_at=now,
        )

    def _resolve(self, key: Key, calm: Any, cause: str) -> AlertResolved | None:
        mark = fingerprint(key, calm.kind)
        self.state.waiting = [w for w in self.state.waiting if (w.key, w.kind) != (key, calm.kind)]
        self.state.held = [w for w in self.state.held if w.fingerprint != mark]
        past = self.state.firings.get(mark)
        if past is None or past.resolved is not None or past.key != key:
            return None
        past.resolved = calm.at
        if not past.sent:
            return None
        return AlertResolved(
            id=content_id("resolved", mark, past.since, calm.at),
            cause=cause,
            actor="detect",
            at=calm.at,
            tenant=key[0],
            model=key[1],
            fingerprint=mark,
            group=past.group,
            rows=calm.rows,
            reason=str(NotifyReason.RESOLVED),
        )

    def _forget(self, at: float) -> None:
        """Resolved fingerprints and dead groups are dropped once nothing can refer to them any more."""
        keep = 60 * self.rules.reopen_minutes + 86_400
        old = [f for f, one in self.state.firings.items() if one.resolved is not None and at - one.resolved > keep]
        for mark in old:
            del self.state.firings[mark]
        used = {one.group for one in self.state.firings.values()}
        for name in [n for n, g in self.state.groups.items() if n not in used and at - g.last > keep]:
            del self.state.groups[name]

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self.state)

    def restore(self, data: bytes) -> None:
        """Raises ValueError when the bytes are not a snapshot."""
        try:
            self.state = msgspec.msgpack.decode(data, type=State)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(f"not a snapshot of the alert pipeline: {error}") from None


def _drafts(key: Key, detections: Sequence[Detection]) -> list[Draft]:
    """One draft per kind, the worst first."""
    kinds: dict[str, list[Detection]] = {}
    for detection in detections:
        kinds.setdefault(detection.kind, []).append(detection)
    made = [Draft(key=key, kind=kind, detections=found) for kind, found in kinds.items()]
    return sorted(made, key=lambda d: -max(abs(x.effect or 0.0) for x in d.detections))


def rules_of(*sections: Any) -> Rules:
    """Rules from policy's sections (objects with attributes of the same names); what none has keeps its default."""
    chosen = {}
    for section in sections:
        for name in Rules.__struct_fields__:
            value = getattr(section, name, None)
            if value is not None:
                chosen[name] = value
    return Rules(**chosen)
