"""A backtest as one HTML page that needs nothing else: a timeline, and per signal its shift and its course."""

from __future__ import annotations

from html import escape

from core.events import iso
from core.findings import Detection, Histogram
from detectors.backtest import Alarm, Report, Series

WIDTH, HEIGHT = 720, 190
MOST = 24
"""Signals that get pictures of their own."""

STYLE = """
:root{--ink:#1d1c1d;--soft:#616061;--line:#dddddd;--paper:#ffffff;--card:#f8f8f8;--blue:#1264a3;--red:#d13b3b;--amber:#b7791f}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--soft:#ababad;--line:#3a3b3e;--paper:#1a1d21;--card:#222529;
--blue:#6cb8f0;--red:#ff7b72;--amber:#e3b341}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:860px;margin:0 auto;padding:32px 16px 64px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:36px 0 8px}p{margin:6px 0}.soft{color:var(--soft)}
.numbers{display:flex;flex-wrap:wrap;gap:12px;margin:20px 0}.number{background:var(--card);border:1px solid var(--line);
border-radius:10px;padding:10px 16px;min-width:130px}.number b{display:block;font-size:22px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}td,th{text-align:left;padding:6px 8px;
border-bottom:1px solid var(--line);vertical-align:top}th{color:var(--soft);font-weight:600}.wide{overflow-x:auto}
.sev{font-weight:700}.SEV1,.SEV2{color:var(--red)}.SEV3{color:var(--amber)}
figure{margin:12px 0 20px}figcaption{color:var(--soft)}
svg{width:100%;height:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}
svg text{fill:var(--soft);font:11px system-ui,sans-serif}
"""


def html(report: Report) -> str:
    """The page."""
    told = {d.signal: (d, a) for d, a in zip(reversed(report.detections), reversed(report.alarms), strict=True)}
    shown = sorted(told.values(), key=lambda pair: pair[1].row)[:MOST]
    parts = [_head(report), _timeline(report), _table(report)]
    parts += [_signal(detection, alarm, report) for detection, alarm in shown]
    body = "".join(parts)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>Backtest of {escape(report.model)}</title><style>{STYLE}</style><main>{body}</main></html>\n"
    )


def _head(report: Report) -> str:
    rate = report.false_alarms_per_week
    numbers = [
        (f"{report.rows:,}", "rows watched"), (f"{len(report.alarms)}", "detections"),
        (f"{report.naive:,}", f"alarms of PSI &gt; 0.2 in {report.naive_windows:,} windows"),
        ("-" if rate is None else f"{rate:.2g}", "expected false alarms a week"),
    ]  # fmt: skip
    cells = "".join(
        f"<div class=number><b>{value}</b><span class=soft>{words}</span></div>" for value, words in numbers
    )
    notes = "".join(f"<p class=soft>{escape(note)}</p>" for note in report.notes[:12])
    return (
        f"<h1>Would it have been caught?</h1><p class=soft>{escape(report.source)}, judged against "
        f"{report.reference_rows:,} rows ({escape(report.reference)}), in {report.seconds:.1f} s</p>"
        f"<div class=numbers>{cells}</div>{notes}"
    )


def _when(report: Report, at: float) -> str:
    return escape(iso(at)) if report.timed else ""


def _table(report: Report) -> str:
    if not report.alarms:
        return "<h2>Detections</h2><p>None: nothing in these rows differs from the reference by more than chance.</p>"
    rows = "".join(
        f"<tr><td>{a.row:,}</td><td>{a.onset_row:,}</td><td>{_when(report, a.at)}</td><td><b>{escape(_name(a))}</b>"
        f"<br><span class=soft>{escape(a.detail)}</span></td><td>{'' if a.effect is None else f'{a.effect:.2f}'}</td>"
        f"<td class='sev {a.severity}'>{a.severity}</td><td>{escape(a.detector)}</td></tr>"
        for a in report.alarms[:200]
    )
    head = "".join(f"<th>{h}</th>" for h in ("row", "began", "time", "signal", "effect", "severity", "detector"))
    return f"<h2>Detections</h2><div class=wide><table><tr>{head}</tr>{rows}</table></div>"


def _name(alarm: Alarm) -> str:
    return f"{alarm.signal} in {alarm.segment}" if alarm.segment else alarm.signal


def _x(row: float, report: Report) -> float:
    return 44 + (WIDTH - 60) * (row - report.first_row) / max(report.rows, 1)


def _timeline(report: Report) -> str:
    """One strip: our detections above, the naive rule's alarms below."""
    ours = "".join(
        _mark(_x(a.row, report), 18, 46, "var(--red)", f"row {a.row}: {a.signal}", 2.5) for a in report.alarms
    )
    naive = sorted({row for s in report.series.values() for row in s.naive})[:4_000]
    usual = "".join(_mark(_x(row, report), 62, 90, "var(--amber)", f"row {row}", 1) for row in naive)
    labels = "<text x=6 y=36>ours</text><text x=6 y=80>PSI&gt;.2</text>"
    labels += f"<text x={WIDTH - 70} y=112>row {report.first_row + report.rows:,}</text>"
    return (
        f"<h2>When</h2><figure><svg viewBox='0 0 {WIDTH} 120' role=img aria-label='detections over time'>"
        f"<line x1=44 x2={WIDTH - 16} y1=98 y2=98 stroke='var(--line)'/>{ours}{usual}{labels}</svg></figure>"
    )


def _mark(x: float, top: float, bottom: float, colour: str, words: str, width: float) -> str:
    return (f"<line x1={x:.1f} x2={x:.1f} y1={top} y2={bottom} stroke='{colour}' stroke-width={width}>"
            f"<title>{escape(words)}</title></line>")  # fmt: skip


def _signal(detection: Detection, alarm: Alarm, report: Report) -> str:
    words = f"detected at row {alarm.row:,}, began at row {alarm.onset_row:,}"
    if alarm.detail:
        words += f": {alarm.detail}"
    bars = ""
    if detection.reference_histogram and detection.current_histogram:
        bars = _bars(detection.reference_histogram, detection.current_histogram)
    series = report.series.get(detection.signal)
    key = detection.signal.partition(":")
    series = series or report.series.get(f"feature:{key[2]}")
    course = _course(series, detection, report) if series and len(series.psi) > 1 else ""
    return f"<h2>{escape(detection.signal)}</h2><p class=soft>{escape(words)}</p>{bars}{course}"


def _bars(reference: Histogram, current: Histogram) -> str:
    """Shares per bin: the reference in blue, the rows of the alarm in red."""
    p, q, labels = reference.counts, current.counts, reference.labels()
    keep = [i for i in range(len(p)) if p[i] or q[i]][:40]
    most = max([p[i] / max(sum(p), 1) for i in keep] + [q[i] / max(sum(q), 1) for i in keep] + [1e-9])
    step = (WIDTH - 60) / max(len(keep), 1)
    out = []
    for n, i in enumerate(keep):
        x = 44 + n * step
        for offset, share, colour in (
            (0.08, p[i] / max(sum(p), 1), "var(--blue)"),
            (0.5, q[i] / max(sum(q), 1), "var(--red)"),
        ):
            tall = (HEIGHT - 60) * share / most
            out.append(
                f"<rect x={x + offset * step:.1f} y={HEIGHT - 40 - tall:.1f} width={step * 0.4:.1f} height={tall:.1f} "
                f"fill='{colour}'><title>{escape(labels[i])}: {100 * share:.1f}%</title></rect>"
            )
        if len(keep) <= 16:
            out.append(f"<text x={x + step / 2:.1f} y={HEIGHT - 22} text-anchor=middle>{escape(labels[i][:12])}</text>")
    return (
        f"<figure><svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='shares per bin'>{''.join(out)}"
        f"<text x=6 y=16>{100 * most:.0f}%</text></svg><figcaption>Share of rows per bin: reference (blue), "
        f"at the alarm (red)</figcaption></figure>"
    )


def _course(series: Series, detection: Detection, report: Report) -> str:
    """The statistic over time with its marks (a PSI's 0.2 and 0.25, a metric's own limit) and where it was told."""
    signal, _, metric = detection.signal.partition(":")
    psi, what = signal not in ("error", "quality"), {"error": "Mean error", "quality": metric}
    levels = ((0.2, "var(--amber)"), (0.25, "var(--red)")) if psi else ()
    if signal == "quality":
        levels = ((detection.threshold, "var(--red)"),)
    most = max(max(series.psi), 0.3 if psi else 1e-6) * 1.05
    y = lambda value: HEIGHT - 30 - (HEIGHT - 50) * min(value, most) / most  # noqa: E731
    line = " ".join(f"{_x(row, report):.1f},{y(value):.1f}" for row, value in zip(series.row, series.psi, strict=True))
    marks = ""
    for level, colour in levels:
        marks += f"<line x1=44 x2={WIDTH - 16} y1={y(level):.1f} y2={y(level):.1f} "
        marks += f"stroke='{colour}' stroke-dasharray='4 4'/>"
    marks += "".join(
        _mark(_x(a.row, report), 14, HEIGHT - 30, "var(--red)", f"row {a.row}: detected", 2)
        for a in report.alarms
        if a.signal == detection.signal
    )
    marks += "".join(
        _mark(_x(row, report), HEIGHT - 28, HEIGHT - 18, "var(--amber)", "PSI > 0.2", 1) for row in series.naive[:2_000]
    )
    shown = escape(what.get(signal, "Corrected PSI"))
    naive = "; small amber marks: windows in which PSI &gt; 0.2 would have alarmed" if psi else ""
    return (
        f"<figure><svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{shown} over time'>{marks}"
        f"<polyline points='{line}' fill=none stroke='var(--blue)' stroke-width=1.5 />"
        f"<text x=6 y=16>{most:.2g}</text><text x=6 y={HEIGHT - 30}>0</text></svg><figcaption>{shown} per window; "
        f"red: detected{naive}</figcaption></figure>"
    )
