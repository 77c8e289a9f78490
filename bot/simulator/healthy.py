"""Telemetry: the healthy law of every metric, and what a fault adds to it. One block of series per node.

Laws follow section 3 of the simulator's design: traffic with daily and weekly seasons, profiles with the sampling error
of their rows, PSI as a chi-squared over ten bins, labels that mature late.
"""

from dataclasses import dataclass, field

import numpy as np

from bot.simulator.faults import segment_shares
from bot.simulator.lineage import Graph, Node
from bot.simulator.rng import smooth, stream
from bot.simulator.tenants import DAY, HOUR, Tenant
from bot.simulator.travel import Spread

BINS = 10
LATE_GRID = np.array([-1.28, -0.52, 0.0, 0.52, 1.28])


@dataclass
class Block:
    """All series of one node: times (epoch seconds), values by (metric, feature or None), rows behind each value."""

    at: np.ndarray
    values: dict[tuple[str, str | None], np.ndarray]
    n: np.ndarray


@dataclass
class World:
    """A tenant over a span of time, with the faults that are in it."""

    seed: int
    tenant: Tenant
    graph: Graph
    start: float
    end: float
    spreads: list[Spread] = field(default_factory=list)

    def step(self, node: Node) -> int:
        """Seconds between two values of a node."""
        if node.kind in ("service", "feature_store"):
            return 300
        if node.kind in ("ingest_job", "feature_job", "label_job"):
            return max(900, node.cadence)
        return node.cadence if node.kind == "training_job" else max(HOUR, node.cadence)

    def times(self, node: Node) -> np.ndarray:
        """The times at which the node's values are taken."""
        step = self.step(node)
        phase = node.phase if node.cadence else 0
        first = np.ceil((self.start - phase) / step) * step + phase
        return np.arange(first, self.end + 1, step)

    def block(self, node_id: str, segment: int | None = None) -> Block:
        """Every series of a node, of all traffic or of one value of the first dimension."""
        node = self.graph.nodes[node_id]
        return _Maker(self, node, segment).block()

    def moved(
        self, node: Node, key: str, t: np.ndarray, segment: int | None, size: int = 0, column: int | None = None
    ) -> np.ndarray | float:
        """The sum of all effects on `key`: an array over t (features x t when size > 0), or 0.0."""
        total: np.ndarray | float = 0.0
        for spread in self.spreads:
            fault = spread.fault
            part = 1.0
            if fault.segments and segment is not None:
                part = min(1 / fault.share, 6.0) if segment in fault.segments else 0.0
            for effect in spread.effects.get(node.id, ()):
                if effect.key != key or (column is not None and effect.column not in (None, column)):
                    continue
                amount = part * spread.amount(effect, t, self.step(node))
                total = total + (np.multiply.outer(effect.size, amount) if size else effect.size * amount)
        return total


class _Maker:
    def __init__(self, world: World, node: Node, segment: int | None) -> None:
        self.world, self.node, self.segment = world, node, segment
        self.t = world.times(node)
        self.random = stream(world.seed, "telemetry", node.id, segment)
        self.fixed = stream(world.seed, "telemetry-level", node.id)
        shares = segment_shares(world.seed, world.tenant)
        self.part = 1.0 if segment is None else float(shares[segment])
        self.values: dict[tuple[str, str | None], np.ndarray] = {}

    def block(self) -> Block:
        make = {
            "source": self.data,
            "table": self.data,
            "feature_view": self.view,
            "model": self.model,
            "service": self.service,
            "feature_store": self.store,
            "monitor": self.monitor,
        }.get(self.node.kind, self.job)
        n = np.asarray(make(), float)
        return Block(self.t, self.values, np.maximum(1, np.broadcast_to(n, self.t.shape)))

    # -- parts ------------------------------------------------------------------------------------------------------

    def move(self, key: str, size: int = 0, column: int | None = None):
        return self.world.moved(self.node, key, self.t, self.segment, size, column)

    def white(self, *shape: int) -> np.ndarray:
        """Noise of unit scale with strays: four values in a hundred are three times as wide."""
        noise = self.random.standard_normal((*shape, len(self.t)))
        return noise * np.where(self.random.random(noise.shape) < 0.04, 3.0, 1.0)

    def season(self) -> np.ndarray:
        """Logarithm of traffic over its level: day, week, campaigns, trend."""
        tenant = stream(self.world.seed, "traffic")
        daily, phase, week = tenant.uniform(0.2, 1.2), tenant.uniform(11, 20), tenant.uniform(-0.5, 0.3)
        trend, bumps = tenant.uniform(-0.1, 0.2), int(tenant.integers(0, 3))
        hour = (self.t / HOUR) % 24
        out = daily * np.cos(2 * np.pi * (hour - phase - self.fixed.normal(0, 0.5)) / 24) - daily
        out = out + week * (((self.t // DAY + 4) % 7) >= 5) + trend * (self.t - self.world.start) / (28 * DAY)
        for _ in range(bumps):
            begin = tenant.uniform(self.world.start, self.world.start + 24 * DAY)
            length, lift = tenant.uniform(6, 48) * HOUR, np.log1p(tenant.uniform(0.1, 0.8))
            out = out + lift * ((self.t >= begin) & (self.t < begin + length))
        return out

    def traffic(self, per_minute: float, extra=0.0) -> np.ndarray:
        """Counts per step, negative binomial with k = 50."""
        ar = 0.05 * smooth(self.white(), 0.8)
        steps = (300 if self.node.cadence == 0 else self.world.step(self.node)) / 60
        mean = per_minute * self.part * self.node.share * steps * np.exp(self.season() + ar + extra)
        return self.random.poisson(np.clip(mean, 0, 1e9) * self.random.gamma(50, 1 / 50, len(self.t))).astype(float)

    def level(self, low: float, high: float) -> float:
        """A level of this node, between low and high on a logarithmic scale, the same in every segment."""
        return float(np.exp(self.fixed.uniform(np.log(low), np.log(high))))

    def rate(self, p, n, extra=0.0) -> np.ndarray:
        """A share near p (plus what is added), with the error of n rows and a little over-dispersion."""
        p = np.clip(p + extra, 0, 1)
        noise = np.sqrt(np.maximum(p * (1 - p), 1e-12) / np.maximum(n, 1) + (0.08 * p * (1 - p)) ** 2)
        return np.clip(p + noise * self.white(*np.shape(p)[:-1]), 0, 1)

    def put(self, name: str, values, feature: str | None = None) -> None:
        self.values[name, feature] = np.broadcast_to(np.asarray(values, float), self.t.shape)

    # -- kinds ------------------------------------------------------------------------------------------------------

    def data(self) -> np.ndarray:
        node = self.node
        rows = self.traffic(self.world.tenant.peak * (1 if node.cadence else 12), self.move("rows"))
        self.put("rows", rows)
        base = node.cadence or 20
        age = (self.fixed.uniform(0.05, 0.5) + self.random.uniform(0, 0.2, len(self.t))) * base
        self.put("freshness_s", age * np.exp(0.15 * self.white()) + self.move("stale"))
        dup = self.move("dup")
        self.put("dup_rate", self.rate(self.fixed.uniform(1e-4, 2e-3), rows, dup / (1 + dup)))
        self.put(
            "schema_hash",
            np.floor(self.fixed.uniform(1e5, 9e5)) + np.floor(77777 * (np.asarray(self.move("schema")) > 0)),
        )
        self.put("late_rows_pct", self.rate(self.fixed.uniform(0.003, 0.03), rows, self.move("late")))
        if "profiled" in node.tags:
            for column in range(4):
                self.column(column, rows)
        return rows

    def column(self, column: int, rows: np.ndarray) -> None:
        name, drift = f"c{column + 1}", 0.03 * smooth(self.white(), 0.8)
        mean, sd = self.fixed.uniform(0.5, 50), self.fixed.uniform(0.3, 0.8)
        shift = self.move("col_shift", column=column)
        self.put("col_mean", mean * (1 + sd * (drift + shift + self.white() / np.sqrt(np.maximum(rows, 1)))), name)
        self.put(
            "col_null", self.rate(self.fixed.uniform(0.002, 0.04), rows, self.move("col_null", column=column)), name
        )
        self.put("col_top", self.rate(self.fixed.uniform(0.05, 0.3), rows, self.move("col_top", column=column)), name)

    def job(self) -> np.ndarray:
        node, fail = self.node, np.asarray(self.move("fail"))
        rows = self.traffic(self.world.tenant.peak * (1 if node.cadence else 12), self.move("rows_in"))
        if node.kind in ("feature_job", "training_job"):  # entities and training windows do not follow the hour
            rows = np.floor(self.level(1e4, 5e6) * self.part * np.exp(0.05 * self.white() + self.move("rows_in")))
        kept = rows * np.exp(np.asarray(self.move("rows_out")) - np.asarray(self.move("rows_in")))
        stopped = fail > 0.5
        slow = self.level(20, 1500) * np.exp(0.15 * self.white() + self.move("duration"))
        self.put("duration_s", np.where(stopped, slow * 0.1, slow))
        self.put("status", stopped | (self.random.random(len(self.t)) > self.fixed.uniform(0.985, 0.997)))
        self.put("rows_in", rows)
        self.put("rows_out", np.where(stopped, 0, kept * self.fixed.uniform(0.6, 0.99) * np.exp(0.01 * self.white())))
        if node.cadence == 0:
            lag = self.level(50, 2000) * np.exp(0.4 * smooth(self.white(), 0.6))
            rate = self.world.tenant.peak * node.share / 60
            self.put("lag_events", lag + rate * np.asarray(self.move("lag")))
        if node.kind == "label_job":
            self.labels(rows)
        return rows

    def labels(self, rows: np.ndarray) -> None:
        tenant, missing = self.world.tenant, np.clip(self.move("missing"), 0, 0.98)
        base = (tenant.base_rate or 0.5) * np.exp(np.asarray(self.move("base"))) * (1 + 0.3 * np.asarray(missing))
        counted = np.maximum(rows * (1 - missing) * tenant.sampled, 20)
        noise = np.sqrt((1 - np.minimum(base, 0.9)) / (base * counted) + 0.03**2)
        self.put("label_mean", np.clip(base * (1 + noise * self.white()), 0, 1))
        self.put("label_maturity", np.clip((1 - missing) * (self.fixed.uniform(0.9, 0.99) + 0.01 * self.white()), 0, 1))
        self.values["rows_out", None] = self.values["rows_out", None] * (1 - missing)

    def view(self) -> np.ndarray:
        node, size = self.node, len(self.node.features)
        rows = self.traffic(self.world.tenant.peak * (1 if node.cadence else 12)) + 50
        column = lambda low, high: np.exp(self.fixed.uniform(np.log(low), np.log(high), size))[:, None]  # noqa: E731
        ones = np.ones((size, len(self.t)))
        mean, spread = column(0.5, 80), column(0.35, 0.8)
        daily, phase = self.fixed.uniform(0, 0.4, size)[:, None] ** 2, self.fixed.uniform(0, 24, size)[:, None]
        heavy = np.array([feature.heavy for feature in node.features])[:, None]
        noise = np.where(heavy, self.random.standard_t(3, (size, len(self.t))), self.white(size))
        drift = 0.035 * smooth(self.white(size), 0.85)
        wave = daily * np.cos(2 * np.pi * (self.t / HOUR - phase) / 24)
        shift, logscale = self.move("shift", size) * ones, self.move("logscale", size) * ones
        z = wave + drift + shift + noise * np.where(heavy, 0.05, 1.0) / np.sqrt(np.where(heavy, 1, rows))
        scale = np.exp(np.clip(logscale, -5, 5))
        null = self.rate(column(0.002, 0.04) * ones, rows, self.move("null", size))
        top = np.clip(self.move("top", size) * ones, -0.3, 1)
        oov = np.asarray(self.move("oov", size) * ones)
        psi = self.random.chisquare(BINS - 1, (size, len(self.t))) * (1 / (7 * rows) + 1 / rows) * 1.3
        psi += 0.02 * np.exp(0.6 * self.random.standard_normal((size, len(self.t))))
        psi += (wave + drift + shift) ** 2 * np.where(self.world.step(node) >= DAY, 0.6, 1) + 2 * logscale**2
        added = np.clip(top, 0, 1) + oov + np.clip(null - 0.05, 0, 1)
        psi += added * np.log((added + 0.03) / 0.03) + self.move("psi", size)
        made = {
            "mean": mean * (1 + spread * z),
            "std": mean * spread * scale * np.exp(0.02 * self.white(size)),
            "p50": mean * (0.93 + spread * (z + 0.01 * self.white(size))),
            "p95": mean * (1 + spread * (1.64 * scale + z + 0.03 * self.white(size))),
            "null_rate": null,
            "distinct": column(20, 5000) * np.exp(0.01 * self.white(size)) * (1 + 1.5 * oov),
            "top_share": self.rate(column(0.03, 0.3) * ones, rows, top),
            "psi_7d": psi,
            "oov_rate": self.rate(column(0.0005, 0.01) * ones, rows, oov),
            "online_miss_rate": self.rate(column(0.0005, 0.01) * ones, rows, self.move("miss", size)),
            "online_skew": np.abs(
                column(0.005, 0.03) * np.exp(0.2 * self.random.standard_normal((size, len(self.t))))
                + self.move("skew", size)
            ),
        }
        for name, values in made.items():
            if name in ("online_miss_rate", "online_skew") and self.world.tenant.batch:
                continue
            for index, feature in enumerate(node.features):
                if name not in ("oov_rate", "distinct", "top_share") or feature.categorical or name == "top_share":
                    self.put(name, values[index], feature.name)
        base = node.cadence or 60
        self.put("staleness_s", base * (0.1 + 0.2 * self.random.random(len(self.t))) + self.move("stale"))
        return rows

    def late(self, key: str) -> np.ndarray:
        """An effect as seen through labels that arrive late: the mean over the delays of those arriving now."""
        median, sigma = self.world.tenant.label_delay
        total = 0.0
        for z in LATE_GRID:
            total = total + self.world.moved(self.node, key, self.t - median * np.exp(sigma * z), self.segment)
        return np.clip(np.asarray(total) / len(LATE_GRID), -3, 1)

    def loss_to_metric(self, loss: np.ndarray, labelled: np.ndarray) -> np.ndarray:
        """The tenant's quality metric at a loss in [0, 1], with the estimator's error of that many labels."""
        tenant, (_, healthy, floor, higher) = self.world.tenant, self.world.tenant.quality
        level = healthy + (1 - healthy) * 0.2 * self.fixed.uniform(-1, 1) * (1 if higher else healthy)
        positives = np.maximum(labelled * (tenant.base_rate or 1.0), 4)
        if tenant.batch or tenant.label_delay[0] >= DAY:
            positives = positives * 6  # slow outcomes are averaged over a longer window
        drift = smooth(self.white(), 0.7)
        if higher:
            error = np.sqrt(level * (1 - level) / positives) * self.white() + 0.0025 * drift
            return np.clip(level - (level - floor) * loss + error, 0, 1)
        error = 0.8 / np.sqrt(np.maximum(labelled, 4)) * self.white() + 0.01 * drift
        return level * (1 + (floor / healthy - 1) * loss) * np.maximum(0.05, 1 + error)

    def model(self) -> np.ndarray:
        tenant, t = self.world.tenant, self.t
        rows = self.traffic(tenant.peak * (0.5 if self.node.cadence else 6)) + 30
        base, sd = self.level(0.05, 0.6), self.fixed.uniform(0.12, 0.25)
        wave = 0.15 * self.fixed.uniform(0, 1) * np.cos(2 * np.pi * (t / HOUR - self.fixed.uniform(0, 24)) / 24)
        drift, score = 0.03 * smooth(self.white(), 0.85), self.move("score") + np.zeros(len(t))
        z = wave + drift + score + self.white() / np.sqrt(rows)
        self.put("score_mean", base * (1 + sd * z))
        self.put("score_p95", base * (1 + sd * (2 + z + 0.02 * self.white())))
        weights = np.asarray(self.move("weights"))
        psi = self.random.chisquare(BINS - 1, len(t)) * 1.2 / rows
        psi += 0.02 * np.exp(0.6 * self.random.standard_normal(len(t))) + (wave + drift + score) ** 2 + weights**2 * 2
        self.put("score_psi_7d", psi + self.move("psi"))
        action = self.fixed.uniform(-2.2, -0.8)
        self.put(
            "action_rate",
            self.rate(_normal_cdf(action + 0.7 * (z - self.white() / np.sqrt(rows)) + self.move("action")), rows),
        )
        labelled = rows * tenant.sampled * (1 - 0.9 * np.clip(self.move("label_seen"), 0, 1))
        loss = np.clip(self.late("loss") + self.move("label_bias"), 0, 1)
        self.put("quality", self.loss_to_metric(loss, labelled))
        calib = np.exp(np.clip(self.late("calib") + 0.12 * self.late("score"), -1.5, 1.5))
        positives = np.maximum(labelled * (tenant.base_rate or 1.0), 9)
        self.put("calibration", calib * (1 + 0.01 * smooth(self.white(), 0.7) + self.white() / np.sqrt(positives)))
        born = self.fixed.uniform(2, 25) * DAY
        age = (t - self.world.start) / DAY + born / DAY
        retrain = 7.0 + 23.0 * float(self.fixed.random())
        new, dead = np.asarray(self.move("version")) > 0, np.asarray(self.move("age")) > 0
        healthy_age = np.mod(age, retrain)
        self.put("age_d", np.where(new, 0.5, np.where(dead, age + 20, healthy_age)))
        number = np.floor(self.fixed.uniform(10, 90)) + np.where(dead, 0, np.floor(age / retrain)) + new
        self.put("version", number)
        jump = np.cumsum(np.diff(number, prepend=number[0]) != 0)
        wobble = np.array(
            [stream(self.world.seed, "train-rows", self.node.id, int(k)).normal() for k in range(jump[-1] + 1)]
        )
        self.put("train_rows", np.floor(self.level(2e5, 5e7) * np.exp(0.03 * wobble[jump] + self.move("train"))))
        return rows

    def service(self) -> np.ndarray:
        from bot.simulator.serving import service

        return service(self)

    def store(self) -> np.ndarray:
        from bot.simulator.serving import store

        return store(self)

    def monitor(self) -> np.ndarray:
        day = (self.t - self.world.start) / DAY
        self.put("ref_age_d", np.where(np.asarray(self.move("ref")) > 0, 0.5, day + self.fixed.uniform(3, 60)))
        self.put("checks", np.floor(200 * np.exp(0.02 * self.white())))
        return np.full(len(self.t), 200.0)


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    """Phi(x), to 1e-4, by the logistic-cubic approximation of Page (1977)."""
    return 1 / (1 + np.exp(-np.clip(1.5976 * x + 0.070566 * x**3, -30, 30)))
