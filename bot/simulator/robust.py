"""Robust standing of a value against a history, as a plain monitoring rule would compute it."""

import numpy as np

from bot.simulator.tenants import HOUR


def location_scale(history: np.ndarray) -> tuple[float, float]:
    """(median, scale): the larger of 1.4826 MAD, (q95 - q05) / 3.29 and one per cent of the median's modulus."""
    if len(history) == 0:
        return 0.0, np.inf
    q05, middle, q95 = np.quantile(history, (0.05, 0.5, 0.95))
    mad = 1.4826 * np.median(np.abs(history - middle))
    return float(middle), float(max(mad, (q95 - q05) / 3.29, 0.01 * abs(middle), 1e-9))


def seasonal_z(at: np.ndarray, value: np.ndarray, split: float) -> np.ndarray:
    """z of every value against those before `split` (epoch seconds), each hour of the day against its own median."""
    past = at < split
    if past.sum() < 8:
        return np.zeros(len(at))
    history = value[past]
    middle = np.full(len(at), np.median(history))
    hour = ((at // HOUR) % 24).astype(int)
    if past.sum() >= 24 * 7:
        for each in np.unique(hour):
            here = hour == each
            if (here & past).any():
                middle[here] = np.median(value[here & past])
    _, whole = location_scale(history)
    _, residual = location_scale(history - middle[past])
    scale = np.maximum(min(whole, max(residual, 0.01 * abs(float(np.median(history))))), 1e-9)
    return (value - middle) / scale


def first_alarm(
    z: np.ndarray, at: np.ndarray, value: np.ndarray, begin: float, sign: int, psi: bool
) -> tuple[int, str] | None:
    """(index, rule) of the first alarm at or after `begin`: z > 4 twice running, CUSUM (k 0.5, h 5), or PSI > 0.25."""
    start = int(np.searchsorted(at, begin))
    up = down = 0.0
    for index in range(start, len(z)):
        if psi and value[index] > 0.25:
            return index, "psi"
        now = z[index] * (sign or 1)
        size = abs(z[index]) if sign == 0 else now
        before = (abs(z[index - 1]) if sign == 0 else z[index - 1] * sign) if index > start else 0.0
        if size > 4 and before > 4:
            return index, "robust_z"
        up, down = max(0.0, up + now - 0.5), max(0.0, down - now - 0.5)
        if size > 2.5 and (up > 5 or (sign == 0 and down > 5)):
            return index, "cusum"
    return None
