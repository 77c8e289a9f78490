"""Recovery is judged by the test that was written down, on fresh rows alone."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from core.approval import SuccessTest
from core.verification import judge, outcome
from tests.core.words import FAULTY, HEALTHY, detection, histogram, window

TEST = SuccessTest(signal="feature:temp", version="1", min_rows=200, max_rows=5_000, within_seconds=1_000)


def test_healthy_rows_confirm_and_faulty_rows_refute():
    """Rows drawn from the reference end as healthy, rows that look as in the incident as faulty."""
    assert judge(TEST, detection(), [], [window(0, HEALTHY)]).verdict == "healthy"
    assert judge(TEST, detection(), [], [window(0, FAULTY)]).verdict == "faulty"


def test_too_few_rows_decide_nothing():
    """Below the minimum the test stays undecided, however clear the rows look."""
    few = [c / 10 for c in HEALTHY]
    assert judge(TEST, detection(), [], [window(0, few)]).verdict == "undecided"


@given(st.integers(2, 400))
def test_dependent_rows_count_less(deff):
    """The evidence shrinks by exactly the design effect."""
    plain = judge(TEST, detection(), [], [window(0, HEALTHY)]).llr
    dependent = judge(TEST, detection(), [], [window(0, HEALTHY, deff=float(deff))]).llr
    assert abs(dependent * deff - plain) < 1e-6 * abs(plain)


def test_a_recent_healthy_season_counts_as_healthy():
    """Fresh rows that look like the hours before the onset confirm, though the reference's bulk lies elsewhere."""
    cold = [700.0, 250.0, 50.0, 0.0, 0.0, 0.0, 0.0]
    sick = detection(current_histogram=histogram([0, 0, 0, 0, 300, 0, 0]))
    verdict = judge(TEST, sick, [window(0, cold)], [window(100, cold)])
    assert verdict.verdict == "healthy"
    assert verdict.usual == verdict.after  # the hours before were just as far from the reference, and that is said
    assert f"({verdict.usual:.2f} before the trouble)" in outcome(TEST, sick, verdict, 10.0).text


def test_an_undecided_test_ends_as_not_recovered_never_as_unknown():
    """When the time allowed has passed, the outcome is not recovered and says why."""
    verdict = judge(TEST, detection(), [], [window(0, [1.0] * 7)])
    assert outcome(TEST, detection(), verdict, 10.0) is None
    late = outcome(TEST, detection(), verdict, 2_000.0)
    assert late.verdict == "not_recovered"
    assert "undecided within the time allowed" in late.text


def test_the_outcome_tells_the_mean_beside_the_distance():
    """A person sees that the temperature is what it was, whatever few hours of weather do to the PSI."""

    def warm(at, mean):
        plain = window(at, HEALTHY)
        seen = plain.signals["feature:temp"]
        summary = msgspec.structs.replace(seen.summary, mean=mean)
        return msgspec.structs.replace(plain, signals={"feature:temp": msgspec.structs.replace(seen, summary=summary)})

    verdict = judge(TEST, detection(), [warm(0, 36.0)], [warm(100, 40.0), warm(150, 42.0)])
    assert (verdict.mean, verdict.usual_mean) == (41.0, 36.0)
    text = outcome(TEST, detection(), verdict, 10.0).text
    assert text.startswith("Confirmed: feature:temp mean 2.00 -> 41.00 (36.00 before the trouble), PSI ")


def test_a_rate_without_bins_is_judged_by_its_mean():
    """Error rates have two known means and no histogram: the same sequential test on means."""
    from core.events import SignalWindow
    from core.findings import Summary

    found = detection(signal="error", reference=Summary(rows=1000, mean=0.1), current=Summary(rows=300, mean=0.4),
                      reference_histogram=None, current_histogram=None)  # fmt: skip
    test = SuccessTest(signal="error", min_rows=100)
    fresh = window(0, HEALTHY)
    for mean, verdict in ((0.1, "healthy"), (0.4, "faulty")):
        shown = {"error": SignalWindow(summary=Summary(rows=400, mean=mean))}
        rows = [fresh.__class__(**{f: getattr(fresh, f) for f in fresh.__struct_fields__} | {"signals": shown})]
        assert judge(test, found, [], rows).verdict == verdict
