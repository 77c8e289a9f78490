"""Members are trained, judged on hours they never saw, and kept only where they beat what is in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.events import iso
from detectors.forecast import backtest, scores
from detectors.forecast.panel import HORIZON, LEAST, Series
from detectors.forecast.pooled import SHIPPED, Pooled
from detectors.forecast.simple import HoltWinters, Persistence
from detectors.forecast.train import sample, train_pooled

DEEP = ("nhits", "tft")
DEEP_CASES = 6_000
"""Cases that N-HiTS and TFT see: with more they take tens of minutes of one core."""


def train(
    panel: Sequence[Series], out: Path, *, deep: bool = False, say: Callable[[str], None] = lambda _: None,
    share: float = 0.6, judge: float = 0.8, epochs: int = 14, deep_epochs: int = 6, keep_anyway: bool = False,
) -> list[dict[str, Any]]:  # fmt: skip
    """Train on the first `share` of each series, calibrate until `judge`, judge on the rest; write `pooled.npz` (and
    `nhits.pt`, `tft.pt`) to the folder `out`. One row of scores a member, with `kept` where it was written.

    Raises ValueError when no series is long enough, naming how long they must be.
    """
    least = int((LEAST + 2 * HORIZON) / min(share, 1 - judge)) + 1
    long = [one for one in panel if len(one) >= least]
    if not long:
        longest = max((len(one) for one in panel), default=0)
        raise ValueError(
            f"no series has {least} hours (the longest has {longest}): until then the shipped network speaks"
        )
    trained, judged = ([int(part * len(one)) for one in long] for part in (share, judge))
    known = sample(long, trained)
    say(f"{len(long)} series, {len(known)} cases to learn from")

    def told(what: str, part: float, words: str) -> None:
        say(f"{what:<6} {part:4.0%}  {words}")

    about = _about(long)
    current = out / "pooled.npz"
    start = Pooled.load(current if current.exists() else SHIPPED) if not keep_anyway else None
    new = train_pooled(known, epochs=epochs, start=start, about=about, say=told)
    members: list[backtest.Member] = [Persistence(), HoltWinters(), new]
    olds = {"mlp": start}
    if deep:
        from detectors.forecast import deep as networks

        few = known.take(np.linspace(0, len(known) - 1, min(DEEP_CASES, len(known))).astype(int))
        for name in DEEP:
            path = out / f"{name}.pt"
            olds[name] = networks.Deep.load(path) if path.exists() and not keep_anyway else None
            members.append(networks.train(name, few, epochs=deep_epochs, start=olds[name], about=about, say=told))
    say("judging on hours that none of them saw")
    past = backtest.tell(long, members, trained, judged)
    table = {row.member: row for row in backtest.rows(past)}
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, row in table.items():
        plain = row.plain()
        member = next((m for m in members if m.name == name and hasattr(m, "save")), None)
        if member is not None:
            old = olds.get(name)
            before = _loss(old, long, past, trained) if old is not None else float("inf")
            member.about |= {"pinball": row.pinball, "coverage": row.coverage,
                             "records": table.get("ensemble", row).plain()["records"]}  # fmt: skip
            plain |= {"before": before if old is not None else None, "kept": row.pinball < before}
            if plain["kept"]:
                member.save(current if name == "mlp" else out / f"{name}.pt")
        rows.append(plain)
    return rows


def _loss(old: backtest.Member, panel: Sequence[Series], past: backtest.Past, trained: Sequence[int]) -> float:
    from detectors.forecast.conformal import calibrated

    whole, asked = past.whole, past.cases
    late = np.isin(whole.series * 1_000_000 + whole.origin, asked.series * 1_000_000 + asked.origin)
    raw = old.predict(panel, whole, trained)
    fit = calibrated(raw[late], asked.series, asked.hour, raw, whole.series, whole.hour, whole.future, learnt=~late)
    return scores.macro(scores.pinball(fit, asked.future), past.segments, asked.series)


def _about(panel: Sequence[Series]) -> dict[str, Any]:
    """The data's range: what a network was trained on must be known before it is believed."""
    values = np.concatenate([one.values for one in panel])
    return {
        "series": len(panel), "hours": len(values), "segments": sorted({one.segment for one in panel})[:20],
        "from": iso(3600.0 * max(min(one.hour0 for one in panel), 0)),
        "to": iso(3600.0 * max(max(one.hour0 + len(one) for one in panel), 0)),
        "values": [round(float(q), 3) for q in np.quantile(values, (0.01, 0.5, 0.99))],
    }  # fmt: skip
