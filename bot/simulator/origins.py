"""What each type does at the node where it begins, and to what stands beside its path."""

import numpy as np

from bot.simulator.faults import Fault
from bot.simulator.lineage import Graph


def begin(out, graph: Graph, fault: Fault) -> dict[str, float]:
    """Record the root's own effects on `out` (a Spread) and return the states that travel on from it."""
    size, sign = fault.size, fault.params["sign"]
    local = size * fault.share if fault.segments else size
    add = out.add
    if fault.type in ("D1", "D8", "D3"):
        return {{"D1": "sentinel", "D8": "oov", "D3": "scale"}[fault.type]: local}
    if fault.type == "D4":
        return {"null" if fault.params["as_null"] else "sentinel": local}
    if fault.type == "D2":
        return {"schema": size}
    if fault.type == "D5":
        return {"dup": size}
    if fault.type in ("D6", "X3", "X4"):
        if fault.type == "D6":
            add(fault.node, "duration", -0.4 * local)
        return {"drop": local} | ({"late": local} if fault.type == "D6" else {})
    if fault.type == "F1":
        add(fault.node, "lag", 1.0, course="stale")
        add(fault.node, "fail", 1.0)
        return {"stale": 1.0}
    if fault.type in ("F2", "S3") and graph.nodes[fault.node].kind == "feature_store":
        return _store(out, graph, fault, local)
    if fault.type == "F3":
        return _skew(out, graph, fault)
    if fault.type == "F6":
        add(fault.node, "rows_out", 0.7)
        add(fault.node, "duration", 0.5)
        return {"err": size}
    if fault.type == "M1":
        add(fault.node, "rows_in", float(np.log(fault.params["rows"])))
        return {
            "loss": size,
            "score": fault.params["score"] * size * 5,
            "version": 1.0,
            "weights": size,
            "train": float(np.log(fault.params["rows"])),
            "calib": 0.5 * fault.params["score"] * size * 5,
        }
    if fault.type == "M2":
        return {"action": size * sign, "loss": 0.15 * size}
    if fault.type == "M3":
        add(fault.node, "fail", 1.0, course="on")
        return {"loss": 0.4 * size, "calib": 0.5 * size * sign, "age": 1.0}
    if fault.type in ("M4", "M4P"):
        return {"action": size * sign}
    if fault.type in ("S1", "S4"):
        more = {"err": 0.02 * size} if fault.type == "S4" else {}
        return {"loss": 0.4 * size, "pool": 1.5 * size, "mix": size if fault.type == "S4" else 0.5 * size} | more
    if fault.type == "S3":
        return {"lat": size}
    return _beside(out, graph, fault, local)


def _store(out, graph: Graph, fault: Fault, local: float) -> dict[str, float]:
    if fault.type == "S3":
        out.add(fault.node, "lat", fault.size)
        return {"lat": fault.size}
    out.add(fault.node, "miss", local)
    for view in graph.of("feature_view"):
        count = len(view.features)
        out.add(view.id, "miss", np.full(count, local))
        out.add(view.id, "skew", np.array([1.2 * local * feature.gain for feature in view.features]))
    return {"loss": 0.8 * local, "score": 1.5 * local * fault.params["sign"]}


def _skew(out, graph: Graph, fault: Fault) -> dict[str, float]:
    if graph.nodes[fault.node].kind != "service":
        return {"skew": fault.size}
    for edge in graph.parents.get(fault.node, ()):
        for feeds in graph.parents.get(edge.src, ()) if edge.kind == "serves" else ():
            view = graph.nodes[feeds.src]
            if view.kind == "feature_view" and feeds.importance > 0.1:
                vector = np.zeros(len(view.features))
                vector[int(np.argmax([feature.weight for feature in view.features]))] = fault.size
                out.add(view.id, "skew", vector)
                break
    return {"loss": min(0.9, fault.size / 4)}


def _beside(out, graph: Graph, fault: Fault, local: float) -> dict[str, float]:
    """Labels, the world, the monitor, and what is in no catalogue."""
    size, sign, add = fault.size, fault.params["sign"], out.add
    if fault.type == "L1":
        add(fault.node, "missing", size)
        return {"label_bias": 0.5 * size, "calib": 0.6 * size, "label_seen": size}
    if fault.type == "L2":
        add(fault.node, "base", size * sign)
        return {"label_bias": 0.25 * size, "calib": -0.8 * size * sign}
    if fault.type == "W1":
        return {"mix": local * 3, "season": 0.4 * local}
    if fault.type == "W2":
        return {"loss": local, "calib": 0.8 * local * sign}
    if fault.type == "W4":
        return {"mix": local * 3}
    if fault.type == "O1":
        add(fault.node, "ref", 1.0)
        for edge in graph.edges:
            if edge.kind == "observes" and edge.dst == fault.node:
                node = graph.nodes[edge.src]
                if node.kind == "model":
                    add(node.id, "psi", size)
                elif node.kind == "feature_view":
                    add(node.id, "psi", np.array([size * feature.gain for feature in node.features]))
        return {}
    if fault.type == "W3":
        return _season(out, graph, fault)
    if fault.type == "X1":
        return {"loss": size, "routing": size, "action": 0.3 * size * sign}
    if fault.type == "X2":
        return {"loss": 0.5 * size, "cache": size}
    return {"shift": fault.size}  # X5: columns of a view served under another version's names


def _season(out, graph: Graph, fault: Fault) -> dict[str, float]:
    """A season moves the whole tenant at once: traffic, and the features that follow it."""
    size = fault.size
    for node in graph.nodes.values():
        if node.kind in ("source", "table") and node.id != fault.node:
            out.add(node.id, "rows", size * 0.4)
        elif node.kind in ("ingest_job", "feature_job"):
            out.add(node.id, "rows_in", size * 0.4)
            out.add(node.id, "rows_out", size * 0.4)
        elif node.kind == "feature_view":
            shift = [0.3 * size * feature.sign * feature.gain * (feature.column % 2) for feature in node.features]
            out.add(node.id, "shift", np.array(shift))
        elif node.kind == "model":
            out.add(node.id, "score", 0.25 * size * fault.params["sign"])
        elif node.kind in ("service", "feature_store"):
            out.add(node.id, "season", size * 0.4)
    out.add(fault.node, "rows", size * 0.4)
    return {}
