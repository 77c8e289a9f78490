"""An outlook as a picture: the past three days, the next 24 hours with their intervals, the chance of a breach."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import fill

import numpy as np

from detectors.forecast.outlook import Outlook, quantile
from detectors.forecast.panel import HORIZON

BLUE, ORANGE, RED, INK = "#0072B2", "#E69F00", "#D55E00", "#1d1c1d"


def png(one: Outlook, title: str) -> bytes:
    """PNG bytes. Values are in units of the SLO: above 1 it is missed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.0), dpi=130, layout="constrained", facecolor="white")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    start = datetime.fromtimestamp(one.at, UTC)
    before = [start + timedelta(hours=int(h)) for h in range(-len(one.past), 0)]
    after = [start + timedelta(hours=h) for h in range(HORIZON)]
    rolling = np.convolve(one.past, np.ones(24) / 24, "valid")
    above.plot(before, one.past, color=INK, lw=0.9, label="each hour")
    above.plot(before[23:], rolling, color=BLUE, lw=2, ls="--", label="mean of 24 h")
    above.fill_between(after, quantile(one, 0.05), quantile(one, 0.95), color=ORANGE, alpha=0.22, lw=0, label="90 %")
    above.fill_between(after, quantile(one, 0.25), quantile(one, 0.75), color=ORANGE, alpha=0.4, lw=0, label="50 %")
    above.plot(after, quantile(one, 0.5), color=ORANGE, lw=2, label="median")
    above.axhline(1, color=RED, lw=1, ls=":")
    above.set_ylabel("of the SLO (above 1: missed)")
    above.set_title(fill(title, 105), fontsize=9, loc="left")
    above.legend(fontsize=8, ncols=5, frameon=False, loc="upper left")
    below.step(after, one.by_hour, where="post", color=RED, lw=2)
    below.set_ylim(0, 1.02)
    below.set_ylabel("chance of\na breach")
    for axis in (above, below):
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    below.set_xlabel("UTC")
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def write(one: Outlook, title: str, path: Path) -> None:
    """To a `.png`, or a page that needs nothing else (`.html`)."""
    picture = png(one, title)
    if path.suffix == ".html":
        from base64 import b64encode
        from html import escape

        source = f"data:image/png;base64,{b64encode(picture).decode()}"
        shown = f'<img alt="{escape(title)}" style="max-width:100%" src="{source}">'
        path.write_text(
            f"<!doctype html><html lang=en><meta charset=utf-8><title>Forecast</title><p>{escape(title)}</p>{shown}\n"
        )
    else:
        path.write_bytes(picture)
