"""The mark that a fault leaves on the values of an input: what share vanished, became one value or levels never seen,
was converted, or came to another mix. A change of the world leaves none of the first four."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

from agents.picture import Picture, Signal

MARKED = 0.02
"""Share of the rows that must bear a mark."""
LEAST = 0.08
"""What a bin must gain where no two quantiles show that it is one value ..."""
NEARBY = 0.15
"""Unconverted values this close (in spreads) are as well explained by a small shift; twice as far, by no such thing."""
MOST = 0.45
"""So much of one value would show in two quantiles."""
SMOOTH = 0.8
"""... and what its share of the others' loss is then worth."""


class Mark(NamedTuple):
    """Shares of the rows gained (`nulls`, `unseen`); degrees in 0..1 (`piled` on one value, `converted`, `mixed`)."""

    nulls: float
    unseen: float
    piled: float
    converted: float
    mixed: float

    @property
    def plain(self) -> bool:
        """Whether the input moved without any mark, as the world moves inputs."""
        return max(self.nulls, self.unseen, self.piled / 10, self.converted / 10) < MARKED


def of(p: Picture) -> dict[str, Mark]:
    """The marks of every input that moved, the largest mover first."""
    return {label: _mark(p, label) for label in p.moved_inputs}


def seen_best(p: Picture, label: str) -> Signal | None:
    """The signal of an input that can be compared: its values where they were summarised, else whatever alerted."""
    own = sorted(p.inputs.get(label, []), key=lambda s: (not p.sides(s)[0], s.family != "feature"))
    return own[0] if own else None


def null_share(p: Picture, signal: Signal | None) -> float | None:
    """Share of nulls now less the share while healthy; None when it cannot be seen."""
    if signal is None:
        return None
    before, now, _ = p.sides(signal)
    if not before or not now or not now.get("rows") or not before.get("rows"):
        return None
    return max(now.get("nulls", 0) / now["rows"] - before.get("nulls", 0) / before["rows"], 0.0)


def one_value(p: Picture, signal: Signal | None) -> float | None:
    """Degree to which a single bin took the mass that all the others lost in proportion: a default has moved in."""
    shares = _shares(p, signal)
    if shares is None or signal is None:
        return None
    before, now, _ = p.sides(signal)
    place, gain, degree = _taken(*shares)
    if gain < 0.05 or place >= len(shares[0]) - 2 or before.get("p50") is None:
        return 0.0
    if shares[1][place] > 0.85 and now.get("p25") != now.get("p75"):
        return 0.0  # everything moved there, and it is not one value
    if any(map(_piled_up, (now, signal.telemetry.get("latest") or now))) and not _piled_up(before):
        return degree
    noise = _noise(shares[0], sum(before["counts"]), sum(now["counts"]))
    if not max(LEAST, noise) < gain < MOST:
        return 0.0
    beside = max((shares[1][i] - shares[0][i] * (1 - gain) for i in (place - 1, place + 1) if i >= 0), default=0.0)
    alone = min(max(1.5 - 4 * beside / gain, 0.0), 1.0)  # a shifted distribution fills the neighbouring bins too
    return SMOOTH * alone * _taken(*shares, noise)[2]


def _mark(p: Picture, label: str) -> Mark:
    signal = seen_best(p, label)
    families = {s.family for s in p.inputs[label] if s.moved}
    shares = _shares(p, signal)
    nulls = null_share(p, signal) or 0.0
    unseen = max(shares[1][-1] - shares[0][-1], 0.0) if shares else 0.0
    return Mark(
        max(nulls, MARKED if "nulls" in families else 0.0),
        max(unseen, MARKED if "unseen" in families else 0.0),
        (one_value(p, signal) or 0.0) * _at_once(p, signal),
        _converted(p, label) * _at_once(p, signal),
        _mixed(shares) if shares and not numeric(p, label) else 0.0,
    )


def numeric(p: Picture, label: str) -> bool:
    """Whether an input holds numbers, as far as its healthy values tell."""
    signal = seen_best(p, label)
    return signal is not None and p.sides(signal)[0].get("p50") is not None


def _converted(p: Picture, label: str) -> float:
    if label not in p.fits or not p.fits[label][0].accepted:
        return 0.0
    return min(max((p.fits[label][0].identity_error - NEARBY) / NEARBY, 0.0), 1.0)


def _at_once(p: Picture, signal: Signal | None) -> float:
    """1 for a step: a season may pass through any factor and into any bin, slowly."""
    gradual = p.gradual(signal) if signal is not None else math.nan
    return 1.0 if math.isnan(gradual) else 1.0 - gradual


def _mixed(shares: tuple[list[float], list[float]]) -> float:
    """Degree to which one known level grew at the cost of all others alike: another mix of the same traffic."""
    place, gain, degree = _taken(*shares)
    return degree if gain >= 0.05 and place < len(shares[0]) - 2 else 0.0


def _shares(p: Picture, signal: Signal | None) -> tuple[list[float], list[float]] | None:
    """Shares of the bins before and now; the last two are nulls and what was never seen. None: not comparable."""
    if signal is None:
        return None
    before, now, _ = p.sides(signal)
    a, b = before.get("counts"), now.get("counts")
    if not a or not b or len(a) != len(b) or sum(a) <= 0 or sum(b) <= 0 or len(a) < 4:
        return None
    return [x / sum(a) for x in a], [x / sum(b) for x in b]


def _noise(shares: list[float], before: float, now: float) -> float:
    """Sum of the distances between two samples of these sizes from the same shares, on average."""
    return sum(math.sqrt(2 / math.pi * s * (1 - s) * (1 / before + 1 / now)) for s in shares)


def _taken(old: list[float], new: list[float], noise: float = 0.0) -> tuple[int, float, float]:
    """(the bin that gained most, its gain, the degree to which the others lost in proportion, but for noise)."""
    place = max(range(len(old)), key=lambda i: new[i] - old[i])
    gain = new[place] - old[place]
    keep = (1 - new[place]) / max(1 - old[place], 1e-9)
    left = max(sum(abs(new[i] - keep * old[i]) for i in range(len(old)) if i != place) - noise, 0.0)
    return place, gain, min(max(0.0, 1.4 - left / max(gain, 1e-9)), 1.0)


def _piled_up(side: dict[str, Any]) -> bool:
    """Whether many rows hold the very same value: two neighbouring quantiles are equal. Categories: always."""
    known = [side[k] for k in ("minimum", "p05", "p25", "p50", "p75", "p95", "maximum") if side.get(k) is not None]
    return len(known) < 2 or any(abs(a - b) <= 1e-9 * max(abs(a), 1.0) for a, b in itertools.pairwise(known))
