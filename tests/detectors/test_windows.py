"""Windows: what those that slide hold, and what a closed one says."""

from __future__ import annotations

import msgspec
import numpy as np

from core.events import Signals
from detectors import baseline
from detectors.learn import learn
from detectors.monitor import Monitor
from detectors.rows import Coded, Rows, rows_of
from tests.detectors.streams import START, events, feed


def test_every_window_holds_the_rows_it_stands_for():
    """After 60,000 rows, most of one level, the window of 2**k blocks counts each level of its last rows exactly."""
    rng = np.random.default_rng(6)
    levels, which = ["de", "fr", "it", "es"], rng.choice(4, 60_000, p=[0.9, 0.05, 0.03, 0.02])
    known = events({"country": [levels[i] for i in which[:3_000]]}, start=START - 3_000 * 60)
    known = learn(rows_of(known), tenant="acme", model="m", version="1", source="test")
    monitor = Monitor({}, lambda tenant, model, version: baseline.encode(known))
    for first in range(0, len(which), 4_000):
        part = which[first : first + 4_000]
        at = START + 60.0 * (first + np.arange(len(part)))
        monitor.on_rows(
            "acme", "m", "1", Rows(at=at, ids=[""] * len(at), columns={"feature:country": Coded(levels, part)})
        )
    watch = monitor.models["acme", "m"].versions["1"].watch
    column = next(c for c, one in enumerate(watch.compiled.columns) if one.signal == "feature:country")
    shown = watch.compiled.columns[column].bins.levels
    for level in range(11):
        blocks = 60_000 // 25 if level < 9 else 60_000 // 25 // 16 * 16  # the two longest slide by 16 blocks
        last = which[25 * (blocks - (1 << level)) : 25 * blocks]
        counts = watch.state.sums[level, watch.compiled.off[column] :][:4]
        assert dict(zip(shown, counts.tolist(), strict=False)) == {levels[i]: int((last == i).sum()) for i in range(4)}


def test_the_text_of_a_window_is_what_its_signals_are():
    """Signals written from arrays are, byte for byte, the JSON of the same signals as objects."""
    rng = np.random.default_rng(4)
    columns = {
        "number": rng.normal(0, 1e6, 3_000).tolist(), "small": (1e-9 * rng.random(3_000)).tolist(),
        "level": rng.choice(['a"b', "c,d]", "\u00e9\n", "{}"], 3_000).tolist(),
        "truth": [n % 3 == 0 for n in range(3_000)],
        "holes": [None if n % 2 or n > 2_400 else 1.0 + n for n in range(3_000)], "nothing": [None] * 3_000,
    }  # fmt: skip
    said = feed(Monitor({"baseline_rows": 1_000}), events(columns, start=START))
    texts = [window.signals.text for reaction in said for window in reaction.windows]
    assert len(texts) > 5
    for text in texts:
        assert msgspec.json.encode(dict(Signals(text))) == text
