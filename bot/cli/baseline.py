"""`baseline`: what each model version is held against; carried out to a file, brought in from one."""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

from bot.cli import verb

ORDER = 17

DESCRIPTION = """What a model version looked like when it was well, and what every window is held against.

  python -m bot baseline list                        every model and version: rows, period, where it came from
  python -m bot baseline show MODEL                  signal by signal: usual values, spread, how they lie
  python -m bot baseline show MODEL --json           the same as data
  python -m bot baseline export MODEL out.baseline   to keep, to carry to another Middlewatch, or to name in the policy
  python -m bot baseline import MODEL out.baseline --reason "restored from May"
  python -m bot baseline import MODEL train.parquet --version 42 --reason "trained on this"

MODEL is a model, or tenant/model. Without --version it is the version that serves. `import` takes what `export` wrote,
or rows (Parquet, CSV, NDJSON) in event-time order; a file that is too small, poisoned or of another model is refused
with the reason. A running `detect` follows within seconds. A version that has not come yet follows when it comes.
To let a version learn its baseline from its own next rows, an approver says in Slack:

  /mw rebaseline MODEL VERSION reason"""

DOES = ("list", "show", "export", "import")
BARS = "▁▂▃▄▅▆▇█"
WIDTH = 16


def add(verbs: Any) -> None:
    one = verb(verbs, "baseline", "what each model version is held against: list, show, export, import", DESCRIPTION)
    one.add_argument("what", choices=DOES, metavar="WHAT", help=", ".join(DOES))
    one.add_argument("model", nargs="?", default="", metavar="MODEL", help="a model, or tenant/model")
    one.add_argument("file", nargs="?", type=Path, metavar="FILE", help="export, import: the file")
    one.add_argument("--version", default="", help="a version other than the one that serves")
    one.add_argument("--reason", default="", help="import: why, for whoever asks later")
    one.add_argument("--json", action="store_true", help="list, show: as JSON")
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from bot import compose
    from bot.compose import kept
    from core import policy, settings

    _complete(args)
    loaded = settings.load()
    async with compose.ground(loaded, policy.load(loaded.policy), "baseline") as house:
        if args.what == "list":
            rows = await kept.table(house, args.model)
            print(json.dumps(rows) if args.json else listed(rows))
        elif args.what == "show":
            reference = await kept.chosen(house, args.model, args.version)
            found = kept.shown(reference, house.policy.privacy.masked)
            print(json.dumps(found) if args.json else pictured(found))
        elif args.what == "export":
            made = await kept.carried_out(house, args.model, args.version, args.file)
            print(f"{args.file}: {made.rows:,} rows of {made.tenant}/{made.model} version {made.version}")
        else:
            made = await kept.brought_in(house, args.model, args.version, args.file, args.reason)
            print(f"{made.tenant}/{made.model} version {made.version} is held against {args.file.name} "
                  f"({made.rows:,} rows, {len(made.columns)} signals) from now on")  # fmt: skip
    return 0


def _complete(args: argparse.Namespace) -> None:
    from core.errors import MiddlewatchError

    if args.what != "list" and not args.model:
        raise MiddlewatchError(f"baseline {args.what}: name a MODEL; `python -m bot baseline list` shows them")
    if args.what in ("export", "import") and args.file is None:
        raise MiddlewatchError(f"baseline {args.what} {args.model}: name a FILE, such as {args.model or 'm'}.baseline")
    if args.what == "import" and not args.reason.strip():
        raise MiddlewatchError('baseline import: say why with --reason "..."; whoever asks later will read it')


def listed(rows: list[dict[str, Any]]) -> str:
    """A line a version, and below it whose word it follows and what was refused."""
    lines = []
    for row in rows:
        name = f"{row['tenant']}/{row['model']}"
        if "rows" not in row:
            what = "waits for its first events" if row["version"] else "no baseline yet"
            lines.append(f"{name:<28} {row['version'] or '-':<10} {what}")
        else:
            mark = "*" if row["serving"] else " "
            lines.append(
                f"{name:<28} {row['version']:<10}{mark} {row['rows']:>9,} rows  {row['signals']:>3} signals  "
                f"{_period(row):<23}  from {row['source']}" + ("" if row["errors"] else "; no labels yet")
            )
        if row["approved"]:
            word = row["approved"]
            lines.append(f"    {word['file'] or 'its own next rows'}, by {word['by']}: {word['reason']}")
        if row["note"]:
            lines.append(f"    last said: {row['note']}")
    return "\n".join([*lines, "* serves now"] if lines else ["no model is watched yet"])


def _period(row: dict[str, Any]) -> str:
    from core.events import iso

    return f"{iso(row['start'])[:10]} to {iso(row['end'])[:10]}" if row["end"] else "no times"


def pictured(found: dict[str, Any]) -> str:
    """A line a signal: its usual values and how they lie."""
    head = (
        f"{found['tenant']}/{found['model']} version {found['version']}: {found['rows']:,} rows, {_period(found)}, "
        f"from {found['source']} ({found['id']})"
    )
    lines = [head, "", f"{'signal':<28}{'usually':<34}{'null':>6}{'worth':>9}  shape"]
    for one in found["learnt"]:
        summary = one["summary"]
        null = summary["nulls"] / max(summary["rows"], 1)
        lines.append(
            f"{one['signal'][:27]:<28}{_usual(summary)[:33]:<34}{null:>6.1%}{one['independent_rows']:>9,}  "
            f"{bars(shape(**one['histogram']))}" + ("  by the hour" if one["season"] else "")
        )
    if found["error"]:
        lines.append(f"{'error':<28}{found['error']['mean']:.4g} over {found['error']['rows']:,} labels")
    lines += [f"note: {note}" for note in found["notes"]]
    return "\n".join([*lines, "", "worth: so many independent rows; what depends on its neighbours says less"])


def _usual(summary: dict[str, Any]) -> str:
    if summary.get("mean") is not None:
        return (
            f"{summary['mean']:.4g} ± {summary['std'] or 0:.3g}, {summary['minimum']:.4g} to {summary['maximum']:.4g}"
        )
    top, levels = summary.get("top"), summary.get("distinct")
    if levels is None:
        return "masked"
    if top == "(other)":
        return f"more than {levels - 1} levels"
    return f"{levels} levels" + (f", most often {top:.14}" if top else "")


def shape(counts: list[float], cuts: list[float], levels: list[str]) -> list[float]:
    """How the values lie: shares of the largest levels, or the density in equal cells between the outer cuts."""
    if len(cuts) < 4 or levels:
        return sorted(counts[:-2], reverse=True)[:WIDTH] if levels else counts[:-2]
    low, cell = cuts[0], (cuts[-1] - cuts[0]) / WIDTH
    found = [0.0] * WIDTH
    for (a, b), count in zip(itertools.pairwise(cuts), counts[1:], strict=False):
        for i in range(WIDTH):
            inside = min(b, low + (i + 1) * cell) - max(a, low + i * cell)
            found[i] += count * max(inside, 0.0) / (b - a)
    return found


def bars(counts: list[float]) -> str:
    """As one line.

    >>> bars([1, 2, 0, 4])
    '▂▄ █'
    """
    top = max(counts, default=0) or 1
    return "".join(BARS[max(round(c / top * len(BARS)), 1) - 1] if c > 0 else " " for c in counts)
