"""`forecast`: the next 24 hours of every SLO, and how far such words may be believed."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from bot.cli import verb

ORDER = 42

DESCRIPTION = """Hours of warning before an SLO is missed. SLOs are in the policy: [forecast] slos, or a model's own.

  python -m bot forecast show                  every model: chance, hours, who says so and how often it was right
  python -m bot forecast show MODEL --picture out.png
                                               one model's past three days and next 24 hours (.png or .html)
  python -m bot forecast backtest              what would have been said over the hours that are stored, and its worth
  python -m bot forecast train                 train on the hours that are stored; a network is kept only if it beats
                                               the one in use on the latest hours. --deep: N-HiTS and TFT as well
  python -m bot forecast scores                what speaks now: data range, scores, thresholds that were proven
  python -m bot forecast run                   one look as the `forecast` target makes it: views, and proven alerts

`train` and `backtest` take --panel FILE.npz (id, seg, hour0, n, y, psi) instead of stored hours. The shipped network
was made by: python -m bot forecast train --panel forecast_panel.npz --afresh --out detectors/forecast"""

DOES = ("train", "show", "backtest", "scores", "run")


def add(verbs: Any) -> None:
    one = verb(verbs, "forecast", "the next 24 hours of every SLO", DESCRIPTION)
    one.add_argument("what", choices=DOES, metavar="WHAT", help=", ".join(DOES))
    one.add_argument("model", nargs="?", default="", metavar="MODEL", help="show: this model alone (or tenant/model)")
    one.add_argument("--panel", type=Path, metavar="FILE", help="train, backtest: series from a file")
    one.add_argument("--out", type=Path, metavar="FOLDER", help="train: where members are kept (var/forecast)")
    one.add_argument("--deep", action="store_true", help="train: N-HiTS and TFT too, some minutes on one core")
    one.add_argument("--afresh", action="store_true", help="train: from random weights, kept whatever is in use")
    one.add_argument("--picture", type=Path, metavar="FILE", help="show: draw MODEL as .png or .html")
    one.add_argument("--json", action="store_true", help="as JSON")
    one.set_defaults(run=run)


async def run(args: argparse.Namespace) -> int:
    from bot.compose import forecast as compose
    from core import policy, settings
    from core.errors import MiddlewatchError

    if args.picture and (args.what != "show" or not args.model or args.picture.suffix not in (".png", ".html")):
        raise MiddlewatchError(f"--picture {args.picture}: `forecast show MODEL --picture FILE`, a .png or .html")
    os.nice(10)
    loaded = settings.load()
    rules = policy.load(loaded.policy)
    if args.what == "scores":
        return _scores(compose.abouts(args.out or compose.folder(loaded)), args.json)
    if args.what in ("show", "run"):
        return await _show(args, loaded, rules)
    panel = compose.read_panel(args.panel) if args.panel else await compose.stored(loaded, rules)
    if args.what == "backtest":
        table = compose.backtested(panel, args.out or compose.folder(loaded))
    else:
        out = args.out or compose.folder(loaded)
        say = (lambda _: None) if args.json else lambda text: print(text, flush=True)
        table = compose.trained(panel, out, deep=args.deep, afresh=args.afresh, say=say)
    print(json.dumps(table) if args.json else _table(table))
    return 0


async def _show(args: argparse.Namespace, loaded: Any, rules: Any) -> int:
    from bot import compose as root
    from bot.compose import forecast as compose
    from core.errors import MiddlewatchError

    async with root.ground(loaded, rules, "forecast") as house:
        looked = await compose.look(house, tell=args.what == "run")
    wanted = [row for row in looked if not args.model or args.model in (row[1], f"{row[0]}/{row[1]}")]
    if args.model and not wanted:
        known = ", ".join(sorted({f"{row[0]}/{row[1]}" for row in looked})) or "none yet"
        raise MiddlewatchError(
            f"no forecast of {args.model!r}: it needs an SLO in the policy ([forecast] slos) and three days of hours; "
            f"there are forecasts of: {known}"
        )
    rows = [compose.said(row) for row in wanted]
    if args.picture:
        worst = min(zip(rows, wanted, strict=True), key=lambda pair: compose.order(pair[0]))
        compose.draw(worst[1], args.picture)
    if args.json:
        print(json.dumps(rows))
    elif not rows:
        print("No forecast: the policy names no SLO, or no model has three days of hours yet.")
    for row, (tenant, model, _, _) in zip(rows, wanted, strict=True):
        if not args.json:
            print(f"{tenant}/{model}  {_within(row)}{row['text']}")
    return 0


def _within(row: dict[str, Any]) -> str:
    if "seconds_to_breach" not in row:
        return ""
    low, middle, high = (f"{row[k] / 3600:.1f}" for k in ("low", "seconds_to_breach", "high"))
    return f"breach in {middle} h (80% interval {low}-{high} h)  "


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'member':<14}{'pinball':>9}{'coverage':>10}{'AP 8 h':>8}{'AP 24 h':>9}  levels that were proven"]
    for row in rows:
        levels = [
            f"{level}: right {r['right']} of {r['spoken']}, found {r['recall']:.0%}, {r['lead']:.1f} h ahead"
            for level, r in row["records"].items() if r
        ]  # fmt: skip
        kept = {True: "  [kept]", False: "  [not better: not kept]"}.get(row.get("kept"), "")  # type: ignore[arg-type]
        lines.append(f"{row['member']:<14}{row['pinball']:>9.4f}{row['coverage']:>10.3f}{row['ap'][8]:>8.3f}"
                     f"{row['ap'][24]:>9.3f}  {'; '.join(levels) or 'none'}{kept}")  # fmt: skip
    return "\n".join(lines)


def _scores(found: dict[str, dict[str, Any]], as_json: bool) -> int:
    if as_json:
        print(json.dumps(found))
        return 0
    for name, about in found.items():
        data = f"{about.get('series')} series, {about.get('hours')} hours, {about.get('from')} to {about.get('to')}"
        print(f"{name}: pinball {about['pinball']:.4f}, coverage {about['coverage']:.3f}; trained on {data}")
        for level, r in about["records"].items():
            proof = f"right {r['right']} of {r['spoken']} from a chance of {r['threshold']:.2f}" if r else "not proven"
            print(f"  {level}: {proof}")
    return 0
