"""What a live incident shows, and how sure one may be of it."""

import itertools

import msgspec
import numpy as np
import pytest

from agents import calibration, late, marks, relation, traits
from agents.picture import Picture
from core.events import SignalWindow
from core.findings import Detection, Histogram, Summary
from core.policy import load
from tests.agents.test_kinds import fired, run
from tests.agents.world import HOUR, LEVEL, T0, Graph, World, alert, celsius, incident, investigation, lineage, summary


def categories(name, shares, windows, rows=200):
    """Windows with one more category; `shares(start)` are those of its levels, of nulls and of what was never seen."""
    done = []
    for w in windows:
        counts = [round(rows * s) for s in shares(w.start)]
        h = Histogram(counts=[float(c) for c in counts], levels=[f"k{i}" for i in range(len(counts) - 2)])
        told = SignalWindow(summary=Summary(rows=sum(counts), nulls=counts[-2], distinct=3), histogram=h)
        done.append(msgspec.structs.replace(w, signals={**w.signals, name: told}))
    return done


def rates(windows, **levels):
    """Windows that tell a binary model's quality: `levels` name -> (before, after), `said` the positive answers."""
    done = []
    for w in windows:
        told = {k: v[w.start >= T0] for k, v in levels.items()}
        share = told.pop("said")
        counts = [200 * (1 - share), 200 * share, 0.0, 0.0]
        h = Histogram(counts=counts, levels=["false", "true"])
        signals = {"prediction": SignalWindow(summary=Summary(rows=200, nulls=0, distinct=2), histogram=h)}
        for name, value in told.items():
            value = float(np.clip(value + 0.01 * np.sin(w.start), 0, 1))
            s = Summary(rows=200, nulls=0, mean=value, std=0.0)
            signals[f"quality:{name.replace('__', ':')}"] = SignalWindow(summary=s, value=value)
        done.append(msgspec.structs.replace(w, signals={**w.signals, **signals}))
    return done


def flow(change=None, seed=1, hours=16):
    world = World(seed)
    return world.windows(T0 - 120 * HOUR, T0 + hours * HOUR, "1", change)


async def seen(windows, *detections, kind="data_drift", graph="demo"):
    about = incident(alert(list(detections), "1", T0, T0 + 16 * HOUR, kind))
    h = await investigation(windows, causes=(), graph=graph).investigate(about, 0.0)
    return Picture(h.evidence), h


def default(features, share=0.3):
    def change(f, x, at):
        if f in features and at >= T0:
            x = x.copy()
            x[: int(share * len(x))] = LEVEL[f][0] - 4 * LEVEL[f][1]
        return x, 0

    return change


async def test_defaults_in_one_input_are_its_source_and_in_all_of_them_the_store():
    """A default in two of eight inputs came with their source; in all eight it is the store's answer."""
    _, few = await seen(flow(default(["temp", "dewp"])), fired("feature:temp", "data_drift"))
    _, all_ = await seen(flow(default(LEVEL)), *(fired(f"feature:{f}", "data_drift") for f in LEVEL))
    assert (few.causes[0].type, all_.causes[0].type) == ("sentinel_default", "online_store_miss")


async def test_a_shift_leaves_no_mark_and_a_default_does():
    """A moved mean fills the neighbouring bins too and is plain; one value takes the mass of all the others."""
    shifted, _ = await seen(flow(lambda f, x, at: (x + 9 * (f == "temp" and at >= T0), 0)), fired("feature:temp", "x"))
    piled, _ = await seen(flow(default(["temp"])), fired("feature:temp", "x"))
    assert marks.of(shifted)["temp"].plain
    assert marks.of(piled)["temp"].piled > 0.6


async def test_another_mix_of_the_same_categories_is_a_campaign_and_nothing_broken():
    """One known level grows and all the others shrink alike, while some inputs shift plainly."""
    windows = flow(lambda f, x, at: (x + 0.7 * LEVEL[f][1] * (f in ("temp", "hour") and at >= T0), 0))
    mixed = categories(
        "feature:country", lambda at: (0.6, 0.3, 0.1, 0, 0) if at >= T0 else (0.2, 0.6, 0.2, 0, 0), windows
    )
    p, h = await seen(mixed, fired("feature:country", "data_drift"), fired("feature:temp", "data_drift"))
    assert marks.of(p)["country"].mixed > 0.8
    assert h.causes[0].type == "campaign_mix"


async def test_levels_never_seen_are_an_encoding_or_a_default_and_not_sure_between_them():
    """A category with a share of new words may be re-encoded or may hold a default: the likelier is not yet shown."""
    windows = categories("feature:carrier", lambda at: (0.5, 0.2, 0, 0.3) if at >= T0 else (0.7, 0.3, 0, 0), flow())
    p, h = await seen(windows, fired("unseen:carrier", "quality"), kind="quality")
    assert marks.of(p)["carrier"].unseen == pytest.approx(0.3, abs=0.02)
    assert h.causes[0].type == "category_encoding"
    assert h.abstained


async def test_decisions_that_moved_without_their_scores_are_a_threshold():
    """Positive answers double while no score, input or error did: the threshold, whatever became of the recalls."""
    windows = rates(
        flow(), said=(0.2, 0.5), recall__true=(0.4, 0.7), recall__false=(0.9, 0.6), precision__true=(0.6, 0.4)
    )
    world = World(3)
    scores = [
        msgspec.structs.replace(
            w, signals={**w.signals, "score": SignalWindow(summary=summary(world.random.normal(0.4, 0.1, 200)))}
        )
        for w in windows
    ]
    _, h = await seen(scores, fired("prediction", "prediction_drift"), kind="prediction_drift")
    assert h.causes[0].type == "threshold_change"


async def test_labels_that_became_rarer_are_told_from_a_relation_that_is_lost():
    """Both recalls hold while the positives halve: another label. Both recalls fall: another world."""
    error = fired("error", "concept_drift")
    fixed = {"said": (0.3, 0.3), "precision__true": (0.7, 0.35)}
    same, _ = await seen(rates(flow(), recall__true=(0.6, 0.6), recall__false=(0.85, 0.8), **fixed), error)
    gone, _ = await seen(rates(flow(), recall__true=(0.6, 0.3), recall__false=(0.85, 0.7), **fixed), error)
    assert relation.of(same).lost < 0.2 < 0.8 < relation.of(gone).lost
    assert relation.of(same).base_rate == 1.0


async def test_a_job_that_missed_its_run_speaks_for_a_stale_input():
    """An upstream job last ran two of its gaps before the alert while labels show harm and inputs look as ever."""
    graph = lineage()
    said = graph.node
    facts = {"last_run": T0 - HOUR, "cadence": HOUR, "last_state": "complete"}
    graph.node = lambda name: said(name) and said(name) | (facts if name == "weather_features" else {})  # type: ignore[method-assign]
    p, h = await seen(flow(), fired("error", "concept_drift"), kind="concept_drift", graph=graph)
    assert late.jobs(p) == {"weather_features": ("job", next(
        i for i, row in enumerate(p.lineage.result["nodes"]) if row["id"] == "weather_features"))}  # fmt: skip
    assert traits.of(p)["stale"]
    assert "stale_feature_job" in [c.type for c in h.causes]


async def test_a_signal_without_a_name_is_no_error():
    """Windows may hold a signal whose name is empty: it is called unnamed, and the investigation goes on."""
    windows = [msgspec.structs.replace(w, signals={**w.signals, "": w.signals["feature:temp"]}) for w in flow()]
    p, h = await seen(windows, fired("feature:temp", "data_drift"))
    assert p.signals[""].label == "unnamed"
    assert h.causes


@pytest.mark.parametrize("length", [1, 2, 30])
async def test_lineage_that_feeds_itself_is_investigated_all_the_same(length):
    """The model among its own ancestors, in a ring of any length, and two nodes that feed each other: a hypothesis."""
    ring = ["flight-delay", *(f"n{i}" for i in range(length)), "flight-delay"]
    edges = [*itertools.pairwise(ring), ("n0", "temp"), ("temp", "n0"), *((f, "flight-delay") for f in LEVEL)]
    graph = Graph(edges, {"flight-delay": "model", "n0": "source"})
    windows = flow(lambda f, x, at: (celsius(x) if f == "temp" and at >= T0 else x, 0))
    _, h = await seen(windows, fired("feature:temp", "data_drift"), graph=graph)
    assert (h.causes[0].type, h.causes[0].node) in (("unit_change", "temp"), ("unit_change", "n0"))


async def test_windows_in_any_order_give_the_same_evidence():
    """Windows that were stored late or out of order make the same evidence, byte for byte."""
    windows = flow(default(["temp"]))
    straight, _ = await seen(windows, fired("feature:temp", "data_drift"))
    backwards, _ = await seen(windows[::-1], fired("feature:temp", "data_drift"))
    assert backwards.telemetry.digest == straight.telemetry.digest


async def test_a_window_with_rows_from_before_proves_no_share():
    """While no window has begun since the onset, a half of nulls may be the half of a column that is gone."""
    windows = flow(lambda f, x, at: (x[:100], 100) if f == "humid" and at >= T0 else (x, 0), hours=4)
    about = incident(
        alert([fired("nulls:humid", "quality", onset=T0 + HOUR)], "1", T0 + HOUR, T0 + 4 * HOUR, "quality")
    )
    h = await investigation(windows, causes=()).investigate(about, 0.0)
    p = Picture(h.evidence)
    assert p.partial
    assert traits.of(p)["all_null"] is None
    assert h.abstained


def test_an_early_look_is_believed_less_and_a_likelier_kind_more():
    """The fitted confidence rises with the kind's probability and never because it is early."""
    said = [calibration.confidence(0.9, kind, partial=False) for kind in (0.3, 0.6, 0.9, 0.99)]
    assert said == sorted(said)
    assert all(
        calibration.confidence(0.9, k, partial=True) <= calibration.confidence(0.9, k, partial=False)
        for k in (0.5, 0.95)
    )
    assert calibration.confidence(0.99, 0.999, partial=False, alone=True) <= calibration.ALONE


async def test_a_policy_can_ask_for_more_confidence_than_was_fitted_and_not_for_less():
    """What was right too seldom stays "not sure" under a policy of 0.1; a policy of 0.999 shows nothing at all."""
    windows = flow(lambda f, x, at: (celsius(x) if f == "temp" and at >= T0 else x, 0))
    unsure = categories("feature:carrier", lambda at: (0.5, 0.2, 0, 0.3) if at >= T0 else (0.7, 0.3, 0, 0), flow())
    about = [
        incident(alert([fired(s, "quality")], "1", T0, T0 + 16 * HOUR, "quality"))
        for s in ("feature:temp", "unseen:carrier")
    ]
    policy = load()

    def asking(least):
        return msgspec.structs.replace(
            policy, investigation=msgspec.structs.replace(policy.investigation, confidence=least)
        )

    said = {least: [await investigation(w, causes=(), policy=asking(least)).investigate(a, 0.0)
                    for w, a in zip((windows, unsure), about, strict=True)] for least in (0.1, 0.999)}  # fmt: skip
    assert [h.abstained for h in said[0.1]] == [False, True]
    assert [h.abstained for h in said[0.999]] == [True, True]


async def test_every_detection_alone_gives_a_kind_or_not_sure(monkeypatch):
    """An alert without telemetry, labels or lineage is never shown as sure."""
    monkeypatch.setattr("agents.gather.PATIENCE", 0.0)  # no window is coming
    for signal, kind in (("feature:temp", "data_drift"), ("score", "prediction_drift"), ("error", "concept_drift")):
        d = Detection(detector="adwin", signal=signal, kind=kind, at=T0, onset=T0, statistic=5.0, threshold=3.0)
        h = await run([], [d], kind, "1")
        assert h.abstained
