"""Which models a fault will hurt: only what can be reached, by the network where there is one."""

import numpy as np
import pytest

from agents.blast import FAMILIES, FILE, KINDS, chances, graph, reach

EDGES = [("s", "t", 0.9), ("t", "near", 0.8), ("t", "far", 0.1), ("far", "t", None), ("x", "other", 0.9)]
KIND = {"s": "source", "t": "table", "near": "model", "far": "model", "other": "model", "x": "source"}


def test_reach_is_the_strongest_way_and_cycles_end():
    """Strengths multiply along the best way, an unknown one counts a half, and a loop adds nothing."""
    found = reach([*EDGES, ("s", "near", 0.5)], "s")
    assert found == pytest.approx({"s": 1.0, "t": 0.9, "near": 0.72, "far": 0.09})


def test_without_a_trained_network_the_answer_is_the_reach(tmp_path):
    """No file, no guess: the chance is how likely the fault gets there."""
    assert chances(EDGES, KIND, "s", "D3", tmp_path / "none.npz") == pytest.approx({"near": 0.72, "far": 0.09})


def test_the_network_speaks_of_reachable_models_alone():
    """The shipped network gives every reachable model a probability, and no other node one."""
    assert FILE.exists()
    said = chances(EDGES, KIND, "s", "D3")
    assert set(said) == {"near", "far"}
    assert all(0 <= p <= 1 for p in said.values())
    assert said["near"] > said["far"]
    assert chances(EDGES, KIND, "nowhere", "L1") == {}


def test_a_layer_takes_the_mean_of_what_feeds_a_node(tmp_path):
    """One layer that copies the neighbours' reach: each model's answer is the mean reach of its parents."""
    inputs = 4 + len(KINDS) + len(FAMILIES)
    near, own = np.zeros((1, inputs)), np.zeros((1, inputs))
    near[0, 0] = 1.0
    path = tmp_path / "net.npz"
    np.savez(path, near0=near, own0=own, bias0=np.zeros(1), head=np.ones(1), offset=np.zeros(1))
    said = chances([("s", "t", 0.5), ("s", "m", 0.4), ("t", "m", 0.4)], {"m": "model"}, "s", "D1", path)
    assert said["m"] == pytest.approx(1 / (1 + np.exp(-(1.0 + 0.5) / 2)))


def test_the_features_of_a_graph_are_bounded_and_ordered():
    """Nodes come sorted, the root is marked, and no feature is larger than the logarithm of what feeds it."""
    g = graph(EDGES, KIND, "s", "F1")
    assert g.names == sorted(g.names)
    assert g.x[g.names.index("s"), 2] == 1.0
    assert np.isfinite(g.x).all()
