"""Five plain rankers any investigator has to beat, from the visible data alone. Each returns node ids, best first."""

from collections.abc import Callable

import numpy as np

from bot.simulator.case import Case, standing
from bot.simulator.rng import stream
from bot.simulator.tenants import DAY

Ranker = Callable[[Case], list[str]]


def last_change(case: Case) -> list[str]:
    """Nodes by how lately before the alert they were changed."""
    before = [change for change in case.changes if change["when"] <= case.alert_at]
    return list(dict.fromkeys(change["target"] for change in reversed(before)))


def nearest_change(case: Case) -> list[str]:
    """Nodes upstream of the target that changed in the last day, nearest in the lineage first, then the latest."""
    hops = case.ancestors(case.alert["node"])
    recent = [c for c in case.changes if case.alert_at - DAY <= c["when"] <= case.alert_at and c["target"] in hops]
    recent.sort(key=lambda change: (hops[change["target"]], -change["when"]))
    return list(dict.fromkeys([change["target"] for change in recent] + list(hops)))


def largest_z(case: Case) -> list[str]:
    """Nodes upstream of the target by the largest robust z of any of their series."""
    score = node_scores(case)
    return sorted(case.ancestors(case.alert["node"]), key=lambda node: -score.get(node, 0.0))


def traversal(case: Case, threshold: float = 5.0) -> list[str]:
    """From the target upstream through abnormal nodes only; the abnormal ones whose parents are all normal come first.

    A quiet job is looked through to what it reads: jobs see rows, not values.
    """
    score, hops = node_scores(case), case.ancestors(case.alert["node"])
    target = case.alert["node"]
    parents: dict[str, list[str]] = {}
    for edge in case.edges:
        if edge["kind"] != "observes":
            parents.setdefault(edge["dst"], []).append(edge["src"])
    kinds = {node["id"]: node["kind"] for node in case.nodes}
    reached, queue, ends = {target}, [target], []
    for node in queue:
        up = []
        for parent in parents.get(node, ()):
            quiet_job = kinds[parent].endswith("_job") and score.get(parent, 0.0) <= threshold
            up += [
                far for far in (parents.get(parent, ()) if quiet_job else (parent,)) if score.get(far, 0.0) > threshold
            ]
        if not up:
            ends.append(node)
        for parent in up:
            if parent not in reached:
                reached.add(parent)
                queue.append(parent)
    ends.sort(key=lambda node: -score.get(node, 0.0))
    return ends + sorted((node for node in hops if node not in ends), key=lambda node: -score.get(node, 0.0))


def uniform(case: Case) -> list[str]:
    """Nodes upstream of the target in random order."""
    hops = sorted(case.ancestors(case.alert["node"]))
    order = stream(int(case.alert["id"][:8], 16), "uniform").permutation(len(hops))
    return [hops[int(i)] for i in order]


REFERENCES: dict[str, Ranker] = {
    "last change": last_change,
    "nearest change upstream": nearest_change,
    "largest z": largest_z,
    "anomaly traversal": traversal,
    "uniform": uniform,
}


def node_scores(case: Case) -> dict[str, float]:
    """The largest |robust z| of each node's series of all traffic."""
    score: dict[str, float] = {}
    for series in case.series:
        if series.segment is None:
            score[series.node] = max(
                score.get(series.node, 0.0), float(np.clip(standing(series, case.alert_at), 0, 1e4))
            )
    return score
