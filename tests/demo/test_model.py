"""What was learnt, and that the fault is what the story says it is."""

import numpy as np
import pandas as pd
import pytest

from bot.demo import features, model
from bot.demo.flights import load, moment
from bot.demo.replay import Plan


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney)."""
    known = ~np.isnan(label)
    label, ranks = label[known] == 1, pd.Series(score[known]).rank().to_numpy()
    return (ranks[label].sum() - label.sum() * (label.sum() + 1) / 2) / (label.sum() * (~label).sum())


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_are_fine_on_march_with_the_weather_they_learnt(data, world, version):
    """Fed Fahrenheit, each version ranks March's flights better than chance by far, and as well as the other."""
    march = world.between(moment("2013-03-01"), moment("2013-04-01"))
    score = model.load_model(data, version).score(features.assemble(world, march, "1"))
    assert auc(march["late"], score) > 0.72


def test_celsius_is_a_cliff(data, world):
    """On the day after the deploy 97 % of temp is below all of the reference; the day before none is."""
    learnt = pd.read_parquet(model.folder(data, "1") / "baseline.parquet")
    day = 86400
    before = world.between(Plan().deploy_at - day, Plan().deploy_at)
    after = world.between(Plan().deploy_at, Plan().deploy_at + day)
    calm = features.assemble(world, before, "1")
    wrong = features.assemble(world, after, "2")
    assert (wrong["temp"] < learnt.temp.min()).mean() > 0.95
    assert ((calm["temp"] >= learnt.temp.min()) & (calm["temp"] <= learnt.temp.max())).all()


def test_spring_makes_the_first_version_wrong_by_itself(data, world):
    """In the last ten days of April v1, fed rightly, expects half as many late flights as there are."""
    spring = world.between(moment("2013-04-16"), moment("2013-04-27"))
    score = model.load_model(data, "1").score(features.assemble(world, spring, "1"))
    assert np.nanmean(spring["late"]) > 1.9 * score.mean()


def test_the_baseline_is_the_training_window_out_of_fold(data, world):
    """One row a request in event time, features as trained, scores that did not see their own label."""
    table = pd.read_parquet(model.folder(data, "2") / "baseline.parquet")
    window = world.between(moment("2013-01-01"), moment("2013-03-01"))
    assert tuple(table.columns) == ("at", *features.FEATURES, "score", "label")
    assert len(table) == len(window["id"])
    assert table["at"].is_monotonic_increasing
    assert str(table["at"].dt.tz) == "UTC"
    fitted = model.load_model(data, "2").score(features.assemble(world, window, "1"))
    honest = auc(table.label.to_numpy(), table.score.to_numpy())
    assert honest == pytest.approx(model.card(data, "2")["auc_out_of_fold"], abs=1e-3)
    assert 0.65 < honest < auc(window["late"], fitted) - 0.05
    assert table.temp.mean() > 30


def test_importances_are_shares(data):
    """The card names the share of every feature; they sum to one and temp has one of its own."""
    shares = model.card(data, "1")["importances"]
    assert set(shares) == set(features.FEATURES)
    assert sum(shares.values()) == pytest.approx(1, abs=0.01)
    assert shares["temp"] > 0.02


def test_an_unknown_category_is_a_missing_value(data, world):
    """A carrier the model never saw is scored like an unknown one, not refused."""
    some = world.between(moment("2013-03-04"), moment("2013-03-05"))
    made = features.assemble(world, some, "1")
    strange = made | {"carrier": np.array(["ZZ"] * len(some["id"]), dtype=object)}
    assert np.isfinite(model.load_model(data, "1").score(strange)).all()


def test_training_is_not_repeated(home):
    """Preparing a prepared folder changes no file."""
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}
    model.prepare(home)
    assert before == {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}


def test_an_altered_artefact_is_refused(home):
    """An artefact whose bytes are not those its card names is not loaded."""
    path = model.folder(home, "2") / "model.joblib"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="not the artefact its card names"):
        model.load_model(home, "2")
    path.unlink()
    with pytest.raises(FileNotFoundError, match="version 2 of flight-delay has no artefact"):
        model.load_model(home, "2")


def test_a_server_loads_no_requests(home):
    """Loaded for serving, the world holds weather and planes only."""
    lean = load(home, requests=False)
    assert lean.requests == {}
    assert set(lean.weather) == {"EWR", "JFK", "LGA"}
