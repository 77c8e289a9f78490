"""Is this build fit to score anyone? The checks of section 10 of the simulator's design.

`self_test()` is the whole (1,000 episodes, about half an hour on one core); smaller numbers give a quick look with
wider intervals. Every check carries its figure, its bounds and whether it lies inside.
"""

import hashlib
import pickle
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bot.simulator import leaks, oracle
from bot.simulator.aim import sign_of
from bot.simulator.case import case_of
from bot.simulator.catalogue import CATALOGUE, TYPES
from bot.simulator.episode import Episode, generate
from bot.simulator.healthy import World
from bot.simulator.lineage import build
from bot.simulator.record import record
from bot.simulator.references import REFERENCES
from bot.simulator.robust import seasonal_z
from bot.simulator.tenants import DAY, HOUR, TENANTS

_INPUT = {"shift", "logscale", "null", "top", "oov", "psi", "skew", "miss", "stale"}
_QUALITY = {"loss", "label_bias", "calib"}


@dataclass(frozen=True)
class Check:
    """One figure and where it must lie."""

    name: str
    value: float
    low: float
    high: float
    n: int

    @property
    def ok(self) -> bool:
        """Whether the figure lies inside its bounds."""
        return bool(self.low <= self.value <= self.high)

    def plain(self) -> dict:
        """As plain data."""
        return {
            "check": self.name,
            "value": round(float(self.value), 4),
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "ok": self.ok,
        }


def self_test(
    episodes: int = 1000, ranked: int = 400, first_seed: int = 0, progress: Callable[[str], None] = lambda line: None
) -> list[Check]:
    """Run all checks on `episodes` episodes; the oracle and the references on the first `ranked` of them."""
    begun = time.process_time()
    drawn = [generate(seed) for seed in range(first_seed, first_seed + episodes)]
    each = (time.process_time() - begun) / episodes
    progress(f"{episodes} episodes, {each:.3f} s each")
    checks = [Check("processor seconds an episode", each, 0, 0.5, episodes), *contents(drawn), *tempting(drawn)]
    progress("leaks measured")
    checks += healthy(first_seed, max(4, episodes // 60))
    progress("healthy windows measured")
    checks += [*repeats(first_seed, max(3, episodes // 50)), *dialects(first_seed, max(5, episodes // 20))]
    progress("bytes and dialects compared")
    return checks + rankers(drawn[:ranked], progress)


def contents(episodes: Sequence[Episode]) -> list[Check]:
    """Every type is there, quality and inputs come apart often enough, an episode is small."""
    count, n = Counter(episode.truth.type for episode in episodes), len(episodes)
    moved = [_moves(episode) for episode in episodes]
    size = max(len(pickle.dumps(episode)) for episode in episodes[:50])
    return [
        Check("episodes of the rarest type", min(count[key] for key in CATALOGUE), 15 * n / 1000, n, n),
        Check("quality moves, inputs do not", np.mean([q and not i for i, q in moved]), 0.10, 1, n),
        Check("inputs move, quality does not", np.mean([i and not q for i, q in moved]), 0.10, 1, n),
        Check("benign share", np.mean([episode.truth.root is None for episode in episodes]), 0.05, 0.12, n),
        Check("largest episode, MB", size / 1e6, 0, 2, 50),
    ]


def _moves(episode: Episode) -> tuple[bool, bool]:
    """Whether the episode's own fault moves inputs of models, and quality."""
    main = next(s for s in episode.visible._world.spreads if s.fault.type == episode.truth.kind)
    keys: dict[str, set[str]] = {}
    for node, effects in main.effects.items():
        keys.setdefault(episode.visible._world.graph.nodes[node].kind, set()).update(effect.key for effect in effects)
    inputs = bool(keys.get("feature_view", set()) & _INPUT)
    return inputs, bool((keys.get("model", set()) | keys.get("service", set())) & _QUALITY)


def tempting(episodes: Sequence[Episode]) -> list[Check]:
    """Neither the words nor the place of a change, nor the alert's fields, give the answer away."""
    rows, culprit = leaks.near_changes(episodes)
    logged = [e for e in episodes if e.truth.root and e.truth.change not in ("none", "unlogged")]
    last = []
    for episode in logged:
        before = [change.id for change in episode.visible.changes() if change.at <= episode.visible.now - 1800]
        last.append(bool(before) and before[-1] == episode.truth.change)
    benign = np.array([float(episode.truth.root is None) for episode in episodes])
    return [
        Check("AUC of change texts", leaks.cross_validated_auc(leaks.text_features(rows), culprit), 0, 0.60, len(rows)),
        Check(
            "AUC of place, id, hour, author",
            leaks.cross_validated_auc(leaks.place_features(rows), culprit),
            0,
            0.55,
            len(rows),
        ),
        Check("last change before the alert is the culprit", float(np.mean(last)), 0.20, 0.40, len(last)),
        Check(
            "AUC of the alert's fields for benign",
            leaks.cross_validated_auc(leaks.alert_features(episodes), benign),
            0,
            0.65,
            len(episodes),
        ),
    ]


def healthy(seed: int, worlds: int) -> list[Check]:
    """How often healthy telemetry looks alarming."""
    over, drift, total, profiles = 0, 0, 0, 0
    for number in range(worlds):
        tenant = list(TENANTS.values())[number % len(TENANTS)]
        start = 1.72e9 + number * 3 * DAY
        world = World(seed + number, tenant, build(seed + number, tenant), start, start + 30 * DAY)
        for node in world.graph.nodes:
            block = world.block(node)
            for (metric, _), value in block.values.items():
                recent = block.at >= start + 28 * DAY
                z = seasonal_z(block.at, value, start + 28 * DAY)[recent] * (sign_of(world, metric) or 1)
                if metric not in ("version", "schema_hash", "status", "train_rows", "age_d", "ref_age_d"):
                    hours = np.array(
                        [
                            np.abs(z[block.at[recent] // HOUR == hour]).max()
                            for hour in np.unique(block.at[recent] // HOUR)
                        ]
                    )
                    over, total = over + int((hours > 4).sum()), total + len(hours)
                if metric in ("psi_7d", "score_psi_7d"):
                    drift, profiles = drift + int((value[recent] > 0.25).sum()), profiles + int(recent.sum())
    return [
        Check("healthy metric-hours with z over 4", over / total, 0.005, 0.02, total),
        Check("healthy PSI over 0.25", drift / profiles, 0, 0.01, profiles),
    ]


def repeats(seed: int, count: int) -> list[Check]:
    """Same seed, same bytes; and every query answers, whatever it is asked."""
    same = 0
    for number in range(seed, seed + count):
        prints = []
        for _ in range(2):
            with tempfile.TemporaryDirectory() as folder:
                files = sorted(record(generate(number), folder).iterdir())
                prints.append(hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest())
        same += prints[0] == prints[1] and _total(generate(number))
    return [Check("same seed, same bytes, every query total", same / count, 1, 1, count)]


def _total(episode: Episode) -> bool:
    visible = episode.visible
    node = visible.alert["node"]
    empty = [
        visible.query_metrics("nothing", "x", 0, 1),
        visible.list_metrics("nothing"),
        visible.query_changes(5, 1),
        visible.lineage("nothing", "up", 3),
        visible.past_incidents("nothing"),
        visible.query_metrics(node, visible.alert["metric"], visible.now, visible.now + DAY, segment="nowhere"),
    ]
    found = visible.query_metrics(node, visible.alert["metric"], visible.begin, visible.now, agg="1d")
    exact = visible.query_metrics(node, visible.alert["metric"], visible.now - 2 * DAY, visible.now)
    future = [row for row in exact if row["at"] > visible.now]
    return not any(empty) and bool(found) and not future and visible.value_of(exact[-1]["row_id"]) == exact[-1]["value"]


def dialects(seed: int, count: int) -> list[Check]:
    """Two spellings of one seed: the same truth, other names or units."""
    good = 0
    for number in range(seed, seed + count):
        one, two = generate(number, dialect=1), generate(number, dialect=2)
        names = [row["name"] for row in one.visible.schema()["metrics"]] != [
            row["name"] for row in two.visible.schema()["metrics"]
        ]
        good += one.truth == two.truth and names and one.visible.graph["edges"] == two.visible.graph["edges"]
    return [Check("two dialects, one truth", good / count, 1, 1, count)]


def rankers(episodes: Sequence[Episode], progress: Callable[[str], None] = lambda line: None) -> list[Check]:
    """AC@1 of the references and of the oracle: whole, without changes, without telemetry."""
    hits: dict[str, list[float]] = {}
    for number, episode in enumerate(episodes):
        if episode.truth.root is None:
            continue
        case, right = case_of(episode.visible), {episode.truth.root["node"], *episode.truth.alike}
        child = episode.truth.visible_child if episode.truth.silent_root else None
        for name, ranker in REFERENCES.items():
            hits.setdefault(name, []).append(_credit(ranker(case), right, child))
        tried = oracle.trials(episode)
        for name, options in (
            ("oracle", {}),
            ("oracle without changes", {"changes": False}),
            ("oracle without telemetry", {"telemetry": False}),
        ):
            hits.setdefault(name, []).append(_credit(oracle.rank(episode, tried, **options), right, child))
        if number % 50 == 49:
            progress(f"{number + 1} episodes ranked")
    mean = {name: float(np.mean(values)) for name, values in hits.items()}
    n = len(hits["oracle"])
    bounds = {
        "last change": (0, 0.40),
        "nearest change upstream": (0, 0.5),
        "largest z": (0.25, 0.50),
        "anomaly traversal": (0.35, 0.60),
        "uniform": (0, 0.05),
        "oracle": (0.85, 0.95),
        "oracle without telemetry": (0, 0.25),
    }
    checks = [Check(f"AC@1 of {name}", mean[name], low, high, n) for name, (low, high) in bounds.items()]
    return [
        *checks,
        Check("AC@1 the oracle loses without changes", mean["oracle"] - mean["oracle without changes"], -0.05, 0.10, n),
    ]


def _credit(found: list[str], right: set[str], child: str | None) -> float:
    return 1.0 if found and found[0] in right else 0.5 if found and found[0] == child else 0.0


def types_of(episodes: Sequence[Episode]) -> dict[str, int]:
    """How many episodes of each type were drawn, by its id and cause."""
    count = Counter(episode.truth.kind for episode in episodes)
    return {f"{key} {TYPES[key].cause}": count[key] for key in TYPES}
