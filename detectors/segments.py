"""Is one segment hit more than the others? The most frequent values of chosen columns, each watched against itself."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from core.findings import Detection
from detectors.baseline import Reference
from detectors.compiled import Compiled
from detectors.learn import texts_of
from detectors.options import Options
from detectors.rows import Rows, joined
from detectors.watch import BLOCK, Watch


class Segments:
    """One Watch per segment. What the whole model already shows is not told again of its parts."""

    def __init__(self, references: dict[str, Reference], options: Options):
        shared = options.arl_blocks * max(len(references), 1)
        self.options = msgspec.structs.replace(options, arl_blocks=shared, segments=[])
        self.watches = {name: Watch(Compiled(r, self.options), self.options) for name, r in references.items()}
        self.parts: dict[str, list[Rows]] = {name: [] for name in references}
        self.columns = sorted({name.partition("=")[0] for name in references})

    def add(self, rows: Rows, whole: Watch) -> tuple[list[Detection], list[tuple[str, Any]]]:
        """(detections with their segment, closed windows with theirs) of rows of one version."""
        found: list[Detection] = []
        closed: list[tuple[str, Any]] = []
        for column in self.columns:
            values = rows.columns.get(f"feature:{column}")
            if values is None:
                continue
            texts = np.array([t if t is not None else "" for t in texts_of(values)], object)
            for level in dict.fromkeys(texts.tolist()):
                name = f"{column}={level}"
                if name in self.watches:
                    more, windows = self._feed(name, rows.take(np.flatnonzero(texts == level)))
                    found += more
                    closed += [(name, content) for content in windows]
        open_now = {kind for trouble in whole.troubles.values() for kind in trouble.kinds}
        return [d for d in found if d.kind not in open_now], closed

    def _feed(self, name: str, rows: Rows) -> tuple[list[Detection], list[Any]]:
        parts = self.parts[name]
        parts.append(rows)
        count = sum(map(len, parts))
        if count < BLOCK:
            return [], []
        held = joined(parts)
        full = count - count % BLOCK
        self.parts[name] = [held.take(slice(full, None))] if full < count else []
        detections, _, closed = self.watches[name].add(held.take(slice(0, full)) if full < count else held)
        return [msgspec.structs.replace(d, segment=name) for d in detections], closed
