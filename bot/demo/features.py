"""The feature jobs of flight-delay: what the model is fed, from a request, the weather and the planes.

The job of the active version runs in the model server, and the same code fills the training table. Version 2 ships a
job that was "cleaned up": its weather comes in SI units, so `temp` arrives in Celsius where the model learnt
Fahrenheit. The model is fine and the job is fine; together they are wrong, and nothing crashes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot.demo.flights import OBSERVED, STALE, World

if TYPE_CHECKING:
    import numpy as np

    Columns = dict[str, np.ndarray]

CATEGORIES = ("carrier", "origin", "dest")
FEATURES = (*OBSERVED, "distance", "hour", "weekday", *CATEGORIES, "plane_age", "seats")
"""In the order of the model's columns."""
_TEXTS = (*CATEGORIES, "tailnum")


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


def asked(requests: Columns) -> list[dict[str, Any]]:
    """Requests as they are sent to the model server; `departs` is on the airport's clock, with its offset."""
    sent = []
    names = ("id", "at", "departs", "offset", "carrier", "flight", "tailnum", "origin", "dest", "distance")
    for values in zip(*(requests[name].tolist() for name in names), strict=True):
        one = dict(zip(names, values, strict=True))
        local = datetime.fromtimestamp(one["departs"], UTC) + timedelta(seconds=one["offset"])
        hours, minutes = divmod(abs(one.pop("offset")) // 60, 60)
        one["departs"] = f"{local:%Y-%m-%dT%H:%M:%S}-{hours:02d}:{minutes:02d}"
        one["at"] = f"{datetime.fromtimestamp(one['at'], UTC):%Y-%m-%dT%H:%M:%SZ}"
        sent.append(one)
    return sent


def received(sent: list[Any]) -> Columns:
    """The columns of requests as they were sent. Raises ValueError naming the request and the field that is wrong."""
    import numpy as np

    read: dict[str, list[Any]] = {name: [] for name in ("id", "at", "departs", "offset", "distance", *_TEXTS)}
    for index, one in enumerate(sent):
        try:
            at, departs = datetime.fromisoformat(one["at"]), datetime.fromisoformat(one["departs"])
            if at.tzinfo is None or departs.tzinfo is None:
                raise ValueError("a time without its offset from UTC")
            values = [str(one["id"]), at.timestamp(), departs.timestamp(), departs.utcoffset().total_seconds()]
            values += [float(one["distance"]), *(str(one[name]) for name in _TEXTS)]
        except KeyError as error:
            raise ValueError(f"requests[{index}] has no {error}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"requests[{index}] is not a request for a prediction: {error}") from error
        for column, value in zip(read.values(), values, strict=True):
            column.append(value)
    texts = {"id", *_TEXTS}
    return {name: np.array(column, dtype=object if name in texts else "float64") for name, column in read.items()}


def rows(features: Columns) -> list[dict[str, float | str | None]]:
    """The same as one JSON-ready dict a request: NaN becomes None, whole numbers stay short."""
    lists = []
    for column in features.values():
        values = column.tolist()
        lists.append([None if value != value else value for value in values])
    names = tuple(features)
    return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]
