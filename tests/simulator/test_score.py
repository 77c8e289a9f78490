"""Scoring of answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.simulator.case import case_of
from bot.simulator.episode import generate
from bot.simulator.references import REFERENCES
from bot.simulator.score import (
    aurc,
    average_precision,
    by_group,
    ece,
    interval,
    score,
    score_case,
    score_episode,
    summary,
)

TRUTH = {
    "type": "D3",
    "root": {"node": "a", "fault": "D3", "onset_ts": 5},
    "alike": [],
    "silent_root": False,
    "visible_child": None,
    "path_edges": [["a", "b"], ["b", "c"]],
    "degraded_models": {"c": {"dQ": 0.1, "minutes": 5}},
    "change": "ch1",
    "decoys": ["ch2"],
    "remediation": {
        "best": ["FIX_UPSTREAM"],
        "acceptable": ["MASK"],
        "harmful": ["RETRAIN"],
        "object": "a",
        "target": "c",
    },
}
RIGHT = {
    "causes": [{"node": "a"}, {"node": "b"}],
    "type": "unit_change",
    "change": "ch1",
    "path": [["a", "b"], ["b", "c"]],
    "blast": {"c": 0.9, "d": 0.1},
    "remediation": {"action": "FIX_UPSTREAM", "object": "a"},
    "benign": 0.02,
    "confidence": 0.9,
    "claims": [{"text": "rose to 5", "citations": [{"row_id": "r@1", "value": 5.0}]}],
}
STORED = {"r@1": 5.05}.get


def test_a_right_answer_earns_everything():
    """The right node, type, change, path, remedy and citation each count in full."""
    row = score(TRUTH, RIGHT, STORED, models=["c", "d"])
    for name in (
        "ac1",
        "ac3",
        "mrr",
        "type",
        "change",
        "path_f1",
        "grounded",
        "remediation",
        "citations",
        "blast_auprc",
        "benign",
        "right",
    ):
        assert row[name] == 1.0, name
    assert row["false_accusation"] == 0


def test_nothing_said_earns_nothing():
    """An empty answer to a real fault scores zero and names no decoy."""
    row = score(TRUTH, {"causes": []})
    assert row["ac1"] == row["mrr"] == row["benign"] == row["remediation"] == row["false_accusation"] == 0


def test_a_harmful_remedy_costs_one():
    """Naming a harmful remedy scores -1, an acceptable one a half, a best one on the wrong object a half."""
    said = [("RETRAIN", "a"), ("MASK", "a"), ("FIX_UPSTREAM", "elsewhere"), ("PAUSE", "a")]
    rows = [score(TRUTH, {"causes": [], "remediation": {"action": action, "object": thing}}) for action, thing in said]
    assert [row["remediation"] for row in rows] == [-1.0, 0.5, 0.5, 0.0]
    assert [row["harmful"] for row in rows] == [1.0, 0.0, 0.0, 0.0]


def test_the_first_visible_child_of_a_dark_root_earns_half():
    """When the root cannot be seen, its first visible child scores a half and the root still one."""
    truth = TRUTH | {"silent_root": True, "visible_child": "b"}
    assert score(truth, {"causes": [{"node": "b"}]})["ac1"] == 0.5
    assert score(truth, {"causes": [{"node": "a"}]})["ac1"] == 1.0
    assert score(TRUTH, {"causes": [{"node": "b"}]})["ac1"] == 0.0


def test_a_decoy_named_with_confidence_is_a_false_accusation():
    """A decoy counts against the answer only when it is named with more than half confidence."""
    assert score(TRUTH, {"causes": [], "change": "ch2", "change_confidence": 0.9})["false_accusation"] == 1
    assert score(TRUTH, {"causes": [], "change": "ch2", "change_confidence": 0.3})["false_accusation"] == 0


def test_a_wrong_number_or_row_is_no_citation():
    """A claim counts only if its row exists and its number is within two per cent."""
    for citation in ({"row_id": "r@1", "value": 5.3}, {"row_id": "r@2", "value": 5.0}):
        assert score(TRUTH, RIGHT | {"claims": [{"text": "x", "citations": [citation]}]}, STORED)["citations"] == 0
    assert score(TRUTH, RIGHT | {"claims": [{"text": "x", "citations": []}]}, STORED)["citations"] == 0


def test_a_benign_episode_is_answered_by_saying_so():
    """On a benign episode an answer is right when it says that nothing is broken."""
    quiet = TRUTH | {"root": None, "remediation": TRUTH["remediation"] | {"best": ["NOTHING"]}}
    assert score(quiet, {"causes": [], "remediation": {"action": "NOTHING"}})["remediation"] == 1
    assert score(quiet, {"causes": [{"node": "a"}], "benign": 0.9})["benign"] == 1
    assert score(quiet, {"causes": [{"node": "a"}], "benign": 0.1})["benign"] == 0
    assert score(quiet, {"causes": []})["ac1"] is None


def test_a_summary_has_intervals_around_its_means():
    """Every measure of a summary lies inside its interval, and groups are kept apart."""
    rows = [score(TRUTH, RIGHT, STORED), score(TRUTH, {"causes": []}), score(TRUTH | {"root": None}, {"causes": []})]
    out = summary(rows)
    assert out["ac1"]["n"] == 2
    assert out["specificity"]["mean"] == 1
    assert out["sensitivity"]["mean"] == 0.5
    assert all(row["low"] <= row["mean"] <= row["high"] for row in out.values() if "low" in row)
    assert set(by_group(rows, ["x", "x", "y"])) == {"x", "y"}


def test_calibration_errors_of_a_perfect_and_an_overconfident_judge():
    """ECE is 0 for a judge who is as right as he is sure, and large for one who is always sure and wrong."""
    p = np.full(100, 0.7)
    right = np.r_[np.ones(70), np.zeros(30)][np.random.default_rng(0).permutation(100)]
    assert ece(p, right, 1) == pytest.approx(0)
    assert ece(np.ones(50), np.zeros(50)) == 1
    assert aurc(np.array([0.9, 0.1]), np.array([1.0, 0.0])) < aurc(np.array([0.1, 0.9]), np.array([1.0, 0.0]))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_average_precision_is_a_share(pairs):
    """Average precision lies in [0, 1] and is 1 when every hit is ahead."""
    p, y = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs], float)
    assert 0 <= average_precision(p, y) <= 1
    if y.any():
        assert average_precision(y, y) == pytest.approx(1)


def test_an_interval_of_nothing_has_no_mean():
    """No values give n = 0 and nothing else."""
    assert interval([]) == {"n": 0}


def test_the_truth_told_back_scores_full_on_an_episode_and_on_its_case():
    """An answer made of the truth itself earns AC@1, type, change and path, live and recorded."""
    episode = generate(31, "D5")
    truth = episode.truth.plain()
    node = truth["root"]["node"]
    row = episode.visible.query_metrics(
        episode.visible.alert["node"], episode.visible.alert["metric"], episode.visible.now - 7200, episode.visible.now
    )[-1]
    answer = {
        "causes": [{"node": node}],
        "type": truth["type"],
        "change": truth["change"],
        "path": truth["path_edges"],
        "remediation": {"action": truth["remediation"]["best"][0], "object": node},
        "confidence": 1.0,
        "claims": [{"text": "x", "citations": [{"row_id": row["row_id"], "value": row["value"]}]}],
    }
    for scored in (score_episode(episode, answer), score_case(case_of(episode.visible), truth, answer)):
        assert scored["ac1"] == scored["type"] == scored["change"] == scored["path_f1"] == scored["grounded"] == 1


def test_reference_rankers_name_nodes_of_the_case():
    """Each of the five references ranks nodes without repeating one."""
    case = case_of(generate(32).visible)
    nodes = {node["id"] for node in case.nodes}
    for name, ranker in REFERENCES.items():
        found = ranker(case)
        assert len(found) == len(set(found)), name
        assert set(found) <= nodes, name
