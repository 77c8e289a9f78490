"""The Monitor: quiet on calm streams, quick on faults, one firing a trouble, whole after a restart."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.events import InferenceServed, LabelArrived
from detectors.learn import learn
from detectors.monitor import Monitor
from detectors.packing import doubled, halved
from detectors.rows import Rows, rows_of
from tests.detectors.streams import START, as_json, detections, events, feed, labels_of, stationary


def table(rows: int, seed: int, shift: float = 0.0) -> dict[str, object]:
    """Three features: a number, a wandering number, a category."""
    rng = np.random.default_rng(seed)
    return {
        "amount": rng.lognormal(3, 1, rows) * (1 + shift),
        "level": stationary("ar1", rows, seed),
        "country": rng.choice(["de", "fr", "it", "es"], rows, p=[0.4, 0.3, 0.2, 0.1]).tolist(),
    }


@pytest.fixture(scope="module")
def reference() -> bytes:
    from detectors import baseline

    known = events(table(8_000, 1), start=START - 8_000 * 60, scores=stationary("independent", 8_000, 2) * 0.1 + 0.5)
    return baseline.encode(learn(rows_of(known), tenant="acme", model="m", version="1", source="test"))


def watching(reference: bytes, **options: object) -> Monitor:
    return Monitor(options, lambda tenant, model, version: reference)


def test_calm_rows_raise_nothing(reference: bytes):
    """Ten thousand rows like the baseline give windows and no detection."""
    monitor = watching(reference)
    reactions = feed(monitor, events(table(10_000, 3), scores=stationary("independent", 10_000, 4) * 0.1 + 0.5))
    assert detections(reactions) == []
    windows = [w for r in reactions for w in r.windows]
    assert sum(w.rows for w in windows) >= 9_700
    assert all(w.rows >= 200 or w.end - w.start >= 3_600 for w in windows)
    assert np.mean([w.signals["feature:amount"].psi for w in windows]) < 0.1


def test_a_bad_deployment_is_caught_within_a_hundred_rows(reference: bytes):
    """A new version is judged by its model's baseline from its first row: amounts in cents are seen in 100 rows."""
    monitor = watching(reference)
    feed(monitor, events(table(2_000, 5)))
    bad = events(table(200, 6, shift=99.0), start=START + 2_000 * 60, version="2", first=2_000)
    found = detections(feed(monitor, bad, batch=10))
    assert found[0].signal == "feature:amount"
    assert found[0].row <= 100
    assert found[0].onset_row == 0
    assert found[0].effect > 0.25


def test_one_trouble_is_told_once_and_its_end_too(reference: bytes):
    """2,000 bad rows give one detection on the signal; calm rows end the trouble; a second trouble is told again."""
    monitor = watching(reference)
    parts = [(600, 0.0), (2_000, 4.0), (3_000, 0.0), (1_000, 4.0)]
    first, reactions = 0, []
    for rows, shift in parts:
        part = events(table(rows, 10 + first, shift), start=START + first * 60, first=first)
        reactions.append(feed(monitor, part))
        first += rows
    told = [[d.signal for d in detections(r)] for r in reactions]
    assert told == [[], ["feature:amount"], [], ["feature:amount"]]
    calms = [[c for r in part for _, c in r.calms] for part in reactions]
    assert [len(c) for c in calms] == [0, 0, 1, 0]
    assert calms[2][0].kind == "data_drift"


def test_the_onset_is_dated(reference: bytes):
    """The estimated start of a change lies within 50 rows of where it was made."""
    monitor = watching(reference)
    feed(monitor, events(table(1_500, 20)))
    found = detections(feed(monitor, events(table(1_000, 21, shift=2.0), start=START + 1_500 * 60, first=1_500)))
    assert abs(found[0].onset_row - 1_500) <= 50
    assert abs(found[0].onset - (START + 1_500 * 60)) <= 50 * 60


def test_a_broken_relation_names_the_feature_at_fault():
    """Celsius among Fahrenheit lies within the usual range and is found by what it no longer agrees with."""
    rng = np.random.default_rng(30)

    def weather(rows: int, seed: int) -> dict[str, np.ndarray]:
        temp = 50 + 25 * stationary("ar1", rows, seed)
        return {"temp": temp, "dew": temp - 10 + 2 * rng.standard_normal(rows), "wind": rng.gamma(2, 5, rows)}

    known = rows_of(events(weather(8_000, 31), start=START - 8_000 * 60))
    made = learn(known, tenant="acme", model="m", version="1", source="test")
    monitor = Monitor({}, lambda *_: made)
    assert detections(feed(monitor, events(weather(2_000, 32)))) == []
    bad = weather(400, 33)
    bad["temp"] = (bad["temp"] - 32) / 1.8
    found = detections(feed(monitor, events(bad, start=START + 2_000 * 60, version="2", first=2_000)))
    assert found[0].signal == "feature:temp"
    assert "dew" in found[0].detail


def test_nulls_are_told_as_nulls(reference: bytes):
    """A feature that vanishes is told as nulls of that feature, and as a matter of quality."""
    monitor = watching(reference)
    rows = table(400, 40)
    del rows["amount"]
    feed(monitor, events(table(600, 41)))
    found = detections(feed(monitor, events(rows, start=START + 600 * 60, first=600)))
    assert ("nulls:amount", "quality") in {(d.signal, d.kind) for d in found}


def test_lasting_nulls_are_told_once(reference: bytes):
    """A third of a feature null for 3,000 rows is one detection, and its end is told when the nulls end."""
    monitor = watching(reference)
    rows = table(3_000, 44)
    rows["level"] = np.where(np.arange(3_000) % 3 == 0, np.nan, rows["level"])
    told = detections(feed(monitor, events(rows)))
    assert [d.signal for d in told] == ["nulls:level"]
    back = feed(monitor, events(table(1_500, 45), start=START + 180_000, first=3_000))
    assert [c.kind for r in back for _, c in r.calms] == ["quality"]


def test_unseen_levels_are_told(reference: bytes):
    """A re-encoded category is told as unseen values."""
    monitor = watching(reference)
    rows = table(400, 42)
    rows["country"] = [c.upper() for c in rows["country"]]
    found = detections(feed(monitor, events(rows)))
    assert "unseen:country" in {d.signal for d in found}


def test_a_number_that_turns_to_text_is_told(reference: bytes):
    """Numbers sent as text are another type, and the signal says so."""
    monitor = watching(reference)
    rows = table(400, 43)
    rows["amount"] = [f"{a:.2f} EUR" for a in rows["amount"]]
    found = detections(feed(monitor, events(rows)))
    assert {"type:amount", "unseen:amount"} & {d.signal for d in found}


def test_a_baseline_is_learnt_from_the_first_rows():
    """A model that nobody configured learns from its first rows, exports them, and is watched from there on."""
    monitor = Monitor({"baseline_rows": 1_000})
    reactions = feed(monitor, events(table(1_500, 50)))
    baselines = [b for r in reactions for b in r.baselines]
    assert [b.rows for b in baselines] == [1_000]
    assert set(baselines[0].signals) == {"feature:amount", "feature:level", "feature:country"}
    assert detections(feed(monitor, events(table(600, 51, shift=9.0), start=START + 1_500 * 60, first=1_500)))


def test_labels_are_joined_and_a_rising_error_is_told():
    """Labels that come an hour later make the error; when the model turns wrong, concept drift is told once."""
    rng = np.random.default_rng(60)
    rows = 3_000
    truth = rng.random(rows) < 0.5
    right = np.where(np.arange(rows) < 2_000, rng.random(rows) < 0.9, rng.random(rows) < 0.5)
    scores = np.where(truth == right, 0.8, 0.2)
    served = events({"x": rng.standard_normal(rows)}, scores=scores)
    monitor = Monitor({"baseline_rows": 500})
    reactions = feed(monitor, served)
    reactions += [
        monitor.on_labels("acme", "m", labels_of(served[i : i + 50], truth[i : i + 50])) for i in range(0, rows, 50)
    ]
    errors = [d for d in detections(reactions) if d.signal == "error"]
    assert [d.kind for d in errors] == ["concept_drift"]
    assert abs(errors[0].onset_row - 2_000) < 100
    assert any("error" in w.signals for r in reactions for w in r.windows)


def test_unknown_labels_are_counted(reference: bytes):
    """Labels of predictions nobody served are counted and do no harm."""
    monitor = watching(reference)
    monitor.on_labels("acme", "m", [LabelArrived(id="nobody", at=START, label=1)])
    assert monitor.health()["unknown_labels"] == 1


def test_silence_is_told_and_its_end(reference: bytes):
    """A model that is served every minute and falls silent is told, once; the first events end it."""
    monitor = watching(reference)
    feed(monitor, events(table(600, 70)))
    last = START + 599 * 60
    quiet = [monitor.on_tick(last + minutes * 60) for minutes in range(1, 120)]
    told = detections(quiet)
    assert [d.signal for d in told] == ["silence"]
    back = feed(monitor, events(table(100, 71), start=last + 7_200, first=600))
    assert [c.kind for r in back for _, c in r.calms] == ["silence"]


def test_a_replay_gives_the_same_answers(reference: bytes):
    """The same messages give the same reactions, byte for byte."""
    served = [
        *events(table(800, 80)),
        *events(table(400, 81, shift=5.0), start=START + 800 * 60, version="2", first=800),
    ]
    first, second = (as_json(feed(watching(reference), served)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("cut", [5, 630, 1_010, 1_800])
def test_a_restart_goes_on_identically(reference: bytes, cut: int):
    """Restored from its snapshot at any point, within a block or a trouble too, the Monitor answers as if unstopped."""
    served = [
        *events(table(1_000, 82)),
        *events(table(1_200, 83, shift=5.0), start=START + 60_000, version="2", first=1_000),
    ]
    whole = watching(reference)
    feed(whole, served[:cut])
    again = watching(reference)
    again.restore(whole.snapshot())
    assert as_json(feed(again, served[cut:])) == as_json(feed(whole, served[cut:]))


def test_a_restart_from_pieces_goes_on_identically(reference: bytes):
    """What changed, piece by piece over what was stored before, is a whole snapshot; a reference is given once."""
    served = [
        *events(table(1_000, 84), scores=stationary("independent", 1_000, 84) * 0.1 + 0.5),
        *events(table(1_200, 85, shift=5.0), start=START + 60_000, version="2", first=1_000),
    ]
    truth = labels_of(served[:900], np.arange(900) % 3 == 0)
    whole, stored, given = watching(reference), {}, []
    for first in range(0, 1_500, 100):
        feed(whole, served[first : first + 100])
        if first == 900:
            whole.on_labels("acme", "m", truth)
        pieces = whole.pieces()
        given += [name for name in pieces if "#" in name]
        stored |= pieces
    assert whole.pieces() == {}
    assert stored.keys() == whole.pieces(whole=True).keys()
    assert len(set(given)) == 1
    assert len(given) == 2  # once more when its error was learnt
    again = watching(reference)
    again.restore_pieces(stored)
    assert again.pieces() == {}
    assert as_json(feed(again, served[1_500:])) == as_json(feed(whole, served[1_500:]))
    assert [name for name in again.pieces() if "#" in name] == []


@given(st.binary(max_size=300))
def test_counts_in_half_a_byte_each_come_back_as_they_were(counts: bytes):
    """Small ones, large ones, an odd number of them, none."""
    packed, more = halved(np.frombuffer(counts or b"\0", np.uint8))
    back = np.zeros(max(len(counts), 1), np.uint8)
    doubled(packed, more, back)
    assert back.tobytes() == (counts or b"\0")
    assert len(packed) + len(more) <= len(counts) / 2 + 1 + sum(count >= 15 for count in counts)


def test_bytes_that_are_no_snapshot_are_refused(reference: bytes):
    """Garbage is a ValueError that says to start without it."""
    for bad in (b"", b"garbage", msgspec.msgpack.encode([99, []])):
        with pytest.raises(ValueError, match="start without it"):
            watching(reference).restore(bad)


def test_duplicates_are_counted_once(reference: bytes):
    """A redelivered batch changes no count of rows."""
    monitor = watching(reference)
    served = events(table(500, 90))
    feed(monitor, served)
    feed(monitor, served[-200:])
    assert monitor.health()["rows"] == 500
    assert monitor.health()["duplicates"] == 200


def test_late_events_are_counted_apart(reference: bytes):
    """Events an hour behind the newest are late; a few minutes behind are not."""
    monitor = watching(reference)
    feed(monitor, events(table(300, 91)))
    newest = START + 299 * 60
    monitor.on_inference("acme", "m", events(table(3, 92), start=newest - 300, every=1, first=300))
    monitor.on_inference("acme", "m", events(table(5, 93), start=newest - 7_200, every=1, first=400))
    assert monitor.health()["late"] == 5
    assert monitor.health()["rows"] == 303


def test_one_wild_clock_does_not_stop_the_watch(reference: bytes):
    """One event from the year 2099 is set aside; forty agreeing ones mean that the clock moved, and it is said."""
    monitor = watching(reference)
    feed(monitor, events(table(300, 94)))
    wild = InferenceServed(id="wild", at=4_070_908_800.0, version="1", features={"amount": 1.0})
    monitor.on_inference("acme", "m", [wild])
    feed(monitor, events(table(100, 95), start=START + 300 * 60, first=300))
    assert monitor.health()["rows"] == 400
    moved = feed(monitor, events(table(40, 96), start=START + 90 * 86_400, first=600))
    assert [f.name for r in moved for f in r.facts] == ["clock_moved"]


def test_odd_values_do_no_harm(reference: bytes):
    """NaN, infinities, huge integers, nested values, booleans as text and nulls are taken, and can be sent on."""
    monitor = watching(reference)
    odd = [float("nan"), float("inf"), -float("inf"), 2**60, 10**400, None, "true", True, [1, 2], {"a": 1}, "", 1e308]
    served = [
        InferenceServed(
            id=f"o{i}",
            at=START + i * 60,
            version="1",
            features={
                "amount": odd[i % len(odd)],
                "level": odd[(i + 3) % len(odd)],
                "country": odd[(i + 5) % len(odd)],
            },
        )
        for i in range(1_200)
    ]
    for reaction in feed(monitor, served):
        as_json(reaction)


def test_empty_batches_and_empty_features_do_no_harm(reference: bytes):
    """No events, and events without features, are taken."""
    monitor = watching(reference)
    assert monitor.on_inference("acme", "m", []).detections == []
    feed(monitor, [InferenceServed(id=f"n{i}", at=START + i, version="1") for i in range(100)])


def test_wide_and_many_levelled_models_stay_bounded():
    """500 features and a category of 10,000 levels are learnt and watched; the state does not grow with the rows."""
    rng = np.random.default_rng(100)
    columns: dict[str, object] = {f"f{i}": rng.standard_normal(600) for i in range(500)}
    columns["user"] = [f"u{v}" for v in rng.integers(0, 10_000, 600)]
    monitor = Monitor({"baseline_rows": 400, "label_memory": 500})
    feed(monitor, events(columns))
    size = len(monitor.snapshot())
    for turn in range(1, 4):
        columns["user"] = [f"u{v}" for v in rng.integers(0, 10_000, 600)]
        feed(monitor, events(columns, start=START + turn * 36_000, first=turn * 600))
    assert len(monitor.snapshot()) < 2.5 * size


def test_a_model_with_two_events_a_day_is_watched():
    """Blocks that never fill are weighed when they are old enough: a change is seen in a month of two rows a day."""
    rng = np.random.default_rng(110)
    known = rows_of(events({"x": rng.standard_normal(400)}, start=START - 400 * 43_200, every=43_200))
    made = learn(known, tenant="acme", model="m", version="1", source="test")
    monitor = Monitor({}, lambda *_: made)
    assert detections(feed(monitor, events({"x": rng.standard_normal(60)}, every=43_200), batch=1)) == []
    changed = events({"x": rng.standard_normal(60) + 8}, start=START + 60 * 43_200, every=43_200, first=60)
    assert detections(feed(monitor, changed, batch=1))


def test_a_refused_baseline_says_why(tmp_path):
    """A file too small, all null, or not a table is a fact with its reason, and the model learns from its events."""
    small = tmp_path / "small.csv"
    small.write_text("at,x\n" + "\n".join(f"2024-01-01T00:{i:02d}:00Z,{i}" for i in range(20)))
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"not parquet")
    for path, words in (
        (small, "20 rows are too few"),
        (broken, "cannot be read as parquet"),
        (tmp_path / "x.xyz", "unknown kind"),
    ):
        monitor = Monitor({}, lambda *_, path=path: path)
        facts = monitor.on_inference("acme", "m", events(table(5, 1))).facts
        assert [f.name for f in facts] == ["baseline_refused"]
        assert words in facts[0].detail


def test_a_season_beyond_the_baseline_is_told():
    """Weather that changes every 1,000 rows: more of the same is quiet, a spring beyond all of winter is told."""
    rng = np.random.default_rng(120)
    weather = lambda spells, mean: np.repeat(rng.normal(mean, 1, spells), 1_000) + 0.1 * rng.normal(size=1_000 * spells)  # noqa: E731
    rows = lambda x, start: Rows(at=start + 60.0 * np.arange(len(x)), ids=[""] * len(x), columns={"feature:t": x})  # noqa: E731
    winter = rows(weather(40, 0), START - 40_000 * 60)
    known = learn(winter, tenant="acme", model="m", version="1", source="test")
    monitor = Monitor({}, lambda *_: known)
    assert monitor.on_rows("acme", "m", "1", rows(weather(15, 0), START)).detections == []
    found = monitor.on_rows("acme", "m", "1", rows(weather(10, 4), START + 15_000 * 60)).detections
    assert [(d.signal, d.kind) for _, d in found] == [("feature:t", "data_drift")]
    assert "outside the baseline's range" in found[0][1].detail


def test_options_out_of_range_are_refused():
    """A dial that would alarm all day is refused, naming it."""
    with pytest.raises(ValueError, match="arl_blocks"):
        Monitor({"arl_blocks": 10})
