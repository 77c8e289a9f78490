"""The one place that imports River."""

from __future__ import annotations

import functools
from types import ModuleType

from core.lean import without


@functools.cache
def river_drift() -> ModuleType:
    """`river.drift`. Its converters of data sets would load scikit-learn and pandas (80 MB), that no detector needs."""
    with without("sklearn"):
        from river import drift
    return drift
