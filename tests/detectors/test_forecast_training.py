"""Training: what is learnt, what is kept. Tiny panels: seconds, not minutes."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.forecast import outlook, scores, training
from detectors.forecast.panel import HORIZON, QUANTILES, cases, origins
from detectors.forecast.pooled import Pooled
from detectors.forecast.train import sample, train_pooled, weigh
from tests.detectors.test_forecast import PANEL, waves


def test_every_series_counts_the_same():
    """A series with ten times the cases does not outvote the others."""
    known = cases([waves("a"), waves("b")], [np.arange(100, 400), np.arange(100, 130)])
    weight = weigh(known)
    assert weight[known.series == 0].sum() == pytest.approx(weight[known.series == 1].sum(), rel=1e-4)


def test_the_pooled_network_learns_the_wave():
    """A few epochs from random weights beat the first guess by far; training again gives the same weights."""
    known = sample(PANEL, [300] * 4, most=150)
    asked = cases(PANEL, [origins(len(one), 270, len(one), 7) for one in PANEL])
    first, later, again = (train_pooled(known, epochs=n, width=32, batch=64) for n in (1, 8, 8))
    loss = [scores.pinball(m.predict(PANEL, asked, [300] * 4), asked.future).mean() for m in (first, later)]
    assert loss[1] < 0.7 * loss[0]
    assert later.weights["w1"].tolist() == again.weights["w1"].tolist()


def test_a_network_replaces_the_old_one_only_where_it_wins(tmp_path):
    """The first is measured against the shipped one and kept for winning; a spoilt retraining leaves it in place."""
    panel = [waves(f"s-{n}", 720, seed=n) for n in range(3)]
    [row] = [r for r in training.train(panel, tmp_path, epochs=6) if r["member"] == "mlp"]
    assert row["kept"] is (row["pinball"] < row["before"])
    assert (tmp_path / "pooled.npz").exists() is row["kept"]
    better = Pooled.load()
    (tmp_path / "pooled.npz").unlink(missing_ok=True)
    better.save(tmp_path / "pooled.npz")
    kept = (tmp_path / "pooled.npz").read_bytes()
    [row] = [r for r in training.train(panel, tmp_path, epochs=1, keep_anyway=False) if r["member"] == "mlp"]
    assert ((tmp_path / "pooled.npz").read_bytes() != kept) is row["kept"]


def test_too_little_to_learn_from_is_said(tmp_path):
    """The error says how many hours there must be."""
    with pytest.raises(ValueError, match=r"no series has 601 hours \(the longest has 480\)"):
        training.train(PANEL, tmp_path)


@pytest.mark.parametrize("name", ["nhits", "tft"])
def test_a_deep_member_is_trained_stored_and_speaks_as_the_others_do(name, tmp_path):
    """pytorch-forecasting's network gives rising quantiles, the same after it was stored and loaded."""
    from detectors.forecast import deep

    known = sample(PANEL, [300] * 4, most=12)
    trained = deep.train(name, known, epochs=1, batch=16)
    asked = cases(PANEL, [np.array([280])] * 4)
    said = trained.predict(PANEL, asked, [300] * 4)
    trained.save(tmp_path / f"{name}.pt")
    loaded = next(m for m in outlook.members(tmp_path) if m.name == name)
    assert said.shape == (4, HORIZON, len(QUANTILES))
    assert (np.diff(said, axis=2) >= 0).all()
    assert np.allclose(said, loaded.predict(PANEL, asked, [300] * 4), atol=1e-5)


def test_a_broken_deep_member_is_named_with_the_remedy(tmp_path):
    """Whoever copied the wrong file reads which, and what to do."""
    (tmp_path / "tft.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"tft\.pt holds no forecast network.*forecast train"):
        outlook.members(tmp_path)
