"""Pictures: real PNGs with words beside them, for every kind and for whatever text stands in names."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.charts import Pictures, drawn
from bot.draw import key, subject
from bot.lineage_chart import lineage
from core.events import ChangeRecorded
from core.findings import Histogram
from tests.bot import examples as x

PNG = b"\x89PNG\r\n\x1a\n"


def test_detection_has_both_panels_and_words():
    """A shift with both shapes gives a tall picture; the alternative text says what moved, from what to what, when."""
    png, alt = Pictures().detection(x.detection(), x.windows(), x.changes())
    assert png.startswith(PNG)
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    assert width > 1_000
    assert 0.6 < height / width < 1.2
    for words in ("temp", "2013-03-10 05:00 UTC", "PSI 1.31", "43.7", "6.5", "deployment of flight-delay"):
        assert words in alt
    assert len(alt) <= 900


@pytest.mark.parametrize("kind", x.KINDS)
def test_every_kind_can_be_drawn(kind: str):
    """Every kind of incident has a picture, also with no histogram and with no window at all."""
    d = subject(x.of_kind(kind))
    for windows in (x.windows(), []):
        png, alt = Pictures().detection(d, windows)
        assert png.startswith(PNG)
        assert alt


@given(st.text(min_size=1, max_size=30))
@settings(max_examples=12, deadline=None)
def test_hostile_names_are_drawn_as_text(text: str):
    """Formulas, markup and odd letters in names, levels and changes are drawn, never interpreted, never raised."""
    text = text.encode("utf-8", "replace").decode() + " $\\frac{$ <b>"
    levels = Histogram(counts=[5.0, 3.0, 0.0, 0.0], levels=[text, "_" + text])
    d = x.detection(f"feature:{text}", reference_histogram=levels, current_histogram=levels)
    change = ChangeRecorded(id="c", at=x.ONSET, kind="flag", target=text)
    windows = [msgspec.structs.replace(w, signals={f"feature:{text}": w.signals["feature:temp"]}) for w in x.windows(6)]
    png, _ = Pictures().detection(d, windows, [change])
    assert png.startswith(PNG)


def test_many_levels_and_flat_series():
    """A hundred levels and a series of one constant value fit."""
    levels = Histogram(counts=[1.0] * 102, levels=[f"carrier {n}" for n in range(100)])
    d = x.detection("feature:carrier", reference_histogram=levels, current_histogram=levels)
    assert Pictures().detection(d, [])[0].startswith(PNG)
    assert Pictures().series("latency", x.windows()[:1])[0].startswith(PNG)


async def test_drawing_leaves_the_loop_free():
    """Pictures are drawn in a process of its own, one at a time."""
    import asyncio

    several = await asyncio.gather(*(drawn(Pictures().series, "latency", x.windows()) for _ in range(3)))
    assert len({png for png, _ in several}) == 1


def test_the_picture_changes_with_the_phase():
    """One picture while it lasts, another once it is over; further alerts of the same signal reuse it."""
    before, after = x.diagnosed(), x.resolved()
    d = subject(before)
    assert key(before, d) == key(x.verifying(), d)
    assert key(before, d) != key(after, d)


class Graph:
    """A lineage of `wide` features around one model, each with a job behind it."""

    def __init__(self, name: str, wide: int, state: str = ""):
        self.name, self.wide, self.state = name, wide, state

    def _facts(self, name: str, kind: str, distance: int, state: str = ""):
        return {"id": name, "name": name, "kind": kind, "last_state": state, "dead": None, "distance": distance}

    def node(self, name: str):
        return self._facts(name, "model", 0)

    def upstream(self, name: str, depth: int = 20):
        near = [self._facts(f"{self.name}{n}", "feature", 1) for n in range(self.wide)]
        return [*near, *(self._facts(f"job{n}", "job", 2, self.state) for n in range(self.wide))]

    def downstream(self, name: str, depth: int = 20):
        return [self._facts(f"{self.name}0", "feature", 1)]  # a circle

    def edges(self):
        ends = [(f"job{n}", f"{self.name}{n}") for n in range(self.wide)]
        return [{"source": a, "target": b} for a, b in [*ends, *((b, "m") for _, b in ends), ("m", f"{self.name}0")]]


def test_a_lineage_is_drawn_with_what_failed_and_what_is_blamed():
    """A wide lineage with a circle in it fits; what failed and the named cause are marked and told."""
    png, alt = lineage(Graph("feature_", 40, "fail"), "m", "feature_39")
    assert png.startswith(PNG)
    assert "feature_39: cause" in alt
    assert "job0: failed" in alt
    assert len(alt) < 900


@pytest.mark.parametrize("name", ["$\\frac{$ <b>", "\u202e\u0000", "x" * 400, "日本"])
def test_a_lineage_with_hostile_names_is_drawn_as_text(name):
    """Formulas, hidden letters, long and foreign names are drawn, never interpreted, never raised."""
    assert lineage(Graph(name, 2), "m")[0].startswith(PNG)


def test_a_model_of_which_nothing_else_is_known_is_one_box():
    """A lone node has a picture that says so."""
    assert "by nothing known" in lineage(Graph("f", 0), "m")[1]
