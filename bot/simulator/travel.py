"""How a fault travels: states pass, change or stop at each node of the lineage, and turn into effects on metrics.

The rules are those of section 4 of the simulator's design: data states go through jobs and their gates into views,
through feature importances into models, and through the share of calls into services.
"""

from dataclasses import dataclass, field

import numpy as np

from bot.simulator.faults import Fault
from bot.simulator.lineage import Feature, Graph, Node
from bot.simulator.origins import begin
from bot.simulator.shapes import Hop, arrival, seen_from
from bot.simulator.tenants import HOUR

NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class Effect:
    """One quantity `key` of one node is moved by `size` (a number, or one per feature) times the course of the fault.

    `course`: "amp" the shape itself, "on" 1 from the onset, "stale" seconds since it, "decay" 1 - exp(-seconds / tau).
    """

    node: str
    key: str
    size: float | np.ndarray
    hops: tuple[Hop, ...]
    course: str = "amp"
    tau: float = HOUR
    column: int | None = None


@dataclass
class Spread:
    """What a fault does everywhere: effects by node, strength of each node on the way (1 at the root), its edges."""

    fault: Fault
    effects: dict[str, list[Effect]] = field(default_factory=dict)
    strength: dict[str, float] = field(default_factory=dict)
    hops: dict[str, tuple[Hop, ...]] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def add(self, node: str, key: str, size, **more) -> None:
        """Record an effect at a node already reached (or beside the path, with the root's timing)."""
        hops = self.hops.get(node, self.hops.get(self.fault.node, ()))
        self.effects.setdefault(node, []).append(Effect(node, key, size, hops, **more))

    def onset(self, node: str) -> float:
        """When the node first shows the fault."""
        return arrival(self.fault.onset, self.hops.get(node, ()))

    def amount(self, effect: Effect, t: np.ndarray, step: float) -> np.ndarray:
        """The course of an effect at times t (epoch seconds), averaged over the step that ends at t."""
        fault = self.fault
        if effect.course == "amp" and not any(hop.cadence for hop in effect.hops):
            at = [
                fault.shape.at(seen_from(t - step * part, effect.hops) - fault.onset) for part in (0.05, 0.3, 0.55, 0.8)
            ]
            return np.mean(at, axis=0)
        x = seen_from(t, effect.hops) - fault.onset
        if effect.course == "on":
            return (x >= 0).astype(float)
        if effect.course == "amp":
            if fault.shape.kind == "intermittent":
                return fault.shape.duty * (x >= 0)
            return fault.shape.at(x)
        seconds = np.clip(x, 0, None)
        return seconds if effect.course == "stale" else 1 - np.exp(-seconds / effect.tau)


def hop_of(node: Node, kind: str, lag: int) -> Hop:
    """How a node delays what comes in over an edge of this kind."""
    if kind == "writes" or node.cadence == 0 or node.kind not in ("ingest_job", "feature_job", "label_job", "model"):
        return Hop(0, 0, lag)
    return Hop(node.cadence, node.phase, lag)


def spread(graph: Graph, fault: Fault) -> Spread:
    """Let a fault travel through the true lineage."""
    out = Spread(fault)
    root = graph.nodes[fault.node]
    if (root.kind in ("ingest_job", "label_job", "feature_job") and fault.type != "F1") or fault.type == "M1":
        out.hops[root.id] = (Hop(root.cadence, root.phase, 0),)
    states: dict[str, dict[str, float]] = {root.id: begin(out, graph, fault)}
    via: dict[str, set[int]] = {}
    out.strength[root.id] = 1.0
    if root.kind == "feature_view":
        states[root.id] = _view(out, root, states[root.id], None)
    elif root.kind in ("model", "service"):
        states[root.id] = _finish(out, graph, root, states[root.id])
    else:
        _own(out, graph, root, states[root.id])
    for node in graph.nodes.values():
        if node.id == root.id:
            continue
        arrived, came = {}, []
        for edge in graph.parents.get(node.id, ()):
            parent = states.get(edge.src)
            if not parent or edge.kind == "trains_on":
                continue
            passed, kept = _cross(graph, edge, node, parent)
            if passed and out.strength[edge.src] * kept > NEGLIGIBLE:
                came.append((out.strength[edge.src] * kept, edge))
                for name, size in passed.items():
                    old = arrived.get(name, 0.0)
                    add = name in ("loss", "score") and node.kind in ("model", "service")
                    arrived[name] = old + size if add else max(old, size, key=abs)
        if not came:
            continue
        strongest, edge = max(came, key=lambda item: item[0])
        out.strength[node.id] = min(1.0, strongest)
        out.hops[node.id] = (*out.hops.get(edge.src, ()), hop_of(node, edge.kind, edge.lag))
        out.edges += [(e.src, e.dst) for _, e in came]
        if node.kind in ("feature_job", "feature_view"):
            via[node.id] = _columns(graph, node, {e.src for _, e in came}, via)
        arrived = _gates(node, arrived, out)
        if node.kind == "feature_view":
            arrived = _view(out, node, arrived, None if fault.features is not None else via[node.id])
        elif node.kind in ("model", "service"):
            arrived = _finish(out, graph, node, arrived)
        else:
            _own(out, graph, node, arrived)
        if arrived or node.id in out.effects:
            states[node.id] = arrived
        else:
            _forget(out, node.id)
    return out


def _forget(out: Spread, node: str) -> None:
    out.strength.pop(node, None)
    out.hops.pop(node, None)
    out.edges = [edge for edge in out.edges if edge[1] != node]


def _columns(graph: Graph, node: Node, came: set[str], via: dict[str, set[int]]) -> set[int]:
    """Which parent tables of a feature job are touched, by their place among its inputs."""
    if node.kind == "feature_view":
        return set().union(*(via.get(src, set()) for src in came))
    tables = [edge.src for edge in graph.parents.get(node.id, ()) if edge.kind == "reads"]
    return {tables.index(src) for src in came if src in tables}


def _cross(graph: Graph, edge, node: Node, parent: dict[str, float]) -> tuple[dict[str, float], float]:
    """What of a parent's state crosses an edge, and how much of its strength is kept."""
    if node.kind == "model":
        if edge.kind == "feeds" and graph.nodes[edge.src].kind == "table":
            level = sum(abs(parent.get(name, 0.0)) for name in ("sentinel", "null", "shift", "drop", "oov"))
            return ({"loss": edge.importance * min(1, level)} if level else {}), edge.importance
        if edge.kind == "feeds":
            kept = {
                name: size * edge.importance for name, size in parent.items() if name in ("loss", "score", "stale_loss")
            }
            kept |= {name: size for name, size in parent.items() if name in ("err", "tau")}
            return kept, 1.0 if "err" in kept else edge.importance * parent.get("reach", 1.0)
        if edge.kind == "reads_online":
            return {name: size for name, size in parent.items() if name in ("loss", "score")}, 1.0
        return (dict(parent), 1.0) if edge.kind in ("trains", "labels") else ({}, 0.0)
    if node.kind == "service":
        if edge.kind == "serves":
            kept = {
                name: size * edge.importance
                for name, size in parent.items()
                if name in ("loss", "score", "stale_loss", "action", "err", "season")
            }
            return kept | ({"tau": parent["tau"]} if "tau" in parent else {}), edge.importance
        if edge.kind == "calls":
            names = ("loss", "stale_loss", "action", "err", "lat", "tau")
            kept = {name: parent[name] * (1 if name == "tau" else edge.importance) for name in names if name in parent}
            return kept, edge.importance
        return {name: size for name, size in parent.items() if name == "lat"}, 0.7
    if node.kind in ("training_job", "feature_store", "label_job"):
        return {}, 0.0
    return {name: size for name, size in parent.items() if name not in ("lag",)}, 1.0


def _gates(node: Node, arrived: dict[str, float], out: Spread) -> dict[str, float]:
    """Apply a job's gates: what is blocked turns into a failed run, and so into stale output."""
    if node.kind not in ("ingest_job", "feature_job"):
        return arrived
    out_states = dict(arrived)
    if "schema" in arrived:
        size = out_states.pop("schema")
        out_states["stale" if "contract" in node.gates else "null"] = 1.0 if "contract" in node.gates else size
    if arrived.get("drop", 0.0) > 0.15 and "completeness" in node.gates:
        out_states.pop("drop")
        out_states["stale"] = 1.0
    if "dedupe" in node.gates:
        out_states.pop("dup", None)
    if node.kind == "feature_job":
        if "imputer" in node.gates and "null" in out_states:
            out_states["shift"] = out_states.get("shift", 0.0) + 0.3 * out_states.pop("null")
            out.strength[node.id] *= 0.3
        if "normaliser" in node.gates and {"scale", "shift"} & set(out_states):
            out_states |= {name: out_states[name] / 5 for name in ("scale", "shift") if name in out_states}
            out.strength[node.id] *= 0.2
    if "stale" in out_states and "stale" not in arrived:
        out.add(node.id, "fail", 1.0)
        out_states = {"stale": 1.0}
    return {name: size for name, size in out_states.items() if size}


def _own(out: Spread, graph: Graph, node: Node, states: dict[str, float]) -> None:
    """Effects on the metrics of sources, tables, jobs and stores themselves."""
    add, fault = out.add, out.fault
    if node.kind in ("source", "table"):
        rows = np.log1p(states.get("dup", 0)) + np.log(max(0.01, 1 - states.get("drop", 0))) + states.get("season", 0)
        for key, size in (("rows", rows), ("dup", states.get("dup", 0)), ("late", 0.3 * states.get("late", 0))):
            if size:
                add(node.id, key, size)
        if "stale" in states:
            add(node.id, "stale", 1.0, course="stale")
        if "schema" in states and node.id == fault.node:
            add(node.id, "schema", 1.0)
        shift = (
            0.3 * states.get("mix", 0)
            + (2.5 * states.get("sentinel", 0) + states.get("shift", 0)) * fault.params["sign"]
        )
        if "scale" in states:
            shift += states["scale"] * float(np.clip(1.5 * (fault.params["r"] - 1), -4, 4))
        null = states.get("null", 0) + states.get("schema", 0)
        top = states.get("sentinel", 0) - 0.3 * states.get("oov", 0)
        for key, size in (("col_shift", shift), ("col_null", null), ("col_top", top)):
            if size:
                add(node.id, key, size, column=fault.column)
    elif node.kind in ("ingest_job", "feature_job", "label_job"):
        rows = np.log1p(states.get("dup", 0)) + np.log(max(0.01, 1 - states.get("drop", 0))) + states.get("season", 0)
        if rows:
            if node.id != fault.node:
                add(node.id, "rows_in", rows)
            add(node.id, "rows_out", rows)
            add(node.id, "duration", 0.5 * rows)
        if "stale" in states and node.id != fault.node and "fail" not in {e.key for e in out.effects.get(node.id, ())}:
            add(node.id, "rows_in", -0.5)


def effect_of(feature: Feature, states: dict[str, float], fault: Fault) -> dict[str, float]:
    """What the states of a view's input do to one of its features, at full strength."""
    ratio = 1.0 + feature.gain
    q, null, oov = states.get("sentinel", 0.0), states.get("null", 0.0), states.get("oov", 0.0)
    drop, dup, mix = states.get("drop", 0.0), states.get("dup", 0.0), states.get("mix", 0.0)
    shift = states.get("shift", 0.0) * fault.params["sign"] + 2.5 * q * feature.sign * feature.gain
    shift += (
        0.8 * oov * feature.sign
        + 0.35 * mix * feature.sign * feature.gain
        + 0.25 * states.get("season", 0.0) * feature.sign
    )
    logscale = 0.0
    if "scale" in states:
        factor = fault.params.get("r", 1.0)
        shift += states["scale"] * float(np.clip(ratio * (factor - 1), -4, 4))
        logscale = states["scale"] * float(np.clip(np.log(factor), -4, 4))
    if feature.count:
        shift += (dup - 0.5 * drop + 0.5 * states.get("season", 0.0)) * ratio
    null += 0.6 * drop
    skew = states.get("skew", 0.0) * feature.gain
    corrupt = min(1.0, abs(shift) / 3 + (2.5 * null if feature.native_null else 0.1 * null) + 1.2 * oov + abs(skew) / 3)
    if "season" in states or ("mix" in states and fault.type == "W4"):
        corrupt = 0.0
    score = shift + 0.3 * null * feature.sign + skew * feature.sign
    return {
        "shift": shift,
        "logscale": logscale,
        "null": null,
        "top": q - 0.3 * oov,
        "oov": oov,
        "skew": abs(skew),
        "loss": corrupt,
        "score": score,
    }


def _view(out: Spread, view: Node, states: dict[str, float], via: set[int] | None) -> dict[str, float]:
    """Effects on a view's features, and what it hands to models: corruption and score shift per unit of importance."""
    fault = out.fault
    if {"err", "stale"} & set(states):
        if "stale" in states:
            out.add(view.id, "stale", 1.0, course="stale")
            return {"stale_loss": fault.size if fault.type == "F1" else 0.3, "tau": fault.params.get("tau", 12 * HOUR)}
        return states
    hit = [
        index
        for index, feature in enumerate(view.features)
        if (fault.features is None or index in fault.features)
        and (via is None or feature.parent in via)
        and (fault.column is None or feature.column == fault.column)
    ]
    if not hit or not states:
        return {}
    vectors = {name: np.zeros(len(view.features)) for name in ("shift", "logscale", "null", "top", "oov", "skew")}
    loss = score = reach = 0.0
    for index in hit:
        feature = view.features[index]
        effect = effect_of(feature, states, fault)
        for name, vector in vectors.items():
            vector[index] = effect[name]
        loss += feature.weight * effect["loss"]
        score += feature.weight * effect["score"]
        reach += feature.weight
    for name, vector in vectors.items():
        if vector.any():
            out.add(view.id, name, vector)
    return {"loss": loss, "score": 1.5 * score, "reach": max(reach, 0.05)}


def _finish(out: Spread, graph: Graph, node: Node, states: dict[str, float]) -> dict[str, float]:
    """Effects on the metrics of a model or a service."""
    if node.kind == "service":
        if "lat" in states:
            states = states | {
                "fallback": min(0.8, 0.12 * states["lat"]),
                "loss": min(0.8, 0.12 * states["lat"]),
                "err": 0.004 * states["lat"],
            }
            if "fallback" not in node.gates:
                states |= {"err": states.pop("fallback") * 0.3}
        elif "err" in states and "fallback" in node.gates and out.fault.type == "F6":
            states = states | {"fallback": states["err"] * 0.7, "loss": states["err"] * 0.4, "err": states["err"] * 0.5}
    for name in (
        "loss",
        "score",
        "action",
        "err",
        "lat",
        "fallback",
        "calib",
        "weights",
        "label_bias",
        "mix",
        "pool",
        "cache",
        "routing",
        "psi",
        "version",
        "train",
        "age",
        "season",
        "label_seen",
    ):
        if states.get(name):
            out.add(node.id, name, states[name])
    if "stale_loss" in states:
        out.add(node.id, "loss", states["stale_loss"], course="decay", tau=states["tau"])
        if node.kind == "model":
            out.add(
                node.id,
                "score",
                0.4 * states["stale_loss"] * out.fault.params["sign"],
                course="decay",
                tau=states["tau"],
            )
    passing = {"calib", "label_bias", "version", "train", "age", "label_seen"}
    return {name: size for name, size in states.items() if name not in passing}
