"""Episodes: drawn from a seed, in a visible and a sealed part."""

import json
import re

import pytest

from bot.simulator.catalogue import BENIGN, CATALOGUE, OTHERS, TYPES, public_type, type_of_name
from bot.simulator.episode import frequencies, generate


@pytest.fixture(scope="module", params=list(TYPES))
def each(request):
    """One episode of each type."""
    return generate(11, request.param)


def test_the_catalogue_has_25_types_and_others_outside_it():
    """The closed list has 25 types; what is outside it is called other."""
    assert len(CATALOGUE) == 25
    assert {public_type(key) for key in OTHERS} == {"other"}
    assert type_of_name("unit_change") == "D3"
    assert type_of_name("no such thing") == "other"


def test_every_type_raises_an_alert_on_its_own(each):
    """Any type asked for by its id gives an episode whose alert names a visible series."""
    visible, kind = each.visible, each.truth.kind
    alert = visible.alert
    rows = visible.query_metrics(alert["node"], alert["metric"], visible.begin, visible.now, alert.get("segment"))
    assert each.truth.type == public_type(kind)
    assert any(row["feature"] == alert.get("feature") for row in rows)
    assert (each.truth.root is None) == (kind in BENIGN)


def test_nothing_can_be_seen_after_half_an_hour_from_the_alert(each):
    """No query looks past the alert and thirty minutes."""
    visible = each.visible
    for series in visible.series(visible.alert["node"]):
        assert series.at.size == 0 or visible.begin <= series.at[0] <= series.at[-1] <= visible.now
    assert visible.query_changes(visible.now + 1, 1e12) == []


def test_the_truth_is_consistent_with_itself(each):
    """The path starts at the root, its edges join its nodes, and a named change is in the log."""
    truth, visible = each.truth, each.visible
    on_path = {node for node, _ in truth.path}
    if truth.root:
        assert truth.path[0][0] == truth.root["node"]
        assert all(src in on_path and dst in on_path for src, dst in truth.path_edges)
        assert all(later[1] >= truth.root["onset_ts"] for later in truth.path)
    else:
        assert not truth.path
        assert truth.remediation["best"] == ["NOTHING"]
    known = {row["id"] for row in visible.query_changes(0, visible.now)}
    assert truth.change in known | {"none", "unlogged"}
    assert set(truth.decoys) <= known
    assert truth.change not in truth.decoys


def test_the_visible_part_does_not_hold_the_truth(each):
    """Neither the alert nor the graph nor the log names the type, its cause or the canonical words of the truth."""
    visible = each.visible
    text = json.dumps([visible.alert, visible.graph, visible.query_changes(0, visible.now)])
    assert TYPES[each.truth.kind].cause not in text
    assert not re.search(r"\b(root|fault|culprit|decoy)\b", text)


def test_equal_seeds_give_equal_episodes():
    """The same seed gives the same alert, graph, telemetry and truth; another seed does not."""
    one, two, other = generate(3), generate(3), generate(4)
    node = one.visible.alert["node"]
    assert one.truth == two.truth
    assert one.visible.graph == two.visible.graph
    assert [list(s.value) for s in one.visible.series(node)] == [list(s.value) for s in two.visible.series(node)]
    assert one.visible.alert != other.visible.alert


def test_an_unknown_profile_is_refused_with_the_known_ones():
    """A misspelt profile or type is answered with those there are."""
    with pytest.raises(ValueError, match="standard, triage"):
        generate(1, "gremlins")


def test_triage_has_a_fifth_of_benign_episodes():
    """The triage profile raises the benign types to 22 % of all."""
    weights = frequencies("triage")
    assert sum(weights[key] for key in BENIGN) / sum(weights.values()) == pytest.approx(0.22)


def test_queries_are_total():
    """Unknown nodes, metrics, segments and empty spans give empty answers, never errors."""
    visible = generate(5).visible
    node = visible.alert["node"]
    assert visible.query_metrics("no", "no", 0, 1) == []
    assert visible.query_metrics(node, visible.alert["metric"], 2, 1) == []
    assert visible.query_metrics(node, visible.alert["metric"], 0, 9e9, segment="no") == []
    assert visible.lineage("no") == []
    assert visible.list_metrics("no") == []
    assert visible.past_incidents("no") == []
    assert len(visible.search_runbooks("unit scale of a column changed")) == 5
    assert visible.value_of("no") is None


def test_every_row_can_be_cited():
    """A row's id gives back the number of the row."""
    visible = generate(6).visible
    rows = visible.query_metrics(visible.alert["node"], visible.alert["metric"], visible.now - 86400, visible.now)
    assert rows
    assert all(visible.value_of(row["row_id"]) == row["value"] for row in rows[-20:])
