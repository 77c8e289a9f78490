"""The feature jobs of flight-delay: what the model is fed, from a request, the weather and the planes.

The job of the active version runs in the model server, and the same code fills the training table. Version 2 ships a
job that was "cleaned up": its weather comes in SI units, so `temp` arrives in Celsius where the model learnt
Fahrenheit. The model is fine and the job is fine; together they are wrong, and nothing crashes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bot.demo.flights import OBSERVED, STALE, World

if TYPE_CHECKING:
    import numpy as np

    Columns = dict[str, np.ndarray]

CATEGORIES = ("carrier", "origin", "dest")
FEATURES = (*OBSERVED, "distance", "hour", "weekday", *CATEGORIES, "plane_age", "seats")
"""In the order of the model's columns."""


def observed(world: World, requests: Columns) -> Columns:
    """The newest observation of the origin's station at the time of each request; NaN if older than `STALE`."""
    import numpy as np

    found = {name: np.full(len(requests["at"]), np.nan) for name in OBSERVED}
    for origin, station in world.weather.items():
        rows = np.flatnonzero(requests["origin"] == origin)
        newest = station["at"].searchsorted(requests["at"][rows], side="right") - 1
        fresh = (newest >= 0) & (requests["at"][rows] - station["at"][newest] <= STALE)
        for name in OBSERVED:
            found[name][rows[fresh]] = station[name][newest[fresh]]
    return found


def weather_features(world: World, requests: Columns) -> Columns:
    """weather_features 1.4: the observation as the station reports it, temperatures in Fahrenheit."""
    return observed(world, requests)


def weather_features_si(world: World, requests: Columns) -> Columns:
    """weather_features 2.0: the same from the new SI feed, whose `temp` is in Celsius."""
    weather = observed(world, requests)
    return weather | {"temp": ((weather["temp"] - 32) / 1.8).round(2)}


JOBS: dict[str, tuple[str, Callable[[World, Columns], Columns]]] = {
    "1": ("weather_features 1.4", weather_features),
    "2": ("weather_features 2.0", weather_features_si),
}
"""Model version -> the name and the code of the feature job it is deployed with."""


def assemble(world: World, requests: Columns, version: str) -> Columns:
    """All features of some requests, as the job of `version` delivers them; numbers as floats, NaN where unknown."""
    import numpy as np

    local = requests["departs"] + requests["offset"]
    planes = [world.planes.get(tail, (np.nan, np.nan)) for tail in requests["tailnum"]]
    year, seats = np.array(planes, dtype="float64").reshape(-1, 2).T
    _, weather = JOBS[version]
    made = weather(world, requests) | {
        "distance": requests["distance"].astype("float64"),
        "hour": (local // 3600 % 24).astype("float64"),
        "weekday": ((local // 86400 + 3) % 7).astype("float64"),
        "plane_age": 2013 - year,
        "seats": seats,
    }
    made |= {name: requests[name] for name in CATEGORIES}
    return {name: made[name] for name in FEATURES}


def rows(features: Columns) -> list[dict[str, float | str | None]]:
    """The same as one JSON-ready dict a request: NaN becomes None, whole numbers stay short."""
    lists = []
    for column in features.values():
        values = column.tolist()
        lists.append([None if value != value else value for value in values])
    names = tuple(features)
    return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]
