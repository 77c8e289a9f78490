"""Rows of one model that came in different forms, and in batches that do not end where its blocks do."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors import bins
from detectors.rows import Coded, Rows, joined, listed

NUMBER = st.none() | st.floats(-1e6, 1e6) | st.integers(-(2**53), 2**53)
TEXT = st.none() | st.sampled_from(["red", "green", "blue", ""])
NUMBERS = bins.number_bins(np.arange(1_000.0))
TEXTS = bins.category_bins(["red"] * 60 + ["green"] * 40)


def rows(column: Any, count: int) -> Rows:
    return Rows(at=np.arange(count, dtype=float), ids=[""] * count, columns={} if column is None else {"c": column})


def as_column(values: list[Any], form: str) -> Any:
    """The values as they come in JSON (a list), or in Arrow."""
    if form == "missing":
        return None
    if form == "list":
        return values
    if any(isinstance(v, str) for v in values):
        levels = [*dict.fromkeys(v for v in values if v is not None), "unused"]
        return Coded(levels, np.array([-1 if v is None else levels.index(v) for v in values]))
    return np.array(values, dtype=float)


FORMS = st.sampled_from(["list", "arrow", "missing"])
PARTS = st.lists(st.tuples(FORMS, st.lists(NUMBER, min_size=1) | st.lists(TEXT, min_size=1)), min_size=2, max_size=5)


@given(PARTS)
def test_the_form_in_which_rows_came_does_not_matter(parts: list[tuple[str, list[Any]]]):
    """Batches of any forms count in the same bins together as their plain values do."""
    columns = [as_column(values, form) for form, values in parts]
    plain = [v for column, (_, values) in zip(columns, parts, strict=True) for v in listed(column, len(values))]
    whole = joined([rows(column, len(values)) for column, (_, values) in zip(columns, parts, strict=True)])
    found = whole.columns.get("c", [None] * len(whole))
    for made in (NUMBERS, TEXTS):
        same = listed(found, len(whole)) if made is NUMBERS and isinstance(found, Coded) else found
        values = same.tolist() if made is TEXTS and isinstance(same, np.ndarray) else same
        assert bins.codes(made, values).tolist() == bins.codes(made, plain).tolist()


def test_rows_that_wait_for_their_block_do_not_slow_the_batch_they_join():
    """Columns that came as arrays stay arrays beside a few rows of plain events, and dictionaries do not pile up."""
    held = Rows(at=np.zeros(2), ids=["a", "b"], columns={"n": [1, None], "t": ["red", None]})
    for batch in range(5):
        levels = [f"{batch}-{i}" for i in range(100)]
        more = Rows(at=np.ones(100), ids=[""] * 100,
                    columns={"n": np.arange(100.0), "t": Coded(levels, np.arange(100))})  # fmt: skip
        whole = joined([held, more])
        assert isinstance(whole.columns["n"], np.ndarray)
        assert len(whole.columns["t"].levels) <= 102
        held = whole.take(slice(-2, None))
    assert whole.columns["t"].listed()[:2] == ["3-98", "3-99"]
