"""Every knob of detection, with the default a model gets that nobody configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

SIGNALS: dict[str, list[str]] = {
    "feature": ["e_detector"],
    "score": ["e_detector", "adwin"],
    "confidence": ["e_detector", "adwin"],
    "latency": ["e_detector", "adwin"],
    "error": ["e_detector_error", "adwin"],
    "quality": ["quality"],
}
"""Family of signals -> detectors (file names of this folder). Others of the folder may be added by policy."""


class Options(Struct, frozen=True, kw_only=True):
    """How one model is watched. Rows are events, times are seconds of event time unless said otherwise."""

    arl_blocks: float = 1e6
    """Mean number of blocks between false alarms, per model and kind of trouble: the one dial."""
    min_effect: float = 0.05
    """An alarm must also show this corrected PSI (or this change of a rate)."""
    warn_effect: float = 0.2
    critical_effect: float = 0.25
    baseline_rows: int = 2_000
    """Rows of the first stable window that become the baseline of a model without a file."""
    baseline_min_rows: int = 200
    """A baseline with fewer rows is refused."""
    error_rows: int = 500
    """Joined labels that make the reference of the error, when the baseline file has no score and label."""
    window_rows: int = 200
    min_window_seconds: float = 60.0
    window_seconds: float = 3_600.0
    lateness_seconds: float = 600.0
    """Events older than the newest by more than this are counted as late and left out."""
    label_delay_days: float = 7.0
    label_memory: int = 20_000
    """Predictions a model keeps in memory to be joined with their labels."""
    label_budget: int = 250_000
    """Predictions all models of a process together keep (some 40 bytes each)."""
    silence_after: float = 8.0
    """Silent when nothing came for this many times the longest usual gap."""
    calm_rows: int = 500
    deploy_rows: int = 5_000
    """Rows of a new version during which the prior chance of trouble is higher (`deploy_prior` times)."""
    deploy_prior: float = 100.0
    threshold: float = 0.5
    """Scores at or above it predict the positive class."""
    task: str = ""
    """`binary`, `multiclass`, `regression`, `ranking`; guessed when empty."""
    importance: dict[str, float] = {}
    rebaseline: list[str] = []
    """Versions whose change people approved (`*`: every one): their own first stable rows become their baseline, unless
    a file is named for them. Any other version is held against the version before, so that a bad one is caught."""
    segments: list[str] = []
    """Columns whose most frequent values are watched apart."""
    segment_values: int = 8
    business: str = ""
    """Name of the feature that is a business value (money lost, seconds saved): watched as `quality:business`."""
    max_features: int = 1_000
    signals: dict[str, list[str]] = msgspec.field(default_factory=lambda: dict(SIGNALS))

    def watches(self, family: str) -> list[str]:
        """Names of the detectors of this family of signals."""
        return self.signals.get(family, SIGNALS.get(family, []))


def options_of(*layers: Any) -> Options:
    """Defaults overlaid with the known fields of each layer: a mapping, or any object with attributes.

    Fields nobody set (empty text, list, mapping) do not overrule. Raises ValueError for a number out of range.
    """
    chosen: dict[str, Any] = {}
    for layer in layers:
        for name in Options.__struct_fields__:
            value = layer.get(name) if isinstance(layer, Mapping) else getattr(layer, name, None)
            if value is None or value == "" or value == {} or value == []:
                continue
            chosen[name] = {**chosen.get(name, SIGNALS), **value} if name == "signals" else value
    options = msgspec.convert(chosen, Options, strict=False)
    for name in ("arl_blocks", "baseline_rows", "window_rows", "calm_rows", "label_memory", "error_rows"):
        if getattr(options, name) <= 0:
            raise ValueError(f"detection: {name} = {getattr(options, name)} must be greater than 0")
    if options.arl_blocks < 100:
        raise ValueError(f"detection: arl_blocks = {options.arl_blocks:g} would alarm all day: use 1e4 or more")
    return options
