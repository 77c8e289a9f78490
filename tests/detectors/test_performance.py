"""Metrics once labels are known, their marks, and performance estimated before."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from core.events import LabelArrived
from detectors.monitor import Monitor
from detectors.performance import Marks, auc, error_by_bin, metrics
from tests.detectors.streams import START, as_json, detections, events, feed, labels_of


def test_binary_metrics_agree_with_scikit_learn():
    """Accuracy, precision, recall, F1, AUC, log-loss and Brier score are those everybody knows."""
    from sklearn import metrics as known

    rng = np.random.default_rng(1)
    truth = rng.random(500) < 0.3
    p = np.clip(np.round(0.3 * truth + 0.7 * rng.random(500), 2), 0.01, 0.99)
    found = metrics("binary", p.tolist(), [None] * 500, truth.tolist(), 0.5)
    said = p >= 0.5
    assert found["accuracy"] == pytest.approx(known.accuracy_score(truth, said))
    assert found["precision"] == pytest.approx(known.precision_score(truth, said))
    assert found["recall"] == pytest.approx(known.recall_score(truth, said))
    assert found["f1"] == pytest.approx(known.f1_score(truth, said))
    assert found["auc"] == pytest.approx(known.roc_auc_score(truth, p))
    assert found["log_loss"] == pytest.approx(known.log_loss(truth, p))
    assert found["brier"] == pytest.approx(known.brier_score_loss(truth, p))


def test_multiclass_and_regression_metrics():
    """Per-class precision and recall, macro F1; MAE, RMSE, MAPE and bias."""
    found = metrics("multiclass", [None] * 4, ["a", "b", "a", "c"], ["a", "b", "c", "c"], 0.5)
    assert found["accuracy"] == 0.75
    assert (found["recall:c"], found["precision:a"]) == (0.5, 0.5)
    found = metrics("regression", [None] * 2, [3.0, 5.0], [2.0, 10.0], 0.5)
    assert (found["mae"], found["bias"], found["mape"]) == (3.0, -2.0, 0.5)


def test_ranking_metrics_agree_with_scikit_learn():
    """NDCG of graded relevance; the share clicked beside it."""
    from sklearn.metrics import ndcg_score

    rng = np.random.default_rng(8)
    grades, scores = rng.integers(0, 4, 200), rng.permutation(200) / 200
    found = metrics("ranking", scores.tolist(), [None] * 200, grades.tolist(), 0.5)
    assert found["ndcg"] == pytest.approx(ndcg_score([np.exp2(grades) - 1], [scores]))
    assert "ctr" in found


def test_f1_of_each_class_agrees_with_scikit_learn():
    """The ten most frequent classes have precision, recall and F1 of their own."""
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(9)
    truth, said = rng.choice(list("abc"), 300).tolist(), rng.choice(list("abc"), 300).tolist()
    found = metrics("multiclass", [None] * 300, said, truth, 0.5)
    assert [found[f"f1:{c}"] for c in "abc"] == pytest.approx(f1_score(truth, said, average=None).tolist())


def test_ties_count_half_in_auc():
    """A score that says nothing has an AUC of one half."""
    assert auc(np.full(10, 0.5), np.arange(10) < 4) == pytest.approx(0.5)


def test_one_low_window_is_not_told_two_are():
    """A metric is low after two windows beyond its mark in a row, and well after two within it."""
    marks = Marks({"accuracy": [0.9, 0.01, 30.0]})
    assert marks.add({"accuracy": 0.6}) == ([], [])
    low, _ = marks.add({"accuracy": 0.62})
    assert [one.metric for one in low] == ["accuracy"]
    assert low[0].limit == pytest.approx(0.81)
    assert marks.add({"accuracy": 0.6}) == ([], [])
    assert marks.add({"accuracy": 0.9}) == ([], [])
    assert marks.add({"accuracy": 0.9})[1] == ["accuracy"]


def test_marks_are_learnt_from_stable_windows():
    """Nothing is judged before ten windows have been seen."""
    marks = Marks()
    for _ in range(10):
        assert marks.add({"auc": 0.8}) == ([], [])
    marks.add({"auc": 0.5})
    assert marks.add({"auc": 0.5})[0][0].usual == pytest.approx(0.8)


def test_a_metric_without_a_bad_side_is_never_low():
    """The share of positives may move either way."""
    marks = Marks({"ctr": [0.5, 0.01, 30.0]})
    assert marks.add({"ctr": 0.01}) == marks.add({"ctr": 0.01}) == ([], [])


def test_windows_carry_the_metrics():
    """Labelled windows say accuracy, AUC and the rest as `quality:<metric>`."""
    rng = np.random.default_rng(2)
    truth = rng.random(1_500) < 0.4
    served = events({"x": rng.normal(size=1_500)}, scores=np.where(truth, 0.7, 0.3))
    monitor = Monitor({"baseline_rows": 500})
    feed(monitor, served)
    known = labels_of(served, truth)
    reactions = [monitor.on_labels("acme", "m", known[i : i + 100]) for i in range(0, 1_500, 100)]
    windows = [w for r in reactions for w in r.windows]
    assert windows
    assert windows[-1].signals["quality:accuracy"].value == 1.0
    assert windows[-1].signals["quality:auc"].value == 1.0


def test_performance_is_estimated_while_labels_are_late(tmp_path):
    """With a baseline that had labels, windows say what error to expect; it rises when scores turn doubtful."""
    rng = np.random.default_rng(3)
    path = tmp_path / "base.csv"
    score = rng.choice([0.05, 0.5, 0.95], 4_000, p=[0.45, 0.1, 0.45])
    truth = rng.random(4_000) < score
    rows = [f"{START - 240_000 + 60 * i},{rng.normal():.4f},{score[i]},{int(truth[i])}" for i in range(4_000)]
    path.write_text("at,x,score,label\n" + "\n".join(rows))
    monitor = Monitor({}, lambda *_: path)
    calm = feed(
        monitor, events({"x": rng.normal(size=600)}, scores=rng.choice([0.05, 0.5, 0.95], 600, p=[0.45, 0.1, 0.45]))
    )
    late = events({"x": rng.normal(size=600)}, start=START + 36_000, first=600, scores=np.full(600, 0.5))
    values = [w.signals["quality:estimated_error"].value for r in [*calm, *feed(monitor, late)] for w in r.windows]
    assert values[2] < 0.2
    assert values[-1] == pytest.approx(0.5, abs=0.1)


def test_error_by_bin_is_shrunk_toward_the_whole():
    """A bin nobody saw is expected to err as the whole does."""
    found = error_by_bin(np.array([0] * 100 + [1] * 100), np.array([0.0] * 100 + [1.0] * 100), 3)
    assert found[2] == pytest.approx(0.5)
    assert found[0] < 0.1 < 0.9 < found[1]


def test_a_frozen_feature_is_told_and_its_end():
    """A value that stands still far longer than ever before is stale; the first new value ends it."""
    rng = np.random.default_rng(4)
    # Stuck at an ordinary value in one row of two at most, before; at one value for 400 rows now.
    monitor = Monitor({"baseline_rows": 1_000, "signals": {"feature": []}})
    feed(monitor, events({"x": rng.normal(size=1_200), "y": rng.normal(size=1_200)}))
    stuck = events({"x": np.full(400, 0.1), "y": rng.normal(size=400)}, start=START + 72_000, first=1_200)
    told = detections(feed(monitor, stuck))
    assert [d.signal for d in told] == ["staleness:x"]
    assert told[0].onset_row == pytest.approx(200, abs=2)
    fresh = events({"x": rng.normal(size=100), "y": rng.normal(size=100)}, start=START + 96_000, first=1_600)
    assert [c.kind for r in feed(monitor, fresh) for _, c in r.calms] == ["staleness"]


def test_many_duplicates_are_told():
    """A producer that sends a fifth of its events twice is a matter of quality."""
    rng = np.random.default_rng(5)
    monitor = Monitor({"baseline_rows": 500})
    feed(monitor, events({"x": rng.normal(size=1_500)}))
    found = []
    for i in range(12):
        some = events({"x": rng.normal(size=80)}, start=START + 90_000 + i * 4_800, first=1_500 + 80 * i)
        found += detections([monitor.on_inference("acme", "m", [*some, *some[:20]])])
    assert [d.signal for d in found] == ["duplicates"]


def test_labels_of_no_use_do_no_harm():
    """Labels of another type than the answers are left out, not guessed at."""
    rng = np.random.default_rng(6)
    served = events({"x": rng.normal(size=700)}, scores=rng.normal(100, 5, 700))
    monitor = Monitor({"baseline_rows": 300})
    feed(monitor, served)
    odd = [LabelArrived(id=e.id, at=e.at, label="maybe" if i % 2 else 101.5) for i, e in enumerate(served)]
    monitor.on_labels("acme", "m", odd)
    assert monitor.models[("acme", "m")].versions["1"].errors.task == "regression"


def test_failing_requests_are_told_and_their_end():
    """Three requests in a hundred fail as ever; when a new version fails on a third of them it is told, once."""
    rng = np.random.default_rng(7)

    def served(rows: int, share: float, version: str, first: int) -> list:
        plain = events({"x": rng.normal(size=rows)}, start=START + 60 * first, version=version, first=first)
        return [msgspec.structs.replace(e, error=bool(rng.random() < share)) for e in plain]

    monitor = Monitor({"baseline_rows": 400})
    assert detections(feed(monitor, served(3_000, 0.03, "1", 0))) == []
    told = detections(feed(monitor, served(400, 0.33, "2", 3_000)))
    assert [(d.signal, d.kind) for d in told] == [("failures", "quality")]
    assert told[0].row < 100
    calm = feed(monitor, served(1_500, 0.03, "2", 3_400))
    assert [c.signals for r in calm for _, c in r.calms] == [["failures"]]
    again = Monitor({"baseline_rows": 400})
    again.restore(monitor.snapshot())
    more = served(200, 0.5, "2", 4_900)
    assert as_json(feed(again, more)) == as_json(feed(monitor, more))
