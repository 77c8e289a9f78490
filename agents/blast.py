"""Which models a fault will hurt: the chance that quality is lost within a day, for every model it can reach.

A small graph network (GraphSAGE with mean aggregation, Hamilton et al. 2017) over the lineage, whose first input is the
dependable answer: reach along the edges' strengths. It is trained with PyTorch Geometric (`benchmarks/fit_blast.py`) on
simulated incidents and their twins without one; here its few matrices are multiplied with numpy, so that no
investigation waits for torch. Without the file the answer is the reach alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FILE = Path(__file__).with_name("blast.npz")
KINDS = ("source", "table", "job", "feature_view", "feature_store", "model", "service")
FAMILIES = "DFMSLWO"
"""First letters of the catalogue's ids: data, features, models, services, labels, world, monitors."""
LEAST = 0.01
UNKNOWN = 0.5

Edges = Iterable[tuple[str, str, float | None]]


class Graph(NamedTuple):
    """Nodes in order with their features (rows), and edges as two rows of indexes, cause to effect, with strengths."""

    names: list[str]
    x: Any
    edges: Any
    strength: Any
    reach: Any


def reach(edges: Edges, root: str) -> dict[str, float]:
    """The strongest way's chance to each node that can be reached: a product of strengths, 1 at the root."""
    down: dict[str, list[tuple[str, float]]] = {}
    for source, sink, strength in edges:
        down.setdefault(source, []).append((sink, UNKNOWN if strength is None else strength))
    found, queue = {root: 1.0}, [root]
    for node in queue:
        for child, strength in down.get(node, ()):
            p = found[node] * strength
            if p > found.get(child, 0.0) + 1e-3 and p > LEAST:
                found[child] = p
                queue.append(child)
    return found


def graph(edges: Sequence[tuple[str, str, float | None]], kinds: Mapping[str, str], root: str, code: str) -> Graph:
    """The part of the lineage that a fault at `root` of the type `code` can reach, with its features."""
    found = reach(edges, root)
    names = sorted(found)
    place = {name: i for i, name in enumerate(names)}
    kept = [(a, b, UNKNOWN if s is None else s) for a, b, s in edges if a in place and b in place and a != b]
    fed = np.zeros(len(names))
    for _, sink, _ in kept:
        fed[place[sink]] += 1
    rows = []
    for name in names:
        kind = "job" if kinds.get(name, "").endswith("_job") else kinds.get(name, "")
        p = found[name]
        rows.append([
            p, np.sqrt(p), float(name == root), np.log1p(fed[place[name]]),
            *(float(kind == k) for k in KINDS), *(float(code[:1] == f) for f in FAMILIES),
        ])  # fmt: skip
    pairs = np.array([[place[a], place[b]] for a, b, _ in kept], int).reshape(-1, 2).T
    return Graph(names, np.array(rows), pairs, np.array([s for _, _, s in kept]), np.array([found[n] for n in names]))


@lru_cache
def _layers(path: Path) -> tuple[list[tuple[Any, Any, Any]], Any, Any] | None:
    if not path.exists():
        return None
    with np.load(path) as file:
        count = sum(name.startswith("own") for name in file.files)
        layers = [(file[f"near{i}"], file[f"own{i}"], file[f"bias{i}"]) for i in range(count)]
        return layers, file["head"], file["offset"]


def chances(
    edges: Sequence[tuple[str, str, float | None]], kinds: Mapping[str, str], root: str, code: str, path: Path = FILE
) -> dict[str, float]:
    """Model -> chance that a fault of the type `code` at `root` costs it quality within a day. Only what is reached."""
    g, net = graph(edges, kinds, root, code), _layers(path)
    if net is None:
        p = g.reach
    else:
        layers, head, offset = net
        h = g.x
        for near, own, bias in layers:
            total, weight = np.zeros_like(h), np.full((len(h), 1), 1e-9)
            if g.edges.size:
                np.add.at(total, g.edges[1], h[g.edges[0]])
                np.add.at(weight, g.edges[1], 1.0)
            h = np.maximum(total / weight @ near.T + h @ own.T + bias, 0.0)
        p = 1 / (1 + np.exp(-(h @ head + offset)))
    return {n: float(v) for n, v in zip(g.names, p, strict=True) if kinds.get(n) == "model"}
