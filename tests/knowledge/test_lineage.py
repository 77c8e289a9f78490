"""Lineage: any order of the same statements gives the same graph, and bad input is named and survived."""

import contextlib
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.handwritten import read
from knowledge.lineage import Edge, Lineage, Node
from knowledge.openlineage import LineageError, learn
from knowledge.registry import learn_training


def dataset(name: str, namespace: str = "warehouse", **facets) -> dict:
    return {"namespace": namespace, "name": name, "facets": facets}


def run(state: str, job: str, at: str, inputs=(), outputs=(), **facets) -> dict:
    return {
        "eventType": state,
        "eventTime": at,
        "run": {"runId": "0190-a", "facets": facets.pop("run", {})},
        "job": {"namespace": "airflow", "name": job, "facets": facets},
        "inputs": list(inputs),
        "outputs": list(outputs),
        "producer": "https://example.com",
    }


def column(field: str, source: str = "features") -> dict:
    return {"inputFields": [{"namespace": "warehouse", "name": source, "field": field}]}


def pipeline() -> Lineage:
    graph = Lineage()
    learn(graph, run("COMPLETE", "make_features", "2026-03-01T01:00:00Z", [dataset("weather")], [dataset("features")]))
    served = dataset("delay", "models:/prod", columnLineage={"fields": {"p": column("temp"), "q": column("wind")}})
    learn(graph, run("COMPLETE", "train_delay", "2026-03-01T02:00:00Z", [dataset("features")], [served]))
    return graph


def names(rows) -> list[str]:
    return [row["name"] for row in rows]


def test_a_run_joins_its_inputs_to_its_outputs():
    """A job's inputs are upstream of its outputs, nearest first, with a source where nothing is known to write."""
    graph = pipeline()
    assert names(graph.upstream("delay")) == ["train_delay", "temp", "wind", "features", "make_features", "weather"]
    assert graph.node("weather")["kind"] == "source"
    assert graph.node("delay")["kind"] == "model"
    assert graph.upstream("delay")[-1]["distance"] == 4


def test_columns_that_feed_a_model_become_features():
    """Column lineage into a model gives feature nodes, which lie on the path from the data to the model."""
    graph = pipeline()
    assert graph.node("temp")["kind"] == "feature"
    assert [node.rpartition("/")[2] for node in graph.paths("weather", "delay")[-1]] == [
        "weather", "make_features", "features", "features#wind", "delay",
    ]  # fmt: skip


def test_blast_radius_is_exactly_what_is_reachable():
    """What is downstream is what can be reached, and a node that cannot be reached is never in it."""
    graph = pipeline()
    graph.connect(Edge(source="other", target="thing"))
    assert graph.reachable("weather") == {
        "airflow/make_features", "warehouse/features", "airflow/train_delay", "models:/prod/delay",
        "warehouse/features#temp", "warehouse/features#wind",
    }  # fmt: skip


def test_facets_become_owner_tags_and_description():
    """Ownership, tags and documentation facets of a dataset are read; unknown facets are ignored."""
    graph = Lineage()
    facets = {
        "ownership": {"owners": [{"name": "@data", "type": "TEAM"}]},
        "tags": {"tags": [{"key": "tier", "value": "1"}, {"key": "kind", "value": "service"}]},
        "documentation": {"description": "What users\u202e see"},
        "somethingNew": {"x": 1},
    }
    learn(graph, run("START", "j", "2026-01-01T00:00:00Z", [], [dataset("api", **facets)]))
    node = graph.node("api")
    assert (node["owner"], node["tier"], node["kind"], node["description"]) == (
        "@data",
        "1",
        "service",
        "What users see",
    )


def test_freshness_counts_completed_runs_only():
    """A run that failed does not make its output fresh, and one that completed does, even if it named its outputs
    at its start.
    """
    graph = Lineage()
    learn(graph, run("START", "j", "2026-01-01T00:00:00Z", [], [dataset("d")]))
    assert graph.node("d")["last_run"] == 0
    learn(graph, run("FAIL", "j", "2026-01-01T00:10:00Z"))
    assert (graph.node("d")["last_run"], graph.node("j")["last_state"]) == (0, "fail")
    learn(graph, run("COMPLETE", "j", "2026-01-01T01:00:00Z"))
    assert graph.node("d")["last_run"] == graph.node("j")["last_run"] > 0


def test_cadence_is_learnt_from_completed_runs():
    """The usual gap between completed runs is the job's cadence, when nobody declared one."""
    graph = Lineage()
    for hour in (0, 1, 2, 3, 7):
        learn(graph, run("COMPLETE", "j", f"2026-01-01T{hour:02}:00:00Z"))
    assert graph.node("j")["cadence"] == 3600


def test_a_parent_run_is_upstream_of_its_tasks():
    """The parent facet joins a DAG to its task, so that a stuck DAG explains a stale output."""
    graph = Lineage()
    parent = {"parent": {"run": {"runId": "r"}, "job": {"namespace": "airflow", "name": "nightly"}}}
    learn(graph, run("START", "nightly.load", "2026-01-01T00:00:00Z", [], [dataset("d")], run=parent))
    assert names(graph.upstream("d")) == ["nightly.load", "nightly"]


def test_a_dropped_dataset_is_marked_and_a_created_one_revived():
    """A drop marks the dataset as dead until it is created again, in whatever order the two are heard of."""
    for order in (1, -1):
        graph = Lineage()
        events = [
            run(
                "COMPLETE",
                "j",
                "2026-01-01T00:00:00Z",
                [],
                [dataset("d", lifecycleStateChange={"lifecycleStateChange": "DROP"})],
            ),
            run(
                "COMPLETE",
                "j",
                "2026-01-02T00:00:00Z",
                [],
                [dataset("d", lifecycleStateChange={"lifecycleStateChange": "CREATE"})],
            ),
        ]
        for event in events[::order]:
            learn(graph, event)
        assert graph.node("d")["dead"] is False


STATES = st.sampled_from(["START", "RUNNING", "COMPLETE", "FAIL", "ABORT"])
NAMES = st.sampled_from(["a", "b", "c", "d"])
FACETS = st.fixed_dictionaries(
    {},
    optional={
        "ownership": st.sampled_from(["@x", "@y"]).map(lambda owner: {"owners": [{"name": owner}]}),
        "tags": st.sampled_from(["1", "2"]).map(lambda tier: {"tags": [{"key": "tier", "value": tier}]}),
        "columnLineage": NAMES.map(lambda name: {"fields": {"p": column(name, "d")}}),
    },
)
SETS = st.builds(
    lambda name, space, facets: dataset(name, space, **facets), NAMES, st.sampled_from(["w", "models:/m"]), FACETS
)
EVENTS = st.builds(
    lambda state, job, day, ins, outs: run(state, job, f"2026-01-{day:02}T00:00:00Z", ins, outs),
    STATES, NAMES, st.integers(1, 5), st.lists(SETS, max_size=2), st.lists(SETS, max_size=2),
)  # fmt: skip


@given(st.lists(EVENTS, max_size=10), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_any_order_with_repeats_gives_the_same_graph(events, draw: random.Random):
    """Events out of order, and heard twice, give byte for byte the same graph."""
    one, other = Lineage(), Lineage()
    for event in events:
        learn(one, event)
    shuffled = [*events, *events[: len(events) // 2]]
    draw.shuffle(shuffled)
    for event in shuffled:
        learn(other, event)
    assert one.encode() == other.encode()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40))
@settings(max_examples=150, deadline=None)
def test_cycles_are_named_and_cut_and_nothing_more(pairs):
    """After cutting no cycle is left, only edges inside named knots were cut, and a graph without cycles loses
    nothing.
    """
    graph = Lineage((), [Edge(source=str(a), target=str(b)) for a, b in pairs])
    knots = graph.cycles()
    acyclic, cut = graph.acyclic()
    assert acyclic.cycles() == []
    assert all(any({edge.source, edge.target} <= set(knot) for knot in knots) for edge in cut)
    assert len(acyclic.edges()) + len(cut) == len(graph.edges())
    assert bool(cut) == bool(knots)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30), st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_reachability_agrees_with_the_plain_definition(pairs, start):
    """Downstream is the transitive closure, whatever the graph, cycles included."""
    graph = Lineage((), [Edge(source=str(a), target=str(b)) for a, b in pairs])
    expected, front = set(), {str(start)}
    while front:
        front = {str(b) for a, b in pairs if str(a) in front and a != b} - expected
        expected |= front
    assert graph.reachable(str(start)) == expected - {str(start)}


def test_the_graph_survives_its_encoding():
    """What is stored and read again answers the same."""
    graph = pipeline()
    again = Lineage.decode(graph.encode())
    assert again.encode() == graph.encode()
    assert again.paths("weather", "delay") == graph.paths("weather", "delay")
    assert Lineage.decode(None).edges() == []
    with pytest.raises(msgspec.ValidationError):
        Lineage.decode(b'{"nodes": [{"id": 3}]}')


def test_ten_thousand_nodes_in_a_row_are_no_problem():
    """Depth costs no recursion: a chain of ten thousand nodes has its ends joined, and a loop in it is found."""
    graph = Lineage((), [Edge(source=str(at), target=str(at + 1)) for at in range(10_000)])
    assert len(graph.reachable("0")) == 10_000
    graph.connect(Edge(source="10000", target="0"))
    assert len(graph.cycles()[0]) == 10_001


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, "eventTime"),
        ([], "not an object"),
        (run("STARTED", "j", "2026-01-01T00:00:00Z"), "eventType 'STARTED' is not one of START"),
        (run("START", "j", "yesterday"), "eventTime 'yesterday' is not a time"),
        (run("START", "j", "9999-12-31T00:00:00Z"), "is after 2100; check the producer's clock"),
        (run("START", "", "2026-01-01T00:00:00Z"), "job has no namespace and name"),
        (run("START", "\u202e\x00", "2026-01-01T00:00:00Z"), "job has no namespace and name"),
        (run("START", "j", "2026-01-01T00:00:00Z", [{"name": 3}]), "inputs[0] has no namespace"),
        ({**run("START", "j", "2026-01-01T00:00:00Z"), "inputs": {}} | {"outputs": "x"}, "outputs is not a list"),
        (run("START", "j", "2026-01-01T00:00:00Z", [dataset("d")] * 1001), "1,001 datasets"),
    ],
)
def test_a_bad_event_is_named_and_changes_nothing(event, words):
    """An event that cannot be read says which field and why, and leaves the graph as it was."""
    graph = pipeline()
    before = graph.encode()
    with pytest.raises(LineageError) as caught:
        learn(graph, event)
    assert words in str(caught.value)
    assert graph.encode() == before


KEYS = [
    "eventTime",
    "eventType",
    "job",
    "run",
    "inputs",
    "outputs",
    "facets",
    "name",
    "namespace",
    "columnLineage",
    "fields",
]
ATOMS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
JSON = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
)


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_nothing_but_a_lineage_error_comes_out_of_nonsense(event):
    """Whatever JSON arrives, the answer is a graph or a LineageError."""
    if isinstance(event, dict):
        event = {"eventTime": "2026-01-01T00:00:00Z", "job": {"namespace": "n", "name": "j"}, **event}
    with contextlib.suppress(LineageError):
        learn(Lineage(), event)


def test_lineage_written_by_hand_in_toml_and_yaml(tmp_path):
    """Nodes with owner and cadence, edges with importance and lag, in either language."""
    toml, yaml = tmp_path / "l.toml", tmp_path / "l.yaml"
    toml.write_text(
        '[nodes.w]\nkind="source"\nowner="@d"\ncadence="1h"\n[[edges]]\nfrom="w"\nto="m"\nimportance=0.4\nlag="10m"\n'
    )
    yaml.write_text(
        "nodes: {w: {kind: source, owner: '@d', cadence: 1h}}\nedges: [{from: w, to: m, importance: 0.4, lag: 10m}]\n"
    )
    assert read(toml).encode() == read(yaml).encode()
    edge = read(toml).edge("w", "m")
    assert (edge.importance, edge.lag, read(toml).node("w")["cadence"]) == (0.4, 600.0, 3600.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[nodes.w]\nkind = "sauce"\n', ":2: kind 'sauce'"),
        ('[nodes.w]\nknd = "source"\n', ":2: unknown key 'knd' in w; known: cadence"),
        ('[[edges]]\nfrom = "a"\n', ":1: an edge needs 'from' and 'to'"),
        ('[[edges]]\nfrom="a"\nto="b"\nimportance=7\n', "importance of a -> b is 7"),
        ("[nodes", "not readable as TOML"),
    ],
)
def test_mistakes_in_handwritten_lineage_name_file_and_line(tmp_path, text, words):
    """A wrong key, kind or number in the file is named with its place and what to write."""
    path = tmp_path / "lineage.toml"
    path.write_text(text)
    with pytest.raises(LineageError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)


def test_a_yaml_alias_in_handwritten_lineage_is_refused(tmp_path):
    """A few lines of aliases can stand for gigabytes; the line is named."""
    path = tmp_path / "lineage.yaml"
    path.write_text("nodes:\n  a: {owner: &x [y, y]}\n  b: {owner: *x}\n")
    with pytest.raises(LineageError, match=r"lineage\.yaml:3: uses a YAML alias"):
        read(path)


def test_a_name_that_two_nodes_share_is_not_guessed():
    """An ambiguous name finds nothing, unless exactly one of its bearers is a model."""
    graph = Lineage([Node(id="a/t", name="t"), Node(id="b/t", name="t")])
    assert graph.node("t") is None
    graph.add(Node(id="m/t", name="t", kind="model"))
    assert graph.node("t")["id"] == "m/t"


def test_a_registry_joins_datasets_to_the_model_they_trained():
    """A training run known from the registry puts its datasets and its features, with importances, upstream of the
    model.
    """
    graph = pipeline()
    about = {"model": "delay", "version": "7", "run": "abc", "datasets": ["features"], "at": 2e9}
    learn_training(graph, **about, importance={"temp": 0.4, "wind": 1.7})
    assert ["warehouse/features", "train/delay", "models:/prod/delay"] in graph.paths("features", "delay")
    assert graph.edge("warehouse/features#temp", "models:/prod/delay").importance == 0.4
    assert graph.edge("warehouse/features#wind", "models:/prod/delay").importance == 1.0
    assert graph.node("train/delay")["kind"] == "training_job"


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (1, 0, 1)])
def test_of_contradictory_statements_the_newest_counts_whichever_is_heard_last(order):
    """Owner and kind are those of the newer event, and edges that say both directions are one named knot, cut once."""

    def said(minute, owner, kind, ins, outs):
        facets = {"ownership": {"owners": [{"name": owner}]}, "tags": {"tags": [{"key": "kind", "value": kind}]}}
        ends = {"a": {"namespace": "n", "name": "a", "facets": facets}, "b": {"namespace": "n", "name": "b"}}
        return {
            "eventTime": f"2026-01-01T00:0{minute}:00Z", "eventType": "COMPLETE", "run": {"runId": "r"},
            "job": {"namespace": "n", "name": "j"},
            "inputs": [ends[i] for i in ins], "outputs": [ends[o] for o in outs],
        }  # fmt: skip

    events = [said(1, "@old", "feature", "a", "b"), said(2, "@new", "model", "b", "a")]
    graph = Lineage()
    for at in order:
        learn(graph, events[at])
    assert (graph.node("n/a")["owner"], graph.node("n/a")["kind"]) == ("@new", "model")
    assert graph.cycles() == [["n/a", "n/b", "n/j"]]
    cut = graph.acyclic()
    assert cut[0].cycles() == []
    assert len(cut[1]) == 2
