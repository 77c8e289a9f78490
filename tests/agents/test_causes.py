"""The ranker as a pure function over a causal graph and two metric tables."""

import numpy as np
import pytest

from agents.causes import Constants, Factors, rank, weigh
from agents.metrics import role_of
from agents.surprise import deviations

CHAIN = [("a", "b"), ("b", "c"), ("c", "d"), ("x", "d")]


def tables(shifts, seed=0, onset=4):
    r = np.random.default_rng(seed)
    normal = {n: {"value": r.normal(10, 1, 200)} for n in "abcdx"}
    abnormal = {n: {"value": r.normal(10, 1, 20)} for n in "abcdx"}
    for node, by in shifts.items():
        abnormal[node]["value"][onset:] += by
    return normal, abnormal


@pytest.mark.parametrize("seed", range(20))
def test_the_first_node_on_the_path_of_the_anomaly_is_named(seed):
    """Of three nodes that moved in a row, the one at the top explains the others."""
    normal, abnormal = tables({"b": 9, "c": 7, "d": 6}, seed)
    assert rank(CHAIN, normal, abnormal, "d", onset=4).candidates[0].node == "b"


def test_contributions_sum_to_the_score_and_posteriors_to_one():
    """Every nat of a candidate's score is accounted for."""
    normal, abnormal = tables({"b": 9, "c": 7, "d": 6})
    ranking = rank(CHAIN, normal, abnormal, "d", onset=4, priors={"b": 1.5})
    for candidate in ranking.candidates:
        assert sum(nats for _, _, nats in candidate.parts) == pytest.approx(candidate.score, abs=2e-3)
    total = sum(c.posterior for c in ranking.candidates) + ranking.no_fault + ranking.benign
    assert total == pytest.approx(1)


def test_a_quiet_window_is_most_likely_no_fault():
    """Without any anomaly and without a target, nothing is the best explanation."""
    normal, abnormal = tables({})
    ranking = rank(CHAIN, normal, abnormal, onset=4)
    assert ranking.no_fault > 0.5


def test_a_stale_level_shift_counts_for_nothing():
    """What was already wrong just before the onset is no news."""
    past = np.random.default_rng(0).normal(10, 1, 100)
    rows = np.full(10, 20.0) + np.random.default_rng(1).normal(0, 0.1, 10)
    assert np.nanmax(deviations(past, rows, 4, 0)) < 1
    assert np.nanmin(deviations(past, np.concatenate([past[:4], rows[4:]]), 4, 0)[4:]) > 5


def test_cycles_are_contracted_and_reported():
    """A knot in bad lineage neither loops nor raises; its members stay candidates of their own."""
    normal, abnormal = tables({"b": 9, "c": 7, "d": 6})
    ranking = rank([*CHAIN, ("c", "b"), ("a", "a")], normal, abnormal, "d", onset=4)
    assert ranking.cycles == [["b", "c"]]
    assert ranking.candidates[0].node in ("b", "c")
    assert {"b", "c"} <= {c.node for c in ranking.candidates}


def test_a_node_without_a_known_path_is_still_considered():
    """Lineage is never complete: a loud stranger is a candidate, at a price."""
    normal, abnormal = tables({"d": 1})
    normal["z"], abnormal["z"] = {"value": normal["a"]["value"]}, {"value": abnormal["a"]["value"] + 40.0}
    abnormal["z"]["value"][:4] -= 40
    ranking = rank(CHAIN, normal, abnormal, "d", onset=4)
    assert ranking.place("z") is not None


def test_unseen_nodes_are_neither_excluded_nor_preferred():
    """A dark node between two loud ones can relay, and as a culprit scores below a seen one."""
    normal, abnormal = tables({"a": 40, "c": 12, "d": 8})
    del normal["b"], abnormal["b"]
    ranking = rank(CHAIN, normal, abnormal, "d", onset=4)
    assert ranking.candidates[0].node == "a"
    assert ranking.place("b") is not None


def test_a_thousand_nodes_are_all_ranked():
    """A thousand candidates over three thousand edges: each ancestor of the target gets its score."""
    r = np.random.default_rng(0)
    edges = [(f"n{int(r.integers(0, i))}", f"n{i}") for i in range(1, 1000) for _ in range(3)]
    quiet = Factors(0.3, -4.0, -1.0)
    factors = {f"n{i}": quiet for i in range(1000)} | {"n999": Factors(8.0, 1.0, 3.0)}
    ranking = weigh(edges, factors, "n999")
    above = {"n999"}
    for i in range(999, 0, -1):
        above |= {a for a, b in edges if b == f"n{i}" and b in above}
    assert {c.node for c in ranking.candidates} == above
    assert ranking.candidates[0].node == "n999"


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize("field", [f for f in Constants.__struct_fields__ if f not in ("observed",)])
def test_no_constant_decides_alone(field, factor):
    """Halving or doubling any one constant leaves the clear case clear."""
    constants = Constants(**{field: min(getattr(Constants(), field) * factor, 0.99 if field == "strength" else 1e9)})
    normal, abnormal = tables({"b": 40, "c": 12, "d": 8})
    assert rank(CHAIN, normal, abnormal, "d", onset=4, constants=constants).candidates[0].node == "b"


@pytest.mark.parametrize(
    ("metric", "role", "direction"),
    [
        ("null_rate", "nulls", 1),
        ("missingPct", "nulls", 1),
        ("amount.nan_ratio", "nulls", 1),
        ("p99_ms", "latency", 1),
        ("PodSuccessRate(%)", "success", -1),
        ("staleness_s", "staleness", 1),
        ("oov_rate", "unseen", 1),
        ("schema_hash", "schema", 0),
        ("score_psi_7d", "psi", 1),
        ("cache_hit", "cache", -1),
        ("model_age_d", "model_age", 1),
        ("top_share", "top_share", 1),
        ("qps", "traffic", 0),
        ("fallback_rate", "fallback", 1),
        ("whatever", "other", 0),
    ],
)
def test_a_metric_is_known_by_its_name_in_any_dialect(metric, role, direction):
    """Role and bad direction follow from the words of the name."""
    assert (role_of(metric).name, role_of(metric).direction) == (role, direction)
