"""How past incidents ended is found again, by likeness and by words."""

import msgspec
import pytest

from core.approval import Plan, SuccessTest
from core.events import AlertFired
from core.findings import Cause, Claim, Detection, Hypothesis
from core.incidents import Execution, Feedback, Incident, Outcome, opened
from knowledge.history import History


def alert(number: int, signal: str = "feature:temp", model: str = "delay", tenant: str = "acme") -> AlertFired:
    found = Detection(
        detector="psi", signal=signal, kind="data_drift", at=1e9, onset=1e9 - 60, statistic=1.0, threshold=0.2
    )
    return AlertFired(
        id=f"a{number}", cause="w", actor="detect", at=1e9 + number, tenant=tenant, model=model, version="2",
        fingerprint="f", group=f"g{number}", kind="data_drift", severity="SEV2", onset=1e9, detections=[found],
        reason="firing",
    )  # fmt: skip


def incident(number: int, cause: str = "unit_change", **about) -> Incident:
    first = opened(alert(number, **about), f"INC-{number}", now=2e9)
    hypothesis = Hypothesis(
        written_by="rules", headline=f"temp arrives in Celsius {number}", confidence=0.9,
        claims=[Claim(text="t", citations=["E1"])], causes=[Cause(node="job", type=cause, posterior=0.9)],
    )  # fmt: skip
    plan = Plan(
        action="rollback", tenant="acme", model="delay", summary="s", undo="u", success=SuccessTest(signal="score"),
        evidence_digest="e", policy_version="p", created=2e9,
    )  # fmt: skip
    return msgspec.structs.replace(
        first, state="resolved", changed_at=2e9 + 840, hypothesis=hypothesis, plan=plan,
        execution=Execution(plan=plan.digest, started=2e9, finished=2e9 + 1),
        outcome=Outcome(verdict="confirmed", text="PSI 3.1 -> 0.02"),
    )  # fmt: skip


@pytest.fixture
def history() -> History:
    past = History()
    past.add(incident(1))
    past.add(incident(2, cause="late_labels", signal="quality:auc", model="fraud"))
    past.add(incident(3, tenant="other"))
    return past


async def test_the_most_alike_incident_comes_first_and_says_how_it_ended(history):
    """The same model, signal and cause make an incident alike, and one line says what was done and what came of it."""
    found = await history.similar(incident(9))
    assert found[0]["incident"] == "INC-1"
    assert found[0]["line"] == "Seen before on 9 Sep 2001 (INC-1): unit change; rollback, confirmed after 14 min"


async def test_one_tenant_never_sees_another_ones_incidents(history):
    """Likeness does not cross tenants."""
    assert "INC-3" not in [facts["incident"] for facts in await history.similar(incident(9), top=10)]


async def test_an_incident_is_not_like_itself_and_an_open_one_is_not_remembered(history):
    """Only incidents that are over are remembered, and none is shown as its own precedent."""
    assert "INC-1" not in [facts["incident"] for facts in await history.similar(incident(1))]
    history.add(msgspec.structs.replace(incident(5), state="diagnosed"))
    assert len(history) == 3


async def test_feedback_corrects_what_is_remembered(history):
    """A later revision with the true cause takes the earlier one's place."""
    said = Feedback(by="U1", at=2e9, verdict="wrong", true_cause="sentinel_default")
    history.add(msgspec.structs.replace(incident(1), feedback=[said]))
    found = await history.similar(incident(9))
    assert next(facts for facts in found if facts["incident"] == "INC-1")["cause"] == "sentinel_default"
    assert len(history) == 3


def test_words_alone_find_an_incident(history):
    """A search by words finds the incident that has them, and nothing when none has."""
    assert history.search("late labels fraud", tenant="acme")[0]["incident"] == "INC-2"
    assert history.search("zebra", tenant="acme") == []
