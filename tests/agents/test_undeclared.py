"""Edges that a lineage lacks are taken from names only where the declared ones show that names tell."""

import numpy as np
import pytest

from agents.answers import answer_of
from agents.cases import Case, Edge, Series
from agents.metrics import Role
from agents.undeclared import undeclared
from core.policy import Policy

SUBJECTS = ("orders", "clicks", "gps.pings", "stock", "returns")


def town(spell=lambda *words: ".".join(words), edge=lambda i: True):
    """Five sources, their loaders and their tables; `edge`: which sources have a declared loader."""
    kinds = {"source": (), "ingest_job": ("load",), "table": ("raw",)}
    nodes = {
        f"{kind}-{i}": {"kind": kind, "name": spell(*prefix, *subject.split("."))}
        for kind, prefix in kinds.items()
        for i, subject in enumerate(SUBJECTS)
    }
    edges = [Edge(f"ingest_job-{i}", f"table-{i}", "writes", None, 60) for i in range(5)]
    return nodes, edges + [Edge(f"source-{i}", f"ingest_job-{i}", "reads", None, 0) for i in range(5) if edge(i)]


def camel(*words):
    return words[0] + "".join(w.title() for w in words[1:])


@pytest.mark.parametrize("spell", [lambda *w: "_".join(w), lambda *w: "/".join(w), camel])
def test_a_missing_edge_is_told_by_names_however_they_are_spelled(spell):
    """The loader of one source is undeclared; the other four show that a loader has its source's name."""
    nodes, edges = town(spell, lambda i: i != 2)
    assert undeclared(nodes, edges) == [Edge("source-2", "ingest_job-2", "reads", None, 0)]


def test_a_whole_lineage_gains_nothing():
    """Every edge that names tell is there already."""
    assert undeclared(*town()) == []


def test_names_that_tell_nothing_are_not_believed():
    """Where loaders are named after something else than their sources, or there are two of a name, nothing is added."""
    nodes, edges = town(edge=lambda i: i < 4)
    crossed = [
        e._replace(target=f"ingest_job-{(int(e.target[-1]) + 1) % 4}") if e.kind == "reads" else e for e in edges
    ]
    assert undeclared(nodes, crossed) == []
    twice = nodes | {"source-9": nodes["source-4"]}
    assert undeclared(twice, edges) == []


def test_the_answer_says_which_edges_were_taken_from_names():
    """What was not declared is a gap of the investigation, by name."""
    nodes, edges = town(edge=lambda i: i != 2)
    at = 1e9 - 3600.0 * np.arange(40)[::-1]
    rows = Series("r", "table-2", "rows", "", "", at, np.full(40, 9.0), np.full(40, 9.0), Role("rows", 0))
    said = answer_of(Case("c", {"node": "table-2", "ts": 1e9}, 1e9, nodes, edges, [rows], [], []), Policy())
    assert {"what": "1 edge", "why": "not declared, taken from the names: gps.pings to load.gps.pings"} in said["gaps"]
