"""How faults travel: through gates, importances and runs."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bot.simulator.faults import Fault
from bot.simulator.lineage import Edge, Feature, Graph, Node
from bot.simulator.shapes import Hop, Shape, arrival, seen_from
from bot.simulator.travel import spread


def chain(*, gates: tuple[str, ...] = (), importance: float = 0.5, cadence: int = 0) -> Graph:
    """source -> load -> table -> build -> view -> model -> service, with `gates` on the jobs."""
    feature = Feature("f", 0, 0, False, False, False, True, 1.0, 1.0, 1.0)
    made = []
    for name, kind in (
        ("source", "source"),
        ("load", "ingest_job"),
        ("table", "table"),
        ("build", "feature_job"),
        ("view", "feature_view"),
        ("model", "model"),
        ("service", "service"),
    ):
        own = frozenset(gates) if kind.endswith("_job") else frozenset()
        made.append(
            Node(
                name,
                kind,
                name,
                "team",
                cadence if kind.endswith("_job") else 0,
                0,
                1.0,
                own,
                (),
                (feature,) if kind == "feature_view" else (),
            )
        )
    kinds = ("reads", "writes", "reads", "writes", "feeds", "serves")
    edges = [
        Edge(a.id, b.id, kind, importance if kind == "feeds" else 1.0, 10)
        for a, b, kind in zip(made, made[1:], kinds, strict=False)
    ]
    return Graph({node.id: node for node in made}, edges)


def fault(kind: str, node: str = "source", size: float = 0.5, **more) -> Fault:
    """A step of `size` at time 1,000."""
    return Fault(
        kind, node, 1000.0, Shape("step"), size, params={"sign": 1.0, "r": 10.0, "as_null": 1.0, "tau": 3600.0}, **more
    )


def keys(graph: Graph, made: Fault) -> dict[str, set[str]]:
    """Which quantities move at which node."""
    return {node: {effect.key for effect in effects} for node, effects in spread(graph, made).effects.items()}


def test_a_sentinel_reaches_model_and_service():
    """A default at a source moves columns, features, score and quality all the way down."""
    moved = keys(chain(), fault("D1"))
    assert "col_top" in moved["source"]
    assert {"shift", "top"} <= moved["view"]
    assert {"loss", "score"} <= moved["model"]
    assert "loss" in moved["service"]


def test_a_contract_turns_a_schema_break_into_staleness():
    """With a contract the job fails and its output ages; without one the column is null."""
    assert "fail" in keys(chain(gates=("contract",)), fault("D2"))["load"]
    assert "stale" in keys(chain(gates=("contract",)), fault("D2"))["view"]
    assert "null" in keys(chain(), fault("D2"))["view"]


def test_a_dedupe_key_stops_duplicates():
    """Behind a job with a dedupe key nothing is duplicated."""
    assert "table" in keys(chain(), fault("D5", "load"))
    assert "build" not in keys(chain(gates=("dedupe",)), fault("D5", "load"))


def test_an_imputer_turns_nulls_into_a_small_shift():
    """Behind an imputer the null rate is flat and the mean moves a little."""
    moved = spread(chain(gates=("imputer",)), fault("D4")).effects["view"]
    sizes = {effect.key: float(np.abs(effect.size).max()) for effect in moved}
    assert "null" not in sizes
    assert 0 < sizes["shift"] < 0.5


def test_a_normaliser_divides_a_scale_by_five():
    """A normaliser on live statistics leaves a fifth of a change of unit."""
    plain, normal = (spread(chain(gates=gates), fault("D3")).effects["view"] for gates in ((), ("normaliser",)))
    size = [next(float(e.size[0]) for e in effects if e.key == "logscale") for effects in (plain, normal)]
    assert np.isclose(size[1], size[0] / 5)


def test_importance_scales_what_a_model_loses():
    """A model loses quality in proportion to the importance of the edge."""
    losses = [
        next(e.size for e in spread(chain(importance=w), fault("D1")).effects["model"] if e.key == "loss")
        for w in (0.2, 0.4)
    ]
    assert np.isclose(losses[1], 2 * losses[0])


def test_an_edge_of_no_importance_carries_nothing():
    """Below one per cent of the root's strength nothing is passed on."""
    assert "model" not in spread(chain(importance=0.005), fault("D1")).strength


def test_a_consumer_is_hit_at_its_next_run():
    """With hourly jobs a view shows a fault only after the runs between."""
    found = spread(chain(cadence=3600), fault("D1"))
    assert found.onset("source") == 1000
    assert found.onset("table") >= 3600
    assert found.onset("view") >= 7200


def test_a_monitor_fault_moves_no_data():
    """A broken reference moves the stability index of what the monitor watches, and no state travels."""
    graph = chain()
    monitor = Node("monitor", "monitor", "monitor", "team", 0, 0, 1.0, frozenset())
    graph = Graph(graph.nodes | {"monitor": monitor}, [*graph.edges, Edge("model", "monitor", "observes")])
    found = spread(graph, fault("O1", "monitor"))
    assert set(found.strength) == {"monitor"}
    assert {e.key for e in found.effects["model"]} == {"psi"}


HOPS = st.builds(Hop, st.sampled_from([0, 900, 3600, 86400]), st.integers(0, 80), st.integers(0, 300))


@given(st.lists(HOPS, max_size=5), st.floats(1e5, 1e6))
def test_what_arrives_is_seen_from_then_on(hops, onset):
    """At its arrival the end of a chain shows a time at or after the onset, and just before it a time before."""
    chain_of = tuple(hops)
    at = arrival(onset, chain_of)
    assert seen_from(np.array([at + 1e-6]), chain_of)[0] >= onset - 1e-3
    assert seen_from(np.array([at - 1.0]), chain_of)[0] < onset


@given(st.sampled_from(["step", "ramp", "s-curve", "intermittent", "decay"]), st.floats(60, 1e6), st.floats(0.1, 1.0))
def test_a_shape_is_nothing_before_its_onset_and_never_above_one(kind, length, duty):
    """Every shape is 0 before the onset and within [0, 1] after it."""
    shape = Shape(kind, length, 900.0, duty)
    x = np.linspace(-1e5, 1e6, 300)
    y = shape.at(x)
    assert np.all(y[x < 0] == 0)
    assert np.all((y >= 0) & (y <= 1))


def test_a_larger_fault_does_not_travel_less():
    """Doubling the size of a default raises the model's loss."""
    small, large = (spread(chain(), replace(fault("D1"), size=size)) for size in (0.1, 0.2))
    loss = [next(e.size for e in found.effects["model"] if e.key == "loss") for found in (small, large)]
    assert loss[1] > loss[0]
