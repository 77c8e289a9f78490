"""How series stand at the alert, what nodes show by it, and where it can have come from."""

import numpy as np
import pytest

from agents.candidates import gather
from agents.cases import Case, Edge, Series
from agents.metrics import Role
from agents.readings import JUMP, read_all
from agents.signs import collect, moved, slices
from agents.usual import usual
from agents.ways import Ways

DAY, HOUR = 86_400.0, 3600.0
AT = 1_760_000_000.0
LEVEL = Role("mean", 0)


def times():
    """The alert's hour of each day, every third hour for four days, every hour for a day and a half."""
    age = {*range(0, 36), *range(36, 96, 3), *range(0, 28 * 24, 24)}
    return np.array(sorted(AT - HOUR * a for a in age))


def series(value, role=LEVEL, node="a", metric="m", feature="", segment="", at=None):
    at = times() if at is None else at
    return Series(f"{node}-{metric}-{feature}-{segment}", node, metric, feature, segment, at,
                  np.asarray(value(at), float), np.full(len(at), 5_000.0), role)  # fmt: skip


def case(*several, edges=(), kinds=None, alert="a"):
    nodes = {s.node: {"kind": (kinds or {}).get(s.node, "table")} for s in several} | {
        n: {"kind": k} for n, k in (kinds or {}).items()
    }
    told = {"node": alert, "metric": "m", "ts": AT}
    return Case("c", told, AT, nodes, list(edges), list(several), [], [])


def noise(at, seed=1):
    return np.random.default_rng(seed).normal(0, 1, len(at))


def wave(at):
    return 100 + 20 * np.cos(2 * np.pi * at / DAY)


def test_a_daily_wave_is_no_news():
    """A value far from the median but usual for its hour does not move; without the season it would."""
    (reading,) = read_all(case(series(lambda at: wave(at) + noise(at))))
    assert abs(reading.z) < 3.5
    assert reading.onset is None


def test_a_step_on_a_daily_wave_is_seen_with_its_onset():
    """Five noise scales that the wave itself would hide are found, and dated to the hour."""
    (reading,) = read_all(case(series(lambda at: wave(at) + noise(at) + 8 * (at > AT - 5.5 * HOUR))))
    assert reading.z > 5
    assert abs(reading.onset - (AT - 5.5 * HOUR)) <= HOUR


@pytest.mark.parametrize("spoil", [(3,), (3, 9)])
def test_wild_values_of_the_past_hide_nothing(spoil):
    """One or two enormous values in the history change neither level nor scale."""

    def value(at):
        x = 10 + noise(at) + 9 * (at > AT - 3.5 * HOUR)
        x[list(spoil)] = 1e6
        return x

    (reading,) = read_all(case(series(value)))
    assert reading.z > 5


def test_series_that_share_their_times_are_judged_as_if_alone():
    """Reading ten series at once gives what reading each by itself gives."""
    several = [series(lambda at, i=i: wave(at) * (i % 2) + noise(at, i), metric=f"m{i}") for i in range(10)]
    together = {r.series.metric: r.z for r in read_all(case(*several))}
    for one in several:
        assert read_all(case(one))[0].z == pytest.approx(together[one.metric])


def test_a_season_is_used_only_where_it_helps():
    """Noise without a wave keeps its median; expected values of a wave follow it."""
    at = times()
    old = at < AT - 2 * DAY
    found = usual(at, np.array([noise(at), wave(at) + 0.1 * noise(at)]), old)
    assert np.ptp(found.expected[0]) == 0
    assert np.ptp(found.expected[1]) > 30


@pytest.mark.parametrize(
    ("role", "value", "z"),
    [
        ("version", lambda at: 7.0 + (at > AT - 2 * HOUR), JUMP),
        ("version", lambda at: 7.0 + (at > AT - 20 * DAY), 0.0),
        ("reference_age", lambda at: np.where(at > AT - 4 * HOUR, 0.5, 40.0), JUMP),
        ("status", lambda at: (at > AT - 2.5 * HOUR).astype(float), 9.0),
        ("status", lambda at: np.arange(len(at)) % 2, 0.0),
        ("model_age", lambda at: 60.0 + (at - AT) / DAY, 6.0),
        ("model_age", lambda at: np.mod((at - AT) / DAY + 30, 7.0), 0.0),
    ],
)
def test_what_has_no_size_is_read_by_when_it_changed(role, value, z):
    """A new version counts while it is new; failures count where they are rare; an age where nothing set it back."""
    (reading,) = read_all(case(series(value, Role(role, 0))))
    assert reading.z == pytest.approx(z)


def test_worse_is_down_whatever_the_metric_calls_good():
    """An AUC that fell and an error that rose are the same sign of quality."""
    fell = series(lambda at: 0.9 + 0.002 * noise(at) - 0.1 * (at > AT - 4 * HOUR), Role("quality", -1), "auc")
    rose = series(lambda at: 5.0 + 0.02 * noise(at) + 1.0 * (at > AT - 4 * HOUR), Role("quality", 1), "mae")
    signs = collect(read_all(case(fell, rose)))
    for node in ("auc", "mae"):
        assert signs[node]["quality"].down > 1
        assert signs[node]["quality"].up == 0


def test_the_best_of_many_features_must_stray_further():
    """One of forty features at three scales says less than the only one at three scales."""
    up = lambda at: 10 + noise(at) + 2.2 * (at > AT - 6 * HOUR)  # noqa: E731
    one = collect(read_all(case(series(up, feature="f"))))
    many = [series(lambda at, i=i: 10 + noise(at, 100 + i), feature=f"g{i}") for i in range(39)]
    among = collect(read_all(case(series(up, feature="f"), *many)))
    assert 0 <= among["a"]["mean"].up < one["a"]["mean"].up


def test_a_mean_of_something_counted_is_told_apart():
    """Rows that come twice raise counts: a feature named so also speaks in that role."""
    counted = series(lambda at: 10 + noise(at), feature="orders_cnt_7d")
    plain = series(lambda at: 10 + noise(at), feature="amount_avg")
    signs = collect(read_all(case(counted, plain)))
    assert signs["a"]["counted"].reading.series.feature == "orders_cnt_7d"


def test_slices_tell_some_from_all():
    """Where one segment moved and the others did not, the most and the least moved differ."""
    cut = [
        series(lambda at, i=i: 10 + noise(at, i) + 12 * (i == 0) * (at > AT - 5 * HOUR), segment=f"s{i}")
        for i in range(3)
    ]
    most, least = slices(read_all(case(*cut)))["a"]["mean"]
    assert most == 1.0
    assert least < 0.5


def test_the_slice_that_alerted_speaks_where_it_shows_more():
    """A step in one slice is a sign of its node when that slice alerted, and none when another did; what the whole
    shows alone stays; how much traffic the slice has is told apart from how much there is."""
    step = lambda at: 10 + noise(at) + 15 * (at > AT - 5 * HOUR)  # noqa: E731
    calm = lambda at: 10 + noise(at, 3)  # noqa: E731
    rows = Role("rows", 0)
    readings = read_all(
        case(
            series(calm, feature="f"), series(step, feature="f", segment="de"), series(step, feature="g"),
            series(calm, feature="g", segment="de"), series(lambda at: 100 * calm(at), rows, metric="n"),
            series(lambda at: 100 * step(at), rows, metric="n", segment="de"),
        )
    )  # fmt: skip
    told, other = collect(readings, "de")["a"], collect(readings, "fr")["a"]
    assert told["mean"].many_up > 1.5 > other["mean"].many_up  # both features, then one of them
    assert (other["mean"].reading.series.feature, other["mean"].reading.series.segment) == ("g", "")
    assert (told["rows"].up, told["slice rows"].up > 1, "slice rows" in other) == (0.0, True, False)


def test_another_mix_of_traffic_is_a_trait_of_the_whole():
    """A source whose slices moved apart says so for the whole case; one whose slices moved together does not."""
    up = lambda at: 100 + noise(at) + 60 * (at > AT - 5 * HOUR)  # noqa: E731
    calm = lambda at: 100 + noise(at, 3)  # noqa: E731

    def mix(first, second):
        parts = [series(v, Role("rows", 0), node="s", segment=name) for v, name in ((first, "de"), (second, "fr"))]
        seen = case(*parts, kinds={"s": "source"}, alert="s")
        readings = read_all(seen)
        return gather(seen, readings, collect(readings), slices(readings)).around["mix source rows"]

    assert mix(up, calm) == 1.0
    assert mix(up, up) == mix(calm, calm) == 0.0


def test_how_clearly_something_moved_is_bounded_and_even():
    """Two scales are nothing, ten and a thousand the same, and the way does not matter."""
    assert moved(2.0) == 0.0
    assert moved(10.0) == moved(-1000.0) == 2.0


CHAIN = [
    Edge("s", "j", "reads", None, 0),
    Edge("j", "t", "writes", None, 0),
    Edge("t", "f", "reads", None, 0),
    Edge("f", "v", "writes", None, 0),
    Edge("v", "m", "feeds", 0.5, 0),
    Edge("v", "w", "observes", None, 0),
]
KINDS = {"s": "source", "j": "ingest_job", "t": "table", "f": "feature_job", "v": "feature_view", "m": "model",
         "w": "monitor"}  # fmt: skip


def test_a_fault_reaches_what_is_below_and_a_monitor_what_it_observes():
    """Reach falls with every step; a monitor reaches the view it judges, a view never its monitor."""
    ways = Ways(CHAIN, KINDS, "m")
    reach = ways.reach("s")
    assert reach["s"] == 1 > reach["t"] > reach["v"] > reach["m"] > 0
    assert ways.reach("w")["v"] > 0
    assert "w" not in ways.reach("v")
    assert ways.distance == {"m": 0, "v": 1, "f": 2, "t": 3, "j": 4, "s": 5}
    assert ways.above("v") == {"f", "t", "j"}


def test_a_knot_in_the_lineage_ends():
    """Nodes that feed one another are reached once."""
    ways = Ways([*CHAIN, Edge("v", "s", "reads", None, 0)], KINDS, "m")
    assert set(ways.reach("v")) >= {"s", "t", "v", "m"}
    assert ways.distance["s"] == 5


def test_what_moved_out_of_reach_speaks_against_a_node():
    """The table is quiet above what it can reach; the other table cannot reach the view that moved."""
    step = lambda at: 10 + noise(at) + 15 * (at > AT - 5 * HOUR)  # noqa: E731
    quiet = lambda at: 10 + noise(at, 5)  # noqa: E731
    kinds = KINDS | {"x": "table"}
    seen = case(
        series(step, node="v", feature="f1"), series(step, node="m"), series(quiet, node="t"), series(quiet, node="x"),
        edges=CHAIN, kinds=kinds, alert="m",
    )  # fmt: skip
    readings = read_all(seen)
    traits = {t.node: t.values for t in gather(seen, readings, collect(readings), slices(readings)).nodes}
    assert traits["t"]["missed feature_view mean+"] > traits["x"]["missed feature_view mean+"]
    assert traits["t"]["3 steps to the alert"] == 1.0
    assert traits["x"]["no known path"] == 1.0
    assert traits["m"]["above feature_view mean+"] > 1
    assert traits["t"]["clearest feature_view mean+"] > 0.5
