"""Every way in and every kind of input: columns, Arrow, texts, vectors, segments."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from detectors import baseline
from detectors.columnar import rows_of_arrow
from detectors.learn import learn
from detectors.monitor import Monitor
from detectors.rows import rows_of
from tests.detectors.streams import START, ar1, as_json, detections, events, feed


def table(rows: int, seed: int, shift: float = 0.0) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(shift, 1, rows), "y": rng.lognormal(size=rows), "c": rng.choice(["a", "b"], rows).tolist()}


@pytest.fixture(scope="module")
def known() -> bytes:
    made = rows_of(events(table(3_000, 1), start=START - 180_000))
    return baseline.encode(learn(made, tenant="acme", model="m", version="1", source="test"))


def arrow(columns: dict[str, object], first: int = 0, nested: bool = False, version: object = "1") -> bytes:
    count = len(columns["x"])
    features = {n: pa.array(v) for n, v in columns.items()}
    held = {
        "id": pa.array([f"e{first + i}" for i in range(count)]),
        "at": pa.array(START + 60.0 * (first + np.arange(count))),
        "version": pa.array([version] * count if isinstance(version, str) else version),
    }
    held |= {"features": pa.StructArray.from_arrays(list(features.values()), list(features))} if nested else features
    batch = pa.RecordBatch.from_pydict(held)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("nested", [False, True])
def test_arrow_and_events_give_the_same_answers(known: bytes, nested: bool):
    """The same rows as Arrow batches and as single events give byte-identical windows and detections."""
    calm, bad = table(900, 2), table(600, 3, shift=3.0)
    one, many = Monitor({}, lambda *_: known), Monitor({}, lambda *_: known)
    told = feed(one, [*events(calm), *events(bad, start=START + 54_000, first=900)], batch=100)
    answers = [
        many.on_arrow("acme", "m", arrow(calm, nested=nested)),
        many.on_arrow("acme", "m", arrow(bad, 900, nested)),
    ]
    plain = lambda found: as_json([(w.start, w.rows, w.signals) for r in found for w in r.windows])  # noqa: E731
    assert plain(told) == plain(answers)
    assert [d.signal for d in detections(told)] == [d.signal for d in detections(answers)] == ["feature:x"]


def test_arrow_of_several_versions_is_parted(known: bytes):
    """Rows go to the version they name, in their order."""
    versions = ["1"] * 60 + ["2"] * 40
    parts = dict(rows_of_arrow(arrow(table(100, 4), version=versions))[0])
    assert {name: len(rows) for name, rows in parts.items()} == {"1": 60, "2": 40}


@pytest.mark.parametrize("payload", [b"", b"garbage", b"\xff\xff\xff\xff" + b"\0" * 40])
def test_bytes_that_are_no_arrow_are_refused(payload: bytes):
    """Not an Arrow stream: a ValueError for the dead letters, never a crash."""
    with pytest.raises(ValueError, match="not an Arrow IPC stream"):
        rows_of_arrow(payload)


def test_arrow_without_times_is_refused():
    """No column `at`: the message names it."""
    sink = pa.BufferOutputStream()
    batch = pa.RecordBatch.from_pydict({"x": pa.array([1.0])})
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(ValueError, match="no column 'at'"):
        rows_of_arrow(sink.getvalue().to_pybytes())


def test_a_row_with_an_impossible_time_goes_alone():
    """Null, NaN and milliseconds as seconds: such rows are named with their place and content, the others stay."""
    sink = pa.BufferOutputStream()
    batch = pa.RecordBatch.from_pydict(
        {"at": pa.array([1.7e9, None, 1.7e12, float("nan"), 1.8e9]), "x": pa.array(range(5))}
    )
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    [(version, rows)], spoilt = rows_of_arrow(sink.getvalue().to_pybytes())
    assert (version, rows.at.tolist(), rows.columns["feature:x"].tolist()) == ("", [1.7e9, 1.8e9], [0.0, 4.0])
    assert [(place, row["x"]) for place, _, row in spoilt] == [(1, 1), (2, 2), (3, 3)]
    assert all("outside 1970" in why for _, why, _ in spoilt)


def words(rows: int, seed: int, low: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(f"word{w}" for w in rng.integers(low, low + 400, 12)) for _ in range(rows)]


def test_text_of_another_kind_is_told():
    """Free text whose words the baseline never used is out of distribution; text like the baseline's is not."""
    monitor = Monitor({"baseline_rows": 1_500})
    feed(monitor, events({"prompt": words(1_500, 1), "n": np.arange(1_500.0) % 7}))
    assert (
        detections(
            feed(
                monitor,
                events({"prompt": words(1_000, 2), "n": np.arange(1_000.0) % 7}, start=START + 90_000, first=1_500),
            )
        )
        == []
    )
    odd = events({"prompt": words(300, 3, low=5_000), "n": np.arange(300.0) % 7}, start=START + 150_000, first=2_500)
    assert "text:prompt" in {d.signal for d in detections(feed(monitor, odd))}


def test_vectors_far_from_the_baseline_are_told():
    """An embedding that comes from elsewhere is told by its distance."""
    rng = np.random.default_rng(5)
    made = lambda rows, shift: [v.tolist() for v in rng.normal(shift, 1, (rows, 8))]  # noqa: E731
    monitor = Monitor({"baseline_rows": 1_000})
    feed(monitor, events({"vector": made(1_400, 0)}))
    found = detections(feed(monitor, events({"vector": made(300, 2)}, start=START + 84_000, first=1_400)))
    assert {d.signal for d in found} == {"embedding:vector"}


def test_a_segment_alone_is_told_as_that_segment():
    """When one country of four drifts, the detection names it."""
    rng = np.random.default_rng(6)

    def rows(count: int, shift: float) -> dict[str, object]:
        country = rng.choice(["de", "fr", "it", "es"], count)
        return {"country": country.tolist(), "x": rng.normal(0, 1, count) + np.where(country == "it", shift, 0.0)}

    monitor = Monitor({"baseline_rows": 6_000, "segments": ["country"], "min_effect": 0.1})
    feed(monitor, events(rows(6_000, 0)))
    calm = feed(monitor, events(rows(2_000, 0), start=START + 360_000, first=6_000))
    assert detections(calm) == []
    assert {w.segment for r in calm for w in r.windows} >= {"", "country=it"}
    found = detections(feed(monitor, events(rows(2_000, 1.0), start=START + 480_000, first=8_000)))
    assert "country=it" in {d.segment for d in found}
    assert not {d.segment for d in found} & {"country=de", "country=fr", "country=es"}


def test_segments_survive_a_restart():
    """Restored, the segments' windows go on."""
    rng = np.random.default_rng(7)
    made = lambda count: {"country": rng.choice(["de", "fr"], count).tolist(), "x": rng.normal(size=count)}  # noqa: E731
    options = {"baseline_rows": 2_000, "segments": ["country"]}
    monitor, again = Monitor(options), Monitor(options)
    feed(monitor, events(made(2_430)))
    again.restore(monitor.snapshot())
    more = events(made(700), start=START + 2_430 * 60, first=2_430)
    assert as_json(feed(again, more)) == as_json(feed(monitor, more))


def test_a_baseline_is_exported_and_imported(known: bytes):
    """The bytes of a baseline give the same reference on any machine; other bytes are refused."""
    reference = baseline.decode(known)
    assert baseline.encode(reference) == known
    with pytest.raises(baseline.Unfit, match="not an exported baseline"):
        baseline.decode(b"something else")


def test_another_unit_within_the_range_is_told():
    """Knots reported as metres a second stay within the range and fall between the values that were ever seen."""
    rng = np.random.default_rng(8)
    knots = lambda rows: np.round(rng.gamma(4, 3, rows)).clip(0, 40)  # noqa: E731
    monitor = Monitor({"baseline_rows": 2_000})
    feed(monitor, events({"wind": knots(2_000), "n": rng.normal(size=2_000)}))
    assert (
        detections(
            feed(
                monitor, events({"wind": knots(2_000), "n": rng.normal(size=2_000)}, start=START + 120_000, first=2_000)
            )
        )
        == []
    )
    changed = {"wind": knots(300) * 0.514444, "n": rng.normal(size=300)}
    found = detections(feed(monitor, events(changed, start=START + 240_000, first=4_000)))
    assert found[0].signal == "feature:wind"
    assert found[0].row <= 2_200


def test_a_first_window_that_moves_is_put_off():
    """When the first rows are not stable the baseline is learnt from later ones, and it is said."""
    rng = np.random.default_rng(9)
    monitor = Monitor({"baseline_rows": 1_000})
    moving = events({"x": np.concatenate([rng.normal(0, 1, 500), rng.normal(4, 1, 500)])})
    facts = [f.name for r in feed(monitor, moving) for f in r.facts]
    assert facts == ["baseline_unstable"]
    calm = feed(monitor, events({"x": rng.normal(4, 1, 900)}, start=START + 60_000, first=1_000))
    assert [b.rows for r in calm for b in r.baselines] == [1_000]
    assert detections(calm) == []


def test_a_version_can_be_given_a_baseline_of_its_own(known: bytes):
    """After an approved change the next rows of the version are its baseline; what alarmed before is usual now."""
    monitor = Monitor({"baseline_rows": 600}, lambda *_: known)
    moved = table(400, 20, shift=5.0)
    assert detections(feed(monitor, events(moved)))
    assert [c.kind for _, c in monitor.rebaseline("acme", "m", "1", "reb_1").calms] == ["data_drift"]
    again = feed(monitor, events(table(1_500, 21, shift=5.0), start=START + 24_000, first=400))
    assert [b.rows for r in again for b in r.baselines] == [600]
    assert detections(again) == []


def test_a_file_is_learnt_once_for_all_versions(tmp_path, monkeypatch):
    """The second version of a model begins with the reference of the first; a file that changed is learnt anew."""
    from detectors import from_file

    read: list[str] = []
    learn_file = from_file.reference
    monkeypatch.setattr(from_file, "reference", lambda *a, **k: read.append(a[3]) or learn_file(*a, **k))
    path = tmp_path / "train.csv"
    rng = np.random.default_rng(22)
    path.write_text("x\n" + "\n".join(map(str, rng.normal(size=500))))
    monitor, again = Monitor({}, lambda *_: path), Monitor({}, lambda *_: path)
    for version in ("1", "2"):
        feed(monitor, events({"x": rng.normal(size=50)}, version=version, first=100 * int(version)))
    assert read == ["1"]
    again.restore(monitor.snapshot())
    feed(again, events({"x": rng.normal(size=50)}, version="3", first=300))
    assert read == ["1"]
    path.write_text("x\n" + "\n".join(map(str, rng.normal(size=600))))
    feed(again, events({"x": rng.normal(size=50)}, version="4", first=400))
    assert read == ["1", "4"]


def test_an_exported_baseline_is_a_file_too(known: bytes, tmp_path):
    """Policy may name an exported `.baseline`; a file that is none is refused with the reason."""
    good, bad = tmp_path / "m.baseline", tmp_path / "bad.baseline"
    good.write_bytes(known)
    bad.write_bytes(b"nothing of the kind")
    monitor = Monitor({}, lambda *_: good)
    assert {d.signal for d in detections(feed(monitor, events(table(300, 23, shift=5.0))))} == {"feature:x"}
    facts = Monitor({}, lambda *_: bad).on_inference("acme", "m", events(table(5, 1))).facts
    assert [f.name for f in facts] == ["baseline_refused"]
    assert "not an exported baseline" in facts[0].detail


def test_a_source_that_fails_is_told_and_the_model_learns_from_its_events():
    """MLflow away: the reason is a fact, and the first stable window becomes the baseline."""
    from core.errors import Unavailable

    def away(*_: str) -> None:
        raise Unavailable("MLflow does not answer")

    reactions = feed(Monitor({"baseline_rows": 300}, away), events(table(400, 24)))
    assert [f.name for r in reactions for f in r.facts] == ["baseline_refused"]
    assert [b.rows for r in reactions for b in r.baselines] == [300]


def test_a_burst_of_ten_times_the_rate_is_no_drift():
    """Rows that wander by the minute come ten times as fast for a while: the same inputs, and nothing is told."""
    wander = ar1(9_000, 25, phi=0.98)
    made = {"x": wander, "y": np.random.default_rng(26).normal(size=9_000)}
    monitor = Monitor({"baseline_rows": 4_000})
    feed(monitor, events({n: v[:5_000] for n, v in made.items()}))
    at = START + 5_000 * 60
    slow = {n: np.repeat(v[5_000:5_300], 10) for n, v in made.items()}
    slow["y"] = np.random.default_rng(27).normal(size=3_000)
    assert detections(feed(monitor, events(slow, start=at, every=6.0, first=5_000))) == []
    after = {n: v[5_300:7_000] for n, v in made.items()}
    assert detections(feed(monitor, events(after, start=at + 18_000, first=8_000))) == []


def test_booleans_spelt_as_text_are_booleans():
    """True, "true", "Yes" and 1 are one thing: a producer that changes the spelling is not told."""
    rng = np.random.default_rng(28)
    monitor = Monitor({"baseline_rows": 1_000})
    feed(monitor, events({"paid": [bool(v) for v in rng.random(1_200) < 0.4]}))
    for n, spelt in enumerate([("true", "false"), ("Yes", "No"), (1, 0), ("True", "False")]):
        some = [spelt[0] if v else spelt[1] for v in rng.random(400) < 0.4]
        found = detections(
            feed(monitor, events({"paid": some}, start=START + 72_000 + n * 24_000, first=1_200 + 400 * n))
        )
        assert found == []


def test_integers_beyond_a_float_are_numbers():
    """Ids of 64 bits and numbers no float can hold: learnt, watched, sent on; more of the same is quiet."""
    rng = np.random.default_rng(29)
    big = lambda rows: [int(v) * 2**10 for v in rng.integers(2**52, 2**53, rows)]  # noqa: E731
    monitor = Monitor({"baseline_rows": 1_000})
    feed(monitor, events({"id": big(1_200)}))
    assert detections(feed(monitor, events({"id": big(800)}, start=START + 72_000, first=1_200))) == []
    huge = events({"id": [10**400 if i % 2 else v for i, v in enumerate(big(400))]}, start=START + 120_000, first=2_000)
    reactions = feed(monitor, huge)
    as_json(reactions)
    assert {d.signal for d in detections(reactions)} == {"feature:id"}


def test_an_explosion_of_categories_is_told_and_costs_nothing():
    """A category that turns into ids of its own is told as unseen values; the state does not grow with them."""
    rng = np.random.default_rng(30)
    monitor = Monitor({"baseline_rows": 1_000})
    feed(monitor, events({"shop": rng.choice([f"s{i}" for i in range(40)], 1_500).tolist()}))
    size = len(monitor.snapshot())
    flood = events({"shop": [f"u{v}" for v in rng.integers(0, 10**9, 3_000)]}, start=START + 90_000, first=1_500)
    assert {d.signal for d in detections(feed(monitor, flood))} == {"unseen:shop"}
    assert len(monitor.snapshot()) < size + 150_000


def test_rare_values_that_keep_coming_are_no_fault():
    """A category with a long tail always brings new values: as many as the baseline says are no news."""
    rng = np.random.default_rng(31)
    tail = lambda rows: [f"m{v}" for v in rng.zipf(1.4, rows) % 5_000]  # noqa: E731
    monitor = Monitor()
    feed(monitor, events({"merchant": tail(2_000)}))
    assert detections(feed(monitor, events({"merchant": tail(6_000)}, start=START + 120_000, first=2_000))) == []


def test_a_counter_is_not_watched_and_it_is_said():
    """A number that only ever rises would always be new: it is left out, and the rest is watched."""
    rng = np.random.default_rng(32)
    made = rows_of(events({"serial": np.arange(2_000.0), "x": rng.normal(size=2_000)}, start=START - 120_000))
    known = learn(made, tenant="acme", model="m", version="1", source="test")
    assert any("feature:serial only rises" in note for note in known.notes)
    monitor = Monitor({}, lambda *_: known)
    reactions = feed(monitor, events({"serial": np.arange(2_000.0, 4_000.0), "x": rng.normal(size=2_000)}))
    assert detections(reactions) == []
    assert [f for r in reactions for f in r.facts] == []


def test_the_calendar_is_no_drift_behind_a_short_baseline():
    """An hour or a day's name that the baseline could not have seen yet is left out; whole days of it are watched."""
    at = START + 60.0 * np.arange(6_000)
    made = {
        "hour": (at // 3_600) % 24,
        "day": [f"day {int(t // 86_400) % 7}" for t in at],
        "x": np.random.default_rng(33).normal(size=6_000),
    }
    rows = rows_of(events(made))
    left = lambda count: set(learn(rows.take(slice(0, count)), tenant="a", model="m", version="1", source="t").left)  # noqa: E731
    assert left(1_000) == {"feature:hour"}
    assert left(4_000) == {"feature:day"}


def test_an_approved_version_learns_its_own_baseline():
    """Version 2 moved on purpose: named in policy its own first rows are its baseline; unnamed it is an incident."""
    rng = np.random.default_rng(34)
    first = events({"x": rng.normal(0, 1, 900)})
    second = events({"x": rng.normal(3, 1, 1_400)}, start=START + 54_000, first=900, version="2")
    third = events({"x": rng.normal(9, 1, 200)}, start=START + 138_000, first=2_300, version="3")
    for approved, told in ((["2"], ["3"]), ([], ["2"])):
        monitor = Monitor({"baseline_rows": 500, "rebaseline": approved})
        reactions = feed(monitor, [*first, *second, *third])
        assert [key[2] for r in reactions for key, _ in r.detections][:1] == told
        assert [b.version for r in reactions for b in r.baselines] == ["1", *approved]
    again = Monitor({"baseline_rows": 500, "rebaseline": ["2"]})
    feed(again, [*first, *second[:200]])
    kept = Monitor({"baseline_rows": 500, "rebaseline": ["2"]})
    kept.restore(again.snapshot())
    assert as_json(feed(kept, second[200:])) == as_json(feed(again, second[200:]))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda x: np.where(np.arange(1_000) < 500, x, np.nan), "x is null in 0% of the first half .* and 100%"),
        (lambda x: np.where(np.arange(1_000) < 500, x, 7.0), "x never changes in the second half"),
        (lambda x: np.where(np.arange(1_000) % 5, x, np.inf), "x is infinite in 20% of the rows"),
        (lambda x: [v if i < 500 else f"{v} EUR" for i, v in enumerate(x.tolist())], "x is text in 0% .* and 100%"),
    ],
)
def test_a_poisoned_baseline_is_refused_with_the_reason(tmp_path, fault, words: str):
    """Half of a file null, frozen, of another type, or full of infinities is no healthy period; nor are such rows."""
    rng = np.random.default_rng(35)
    bad = fault(rng.normal(size=1_000))
    listed = bad if isinstance(bad, list) else [None if v != v else v for v in bad.tolist()]
    path = tmp_path / "train.csv"
    path.write_text("x,y\n" + "\n".join(f"{'' if v is None else v},{i % 7}" for i, v in enumerate(listed)))
    facts = Monitor({}, lambda *_: path).on_inference("acme", "m", events(table(5, 1))).facts
    assert [f.name for f in facts] == ["baseline_refused"]
    assert re.search(f"train.csv: {words}.*: this is not one healthy period", facts[0].detail)
    monitor = Monitor({"baseline_rows": 1_000})
    monitor.model("acme", "m").restless = 3
    told = [f for r in feed(monitor, events({"x": listed, "y": np.arange(1_000.0) % 7})) for f in r.facts]
    assert [f.name for f in told] == ["baseline_refused"]
    assert re.search(words, told[0].detail)
