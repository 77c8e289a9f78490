"""Slices and labels: everything once, in event time, whatever the cuts."""

import math
from itertools import pairwise

import pytest

from bot.demo.flights import moment
from bot.demo.replay import Plan, labels

DAY = 86400


@pytest.mark.parametrize("length", [600.0, 1800.0, 7000.0])
def test_slices_cover_the_plan_without_gap_or_overlap(length):
    """Slices follow on one another from start to end, and the deploy falls between two of them."""
    plan = Plan(
        start=moment("2013-03-01"), deploy_at=moment("2013-03-02T10:10"), end=moment("2013-03-03"), slice=length
    )
    cuts = list(plan.cuts(plan.start))
    assert cuts[0][0] == plan.start
    assert cuts[-1][1] == plan.end
    assert all(before[1] == after[0] for before, after in pairwise(cuts))
    assert plan.deploy_at in {start for start, _ in cuts}


def test_a_replay_goes_on_where_it_was_cut():
    """The slices after any slice's end are the rest of the same slices."""
    plan = Plan(start=moment("2013-03-01"), deploy_at=moment("2013-03-01T10:10"), end=moment("2013-03-02"))
    cuts = list(plan.cuts(plan.start))
    for index, (_, end) in enumerate(cuts):
        assert list(plan.cuts(end)) == cuts[index + 1 :]


def test_every_landed_flight_is_labelled_once_and_after_its_request(world):
    """Over some days each flight that landed in them has one label, true to the table, later than its request."""
    start, end = moment("2013-03-07"), moment("2013-03-10")
    said = [one for cut in range(int(start), int(end), 1800) for one in labels(world, cut, cut + 1800)]
    requests = world.between(start - 3 * DAY, end)
    rows = zip(requests["id"], requests["landed"], requests["late"], strict=True)
    known = {name: late for name, landed, late in rows if start <= landed < end}
    asked = dict(zip(requests["id"], requests["at"], strict=True))
    assert {one["id"]: one["label"] for one in said} == known
    assert len(said) == len(known) > 2_000
    assert all(moment(one["at"]) > asked[one["id"]] for one in said)
    assert [one["at"] for one in said] == sorted(one["at"] for one in said)


def test_a_flight_that_never_landed_has_no_label(world):
    """The cancelled flights of the snowstorm of 8 March are asked about and never labelled."""
    storm = world.between(moment("2013-03-08"), moment("2013-03-09"))
    lost = {name for name, landed in zip(storm["id"], storm["landed"], strict=True) if math.isnan(landed)}
    assert len(lost) > 100
    assert not lost & {one["id"] for one in labels(world, moment("2013-03-08"), moment("2013-03-12"))}
