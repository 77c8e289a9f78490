"""Conversions that feature jobs get wrong, and the fit of one to quantiles seen before and after.

Each conversion is `new = scale * old + shift`. The list is the one of every handbook (NIST SP 811, appendix B) plus
cents, percentages and the pure powers of ten; the fit is the mean absolute distance between the five quantiles seen
now and the converted healthy ones, in units of the converted spread (p95 - p05).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct


class Conversion(NamedTuple):
    """`new = scale * old + shift`; `old` and `new` are the units' names as people write them."""

    quantity: str
    old: str
    new: str
    scale: float
    shift: float = 0.0

    @property
    def id(self) -> str:
        return f"{self.old} to {self.new}"

    def __call__(self, value: float) -> float:
        return self.scale * value + self.shift


def _both(quantity: str, old: str, new: str, scale: float, shift: float = 0.0) -> tuple[Conversion, Conversion]:
    return Conversion(quantity, old, new, scale, shift), Conversion(quantity, new, old, 1 / scale, -shift / scale)


CONVERSIONS: tuple[Conversion, ...] = (
    *_both("temperature", "Fahrenheit", "Celsius", 1 / 1.8, -32 / 1.8),
    *_both("temperature", "Fahrenheit", "Kelvin", 1 / 1.8, 459.67 / 1.8),
    *_both("temperature", "Celsius", "Kelvin", 1.0, 273.15),
    *_both("length", "kilometres", "miles", 1 / 1.609344),
    *_both("length", "feet", "metres", 0.3048),
    *_both("length", "inches", "centimetres", 2.54),
    *_both("length", "inches", "metres", 0.0254),
    *_both("mass", "kilograms", "pounds", 2.2046226),
    *_both("pressure", "hectopascals", "inches of mercury", 0.0295300),
    *_both("speed", "metres per second", "knots", 1.943844),
    *_both("speed", "metres per second", "kilometres per hour", 3.6),
    *_both("speed", "metres per second", "miles per hour", 2.236936),
    *_both("speed", "miles per hour", "knots", 0.868976),
    *_both("speed", "kilometres per hour", "knots", 0.539957),
    *_both("time", "seconds", "minutes", 1 / 60),
    *_both("time", "minutes", "hours", 1 / 60),
    *_both("time", "seconds", "hours", 1 / 3600),
    *_both("time", "hours", "days", 1 / 24),
    *_both("money", "dollars", "cents", 100.0),
    *_both("time", "seconds", "milliseconds", 1000.0),
    *_both("size", "mebibytes", "bytes", 1048576.0),
    *(Conversion("", "one", f"times 1e{power}", 10.0**power) for power in (-6, -4, -3, -2, -1, 1, 2, 3, 4, 6)),
    Conversion("share", "a share", "per cent", 100.0),
    Conversion("share", "per cent", "a share", 0.01),
)

_WORDS = {
    "temperature": "temp temperature dewp dewpoint heat",
    "length": "dist distance km mile miles length height altitude depth radius size visib visibility feet metre",
    "mass": "weight mass kg lb load payload",
    "pressure": "pressure baro hpa mbar",
    "speed": "speed velocity wind gust kmh mph pace",
    "time": "time duration latency age seconds minutes hours ms elapsed delay wait dwell ttl gap eta",
    "money": "amount price fare cost usd eur gbp revenue spend bid salary income balance total fee bill",
    "share": "rate ratio pct percent share humid humidity fraction probability utilisation",
    "size": "bytes mem memory file",
}
"""Words in a feature's name that tell which quantity it is; a conversion of it is believed sooner."""

BY_ID = {c.id: c for c in CONVERSIONS}

QUANTILES = ("p05", "p25", "p50", "p75", "p95")

GOOD = 0.2
"""A fit within a fifth of the spread is good ..."""
GOOD_NAMED = 0.45
"""... and one within this is, for a feature named after the quantity: weather of another day differs by that much."""
SEEN, SEEN_NAMED = 0.5, 0.1
"""What was not converted must also lie this far off: a small shift has a hundred explanations."""
MUCH_BETTER = 3.0
"""It must also beat "nothing was converted" by this factor."""


class Fit(Struct, frozen=True):
    """The best conversion and how well it fits: errors in units of the spread of what it predicts."""

    conversion: str
    error: float
    identity_error: float
    healthy: list[float]
    current: list[float]

    named: bool = False
    """The feature's name tells the quantity that the conversion is of."""

    @property
    def accepted(self) -> bool:
        good, seen = (GOOD_NAMED, SEEN_NAMED) if self.named else (GOOD, SEEN)
        return self.error <= good and self.identity_error >= max(seen, MUCH_BETTER * self.error)


def error_of(conversion: str, healthy: Sequence[float], current: Sequence[float], spread: float = 0.0) -> float:
    """Mean distance of the quantiles from the converted healthy ones, over the largest spread known of the two.

    `spread`, in the old unit, is that of a longer time, where the healthy quantiles are of a short one.

    `conversion` is an id of CONVERSIONS or `identity`. Raises KeyError for any other.

    >>> round(error_of("Fahrenheit to Celsius", [32, 41, 50], [0, 5, 10.5]), 3)
    0.016
    """
    scale = 1.0 if conversion == "identity" else BY_ID[conversion].scale
    widest = max(scale * (healthy[-1] - healthy[0]), scale * spread, current[-1] - current[0], 1e-12)
    return mean_gap(conversion, healthy, current) / widest


def mean_gap(conversion: str, healthy: Sequence[float], current: Sequence[float]) -> float:
    """Mean distance of the quantiles from the converted healthy ones, in the unit of now. KeyError as in `error_of`."""
    convert = (lambda v: v) if conversion == "identity" else BY_ID[conversion]
    return sum(abs(convert(h) - c) for h, c in zip(healthy, current, strict=True)) / len(current)


def quantity_of(feature: str) -> str:
    """What a feature measures, told by its name; empty when the name does not tell.

    >>> quantity_of("feature:wind_speed"), quantity_of("x7")
    ('speed', '')
    """
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", feature).lower())
    return next((q for word in reversed(words) for q, known in _WORDS.items() if word in known.split()), "")


def best_fit(healthy: Sequence[float], current: Sequence[float], feature: str = "", spread: float = 0.0) -> Fit | None:
    """The conversion that explains the quantiles best; None for a feature without spread (nothing can be told).

    A feature named after a quantity is held to conversions of that quantity and to plain factors of ten: no
    temperature arrives in miles.
    `accepted` on the result says whether the fit is good *and* much better than no conversion at all.
    """
    if len(healthy) != len(QUANTILES) or len(current) != len(QUANTILES):
        return None
    if max(healthy[-1] - healthy[0], spread) <= 0 or (spread <= 0 and current[-1] <= current[0]):
        return None
    quantity = quantity_of(feature)
    identity = error_of("identity", healthy, current, spread)
    fits = []
    for c in CONVERSIONS:
        if quantity and c.quantity not in (quantity, ""):
            continue
        named = bool(quantity) and c.quantity == quantity
        fits.append(Fit(c.id, error_of(c.id, healthy, current, spread), identity, list(healthy), list(current), named))
    ranked = sorted(fits, key=lambda f: (not (f.named and f.accepted), round(f.error, 6)))
    return ranked[0]
