"""The build's own checks, on few episodes; `python -m bot simulate --self-test` runs them all on a thousand."""

import pytest

from bot.simulator import selftest
from bot.simulator.dialects import dialect
from bot.simulator.episode import generate
from bot.simulator.phrases import TOOLS, text
from bot.simulator.rng import stream
from bot.simulator.tenants import TENANTS

pytestmark = pytest.mark.xdist_group("selftest")


@pytest.fixture(scope="module")
def drawn():
    """Twenty episodes."""
    return [generate(seed) for seed in range(20)]


def test_bytes_repeat_and_queries_are_total():
    """The same seed gives the same bytes, and every query answers."""
    assert all(check.ok for check in selftest.repeats(0, 1))


def test_two_dialects_of_a_seed_share_a_truth():
    """The spelling changes names and units, never the truth."""
    assert all(check.ok for check in selftest.dialects(100, 3))


def test_healthy_telemetry_alarms_as_rarely_as_it_should():
    """Robust z passes 4 on half to two per cent of healthy metric-hours, PSI passes 0.25 on under one per cent."""
    for check in selftest.healthy(3, 1):
        assert check.low / 2 <= check.value <= check.high * 1.5, check.plain()


def test_an_episode_is_small_and_quality_and_inputs_come_apart(drawn):
    """Quality moves without inputs and inputs without quality, and an episode is under 2 MB."""
    checks = {check.name: check for check in selftest.contents(drawn)}
    assert checks["largest episode, MB"].ok
    assert checks["quality moves, inputs do not"].value > 0.05
    assert checks["inputs move, quality does not"].value > 0.02


def test_an_oracle_that_knows_the_rules_beats_the_references(drawn):
    """On a few episodes the oracle is right far more often than chance and than the last change."""
    value = {check.name: check.value for check in selftest.rankers(drawn[:3])}
    assert value["AC@1 of oracle"] > max(0.5, value["AC@1 of uniform"], value["AC@1 of last change"])


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_has_at_least_forty_texts_and_none_is_a_symptom(tool):
    """A tool's openers and endings combine to forty texts or more, and none names what a fault looks like."""
    _, openers, endings = TOOLS[tool]
    assert len(openers) * len(endings) >= 40
    words = " ".join(text(stream(number, tool), tool).lower() for number in range(300))
    for symptom in (
        "null",
        "stale",
        "drift",
        "duplicate",
        "latency",
        "error",
        "missing",
        "broken",
        "wrong",
        "incident",
    ):
        assert symptom not in words


@pytest.mark.parametrize("tenant", TENANTS.values(), ids=list(TENANTS))
def test_a_dialect_names_every_metric_once(tenant):
    """Within one dialect no two metrics share a name, and the schema never speaks in canonical names alone."""
    for key in range(12):
        spoken = dialect(tenant, key)
        names = [row["name"] for row in spoken.schema()["metrics"]]
        assert len(names) == len(set(names))
        assert all(row["description"] and row["worse"] for row in spoken.schema()["metrics"])
