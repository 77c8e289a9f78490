"""Members that need no training: persistence, and Holt-Winters (Winters 1960) with a daily season."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from detectors.forecast.panel import HORIZON, LEAST, QUANTILES, Cases, Series, cases, origins

SEASON = 24
ALPHAS = (0.03, 0.1, 0.3, 0.8)
GAMMAS = (0.02, 0.08, 0.25)
RESIDUALS = 200
"""Origins of the past whose errors make the quantiles."""


class Persistence:
    """The last value goes on; quantiles from how far it was off in the past of the series."""

    name = "persistence"

    def predict(self, panel: Sequence[Series], asked: Cases, until: Sequence[int]) -> np.ndarray:
        """(N, HORIZON, quantiles). Nothing of series s after index `until[s]` is learnt from."""
        before = [_residual_origins(one, end) for one, end in zip(panel, until, strict=True)]
        seen = cases(panel, before)
        spread = _spread(seen.future - seen.past[:, -1:], seen.series, len(panel))
        return asked.past[:, -1][:, None, None] + spread[asked.series]


class HoltWinters:
    """Additive level and daily season; the two constants of each series are those that did best on its past."""

    name = "holt_winters"

    def predict(self, panel: Sequence[Series], asked: Cases, until: Sequence[int]) -> np.ndarray:
        """(N, HORIZON, quantiles). Nothing of series s after index `until[s]` is learnt from, but the level and the
        season run on to the last known hour of each case."""
        before = [_residual_origins(one, end) for one, end in zip(panel, until, strict=True)]
        wanted = [np.unique(np.concatenate([b, asked.origin[asked.series == s]])) for s, b in enumerate(before)]
        means = _smooth(panel, wanted)
        seen = cases(panel, before)
        at = [means[s][np.searchsorted(wanted[s], b)] for s, b in enumerate(before)]
        errors = [seen.future[seen.series == s][:, None] - m for s, m in enumerate(at)]
        best = [int(np.abs(e).mean(axis=(0, 2)).argmin()) if len(e) else 0 for e in errors]
        spread = _spread(np.concatenate([e[:, g] for e, g in zip(errors, best, strict=True)]), seen.series, len(panel))
        centre = np.empty((len(asked), HORIZON))
        for s in range(len(panel)):
            mine = asked.series == s
            centre[mine] = means[s][np.searchsorted(wanted[s], asked.origin[mine]), best[s]]
        return centre[:, :, None] + spread[asked.series]


def _residual_origins(one: Series, end: int) -> np.ndarray:
    found = origins(len(one), LEAST, end, 1)
    return found[:: max(len(found) // RESIDUALS, 1)]


def _spread(errors: np.ndarray, series: np.ndarray, count: int) -> np.ndarray:
    """(series, HORIZON, quantiles) of errors (N, HORIZON); a series with few errors of its own borrows everyone's."""
    everyone = np.quantile(errors, QUANTILES, axis=0).T if len(errors) else np.zeros((HORIZON, len(QUANTILES)))
    spread = np.repeat(everyone[None], count, axis=0)
    for s in range(count):
        mine = errors[series == s]
        if len(mine) >= 20:
            spread[s] = np.quantile(mine, QUANTILES, axis=0).T
    return spread


def _smooth(panel: Sequence[Series], wanted: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Per series (origins, constants, HORIZON) means, all series and all constants in one pass over time."""
    grid = np.array(list(product(ALPHAS, GAMMAS)))
    alpha, gamma = grid[:, 0], grid[:, 1]
    longest = max((len(one) for one in panel), default=0)
    values = np.zeros((longest, len(panel)))
    for s, one in enumerate(panel):
        values[: len(one), s] = one.values
    day = values[:SEASON]
    level = np.repeat(day.mean(axis=0)[:, None], len(grid), axis=1)
    season = np.repeat((day - day.mean(axis=0)).T[:, None], len(grid), axis=1)  # series, constants, hour
    out = [np.empty((len(w), len(grid), HORIZON)) for w in wanted]
    due: dict[int, list[tuple[int, int]]] = {}
    for s, w in enumerate(wanted):
        for row, origin in enumerate(w.tolist()):
            due.setdefault(origin, []).append((s, row))
    for t in range(SEASON, longest):
        hour = t % SEASON
        now = values[t][:, None]
        before = level
        level = alpha * (now - season[:, :, hour]) + (1 - alpha) * before
        season[:, :, hour] = gamma * (now - level) + (1 - gamma) * season[:, :, hour]
        for s, row in due.get(t, ()):
            turned = np.roll(season[s], -(hour + 1), axis=1)
            out[s][row] = level[s][:, None] + turned
    return out
