"""Recorded cases: folders that hold an episode without Python."""

import json
import tomllib

import numpy as np
import pytest

from bot.simulator.case import case_of
from bot.simulator.episode import generate
from bot.simulator.record import read_case, read_truth, record, run_events, to_toml


@pytest.fixture(scope="module")
def episode():
    """One episode with an ordinary fault."""
    return generate(21, "D1")


@pytest.fixture(scope="module")
def folder(episode, tmp_path_factory):
    """The episode as a folder."""
    return record(episode, tmp_path_factory.mktemp("case"))


def test_a_case_read_back_is_the_case_written(episode, folder):
    """Alert, graph, changes and every value come back as they were."""
    case, before = read_case(folder), case_of(episode.visible)
    assert case.alert == before.alert
    assert case.schema == before.schema
    assert {node["id"]: node["kind"] for node in case.nodes} == {node["id"]: node["kind"] for node in before.nodes}
    assert sorted((e["src"], e["dst"]) for e in case.edges) == sorted((e["src"], e["dst"]) for e in before.edges)
    assert [change["id"] for change in case.changes] == [change["id"] for change in before.changes]
    for one, two in zip(case.series, before.series, strict=True):
        assert (one.row_id, one.node, one.metric, one.feature, one.segment) == (
            two.row_id,
            two.node,
            two.metric,
            two.feature,
            two.segment,
        )
        assert np.allclose(one.value, two.value, rtol=1e-3)


def test_the_truth_is_in_its_own_file(episode, folder):
    """case.toml holds the truth, and the folder can be read without it."""
    truth = read_truth(folder)
    assert truth["root"]["node"] == episode.truth.root["node"]
    assert truth["type"] == "D1"
    text = (folder / "case.toml").read_text()
    (folder / "case.toml").unlink()
    assert read_case(folder).series
    assert not any("upstream_default" in path.read_text() for path in folder.iterdir())
    (folder / "case.toml").write_text(text)


def test_a_folder_is_small(folder):
    """A recorded case stays under 1.2 MB."""
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_200_000


def test_the_slice_that_alerted_is_followed_upstream():
    """Where an alert names a segment, the case holds that segment of sources and views above the alert; the mix of
    traffic is there by every segment that is drawn."""
    case = case_of(generate(53004, "triage").visible)
    told, kinds = case.alert["segment"], {node["id"]: node["kind"] for node in case.nodes}
    above = set(case.ancestors(case.alert["node"]))
    followed = {s.node for s in case.series if s.segment == told} & above
    assert {kinds[node] for node in followed} >= {"source", "table", "feature_view"}
    assert len({s.segment for s in case.series if kinds[s.node] == "source"} - {None, told}) > 1


def test_sources_come_before_far_views():
    """A case too small for everything leaves out views before sources, jobs and tables upstream."""
    episode = generate(53014, "triage")
    case = case_of(episode.visible, budget=450_000)
    kinds, seen = {node["id"]: node["kind"] for node in case.nodes}, {s.node for s in case.series}
    missed = {n for n in case.ancestors(case.alert["node"]) if n not in seen and len(episode.visible.series(n))}
    assert missed
    assert {kinds[node] for node in missed} == {"feature_view"}


def test_lineage_is_told_as_run_events(episode):
    """Every event has what OpenLineage requires, and every node is named in one."""
    case = case_of(episode.visible)
    events = run_events(case)
    for event in events:
        assert {"eventType", "eventTime", "producer", "schemaURL", "run", "job"} <= set(event)
        assert {"namespace", "name"} <= set(event["job"])
    named = {item["name"] for event in events for item in (event["job"], *event["inputs"], *event["outputs"])}
    assert {node["name"] for node in case.nodes} <= named


def test_a_broken_line_is_named(folder, tmp_path):
    """A line that is not JSON is refused with its file and number."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "changes.jsonl").write_text('{"id": "a", "at": "2026-01-01T00:00:00+00:00"}\nnot json\n')
    with pytest.raises(ValueError, match=r"changes.jsonl, line 2"):
        read_case(tmp_path)


def test_a_series_without_its_grid_is_named(folder, tmp_path):
    """A series that names no grid, or another number of values than times, is refused by its row id."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    row = {"row_id": "abc", "node": "n", "metric": "m", "grid": "nowhere", "value": [1]}
    (tmp_path / "telemetry.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match="series abc"):
        read_case(tmp_path)


def test_written_toml_is_read_back():
    """Scalars, lists, nested tables and odd keys survive the way through TOML; None is left out."""
    plain = {"a": 1, "b": 'x"y', "c": [["n", 1]], "d": None, "e": {"k 1": 0.5, "m": {"x": [1, 2]}}, "f": True}
    assert tomllib.loads(to_toml(plain)) == {key: value for key, value in plain.items() if value is not None}
