"""What `python -m bot baseline` prints, without servers: the picture of a baseline and the list."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bot.__main__ import main
from bot.cli.baseline import bars, listed, pictured, shape
from bot.compose.kept import shown
from detectors.baseline import Reference
from detectors.from_file import reference
from detectors.options import Options


@pytest.fixture
def learnt(tmp_path: Path) -> Reference:
    """Two thousand rows: a number around 50, three carriers, forty towns, a fifth of them null."""
    rng = np.random.default_rng(1)
    rows = [
        f"{rng.normal(50, 5):.2f},{rng.choice(['AA', 'UA', 'DL'], p=[0.6, 0.3, 0.1])},"
        f"{f't{rng.integers(40)}' if rng.random() > 0.2 else ''}" for _ in range(2_000)
    ]  # fmt: skip
    path = tmp_path / "train.csv"
    path.write_text("\n".join(["temp,carrier,town", *rows]))
    return reference(path, "acme", "m", "7", Options())


def test_a_baseline_is_shown_signal_by_signal(learnt: Reference):
    """Usual values, nulls, worth and shape, one line each; levels by their most frequent."""
    lines = {line.split()[0]: line for line in pictured(shown(learnt)).splitlines() if line.startswith("feature:")}
    assert "50." in lines["feature:temp"]
    assert "3 levels, most often AA" in lines["feature:carrier"]
    assert "more than 30 levels" in lines["feature:town"]
    assert re.search(r" (19|20|21)\.\d%", lines["feature:town"])


def test_masked_features_show_no_values(learnt: Reference):
    """Neither means nor levels of what the policy masks are printed or in the data."""
    found = shown(learnt, ["temp", "carrier"])
    text = pictured(found)
    assert "masked" in text
    assert not {"AA", "UA"} & {word.strip(",") for word in text.split()}
    assert [s["histogram"]["levels"][:2] for s in found["learnt"] if s["signal"] == "feature:carrier"] == [
        ["level 1", "level 2"]
    ]


def test_the_shape_is_a_density_and_not_the_equal_bins():
    """Ten bins of equal counts over a bell are drawn as a bell; levels by their counts."""
    cuts = np.quantile(np.random.default_rng(2).normal(size=20_000), np.arange(1, 10) / 10).tolist()
    drawn = shape([100.0] * 10 + [0.0, 0.0], cuts, [])
    assert int(np.argmax(drawn)) in range(5, 11)
    assert max(drawn) > 1.5 * max(drawn[0], drawn[-1])
    assert bars(shape([5.0, 9.0, 0.0, 0.0, 0.0], [], ["a", "b", "c"])) == "█▄ "


def test_the_list_says_whose_word_a_version_follows():
    """A version with its rows, one that waits, a model without a baseline, and why one was refused."""
    word = {"by": "T0/U1", "at": 0.0, "reason": "sensors moved", "file": ""}
    row = {"tenant": "acme", "model": "m", "version": "3", "serving": True, "rows": 2_000, "signals": 5, "start": 0.0,
           "end": 0.0, "source": "first events", "errors": True, "approved": word, "note": "", "id": "b"}  # fmt: skip
    waits = {"tenant": "acme", "model": "m", "version": "4", "approved": word | {"file": "a.baseline"}, "note": ""}
    bare = {"tenant": "acme", "model": "n", "version": "", "approved": None, "note": "x is null in half of the rows"}
    lines = listed([row, waits, bare]).splitlines()
    assert "2,000 rows" in lines[0]
    assert lines[1].strip() == "its own next rows, by T0/U1: sensors moved"
    assert "waits for its first events" in lines[2]
    assert "a.baseline, by" in lines[3]
    assert "no baseline yet" in lines[4]
    assert lines[5].strip() == "last said: x is null in half of the rows"
    assert listed([]) == "no model is watched yet"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show"], "name a MODEL"),
        (["export", "m"], "name a FILE, such as m.baseline"),
        (["import", "m", "a.csv"], "say why with --reason"),
    ],
)
def test_what_is_missing_is_named(words: list[str], says: str, capsys: pytest.CaptureFixture[str]):
    """One line with the remedy, before any server is looked for."""
    assert main(["baseline", *words]) == 2
    assert says in capsys.readouterr().err
