"""`backtest`: would it have been caught? The detectors of production over a file of the past."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bot.cli import verb

ORDER = 13

DESCRIPTION = """Run the very detectors of production over a file of the past: CSV, Parquet or NDJSON.

  python -m bot backtest march.parquet                      everything guessed, as far as it can be
  python -m bot backtest march.csv --reference train.csv    judged against the training data
  python -m bot backtest march.csv --reference 5000         judged against its own first 5,000 rows (or 20%)
  python -m bot backtest march.csv --label churned --score p --html march.html
  python -m bot backtest march.csv --json | jq .signal      one alert a line, for programs

Without --reference the first fifth of the rows is the reference, at least 1,000 rows if there are, at most 200,000.
Without --time a column named at, timestamp, date and the like is taken when its rows are in order; without one, rows
count as one a second. Columns named label, score, prediction, error, version, id, latency_ms have their roles, and so
do y_true, proba and other usual names when their values agree. Every other column is a feature. What was taken as what
is said on stderr. With --label the error is watched too; it needs a score or a prediction beside it.

Each line of --json holds row and onset_row (from 0, in the file), at (epoch seconds; the row where there are no times),
signal, detector, statistic, threshold, severity (SEV1 worst to SEV4). Exit 0 however many alerts there are, 2 when the
file cannot be used."""


def add(verbs: Any) -> None:
    one = verb(verbs, "backtest", "would it have been caught? the detectors over a file of the past", DESCRIPTION)
    one.add_argument("data", type=Path, metavar="FILE", help=".csv, .tsv, .parquet, .ndjson or .jsonl")
    one.add_argument("--model", default="", metavar="NAME", help="name of the model (default: the file's)")
    one.add_argument("--time", default="", metavar="COL", help="column of event times")
    one.add_argument("--label", default="", metavar="COL", help="column of the truth, as known later")
    one.add_argument("--score", default="", metavar="COL", help="column of the model's score or probability")
    one.add_argument("--prediction", default="", metavar="COL", help="column of the predicted class or number")
    one.add_argument("--error", default="", metavar="COL", help="column of known errors, 0/1 or sizes, without labels")
    one.add_argument("--reference", default="", metavar="FILE|N|N%", help="a file, or so many of the first rows")
    one.add_argument("--segment", default="", metavar="COL", help="watch the most frequent values of a column apart")
    one.add_argument("--json", action="store_true", help="print NDJSON, one alert a line, and nothing else")
    one.add_argument("--html", type=Path, metavar="OUT", help="write a page with pictures that needs no other file")
    one.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from bot.compose import backtest
    from core import policy, settings
    from core.errors import Unavailable

    rules = policy.load(settings.load().policy)
    named = {role: getattr(args, role) for role in ("time", "label", "score", "prediction", "error")}
    bar = Bar(str(args.data.name))
    report = backtest.run(
        args.data, rules, bar, model=args.model, reference=reference(args.reference), segment=args.segment, **named
    )
    bar.done()
    if args.html is not None:
        try:
            args.html.write_text(backtest.page(report), encoding="utf-8")
        except OSError as error:
            raise Unavailable(f"--html {args.html}: cannot be written: {error.strerror}") from None
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    print(report.lines() if args.json else shown(report, args.html), end="")
    return 0


def reference(text: str) -> Path | int | float | None:
    """A file, a number of rows, or a share of them. Raises PolicyError for a number that makes no sense."""
    from core.errors import PolicyError

    if not text:
        return None
    plain = text.replace(",", "").replace("_", "")
    if plain.isdecimal():
        return int(plain)
    if plain.endswith("%"):
        try:
            share = float(plain[:-1]) / 100
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            raise PolicyError(f"--reference {text}: a share of the rows lies between 0% and 100%")
        return share
    return Path(text)


class Bar:
    """Progress on stderr: one line that grows on a terminal, a line every tenth elsewhere."""

    WIDTH = 30

    def __init__(self, name: str):
        self.name, self.live, self.tenth = name, sys.stderr.isatty(), 0
        self.say(f"{name}: reading and learning the reference")

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if not self.live and tenth == self.tenth:
            return
        self.tenth = tenth
        full = self.WIDTH * done // max(total, 1)
        self.say(f"{self.name}: [{'#' * full}{'.' * (self.WIDTH - full)}] {done:,} of {total:,} rows")

    def say(self, words: str) -> None:
        sys.stderr.write(f"\r\x1b[2K{words}" if self.live else f"{words}\n")
        sys.stderr.flush()

    def done(self) -> None:
        if self.live:
            sys.stderr.write("\r\x1b[2K")


def shown(report: Any, page: Path | None) -> str:
    """The report for people."""
    lines = [
        f"{report.rows:,} rows watched against {report.reference_rows:,} ({report.reference}), "
        f"{len(report.watched)} signals, {report.seconds:.1f} s",
        f"{len(report.alarms)} alerts; PSI > 0.2 in windows of 500 rows would have raised {report.naive:,} "
        f"in {report.naive_windows:,} windows",
    ]
    if report.false_alarms_per_week is not None:
        lines.append(f"expected false alarms a week: {report.false_alarms_per_week:.2g}")
    if report.alarms:
        lines += ["", f"{'row':>10}  {'began':>10}  {'time':<20}  {'severity':<8}  {'detector':<16}  signal"]
    lines += [_line(report, alarm) for alarm in report.alarms]
    if not report.alarms:
        lines.append("Nothing in these rows differs from the reference by more than chance.")
    if page is not None:
        lines += ["", f"pictures: {page}"]
    return "\n".join(lines) + "\n"


def _line(report: Any, alarm: Any) -> str:
    from core.events import iso

    when = iso(alarm.at) if report.timed else ""
    effect = "" if alarm.effect is None else f" (effect {alarm.effect:.2g})"
    words = f": {alarm.detail}" if alarm.detail else ""
    segment = f" in {alarm.segment}" if alarm.segment else ""
    return (
        f"{alarm.row:>10,}  {alarm.onset_row:>10,}  {when:<20}  {alarm.severity:<8}  {alarm.detector:<16}  "
        f"{alarm.signal}{segment}{effect}{words}"
    )
