"""Everything that is watched with no configuration: each signal speaks when its fault comes, and is quiet otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from core import policy
from core.events import InferenceServed
from detectors.monitor import Monitor
from tests.detectors.streams import START, detections, events, feed, labels_of

Change = Callable[[dict[str, Any], np.random.Generator], None]
KNOWN, CALM, AFTER = 2_000, 1_500, 600


def row(rng: np.random.Generator) -> dict[str, Any]:
    """One event: every type of feature, a score, a prediction, a latency."""
    topic = rng.choice(["cash", "card", "loan"])
    words = rng.integers(0, 60, 10)
    return {
        "features": {
            "amount": float(rng.lognormal(3, 1)),
            "degrees": float(np.round(rng.normal(60, 12))),
            "paid": float(rng.gamma(2, 20)),
            "topic": str(topic),
            "night": bool(rng.random() < 0.3),
            "note": " ".join(f"{topic}{w}" for w in words),
            "vector": rng.normal(0, 1, 6).tolist(),
        },
        "score": float(rng.beta(2, 5)),
        "prediction": str(rng.choice(["approve", "deny"], p=[0.8, 0.2])),
        "latency_ms": float(rng.lognormal(3, 0.3)),
        "error": bool(rng.random() < 0.01),
    }


def served(count: int, first: int, seed: int, change: Change | None = None) -> list[InferenceServed]:
    rng, made = np.random.default_rng(seed), []
    for i in range(first, first + count):
        one = row(rng)
        if change is not None:
            change(one, rng)
        made.append(InferenceServed(id=f"s{i}", at=START + 60.0 * i, version="1", **one))
    return made


@pytest.fixture(scope="module")
def calm() -> tuple[bytes, list[Any]]:
    """A model with no configuration that served 3,500 ordinary events: its snapshot, and what was said."""
    monitor = Monitor()
    reactions = feed(monitor, served(KNOWN + CALM, 0, 1))
    return monitor.snapshot(), reactions


def test_ordinary_events_raise_nothing(calm: tuple[bytes, list[Any]]):
    """1,500 events like the first 2,000: no detection, and windows of every signal."""
    assert detections(calm[1]) == []
    shown = {name for r in calm[1] for w in r.windows for name in w.signals}
    assert {"feature:amount", "feature:topic", "text:note", "embedding:vector", "score", "confidence", "prediction",
            "latency"} <= shown  # fmt: skip


def set_(name: str, value: Callable[[Any, np.random.Generator], Any]) -> Change:
    """Change one feature."""

    def change(one: dict[str, Any], rng: np.random.Generator) -> None:
        one["features"][name] = value(one["features"][name], rng)

    return change


def out(name: str, value: Callable[[Any, np.random.Generator], Any]) -> Change:
    """Change one of the model's answers."""

    def change(one: dict[str, Any], rng: np.random.Generator) -> None:
        one[name] = value(one[name], rng)

    return change


def gone(one: dict[str, Any], rng: np.random.Generator) -> None:
    del one["features"]["paid"]


FAULTS: dict[str, tuple[Change, set[str]]] = {
    "a number in another unit": (set_("amount", lambda v, _: v * 100), {"feature:amount"}),
    "another unit within the range": (set_("degrees", lambda v, _: (v - 32) / 1.8), {"feature:degrees"}),
    "out of range": (set_("degrees", lambda v, r: 999.0 if r.random() < 0.3 else v), {"feature:degrees"}),
    "a category that comes more often": (set_("topic", lambda v, r: "loan" if r.random() < 0.6 else v),
                                         {"feature:topic"}),
    "a boolean that is true more often": (set_("night", lambda v, r: r.random() < 0.8), {"feature:night"}),
    "missing": (set_("paid", lambda v, r: None if r.random() < 0.4 else v), {"nulls:paid"}),
    "a column that does not come": (gone, {"nulls:paid"}),
    "an unseen category": (set_("topic", lambda v, r: v.upper()), {"unseen:topic"}),
    "another type": (set_("paid", lambda v, _: f"{v:.2f} EUR"), {"type:paid", "unseen:paid"}),
    "frozen": (set_("paid", lambda v, _: 41.7), {"feature:paid", "staleness:paid"}),
    "text of another kind": (set_("note", lambda v, r: " ".join(f"x{w}" for w in r.integers(0, 9_999, 10))),
                             {"text:note"}),
    "vectors from elsewhere": (set_("vector", lambda v, r: r.normal(2, 1, 6).tolist()), {"embedding:vector"}),
    "scores that wander": (out("score", lambda v, r: min(v + 0.3, 1.0)), {"score", "confidence"}),
    "confidence that falls": (out("score", lambda v, r: 0.5 + 0.1 * (v - 0.3)), {"score", "confidence"}),
    "another balance of classes": (out("prediction", lambda v, r: "deny" if r.random() < 0.6 else v), {"prediction"}),
    "latency": (out("latency_ms", lambda v, _: v * 3), {"latency"}),
    "failing requests": (out("error", lambda v, r: bool(r.random() < 0.3)), {"failures"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_by_its_signal_alone(calm: tuple[bytes, list[Any]], name: str):
    """With no configuration: the signal at fault, and no other."""
    change, signals = FAULTS[name]
    monitor = Monitor()
    monitor.restore(calm[0])
    found = {d.signal for d in detections(feed(monitor, served(AFTER, KNOWN + CALM, 2, change)))}
    assert found
    assert found <= signals


def test_duplicates_late_events_and_silence_are_told(calm: tuple[bytes, list[Any]]):
    """The stream itself is a signal: events that come twice, that come late, that do not come."""
    first = KNOWN + CALM
    for name in ("duplicates", "late", "silence"):
        monitor = Monitor()
        monitor.restore(calm[0])
        reactions, old = [], served(AFTER, first + 2_000, 4)
        for i, batch in enumerate(np.split(np.array(served(AFTER, first, 3), object), 12)):
            more = list(batch)
            if name == "duplicates":
                more += more[:10]
            if name == "late":
                more += [msgspec.structs.replace(e, at=START + 60.0 * (first - 200)) for e in old[10 * i : 10 * i + 10]]
            reactions.append(monitor.on_inference("acme", "m", more))
        if name == "silence":
            reactions.append(monitor.on_tick(START + 60.0 * (first + AFTER) + 6 * 3_600))
        assert {d.signal for d in detections(reactions)} == {name}


def test_quality_is_told_once_labels_come():
    """Labels a day late: accuracy, precision, recall and the rest fall beyond their own marks, and the error rises."""
    rng = np.random.default_rng(5)
    rows = 6_000
    truth = rng.random(rows) < 0.4
    right = rng.random(rows) < np.where(np.arange(rows) < 4_500, 0.92, 0.55)
    scores = np.where(truth == right, rng.uniform(0.6, 0.9, rows), rng.uniform(0.1, 0.4, rows))
    made = [InferenceServed(id=f"q{i}", at=START + 60.0 * i, version="1", features={"x": float(rng.normal())},
                            score=float(scores[i])) for i in range(rows)]  # fmt: skip
    monitor = Monitor()
    feed(monitor, made)
    known = labels_of(made, truth, delay=86_400.0)
    found = detections([monitor.on_labels("acme", "m", known[i : i + 50]) for i in range(0, rows, 50)])
    assert {d.kind for d in found} == {"concept_drift"}
    assert {"error", "quality:accuracy", "quality:f1", "quality:auc", "quality:log_loss"} <= {d.signal for d in found}
    assert all(d.onset_row >= 4_300 for d in found)


def test_a_regression_that_errs_more_is_told():
    """Absolute errors of a number: MAE and RMSE beyond their marks."""
    rng = np.random.default_rng(6)
    rows = 6_000
    truth = rng.normal(50, 10, rows)
    said = truth + rng.normal(0, np.where(np.arange(rows) < 4_500, 2, 6), rows)
    made = [InferenceServed(id=f"r{i}", at=START + 60.0 * i, version="1", features={"x": 1.0 * (i % 7)},
                            prediction=float(said[i])) for i in range(rows)]  # fmt: skip
    monitor = Monitor()
    feed(monitor, made)
    labels = [msgspec.structs.replace(one, label=float(t))
              for one, t in zip(labels_of(made, truth), truth, strict=True)]  # fmt: skip
    found = detections([monitor.on_labels("acme", "m", labels[i : i + 50]) for i in range(0, rows, 50)])
    assert {"error", "quality:mae", "quality:rmse"} <= {d.signal for d in found}


def test_policy_names_the_business_value_of_a_model(tmp_path):
    """`business` of a model in the policy file reaches its windows; a model without it has none."""
    path = tmp_path / "policy.toml"
    path.write_text('[models."acme/m"]\nbusiness = "loss"\n')
    named = policy.load(path)
    monitor, rng = Monitor(named.detection, rules=named.rules), np.random.default_rng(40)
    loss = rng.gamma(2, 3, 3_000)
    for model, there in (("m", True), ("other", False)):
        windows = [
            window
            for n in range(0, 3_000, 100)
            for window in monitor.on_inference(
                "acme", model, events({"loss": loss[n : n + 100]}, start=START + 60 * n, first=n)
            ).windows
        ]
        assert windows
        assert all(("quality:business" in w.signals) is there for w in windows)


def test_a_business_value_is_shown_and_watched():
    """The value that policy names is in every window, and its change is told like that of any feature."""
    rng = np.random.default_rng(7)
    monitor = Monitor({"business": "loss", "baseline_rows": 1_000})
    made = lambda rows, by, first: [  # noqa: E731
        InferenceServed(id=f"b{i}", at=START + 60.0 * i, version="1", features={"loss": by * float(rng.gamma(2, 5))})
        for i in range(first, first + rows)
    ]
    calm = feed(monitor, made(2_000, 1, 0))
    assert detections(calm) == []
    assert all(w.signals["quality:business"].value > 0 for r in calm for w in r.windows)
    assert {d.signal for d in detections(feed(monitor, made(400, 4, 2_000)))} == {"feature:loss"}


def test_a_second_fault_is_told_while_the_first_lasts(calm: tuple[bytes, list[Any]]):
    """A trouble that goes on does not hide another feature's: each is told once, dated where it began."""
    monitor = Monitor()
    monitor.restore(calm[0])
    first, second = FAULTS["a number in another unit"][0], FAULTS["frozen"][0]

    def both(one: dict[str, Any], rng: np.random.Generator) -> None:
        first(one, rng)
        second(one, rng)

    begun = KNOWN + CALM
    told = detections(feed(monitor, served(900, begun, 8, first)))
    told += detections(feed(monitor, served(900, begun + 900, 9, both)))
    assert [d.signal for d in told if d.kind == "data_drift"] == ["feature:amount", "feature:paid"]
    began = {d.signal: d.onset_row for d in told}
    assert began["feature:amount"] == pytest.approx(CALM, abs=50)
    assert began["feature:paid"] == pytest.approx(CALM + 900, abs=50)
