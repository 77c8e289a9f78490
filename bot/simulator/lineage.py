"""Lineage by layers: sources, ingest, tables, feature jobs and views, models, services, and what stands beside them."""

from dataclasses import dataclass, field

import numpy as np

from bot.simulator.rng import hex_id, stream, weighted
from bot.simulator.tenants import DAY, HOUR, Tenant

KINDS = (
    "source",
    "ingest_job",
    "table",
    "feature_job",
    "feature_view",
    "label_job",
    "training_job",
    "feature_store",
    "model",
    "service",
    "monitor",
)

DATASETS = ("source", "table", "feature_view")


@dataclass(frozen=True)
class Feature:
    """One column of a view: which parent table and which of its columns it is made from, and how it behaves."""

    name: str
    parent: int
    column: int
    count: bool
    categorical: bool
    heavy: bool
    native_null: bool
    sign: float
    gain: float
    weight: float


@dataclass
class Node:
    """One thing in the lineage. `cadence`: seconds between runs, 0 for a stream; `phase`: when in it a run starts."""

    id: str
    kind: str
    words: str
    team: str
    cadence: int
    phase: int
    share: float
    gates: frozenset[str]
    tags: tuple[str, ...] = ()
    features: tuple[Feature, ...] = ()


@dataclass(frozen=True)
class Edge:
    """src feeds dst. `importance` is the true one; `shown_importance` what the graph tells, if it does."""

    src: str
    dst: str
    kind: str
    importance: float = 1.0
    lag: int = 0
    shown: bool = True
    dead: bool = False
    shown_importance: float | None = None


@dataclass
class Graph:
    """Nodes by id in topological order, and edges; `observes` edges lead to monitors and carry nothing."""

    nodes: dict[str, Node]
    edges: list[Edge]
    children: dict[str, list[Edge]] = field(default_factory=dict)
    parents: dict[str, list[Edge]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for edge in self.edges:
            if edge.kind != "observes" and not edge.dead:
                self.children.setdefault(edge.src, []).append(edge)
                self.parents.setdefault(edge.dst, []).append(edge)

    def of(self, *kinds: str) -> list[Node]:
        """All nodes of these kinds."""
        return [node for node in self.nodes.values() if node.kind in kinds]

    def reach(self, start: str, up: bool) -> dict[str, int]:
        """Hops from `start` to each ancestor (or descendant), itself at 0, over the true edges."""
        hops, queue, links = {start: 0}, [start], self.parents if up else self.children
        for node in queue:
            for edge in links.get(node, ()):
                other = edge.src if up else edge.dst
                if other not in hops:
                    hops[other] = hops[node] + 1
                    queue.append(other)
        return hops


_CADENCED = ("ingest_job", "table", "feature_job", "feature_view", "label_job")
_GATES = {"contract": 0.25, "completeness": 0.2, "dedupe": 0.3, "imputer": 0.4, "normaliser": 0.15}
_WINDOWS = ("1h", "24h", "7d", "30d")
_STATS = ("avg", "sum", "cnt", "max", "last", "ratio", "code")


def build(seed: int, tenant: Tenant) -> Graph:
    """Draw a tenant's lineage. Counts follow the tenant's size; gates and cadences are drawn per node."""
    draw = _Draw(seed, tenant)
    sources = max(4, int(tenant.nodes * draw.random.uniform(0.10, 0.15)))
    monitors, labels = 1 + tenant.nodes // 60, 1 + (tenant.models > 7)
    services = max(2, round(tenant.models * 0.55))
    views = max(6, (tenant.nodes - 3 * sources - 2 * tenant.models - 1 - monitors - labels - services) // 2)
    tables = draw.data(sources)
    made = draw.views(views, tables)
    draw.serving(made, tables, services, monitors, labels)
    draw.skips(tables)
    return draw.graph()


class _Draw:
    def __init__(self, seed: int, tenant: Tenant) -> None:
        self.random = stream(seed, "lineage")
        self.tenant = tenant
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.teams = [
            f"{name}-{tenant.key.split('-')[0]}" for name in ("ingest", "data", "features", "ml", "serving", "app")
        ]

    def node(self, kind: str, words: str, team: int, cadence: int = 0, share: float = 1.0, **more) -> Node:
        random = self.random
        gates = frozenset(name for name, chance in _GATES.items() if random.random() < chance)
        if kind == "service":
            gates = frozenset(
                name for name, chance in {"canary": 0.5, "fallback": 0.8}.items() if random.random() < chance
            )
        tags = tuple(
            tag for tag, chance in (("tier-1", 0.3), ("pii", 0.15), ("profiled", 0.75)) if random.random() < chance
        )
        phase = int(random.integers(0, max(1, cadence // 60))) * 60 if cadence else 0
        made = Node(hex_id(random), kind, words, self.teams[team], cadence, phase, share, gates, tags, **more)
        self.nodes.append(made)
        return made

    def edge(self, src: Node, dst: Node, kind: str, importance: float = 1.0) -> None:
        lag = int(self.random.uniform(5, 120)) if dst.cadence == 0 else int(self.random.uniform(30, 300))
        self.edges.append(Edge(src.id, dst.id, kind, importance, lag))

    def cadence(self) -> int:
        return weighted(self.random, self.tenant.cadences)

    def data(self, count: int) -> list[Node]:
        tables = []
        for index in range(count):
            words = self.tenant.subjects[index % len(self.tenant.subjects)]
            words += f"_{index // len(self.tenant.subjects) + 1}" if index >= len(self.tenant.subjects) else ""
            share, cadence = float(self.random.uniform(0.2, 1.0)), self.cadence()
            source = self.node("source", words, 5, 0, share)
            job = self.node("ingest_job", f"load_{words}", 0, cadence, share)
            table = self.node("table", f"raw_{words}", 1, cadence, share)
            table.phase = job.phase
            self.edge(source, job, "reads")
            self.edge(job, table, "writes")
            tables.append(table)
        return tables

    def views(self, count: int, tables: list[Node]) -> list[Node]:
        random = self.random
        popularity = np.minimum(1 + random.zipf(1.8, len(tables)), 12).astype(float)
        made = []
        for index in range(count):
            size = min(len(tables), int(random.choice([1, 2, 3, 4], p=[0.45, 0.3, 0.15, 0.1])))
            picked = random.choice(len(tables), size, replace=False, p=popularity / popularity.sum())
            chosen = [tables[int(i)] for i in picked]
            cadence = max([self.cadence(), *[t.cadence for t in chosen if t.cadence >= HOUR][:1]])
            noun = self.tenant.nouns[index % len(self.tenant.nouns)]
            words = f"{noun}_{_WINDOWS[int(random.integers(4))]}" + (f"_v{index // len(self.tenant.nouns) + 1}")
            job = self.node("feature_job", f"build_{words}", 2, cadence)
            view = self.node("feature_view", f"fv_{words}", 2, cadence, features=self.features(noun, size))
            view.phase = job.phase
            for table in chosen:
                self.edge(table, job, "reads")
            self.edge(job, view, "writes")
            made.append(view)
        return made

    def features(self, noun: str, parents: int) -> tuple[Feature, ...]:
        random = self.random
        count = int(np.clip(4 + random.geometric(0.4) - 1, 4, 12))
        weights, made = random.dirichlet(np.full(count, 1.2)), []
        for index in range(count):
            stat, window = _STATS[int(random.integers(len(_STATS)))], _WINDOWS[int(random.integers(4))]
            made.append(
                Feature(
                    f"{noun}_{stat}_{window}_{index}",
                    index % parents,
                    int(random.integers(4)),
                    stat in ("sum", "cnt"),
                    stat == "code",
                    bool(random.random() < 0.1),
                    bool(random.random() < 0.5),
                    float(random.choice([-1.0, 1.0])),
                    float(random.uniform(0.5, 1.5)),
                    float(weights[index]),
                )
            )
        return tuple(made)

    def serving(self, views: list[Node], tables: list[Node], services: int, monitors: int, labels: int) -> None:
        random, tenant = self.random, self.tenant
        store = self.node("feature_store", "online_store", 4)
        label_jobs = [self.node("label_job", f"join_outcomes_{i + 1}", 1, HOUR) for i in range(labels)]
        for job in label_jobs:
            self.edge(tables[int(random.integers(len(tables)))], job, "reads")
        models = []
        for index in range(tenant.models):
            size = min(len(views), int(random.integers(3, 13)))
            picked = random.choice(len(views), size, replace=False)
            weight = np.sort(random.dirichlet(np.full(size, 0.6)))[::-1]
            line = ("core", "fast", "intl", "new", "lite", "deep", "pro", "base")[index % 8]
            words = f"{tenant.key.split('-')[1]}_{line}{index // 8 + 1}"
            train = self.node("training_job", f"train_{words}", 3, int(random.choice([1, 1, 2, 7])) * DAY)
            model = self.node("model", words, 3, tenant.batch, float(random.uniform(0.15, 1.0)))
            for view, importance in zip(picked, weight, strict=True):
                self.edge(views[int(view)], model, "feeds", float(importance))
                if importance > 0.05:
                    self.edge(views[int(view)], train, "trains_on")
            self.edge(train, model, "trains")
            self.edge(label_jobs[index % labels], train, "trains_on")
            self.edge(label_jobs[index % labels], model, "labels")
            if not tenant.batch and random.random() < 0.8:
                self.edge(store, model, "reads_online")
            models.append(model)
        fronts: list[Node] = []
        for index in range(services):
            service = self.node(
                "service",
                f"{self.tenant.key.split('-')[0]}_{('api', 'gate', 'web', 'app', 'edge')[index % 5]}_{index + 1}",
                4,
                0,
                float(random.uniform(0.2, 1.0)),
            )
            count = min(len(models), int(random.integers(1, 4)))
            weight = random.dirichlet(np.full(count, 2.0))
            extra = models[index::services][:count]
            others = [m for m in models if m not in extra]
            chosen = extra + [others[int(i)] for i in random.permutation(len(others))[: count - len(extra)]]
            for model, importance in zip(chosen, weight, strict=True):
                self.edge(model, service, "serves", float(importance))
            self.edge(store, service, "reads_online")
            for called in fronts:
                if random.random() < 1.5 / len(fronts):
                    self.edge(called, service, "calls", float(random.uniform(0.4, 1.0)))
            fronts.append(service)
        for index in range(monitors):
            monitor = self.node("monitor", f"drift_monitor_{index + 1}", 3)
            for watched in (models + views)[index::monitors]:
                self.edge(watched, monitor, "observes")

    def skips(self, tables: list[Node]) -> None:
        """About 5 % more edges, from a table straight to a model, and between feature jobs and tables far apart."""
        models = [node for node in self.nodes if node.kind == "model"]
        for _ in range(max(1, len(self.edges) // 25)):
            table, model = (
                tables[int(self.random.integers(len(tables)))],
                models[int(self.random.integers(len(models)))],
            )
            if not any(edge.src == table.id and edge.dst == model.id for edge in self.edges):
                self.edge(table, model, "feeds", 0.02)

    def graph(self) -> Graph:
        """Hide 5 % of the true edges, blur what is shown of importances, add 3 % of dead edges."""
        random, out = self.random, []
        for edge in self.edges:
            told = edge.kind == "feeds" and random.random() < 0.75
            blur = round(min(1.0, edge.importance * float(random.lognormal(0, 0.4))), 3) if told else None
            hidden = edge.kind not in ("observes", "writes") and random.random() < 0.05
            out.append(Edge(edge.src, edge.dst, edge.kind, edge.importance, edge.lag, not hidden, False, blur))
        order = {kind: rank for rank, kind in enumerate(KINDS)}
        pool = [node for node in self.nodes if node.kind not in ("monitor", *DATASETS)]
        seen = {(edge.src, edge.dst) for edge in out}
        for _ in range(max(1, round(len(out) * 0.03))):
            dst = pool[int(random.integers(len(pool)))]
            kin = {
                "ingest_job": "source",
                "feature_job": "table",
                "label_job": "table",
                "training_job": "feature_view",
                "feature_store": "feature_view",
                "model": "feature_view",
                "service": "model",
            }[dst.kind]
            from_ = [node for node in self.nodes if node.kind == kin and (node.id, dst.id) not in seen]
            if from_:
                src = from_[int(random.integers(len(from_)))]
                seen.add((src.id, dst.id))
                out.append(Edge(src.id, dst.id, "feeds" if dst.kind == "model" else "reads", 0.0, 60, True, True))
        nodes = sorted(self.nodes, key=lambda node: order[node.kind])
        return Graph({node.id: node for node in nodes}, out)
