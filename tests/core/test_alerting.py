"""The alert pipeline: each stage does one thing and says why."""

from __future__ import annotations

import msgspec
import pytest

from core.alerting import Context, Maintenance, NotifyReason, Pipeline, Rules
from core.events import AlertFired, AlertResolved, ChangeRecorded
from core.findings import Detection, Summary
from core.ports import Silence

KEY = ("acme", "fraud", "2")


class Calm(msgspec.Struct):
    kind: str
    at: float
    rows: int = 500


def found(
    signal: str = "feature:amount", *, kind: str = "data_drift", at: float = 1_000.0, effect: float = 0.4, **more
):
    return Detection(
        detector="e_detector",
        signal=signal,
        kind=kind,
        at=at,
        onset=more.pop("onset", at - 100),
        statistic=7.0,
        threshold=6.0,
        effect=effect,
        **more,
    )


def sent(pipeline: Pipeline, key=KEY, *detections, context: Context | None = None, now: float = 5.0, calms=()):
    return pipeline.push(key, detections, context, now, calms=calms)


def test_a_detection_becomes_one_alert():
    """The first firing carries labels, severity, onset and its reason."""
    context = Context(labels={"fraud": {"owner": "@risk", "tier": "1"}})
    (alert,) = sent(Pipeline(), KEY, found(), context=context)
    assert isinstance(alert, AlertFired)
    assert (alert.reason, alert.severity, alert.onset, alert.fired_at) == ("first_firing", "SEV1", 900.0, 5.0)
    assert alert.labels["owner"] == "@risk"
    assert alert.models == ["fraud"]


def test_the_same_trouble_is_told_once():
    """A second detection of the same kind on the same model is muted as already firing."""
    pipeline = Pipeline()
    sent(pipeline, KEY, found())
    assert sent(pipeline, KEY, found(at=1_100.0)) == []
    assert [(d.muted, d.why[:12]) for d in pipeline.muted] == [(NotifyReason.DUPLICATE, "firing since")]


def test_a_trouble_that_gets_worse_is_told_again():
    """A higher severity is sent with its reason, in the same group."""
    pipeline = Pipeline()
    (first,) = sent(pipeline, KEY, found(effect=0.21))
    (second,) = sent(pipeline, KEY, found(effect=0.5, at=1_100.0))
    assert (first.severity, second.severity, second.reason) == ("SEV3", "SEV2", "got_worse")
    assert second.group == first.group


def test_another_kind_on_the_same_model_joins_the_group():
    """Drifting scores after drifting features are one incident: another alert of the same group."""
    pipeline = Pipeline()
    (first,) = sent(pipeline, KEY, found())
    (second,) = sent(pipeline, KEY, found("score", kind="prediction_drift", at=1_200.0))
    assert second.group == first.group
    assert second.fingerprint != first.fingerprint
    assert second.reason == "joined_group"


def test_calm_resolves_and_a_later_trouble_is_a_new_incident():
    """A trouble that returns after the flap guard's time opens another group."""
    pipeline = Pipeline()
    (first,) = sent(pipeline, KEY, found())
    (resolved,) = sent(pipeline, calms=[Calm("data_drift", 2_000.0)])
    assert isinstance(resolved, AlertResolved)
    assert resolved.fingerprint == first.fingerprint
    (again,) = sent(pipeline, KEY, found(at=2_000.0 + 31 * 60))
    assert again.group != first.group
    assert again.reason == "first_firing"


def test_a_flapping_trouble_reopens_the_same_incident():
    """Within `reopen_minutes` the same group is used, and the reason says so."""
    pipeline = Pipeline()
    (first,) = sent(pipeline, KEY, found())
    sent(pipeline, calms=[Calm("data_drift", 2_000.0)])
    (again,) = sent(pipeline, KEY, found(at=2_000.0 + 29 * 60))
    assert (again.group, again.reason) == (first.group, "fired_again")


def test_calm_of_what_was_never_told_is_nothing():
    """No alert, no resolution."""
    assert sent(Pipeline(), calms=[Calm("data_drift", 2_000.0)]) == []


def test_small_effects_are_logged():
    """Significant but not material: muted below the warning mark."""
    pipeline = Pipeline()
    assert sent(pipeline, KEY, found(effect=0.1)) == []
    assert pipeline.muted[0].muted is NotifyReason.SMALL


def test_a_silence_mutes_its_signals_only():
    """A glob over signals leaves the others loud; an expired silence mutes nothing."""
    quiet = Silence(id="s", tenant="acme", model="fr*", signal="feature:a*", until=10.0, by="U1", reason="known")
    pipeline = Pipeline()
    (alert,) = sent(pipeline, KEY, found(), found("feature:b"), context=Context(silences=[quiet]), now=5.0)
    assert [d.signal for d in alert.detections] == ["feature:b"]
    other = Pipeline()
    assert sent(other, KEY, found(), context=Context(silences=[quiet]), now=5.0) == []
    assert other.muted[0].why.startswith("silenced by U1")
    assert sent(other, KEY, found(), context=Context(silences=[quiet]), now=11.0)


def test_maintenance_mutes():
    """Nothing is told of a model within its maintenance."""
    planned = Maintenance(tenant="acme", model="*", start=900.0, end=1_500.0, reason="migration")
    pipeline = Pipeline()
    assert sent(pipeline, KEY, found(), context=Context(maintenance=[planned])) == []
    assert pipeline.muted[0].muted is NotifyReason.MAINTENANCE
    assert sent(pipeline, KEY, found(at=1_501.0), context=Context(maintenance=[planned]))


def test_a_dead_upstream_mutes_its_consumers():
    """What hangs on a node that is down is muted, naming the node; a silent upstream model counts as down."""
    context = Context(upstream={"fraud": ["features", "ingest"]}, down={"ingest": "no run since 02:00"})
    pipeline = Pipeline()
    assert sent(pipeline, KEY, found(), context=context) == []
    assert "ingest is down: no run since 02:00" in pipeline.muted[0].why
    context = Context(upstream={"fraud": ["embedder"]})
    sent(pipeline, ("acme", "embedder", "1"), found("silence", kind="silence", effect=None or 0.0), context=context)
    assert sent(pipeline, KEY, found(), context=context) == []
    assert "embedder is silent" in pipeline.muted[0].why


@pytest.mark.parametrize(("minutes", "alerts"), [(0.0, 1), (60.0, 0)])
def test_a_planned_change_mutes_where_policy_says_so(minutes: float, alerts: int):
    """Off by default: a deployment is the likeliest cause, not an excuse."""
    change = ChangeRecorded(id="c1", at=600.0, kind="deployment", target="fraud", summary="planned retrain")
    pipeline = Pipeline(Rules(planned_change_minutes=minutes))
    assert len(sent(pipeline, KEY, found(), context=Context(changes=[change]))) == alerts


def test_fifty_models_under_one_broken_job_are_one_incident():
    """Models that share an upstream and began to drift together share a group, which names them all."""
    context = Context(upstream={f"m{i}": [f"view{i % 3}", "weather_job"] for i in range(50)})
    pipeline = Pipeline()
    alerts = [
        a
        for i in range(50)
        for a in sent(pipeline, ("acme", f"m{i}", "1"), found(at=1_000.0 + 20 * i), context=context)
    ]
    assert len(alerts) == 50
    assert len({a.group for a in alerts}) == 1
    assert len(alerts[-1].models) == 50
    assert alerts[-1].labels["shared_upstream"] == "weather_job"


def test_models_without_a_shared_upstream_stay_apart():
    """The same hour and kind alone do not make one incident; nor does another tenant's."""
    context = Context(upstream={"a": ["x"], "b": ["y"]})
    pipeline = Pipeline()
    groups = {a.group for model in "ab" for a in sent(pipeline, ("acme", model, "1"), found(), context=context)}
    groups |= {a.group for a in sent(pipeline, ("other", "a", "1"), found(), context=context)}
    assert len(groups) == 3


def test_a_storm_becomes_a_digest():
    """More new incidents in an hour than the cap share one digest group, and say so."""
    pipeline = Pipeline(Rules(storm_cap=3))
    alerts = [a for i in range(6) for a in sent(pipeline, ("acme", f"m{i}", "1"), found(at=1_000.0 + i))]
    assert [a.reason for a in alerts] == ["first_firing"] * 3 + ["storm_digest"] * 3
    assert len({a.group for a in alerts[3:]}) == 1
    later = sent(pipeline, ("acme", "m9", "1"), found(at=9_000.0))
    assert later[0].reason == "first_firing"


def test_group_seconds_gathers():
    """With a waiting time the first detections go out together with those that come within it."""
    pipeline = Pipeline(Rules(group_seconds=60.0))
    assert sent(pipeline, KEY, found(at=1_000.0)) == []
    assert pipeline.muted[0].muted is NotifyReason.WAITING
    assert sent(pipeline, KEY, found("feature:b", at=1_030.0)) == []
    (alert,) = sent(pipeline)
    assert [d.signal for d in alert.detections] == ["feature:amount", "feature:b"]


def test_what_waits_goes_without_another_detection():
    """When its time is over, by event time, a waiting alert goes with the world of its own model."""
    pipeline = Pipeline(Rules(group_seconds=60.0))
    sent(pipeline, KEY, found(at=1_000.0))
    own = Context(labels={"fraud": {"owner": "@risk"}})
    assert pipeline.later(lambda tenant, model: own, 5.0, 1_059.0) == []
    (alert,) = pipeline.later(lambda tenant, model: own, 5.0, 1_060.0)
    assert alert.labels["owner"] == "@risk"
    assert sent(pipeline, ("acme", "other", "1"), found(at=1_000.0)) == []
    assert sent(pipeline, KEY, found(at=2_000.0)) == []


def test_a_trouble_that_outlasts_its_silence_is_told():
    """Once the silence ends, the alert goes; a trouble that ended within it is never told."""
    quiet = Context(silences=[Silence(id="s", tenant="acme", until=10.0, by="U1", reason="known")])
    lasts, ends = Pipeline(), Pipeline()
    for pipeline in (lasts, ends):
        assert sent(pipeline, KEY, found(), context=quiet, now=5.0) == []
        assert pipeline.later(lambda tenant, model: quiet, 9.0, 2_000.0) == []
    sent(ends, calms=[Calm("data_drift", 2_000.0)])
    again = Pipeline()
    again.restore(lasts.snapshot())
    (alert,) = again.later(lambda tenant, model: quiet, 11.0, 2_000.0)
    assert (alert.reason, alert.at) == ("first_firing", 1_000.0)
    assert again.later(lambda tenant, model: quiet, 12.0, 2_000.0) == []
    assert ends.later(lambda tenant, model: quiet, 11.0, 2_000.0) == []


def test_a_model_under_a_silent_one_is_told_when_that_speaks_again():
    """The dead upstream muted it; the upstream came back and the trouble is still there."""
    context = Context(upstream={"fraud": ["embedder"]})
    pipeline = Pipeline()
    above = ("acme", "embedder", "1")
    sent(pipeline, above, found("silence", kind="silence", effect=0.0), context=context)
    assert sent(pipeline, KEY, found(), context=context) == []
    assert pipeline.later(lambda tenant, model: context, 6.0, 1_500.0) == []
    (over,) = sent(pipeline, above, calms=[Calm("silence", 2_000.0)], context=context)
    assert over.reason == "resolved"
    (alert,) = pipeline.later(lambda tenant, model: context, 7.0, 2_000.0)
    assert alert.model == "fraud"


def test_low_importance_and_tier_lower_the_severity():
    """A drift in features nobody relies on is worth less."""
    (alert,) = sent(Pipeline(), KEY, found(importance=0.005), context=Context(labels={"fraud": {"tier": "low"}}))
    assert alert.severity == "SEV4"


def test_errors_are_weighed_against_their_reference():
    """A doubled error rate is SEV2 even where the difference is small."""
    rise = found("error", kind="concept_drift", effect=0.05, reference=Summary(rows=500, mean=0.05))
    (alert,) = sent(Pipeline(), KEY, rise)
    assert alert.severity == "SEV2"


def test_the_state_survives_a_restart():
    """A pipeline restored from its snapshot still knows what fires; garbage is refused."""
    pipeline = Pipeline()
    sent(pipeline, KEY, found())
    again = Pipeline()
    again.restore(pipeline.snapshot())
    assert sent(again, KEY, found(at=1_100.0)) == []
    with pytest.raises(ValueError, match="not a snapshot"):
        again.restore(b"garbage")


def test_ids_are_the_same_on_a_replay():
    """The same detections give byte-identical alerts, so JetStream drops the twin."""
    first, second = (msgspec.json.encode(sent(Pipeline(), KEY, found())) for _ in range(2))
    assert first == second
