"""Pictures for cards and answers: reference against current, and a signal over time with what happened to it.

Matplotlib draws without a display (Agg), in a process of its own (bot/painter.py). Colours are Okabe and Ito's, told
apart with any colour vision and repeated by line style and word; the paper is light with its own margin, so that it
reads the same on a dark page. Methods return (PNG bytes, alternative text) and block: call them through `drawn`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from bot.blocks import clean, number, utc
from bot.painter import PAINTER
from bot.wording import signal_plain
from core.events import ChangeRecorded, WindowClosed
from core.findings import Detection, Histogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, INK, SOFT, PAPER = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#1d1c1d", "#616061", "#ffffff",
)  # fmt: skip
WIDTH, DPI = 5.4, 210
"""Inches and dots per inch: 1,134 pixels wide, letters large enough for a phone, about 70 kB."""


async def drawn(draw: Callable[..., tuple[bytes, str]], *arguments: Any) -> tuple[bytes, str]:
    """Run a drawing function where it holds nobody up."""
    return await PAINTER.draw(draw, *arguments)


def worth_drawing(detection: Detection, windows: Sequence[WindowClosed]) -> bool:
    """Whether there is a shape or a series to show: an empty picture says less than none."""
    both = detection.reference_histogram and detection.current_histogram
    return bool(both or _points(detection.signal, windows))


class Pictures:
    """Implements `core.ports.Charts`."""

    def detection(
        self, detection: Detection, windows: Sequence[WindowClosed], changes: Sequence[ChangeRecorded] = (),
        level: float = 0.2,
    ) -> tuple[bytes, str]:  # fmt: skip
        """What moved (left or above) and when it moved (below). `level` is the PSI at which a shift is a warning."""
        both = bool(detection.reference_histogram and detection.current_histogram)
        points = _points(detection.signal, windows)
        figure, axes = _figure(rows=int(both) + int(bool(points)) or 1)
        spare = list(axes)
        if both:
            _bars(spare.pop(0), detection)
        if points:
            _line(spare.pop(0), detection.signal, points, windows, changes, detection.onset, level)
        for axis in spare:
            axis.text(0.5, 0.5, "No windows to draw yet", ha="center", va="center", color=SOFT)
            axis.set_axis_off()
        return png(figure), _detection_alt(detection, points, changes)

    def series(
        self, signal: str, windows: Sequence[WindowClosed], changes: Sequence[ChangeRecorded] = (),
        onset: float | None = None, level: float = 0.2,
    ) -> tuple[bytes, str]:  # fmt: skip
        """One signal over time, for `show`."""
        points = _points(signal, windows)
        figure, (axis,) = _figure(rows=1)
        _line(axis, signal, points, windows, changes, onset, level)
        values = [v for _, v in points]
        alt = (
            f"{_measure(signal, windows)} of {signal_plain(signal)} over {len(points)} windows, "
            f"{utc(points[0][0])} to {utc(points[-1][0])}: from {number(min(values))} to {number(max(values))}, "
            f"last {number(values[-1])}."
        )
        return png(figure), alt


def _figure(rows: int) -> tuple[Figure, Sequence[Axes]]:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["font.family"] = "DejaVu Sans"
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(WIDTH, 2.2 * rows + 0.3), dpi=DPI, facecolor=PAPER, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.12, hspace=0.08)
    axes = figure.subplots(rows, 1, squeeze=False)[:, 0]
    for axis in axes:
        axis.set_facecolor(PAPER)
        axis.tick_params(labelsize=10, colors=SOFT, length=3)
        for side, spine in axis.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color("#c9c7c9")
        axis.grid(axis="y", color="#ececec", linewidth=0.8)
        axis.set_axisbelow(True)
    return figure, axes


def _title(axis: Axes, text: str, pad: int = 8) -> None:
    axis.set_title(plain(text, 70), loc="left", fontsize=12.5, color=INK, fontweight="bold", pad=pad)


def plain(text: str, most: int) -> str:
    """Outside text for a picture: `$` would be read as mathematics, and what the font lacks is shown as `?`."""
    line = clean(text, most).replace("$", "S").lstrip("_")
    return "".join(c if ord(c) in _letters() else "?" for c in line) or "-"


@cache
def _letters() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def _shares(histogram: Histogram) -> list[float]:
    total = histogram.total or 1.0
    return [c / total for c in histogram.counts]


def _bars(axis: Axes, d: Detection) -> None:
    reference, current = d.reference_histogram, d.current_histogram
    assert reference is not None
    assert current is not None
    before, after = _shares(reference), _shares(current)
    kept, at, ticks = _categories(reference, before, after) if reference.levels else _edges(reference, before, after)
    left, right = [x - 0.21 for x in at], [x + 0.21 for x in at]
    axis.bar(left, [100 * before[i] for i in kept], 0.4, color=BLUE, label="reference")
    axis.bar(right, [100 * after[i] for i in kept], 0.4, color=ORANGE, label="now", hatch="//", edgecolor=PAPER)
    crowded = sum(len(text) for _, text in ticks) > 60
    axis.set_xticks([x for x, _ in ticks], [text for _, text in ticks], rotation=35 if crowded else 0)
    if crowded:
        for tick in axis.get_xticklabels():
            tick.set_horizontalalignment("right")
    axis.yaxis.set_major_formatter(lambda v, _: f"{v:.0f}%")
    size = f" (PSI {number(d.effect)})" if d.effect is not None else ""
    _title(axis, f"{signal_plain(d.signal)}: share of rows{size}")
    axis.legend(frameon=False, fontsize=10.5, labelcolor=INK, loc="best")


Bars = tuple[list[int], list[float], list[tuple[float, str]]]
"""Bins to draw, where each stands, and the ticks (position, words)."""


def _categories(reference: Histogram, before: list[float], after: list[float]) -> Bars:
    """The twelve largest levels in their order, each named under its bars."""
    labels = reference.labels()
    shown = [i for i in range(min(len(labels), len(after))) if before[i] or after[i]]
    kept = sorted(sorted(shown, key=lambda i: -max(before[i], after[i]))[:12])
    at = [float(x) for x in range(len(kept))]
    return kept, at, [(x, plain(labels[i], 14)) for x, i in zip(at, kept, strict=True)]


def _edges(reference: Histogram, before: list[float], after: list[float]) -> Bars:
    """Every numeric bin, its edges as ticks (at most seven); null and unseen apart, only where they matter."""
    numeric = len(reference.cuts) + 1
    rest = [i for i in range(numeric, min(len(before), len(after))) if max(before[i], after[i]) > 0.005]
    step = -(-len(reference.cuts) // 7) or 1
    ticks = [(n + 0.5, f"{cut:.4g}") for n, cut in enumerate(reference.cuts) if n % step == 0]
    labels = reference.labels()
    apart = [numeric + 0.6 + 1.8 * n for n in range(len(rest))]
    at = [*(float(n) for n in range(numeric)), *apart]
    return [*range(numeric), *rest], at, ticks + [(x, labels[i]) for x, i in zip(apart, rest, strict=True)]


def _points(signal: str, windows: Sequence[WindowClosed]) -> list[tuple[float, float]]:
    """(end of window, PSI or value or mean), in time order."""
    out = []
    for w in sorted(windows, key=lambda w: w.end):
        shown = w.signals.get(signal)
        if shown is None or w.segment:
            continue
        value = shown.psi if shown.psi is not None else shown.value
        value = shown.summary.mean if value is None else value
        if value is not None and value == value:
            out.append((w.end, value))
    return out


def _measure(signal: str, windows: Sequence[WindowClosed]) -> str:
    for w in windows:
        shown = w.signals.get(signal)
        if shown is not None:
            return "PSI" if shown.psi is not None else "Value" if shown.value is not None else "Mean"
    return "Value"


def _line(
    axis: Axes, signal: str, points: list[tuple[float, float]], windows: Sequence[WindowClosed],
    changes: Sequence[ChangeRecorded], onset: float | None, level: float,
) -> None:  # fmt: skip
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    measure = _measure(signal, windows)
    times = [datetime.fromtimestamp(t, UTC) for t, _ in points]
    values = [v for _, v in points]
    axis.plot(times, values, color=BLUE, linewidth=2, marker="o", markersize=3.5, label=f"{measure} per window")
    if measure == "PSI":
        axis.axhline(level, color=RED, linestyle="--", linewidth=1.4, label=f"warning from {number(level)}")
        axis.set_ylim(bottom=0, top=max([*values, level]) * 1.25)
    span = (points[0][0], points[-1][0])
    if onset is not None and span[0] <= onset <= span[1]:
        axis.axvline(datetime.fromtimestamp(onset, UTC), color=INK, linewidth=1.6, label="onset")
    for n, change in enumerate([c for c in changes if span[0] <= float(c.at) <= span[1]][-4:]):
        what = plain(f"{change.kind} {change.target} {change.to or ''}", 34)
        style = (0, (4, 2)) if n % 2 else (0, (1, 1.5))
        axis.axvline(datetime.fromtimestamp(float(change.at), UTC), color=GREEN, linestyle=style, label=what)
    if len(times) == 1:
        axis.set_xlim(times[0] - timedelta(hours=1), times[0] + timedelta(hours=1))
    locator = AutoDateLocator(maxticks=5)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    columns = 2
    rows = -(-len(axis.get_legend_handles_labels()[1]) // columns)
    _title(axis, f"{signal_plain(signal)}: {measure} over time (UTC)", pad=8 + 16 * rows)
    axis.legend(
        frameon=False, fontsize=9.5, labelcolor=INK, ncols=columns, loc="lower left", bbox_to_anchor=(-0.012, 0.99),
        columnspacing=1.2, handlelength=1.6,
    )  # fmt: skip


def png(figure: Figure) -> bytes:
    """The figure as PNG, on the paper of the cards."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=PAPER)
    return buffer.getvalue()


def _detection_alt(d: Detection, points: list[tuple[float, float]], changes: Sequence[ChangeRecorded]) -> str:
    text = f"{signal_plain(d.signal)} since {utc(d.onset)}"
    text += f", PSI {number(d.effect)}" if d.effect is not None and d.reference_histogram else ""
    if d.reference and d.current and d.reference.mean is not None and d.current.mean is not None:
        text += f": mean {number(d.reference.mean)} in the reference, {number(d.current.mean)} now"
    if points:
        text += f". Over {len(points)} windows the last is {number(points[-1][1])}"
        text += f", the largest {number(max(v for _, v in points))}"
    near = [c for c in changes if abs(float(c.at) - d.onset) <= 6 * 3600]
    if near:
        text += ". Marked: " + "; ".join(clean(f"{c.kind} of {c.target} at {utc(float(c.at))}", 90) for c in near[:3])
    return text + "."
