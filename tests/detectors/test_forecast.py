"""Forecasts: what is known when, quantiles that keep their promise, breaches dated and levels proven."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.events import SignalWindow, WindowClosed
from core.findings import Summary
from core.policy import Slo
from detectors.forecast import backtest, breach, hours, outlook, scores
from detectors.forecast.conformal import calibrated
from detectors.forecast.panel import HORIZON, LEAST, QUANTILES, Series, breached, budget, cases, origins, read
from detectors.forecast.pooled import SHIPPED, Pooled, inputs
from detectors.forecast.simple import HoltWinters, Persistence


def waves(name: str, length: int = 480, level: float = 0.6, climb: float = 0.0, seed: int = 0) -> Series:
    """A daily wave with noise that may climb."""
    t = np.arange(length)
    noise = np.random.default_rng(seed).normal(0, 0.05, length)
    values = level + 0.3 * np.sin(2 * np.pi * t / 24) + climb * t / 24 + noise
    return Series(name, name.partition("-")[0], 400_000, values.astype(np.float32), np.zeros(length, np.float32))


def last(one: Series) -> list[np.ndarray]:
    return [np.array([len(one) - 1])]


PANEL = [
    waves("calm-1"),
    waves("calm-2", seed=1),
    waves("high-1", level=0.95, seed=2),
    waves("high-2", 300, 0.9, seed=3),
]


def test_the_past_of_a_case_ends_with_its_last_known_hour_and_the_future_follows():
    """Case t knows values up to t and is judged by the 24 after it."""
    one = waves("a")
    found = cases([one], [np.array([100, 200])])
    assert found.past[0, -1] == one.values[100]
    assert found.future[1].tolist() == one.values[201:225].tolist()
    assert found.known.tolist() == [101, 168]


def test_an_origin_that_is_too_early_is_refused_by_name():
    """Nothing is said of a series of which less than three days are known."""
    with pytest.raises(ValueError, match="early-1: origin 3"):
        cases([waves("early-1")], [np.array([3])])


@settings(max_examples=40)
@given(st.lists(st.floats(0, 3, width=32), min_size=HORIZON, max_size=HORIZON))
def test_a_breach_is_dated_at_the_first_hour_whose_day_is_too_bad(ahead):
    """Known hours and coming hours add up to the rolling mean of the day, exactly."""
    values = np.concatenate([np.full(LEAST, 0.5), np.array(ahead)])
    asked = cases([Series("x", "x", 0, values, np.zeros(len(values)))], [np.array([LEAST - 1])])
    hourly = asked.past[0, -24:].tolist() + asked.future[0].tolist()
    rolling = [hourly[h : h + 24] for h in range(1, HORIZON + 1)]
    means = [float(np.float64(day).mean()) for day in rolling]
    wanted = next((h for h, mean in enumerate(means, 1) if mean > 1), HORIZON + 1)
    if all(abs(mean - 1) > 1e-9 for mean in means):
        assert breached(asked, budget(asked)).tolist() == [wanted]


@pytest.mark.parametrize("member", [Persistence(), HoltWinters(), Pooled.load()], ids=lambda m: m.name)
def test_a_member_answers_rising_quantiles_and_cannot_see_the_future(member):
    """What comes after the origin changes no answer."""
    one, until = waves("a"), [300]
    changed = Series(one.id, one.segment, one.hour0, np.where(np.arange(480) > 400, 4, one.values), one.drift)
    first, second = (
        member.predict([s], cases([s], [np.array([350, 400])]), until) for s in (one, changed)
    )  # fmt: skip
    assert first.shape == (2, HORIZON, len(QUANTILES))
    assert (np.diff(first, axis=2) >= 0).all()
    assert first.tolist() == second.tolist()


def test_holt_winters_finds_the_season_that_persistence_misses():
    """On a daily wave its loss is less than half."""
    where = [origins(len(one), 300, len(one), 5) for one in PANEL]
    asked, until = cases(PANEL, where), [250] * len(PANEL)
    loss = [scores.pinball(m.predict(PANEL, asked, until), asked.future).mean() for m in (HoltWinters(), Persistence())]
    assert loss[0] < 0.5 * loss[1]


def test_conformal_calibration_gives_intervals_their_share():
    """Intervals that were three times too narrow cover 85 to 95 % once the past was looked at."""
    asked = cases(PANEL[:2], [origins(len(one), LEAST, len(one), 3) for one in PANEL[:2]])
    middle = 0.6 + 0.0 * asked.future
    narrow = middle[:, :, None] + np.linspace(-0.12, 0.12, len(QUANTILES))
    before = asked.origin < 250
    fit = calibrated(
        narrow[~before], asked.series[~before], asked.hour[~before], narrow, asked.series, asked.hour, asked.future,
        learnt=before,
    )  # fmt: skip
    assert scores.covered(narrow[~before], asked.future[~before]) < 0.4
    assert 0.85 < scores.covered(fit, asked.future[~before]) < 0.95


def test_the_chance_of_a_breach_rises_with_the_hours_and_with_the_level():
    """It never falls with more hours, and a series that climbs into its SLO has a greater one."""
    panel = [waves("calm"), waves("climbs", level=0.4, climb=0.029)]
    now = cases(panel, [np.array([479])] * 2)
    chance = breach.chances(Pooled.load().predict(panel, now, [480, 480]), now, 0.7)
    assert (np.diff(chance, axis=1) >= 0).all()
    assert chance[0, -1] < 0.1 < chance[1, -1]


def test_a_threshold_must_be_proven():
    """Ten right words of ten prove a level; coin tosses, or too few words, prove none."""
    n = 200
    episode, hit = np.arange(n), np.arange(n) < 40
    hours_ = np.where(hit, 6, HORIZON + 1)
    sure = breach.proven(np.where(hit, 0.9, 0.1), hours_, episode, 0.8)
    assert (sure.right, sure.spoken, sure.recall, sure.lead) == (40, 40, 1.0, 6.0)
    assert breach.proven(np.random.default_rng(0).random(n), hours_, episode, 0.8) is None
    assert breach.proven(np.where(np.arange(n) < 5, 0.9, 0.0), hours_, episode, 0.8) is None


def test_repeating_a_word_proves_nothing():
    """A hundred words about one breach are one episode."""
    same = np.zeros(100, int)
    assert breach.proven(np.full(100, 0.9), np.full(100, 6), same, 0.8) is None


@pytest.mark.parametrize(
    ("chance", "record", "level"),
    [(0.9, True, "watch"), (0.3, True, "calm"), (0.3, False, "unreliable"), (0.01, False, "calm")],
)
def test_what_is_not_proven_is_not_claimed(chance, record, level):
    """A record of other data gives a `watch` at most; without any, a chance that is not small is no forecast."""
    stored = {"threshold": 0.8, "spoken": 20, "right": 19, "precision": 0.95, "recall": 0.5, "lead": 4.0}
    shipped = {"records": {"watch": stored if record else None}}
    assert outlook._level(chance, {}, {}, shipped)[0] == level


def test_tft_speaks_only_where_it_wins():
    """The ensemble speaks elsewhere."""
    past = backtest.tell(PANEL, [HoltWinters(), Pooled.load()], [150] * 4, [200] * 4)
    assert backtest.speaker(past) == "ensemble"
    best = past.cases.future[:, :, None] + np.zeros(len(QUANTILES))
    past.told["tft"] = backtest.Told("tft", best, best, 0.5, past.told["ensemble"].chance)
    assert backtest.speaker(past) == "tft"


def test_an_outlook_says_when_and_by_whom():
    """Of a calm series: no breach expected; of one over its SLO: missed now."""
    over = waves("over", level=1.4)
    looked = outlook.look([*PANEL, over], [HoltWinters(), Pooled.load()], Pooled.load().about)
    assert [looked[0].level, looked[-1].level] == ["calm", "breached"]
    said = outlook.plain(looked[0], "error", "<= 0.05", "m")
    assert "no breach of error <= 0.05" in said["text"]
    assert said["by"] == "the ensemble"
    assert "seconds_to_breach" not in said


def test_a_likely_breach_is_a_watch_with_its_hours_and_the_record_it_rests_on():
    """A series that has climbed to its SLO: when, between when and when, and how often such a word was right."""
    members = [HoltWinters(), Pooled.load()]
    [one] = outlook.look([waves("climbs", level=0.4, climb=0.0315)], members, members[1].about)
    said = outlook.plain(one, "error", "<= 0.05", "m")
    assert said["level"] == "watch"
    assert 3600 <= said["low"] <= said["seconds_to_breach"] <= said["high"] <= 24 * 3600
    assert said["spoken"] >= said["right"] > 0.8 * said["spoken"]
    assert "on other data" in said["text"]


def test_the_shipped_network_is_small_and_knows_its_data_and_scores():
    """Under a megabyte; with range, loss and what was proven."""
    assert SHIPPED.stat().st_size < 1_000_000
    about = Pooled.load().about
    assert about["series"] >= 20
    assert 0 < about["pinball"] < 0.1
    assert set(about["records"]) == set(breach.LEVELS)


def test_a_broken_network_is_named_with_the_remedy(tmp_path):
    """Whoever copied the wrong file reads which, and what to do."""
    bad = tmp_path / "pooled.npz"
    bad.write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"pooled\.npz.*forecast train"):
        Pooled.load(bad)


def test_a_panel_that_is_none_is_refused(tmp_path):
    """The error names the file and the arrays that it should hold."""
    np.savez(tmp_path / "p.npz", y=np.zeros(3))
    with pytest.raises(ValueError, match=r"p\.npz is not a panel.*hour0"):
        read(tmp_path / "p.npz")


def window(at: float, error: float, rows: int = 100, **signals: SignalWindow) -> WindowClosed:
    found = {"error": SignalWindow(summary=Summary(rows=rows), value=error), **signals}
    return WindowClosed(id=f"w{at}", cause="", actor="detect", at=at, tenant="t", model="m", version="1", baseline="b",
                        start=at - 1800, end=at, rows=rows, signals=found)  # fmt: skip


def test_windows_of_one_hour_count_by_their_rows_and_old_hours_are_kept():
    """A window of 300 rows weighs three times one of 100; hours of earlier looks stay, a cut one does not replace."""
    found = hours.hours([window(3600 * 5 + 1900, 0.1), window(3600 * 5 + 3500, 0.5, rows=300)], "error", {4: (2.0, 10)})
    assert found == {4: (2.0, 10), 5: pytest.approx((160.0, 400))}
    assert hours.hours([window(3600 * 5 + 3500, 0.9)], "error", found)[5] == found[5]


def test_signals_mean_what_slos_mean():
    """Drift is the worst feature's PSI, nulls are a share, latency is the 95 % quantile."""
    one = window(
        3600.0, 0.1, **{
            "feature:a": SignalWindow(summary=Summary(rows=100, nulls=25), psi=0.1),
            "feature:b": SignalWindow(summary=Summary(rows=100), psi=0.3),
            "latency": SignalWindow(summary=Summary(rows=100, mean=20.0, p95=80.0)),
        },
    )  # fmt: skip
    asked = ("drift", "drift:a", "drift:c", "nulls:a", "latency", "error", "quality:auc")
    assert [hours.value(one, s) for s in asked] == [0.3, 0.1, None, 0.25, 80.0, 0.1, None]


def test_a_floor_is_scaled_so_that_worse_is_more():
    """Gaps repeat the hour before; a series mostly of gaps is none."""
    slo = Slo.parse("quality:auc", ">= 0.8")
    known = {h: (80.0 if h < 50 else 60.0, 100.0) for h in range(100) if h != 60}
    one = hours.series("m", "m", known, slo)
    assert one.values[[0, 60, 99]].tolist() == pytest.approx([1.0, 1.25, 1.25])
    assert hours.series("m", "m", dict.fromkeys(range(0, 400, 5), (1.0, 1.0)), slo) is None


def test_forecasting_loads_no_torch():
    """The outlook of production is numpy alone: torch is for training, lightning for the deep members."""
    heavy = "{'torch', 'lightning', 'pytorch_forecasting', 'pandas'}"
    code = "import sys; from detectors.forecast import hours, outlook as o; o.Pooled.load(); "
    code += f"assert not {heavy} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_inputs_are_finite_whatever_the_series():
    """Constants, steps and clipped extremes make no infinity."""
    odd = [Series("c", "c", 0, np.full(200, v, np.float32), np.zeros(200)) for v in (0.0, 5.0, -5.0)]
    assert np.isfinite(inputs(cases(odd, [np.array([199])] * 3))).all()
