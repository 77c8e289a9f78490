"""The claim gate: what it lets through, and what it drops with which reason."""

import asyncio
import re
from functools import lru_cache

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.cite import gate
from agents.draft import Draft
from core.findings import Claim, Evidence, NumberRef
from tests.agents.world import DEPLOY, celsius_case, investigation, spring_case


def evidence(**result):
    return Evidence(id="E1", source="telemetry", title="t", query="q", result=result, at=0.0).sealed()


FACTS = evidence(
    signals=[
        {
            "name": "feature:temp",
            "label": "temp",
            "before": 41.0,
            "after": 5.25,
            "counts": [5, 90, 5],
            "now": [80, 15, 5],
        },
        {"name": "feature:humid", "label": "humid", "before": 60.0, "after": 61.0},
    ],
    change={"id": "chg_1", "from": "1", "to": "2", "at": 1000.0},
    onset=1420.0,
)
OTHER = msgspec.structs.replace(evidence(secret="x_ray", name="upstream-b"), id="E2").sealed()


def claim(text, *numbers, entities=("temp",), citations=("E1",), role="fact"):
    refs = [NumberRef(text=shown, evidence="E1", path=path) for shown, path in numbers]
    return Claim(text=text, citations=list(citations), numbers=refs, entities=list(entities), role=role)


FELL = (("41.0", "signals.0.before"), ("5.2", "signals.0.after"))


def why(c, on_path=()):
    verdict = gate([c], [FACTS, OTHER], on_path)
    return verdict.dropped[0].why if verdict.dropped else ""


@pytest.mark.parametrize(
    "good",
    [
        claim("The median of temp fell from 41.0 to 5.2.", *FELL),
        claim(
            "Version 1 to version 2 came 7 minutes before it.", ("7", "minutes(change.at,onset)"), entities=("1", "2")
        ),
        claim("It began 7 minutes after chg_1.", ("7", "minutes(onset,change.at)"), entities=("chg_1",)),
        claim("PSI of temp is 3.29.", ("3.29", "psi(signals.0.counts,signals.0.now)")),
        claim(
            "The share of the first bin of temp went from 5% to 80%.",
            ("5", "share(signals.0.counts,0)"),
            ("80", "share(signals.0.now,0)"),
        ),
        claim("temp differs by 35.75.", ("35.75", "diff(signals.0.before,signals.0.after)")),
        claim("It began at 00:23Z.", ("00:23Z", "clock(onset)"), entities=()),
    ],
)
def test_a_claim_that_its_evidence_supports_passes(good):
    """True numbers, names and directions come through unchanged."""
    assert why(good) == ""


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (claim("temp fell from 41.0 to 5.2.", *FELL, citations=()), "cites nothing"),
        (claim("temp fell from 41.0 to 5.2.", *FELL, citations=("E1", "E9")), "E9, which does not exist"),
        (claim("temp rose from 41.0 to 5.2.", *FELL), "'rose'"),
        (claim("temp fell from 5.2 to 41.0.", *reversed(FELL)), "'fell'"),
        (claim("temp fell from 41.1 to 5.2.", ("41.1", FELL[0][1]), FELL[1]), "the evidence gives 41"),
        (claim("temp fell from 41.0 to 5.2 over 99 days.", *FELL), "shows 3 numbers"),
        (claim("temp doubled, 41.0 to 5.2.", *FELL), "shows 3 numbers"),
        (claim("humid fell from 41.0 to 5.2.", *FELL, entities=("humid",)), "belongs to 'temp'"),
        (claim("tеmp fell from 41.0 to 5.2.", *FELL, entities=()), "'tеmp'"),
        (claim("temp_c fell, temp from 41.0 to 5.2.", *FELL), "'temp_c'"),
        (claim("temp fell from 41.0 to 5.2 with x_ray.", *FELL), "'x_ray'"),
        (claim("temp and pressure.", entities=("temp", "pressure")), "'pressure', which the cited evidence"),
        (
            claim(
                "Version 2 to version 1 came 7 minutes after it.",
                ("7", "minutes(change.at,onset)"),
                entities=("1", "2"),
            ),
            "'after'",
        ),
        (
            claim("The drift began 7 minutes before chg_1.", ("7", "minutes(onset,change.at)"), entities=("chg_1",)),
            "'before'",
        ),
        (claim("temp is in Celsius now, 41.0.", FELL[0]), "unit 'Celsius'"),
        (claim("See https://evil.test about temp."), "link"),
        (claim("<!channel> temp"), "link, a mention or mark-up"),
        (claim("temp is 41.0.", ("41.0", "signals.0.before.__class__")), "nothing at"),
        (claim("temp is 41.0.", ("41.0", "exec('1')")), "no function"),
        (claim("temp is 41.0.", ("41.0", "41.0")), "which is not cited"),
        (
            claim(
                "PSI of temp is 3.29, above 5.25.",
                ("3.29", "psi(signals.0.counts,signals.0.now)"),
                ("5.25", FELL[1][1]),
            ),
            "wrong way",
        ),
        (claim("temp " * 200), "too long"),
    ],
)
def test_a_claim_that_its_evidence_does_not_support_is_dropped_with_the_reason(bad, reason):
    """Forged, altered, misattributed, misdirected or unnamed: each is dropped and says why."""
    assert reason in why(bad)


def test_a_claim_about_a_cause_must_speak_of_the_path():
    """A cause that is not on the way to the alert is dropped, however true its numbers are."""
    c = claim("temp fell from 41.0 to 5.2.", *FELL, role="cause")
    assert "not on the path" in why(c, {"humid", "flight-delay"})
    assert why(c, {"temp", "flight-delay"}) == ""


def test_evidence_that_was_altered_supports_nothing():
    """A snapshot whose content does not match its digest cannot be cited."""
    forged = msgspec.structs.replace(FACTS, result={**FACTS.result, "onset": 9999.0})
    verdict = gate([claim("It began at 02:46Z.", ("02:46Z", "clock(onset)"), entities=())], [forged])
    assert "does not match its digest" in verdict.dropped[0].why


@lru_cache
def passing():
    """All claims of two whole hypotheses, with their evidence."""
    found = []
    for make in (celsius_case, spring_case):
        windows, about = make()
        h = asyncio.run(investigation(windows, DEPLOY).investigate(about, 0.0))
        found += [(c, h.evidence) for c in h.claims]
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_altering_any_digit_of_a_passing_claim_makes_it_fail(data):
    """Every digit that reaches the card is load-bearing: none can be changed without the gate noticing."""
    c, held = data.draw(st.sampled_from(passing()))
    places = [m.start() for m in re.finditer(r"\d", c.text)]
    if not places:
        return
    at = data.draw(st.sampled_from(places))
    digit = data.draw(st.sampled_from([d for d in "0123456789" if d != c.text[at]]))
    text = c.text[:at] + digit + c.text[at + 1 :]
    assert gate([c], held).claims, "the claim itself passes"
    assert not gate([msgspec.structs.replace(c, text=text)], held).claims


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_altering_a_number_and_its_reference_together_still_fails(data):
    """Claiming another source text for an altered number does not help: it is recomputed from the snapshot."""
    c, held = data.draw(st.sampled_from([p for p in passing() if p[0].numbers]))
    place = data.draw(st.integers(0, len(c.numbers) - 1))
    ref = c.numbers[place]
    at = data.draw(st.sampled_from([m.start() for m in re.finditer(r"\d", ref.text)]))
    digit = data.draw(st.sampled_from([d for d in "0123456789" if d != ref.text[at]]))
    forged = ref.text[:at] + digit + ref.text[at + 1 :]
    refs = [msgspec.structs.replace(r, text=forged) if i == place else r for i, r in enumerate(c.numbers)]
    text = re.sub(rf"(?<![\d.,]){re.escape(ref.text)}(?![\d]|[.,]\d)", forged, c.text)
    assert not gate([msgspec.structs.replace(c, text=text, numbers=refs)], held).claims


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_a_number_drafted_from_evidence_always_passes(value, decimals):
    """What the draft formats, the gate recomputes to the same text."""
    e = evidence(x=value)
    d = Draft({"E1": e})
    c = d.claim(f"it is {d.number('E1', 'x', f',.{decimals}f')} now")
    assert gate([c], [e]).dropped == []
