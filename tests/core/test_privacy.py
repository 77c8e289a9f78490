"""Masked features: no value of theirs leaves detect, and their drift is told all the same."""

import re

import msgspec
import numpy as np
import pytest

from core.events import as_text
from core.privacy import Mask
from core.watcher import Watcher
from detectors.monitor import Monitor
from tests.detectors.streams import START, events

VALUES = (rb"Aachen", rb"Bonn", rb"Celle", rb"Dessau", rb"(?<!\d)[67]\d{3}\.\d", rb"(?<!\d)78\d{4}\.")
OPTIONS = {"baseline_rows": 500, "window_rows": 100, "segments": ["city"]}


@pytest.fixture(scope="module")
def served() -> list:
    """Four known cities and incomes in the seven thousands; then another city and other incomes."""
    rng = np.random.default_rng(1)
    cities = rng.choice(["Aachen", "Bonn", "Celle", "Dessau"], 2_400)
    cities[1_800:] = rng.choice(["Bonn", "Zwickau"], 600)
    income = rng.normal(7_000, 100, 2_400).round(2)
    income[1_800:] += 777_000
    return events({"city": cities.tolist(), "income": income.tolist(), "age": rng.normal(40, 5, 2_400)}, start=START)


def said(served: list, patterns: list[str]) -> tuple[bytes, set[str]]:
    """(everything a watcher says, signals that it alarms on)."""
    watcher = Watcher(Monitor(OPTIONS), Mask(patterns))
    told = [watcher.on_inference("acme", "m", served[n : n + 100]) for n in range(0, len(served), 100)]
    everything = msgspec.json.encode([[s.windows, s.detected, s.baselines] for s in told], enc_hook=as_text)
    return everything, {d.signal for s in told for one in s.detected for d in one.detections}


def test_no_value_of_a_masked_feature_leaves_and_its_drift_does(served: list):
    """Names of cities and sums of income are in what is said without a mask and not in what is said with one."""
    plain, alarms = said(served, [])
    assert all(re.search(value, plain) for value in VALUES)
    hidden, same = said(served, ["cit*", "income"])
    assert same == alarms
    assert "feature:income" in same
    assert not any(re.search(value, hidden) for value in VALUES)
    found = msgspec.json.decode(hidden)
    masked = [s["summary"] for part in found for w in part[0] for name, s in w["signals"].items() if "income" in name]
    assert masked
    assert all(one["mean"] is None and one["maximum"] is None for one in masked)
    ages = [
        s["summary"]["mean"] for part in found for w in part[0] for n, s in w["signals"].items() if n == "feature:age"
    ]
    assert all(30 < mean < 50 for mean in ages)


def test_a_mask_of_nothing_changes_nothing(served: list):
    """Without patterns, and with patterns that match nothing, the same bytes are said."""
    assert said(served, ["salary"])[0] == said(served, [])[0]
