"""Incidents as the product makes them: every kind, every state, on the flight-delay story and around it."""

from __future__ import annotations

import msgspec

from core.approval import Approval, Person, Plan, SuccessTest
from core.events import AlertFired, ChangeRecorded, SignalWindow, WindowClosed
from core.findings import (
    Cause,
    Claim,
    Contribution,
    Detection,
    Evidence,
    Gap,
    Histogram,
    Hypothesis,
    MovedBin,
    NumberRef,
    Reached,
    RunbookCitation,
    Summary,
)  # fmt: skip
from core.incidents import Execution, Incident, Outcome, advance, mark, opened
from core.policy import Policy, load
from core.triage import STOPPED

ONSET = 1_362_891_600.0
"""2013-03-10 05:00 UTC, in event time."""
NOW = 1_790_000_000.0
"""Wall clock of the tests."""
CUTS = [20.0, 30.0, 40.0, 50.0, 60.0]
COLD = [0.0, 120.0, 310.0, 420.0, 250.0, 100.0, 0.0, 0.0]
CELSIUS = [980.0, 205.0, 15.0, 0.0, 0.0, 0.0, 0.0, 0.0]

ANA = Person(id="U0ANA", team="T0LOCAL", name="Ana Ruiz", groups=["ml-approvers"])
CHLOE = Person(id="U0CHLOE", team="T0LOCAL", name="Chloé Martin", groups=["ml-approvers"])
BEN = Person(id="U0BEN", team="T0LOCAL", name="Ben Okafor", groups=["ml-oncall"])


def policy(**changes) -> Policy:
    """The shipped policy with people in it."""
    base = load()
    roles = msgspec.structs.replace(base.roles, approver=["U0ANA", "T0LOCAL/U0CHLOE"], responder=["@ml-oncall"])
    return msgspec.structs.replace(base, roles=roles, **changes)


def detection(signal: str = "feature:temp", **changes) -> Detection:
    fields = {
        "detector": "e_detector", "signal": signal, "kind": "data_drift", "at": ONSET + 3600, "onset": ONSET,
        "row": 8_400, "onset_row": 8_000, "statistic": 2.4e6, "threshold": 1e6, "effect": 1.31, "direction": "down",
        "importance": 0.4, "reference": Summary(rows=1200, mean=43.7, std=9.4),
        "current": Summary(rows=1200, mean=6.5, std=5.2),
        "reference_histogram": Histogram(counts=COLD, cuts=CUTS),
        "current_histogram": Histogram(counts=CELSIUS, cuts=CUTS),
        "moved": [MovedBin(label="<= 20", reference=0.0, current=0.82)], "scores": {"ks": 0.81, "js": 0.44},
        "window_start": ONSET, "window_end": ONSET + 3600, "false_alarms_per_week": 0.02,
    }  # fmt: skip
    return Detection(**(fields | changes))


def alert(*detections: Detection, kind: str = "data_drift", **changes) -> AlertFired:
    fields = {
        "id": "alert_6f1c2a9be0d34c11", "cause": "win_77", "actor": "detect", "at": ONSET + 3600, "tenant": "acme",
        "model": "flight-delay", "version": "2", "fingerprint": "fp", "group": "acme/flight-delay", "kind": kind,
        "severity": "SEV2", "onset": ONSET, "detections": list(detections) or [detection()], "reason": "first",
        "fired_at": NOW,
    }  # fmt: skip
    return AlertFired(**(fields | changes))


def evidence() -> list[Evidence]:
    def e(n: int, source: str, title: str, **result) -> Evidence:
        return Evidence(id=f"E{n}", source=source, title=title, query=title, result=result, at=ONSET + 3600).sealed()

    return [
        e(1, "alert", "PSI of temp against January and February", psi=1.31),
        e(2, "telemetry", "temp per version, 24 h around the onset", v1_mean=43.1, v2_mean=6.5),
        e(3, "changes", "deployment of version 2", id="chg_41", at=ONSET - 600, url="https://ci.example.com/run/41"),
        e(4, "lineage", "weather feed -> weather_features -> flight-delay", path=["weather", "weather_features"]),
        e(5, "telemetry", "the other features since the onset", largest_psi=0.02),
        e(6, "runbooks", "unit-change.md, Diagnosis", relevance=0.71),
    ]


def hypothesis(**changes) -> Hypothesis:
    fields = {
        "written_by": "rules",
        "headline": "version 2's feature job sends temperatures in Celsius where the model learnt Fahrenheit",
        "claims": [
            Claim(
                text="PSI of temp is 1.31 since 05:00 UTC; its mean fell from 43.7 to 6.5",
                citations=["E1", "E2"], numbers=[NumberRef(text="1.31", evidence="E1", path="psi")],
            ),
            Claim(
                text="The new values are the old ones in Celsius: (x - 32) * 5/9 explains the shift within 0.4 degrees",
                citations=["E2"], role="cause",
            ),
            Claim(
                text="Version 2 was deployed 10 minutes before the onset and only its rows are shifted",
                citations=["E2", "E3"], role="cause",
            ),
            Claim(text="a colder spell, because version 1 saw none", citations=["E2"], role="ruled_out"),
            Claim(text="a broken join, because no other feature moved", citations=["E5"], role="ruled_out"),
            Claim(text="Roll back, then fix the unit in weather_features", citations=["E6"], role="remedy"),
        ],
        "causes": [
            Cause(
                node="weather_features@2", type="unit_change", posterior=0.86, change="chg_41",
                path=["weather_features", "flight-delay"],
                contributions=[Contribution(node="weather_features", what="deployed 10 min before", nats=1.7)],
            ),
            Cause(node="weather", type="covariate_drift", posterior=0.06),
        ],
        "confidence": 0.86, "evidence": evidence(), "evidence_digest": "d" * 64,
        "runbook": RunbookCitation(
            file="unit-change.md", heading="Diagnosis", revision="49191a5", text="Compare the means ...",
            relevance=0.71, last_verified="2026-05-02",
        ),
        "blast": [
            Reached(node="gate-planner", kind="service", owner="@ops", tier="1"),
            Reached(node="delay-emails", kind="service", owner="@growth", tier="2", distance=2),
        ],
        "action": "rollback",
    }  # fmt: skip
    return Hypothesis(**(fields | changes))


def plan(**changes) -> Plan:
    fields = {
        "action": "rollback", "tenant": "acme", "model": "flight-delay",
        "parameters": {"from": "2", "to": "1", "deployer": "webhook"},
        "summary": "Roll flight-delay back from version 2 to version 1",
        "undo": "Deploy version 2 of flight-delay again", "success": SuccessTest(signal="feature:temp", version="1"),
        "evidence_digest": "d" * 64, "policy_version": policy().version_digest, "created": NOW + 5, "tier": "high",
        "blast": "2 downstream",
    }  # fmt: skip
    return Plan(**(fields | changes))


def first(*, id: str = "inc_1f0c", **changes) -> Incident:
    """Just opened, from detector facts alone."""
    return opened(alert(**changes), id, NOW)


def diagnosed(
    incident: Incident | None = None, h: Hypothesis | None = None, p: Plan | bool | None = True, at: float = NOW + 5
) -> Incident:
    h = h or hypothesis()
    p = (None if h.abstained else plan()) if p is True else (p or None)
    return advance(
        incident or first(), "diagnosed", writer="investigate", now=at, actor="investigate", what="diagnosed",
        hypothesis=h, plan=p,
    )  # fmt: skip


def approval(who: Person = ANA, p: Plan | None = None) -> Approval:
    digest = (p or plan()).digest
    return Approval(by=who, at=NOW + 60, digest=digest, verdict="approved", reason="units are wrong")


def approved(p: Plan | None = None) -> Incident:
    return advance(
        diagnosed(p=p or plan()), "approved", writer="converse", now=NOW + 60, actor="T0LOCAL/U0ANA",
        what="approved 1/1", reason="units are wrong", approvals=[approval(p=p)],
    )  # fmt: skip


def half_approved() -> Incident:
    two = plan(required=2)
    return mark(
        diagnosed(p=two), now=NOW + 60, actor="T0LOCAL/U0ANA", what="approved 1/2", reason="units are wrong",
        approvals=[approval(p=two)],
    )  # fmt: skip


def executing() -> Incident:
    run = Execution(plan=plan().digest, started=NOW + 61)
    what = f"running: {plan().summary}"
    return advance(approved(), "executing", writer="act", now=NOW + 61, actor="act", what=what, execution=run)


def verifying() -> Incident:
    run = Execution(plan=plan().digest, started=NOW + 61, finished=NOW + 62, event_time=ONSET + 9000)
    return advance(
        executing(), "verifying", writer="act", now=NOW + 62, actor="act", what="flight-delay serves version 1",
        execution=run,
    )  # fmt: skip


def resolved() -> Incident:
    text = "Confirmed: feature:temp PSI 1.31 -> 0.01 over 500 fresh rows"
    done = Outcome(verdict="confirmed", text=text, rows=500, before=1.31, after=0.01, statistic=9.1, threshold=4.6)
    return advance(verifying(), "resolved", writer="act", now=NOW + 90, actor="act", what=text, outcome=done)


def failed() -> Incident:
    text = "Not recovered: feature:temp still looks as in the incident (PSI 1.31 -> 1.29 over 500 fresh rows)"
    undo = plan(
        undo_of=plan().digest, summary="Undo: deploy version 2 of flight-delay again (now serving 1)",
        undo="Roll back to version 1", created=NOW + 90, parameters={"from": "1", "to": "2", "deployer": "webhook"},
    )  # fmt: skip
    return advance(
        verifying(), "failed", writer="act", now=NOW + 90, actor="act", what=text, plan=undo, approvals=[],
        outcome=Outcome(verdict="not_recovered", text=text, rows=500, before=1.31, after=1.29),
    )  # fmt: skip


def dismissed() -> Incident:
    done = Outcome(verdict="dismissed", text="Planned: the weather provider changed on purpose")
    return advance(
        diagnosed(), "dismissed", writer="converse", now=NOW + 70, actor="T0LOCAL/U0BEN", what="dismissed",
        reason="planned", outcome=done,
    )  # fmt: skip


def abstention() -> Incident:
    h = hypothesis(
        abstained=True, confidence=0.31, missing="whether the booking service changed its codes; nobody logged it",
        claims=[Claim(text="PSI of carrier is 0.29 since 05:00 UTC", citations=["E1"])], runbook=None, blast=[],
        causes=[Cause(node="bookings", type="category_encoding", posterior=0.31)], action="ticket",
        gaps=[Gap(what="feature store", why="timeout"), Gap(what="lineage", why="no runs since Tuesday")],
    )  # fmt: skip
    return diagnosed(first(), h)


def spring() -> Incident:
    """Real covariate drift: rollback is not the answer."""
    h = hypothesis(
        headline="spring came: temperatures rose on every version and in the weather feed itself",
        claims=[
            Claim(text="PSI of temp is 0.44 since 05:00 UTC", citations=["E1"]),
            Claim(text="Both versions and the upstream feed moved together", citations=["E2", "E4"], role="cause"),
            Claim(text="a deployment, because none happened within 6 hours", citations=["E3"], role="ruled_out"),
        ],
        causes=[Cause(node="weather", type="covariate_drift", posterior=0.78)], confidence=0.78, action="retrain",
    )  # fmt: skip
    p = plan(
        action="retrain", parameters={"deployer": "webhook"}, summary="Retrain flight-delay on data since 2013-03-01",
        undo="Keep serving the present version", tier="medium",
    )  # fmt: skip
    return diagnosed(first(severity="SEV3"), h, p)


def foreseen() -> Detection:
    """A warning as `bot/compose/forecast.py` tells it."""
    said = "such a word was right 19 of 20 times, 7 h ahead, and found 60% of breaches"
    return Detection(
        detector="forecast", signal="quality:auc", kind="forecast", at=ONSET, onset=ONSET, statistic=0.83,
        threshold=0.7, direction="up", scores={"right": 19.0, "spoken": 20.0},
        detail=f"warning: quality:auc >= 0.7 over 24 h is likely to be missed (chance 83%), by MLP; {said}",
    )  # fmt: skip


def forecast() -> Incident:
    base = first(detections=[foreseen()], kind="forecast", severity="SEV3")
    sla = Evidence(
        id="E7", source="forecast", title="AUC against its target", query="q", at=ONSET,
        result={"seconds_to_breach": 18_600, "low": 13_200, "high": 25_200},
    )  # fmt: skip
    return diagnosed(base, hypothesis(evidence=[*evidence(), sla.sealed()]))


def of_kind(kind: str) -> Incident:
    """The first card of any kind."""
    bare = {"reference_histogram": None, "current_histogram": None, "moved": []}
    shapes = {
        "data_drift": detection(),
        "concept_drift": detection(
            "error", kind=kind, effect=0.08, **bare,
            reference=Summary(rows=900, mean=0.17), current=Summary(rows=900, mean=0.25),
        ),
        "prediction_drift": detection("score", kind=kind, effect=0.27),
        "quality": detection(
            "nulls:dep_delay", kind=kind, effect=0.41, **bare, reference=Summary(rows=900, nulls=9),
            current=Summary(rows=900, nulls=378),
        ),
        "silence": detection("silence", kind=kind, effect=None, statistic=9.2, threshold=8.0, **bare,
                             detail="no event for 46 minutes; one every 5 minutes is usual"),
        "latency": detection(
            "latency", kind=kind, effect=180.0, **bare, reference=Summary(rows=900, mean=22.0),
            current=Summary(rows=900, mean=202.0),
        ),
        "staleness": detection("staleness:weather", kind=kind, effect=7200.0, detail="last value is 2 h old", **bare),
        "forecast": foreseen(),
    }  # fmt: skip
    return first(detections=[shapes[kind]], kind=kind)


KINDS = (
    "data_drift", "concept_drift", "prediction_drift", "quality", "silence", "latency", "staleness", "forecast",
)  # fmt: skip


def grouped() -> Incident:
    names = ["flight-delay", "gate-planner", "crew-roster", "fuel-estimate"]
    score = detection("score", kind="prediction_drift", effect=0.3)
    found = [detection(), detection("feature:wind", effect=0.33), score]
    base = first(detections=found, severity="SEV1", models=names)
    h = hypothesis(headline="the weather feed repeats yesterday's file for every model that reads it", blast_more=7)
    return diagnosed(base, h)


def partial() -> Incident:
    """A cause is named although two sources could not be asked."""
    away = [Gap(what="feature store", why="timeout after 8 s"), Gap(what="runbooks", why="index is being built")]
    return diagnosed(h=hypothesis(gaps=away, runbook=None))


def stopped() -> Incident:
    """A person ended the investigation before it had a result."""
    return mark(first(), now=NOW + 3, actor="T0LOCAL/U0BEN", what=STOPPED)


def gallery() -> dict[str, Incident]:
    """Every card that golden files and pictures are made of."""
    return {
        **{f"first-{kind}": of_kind(kind) for kind in KINDS},
        "diagnosed": diagnosed(), "half-approved": half_approved(), "approved": approved(), "executing": executing(),
        "verifying": verifying(), "resolved": resolved(), "failed": failed(), "dismissed": dismissed(),
        "abstention": abstention(), "spring": spring(), "forecast": forecast(), "grouped": grouped(),
        "partial": partial(), "stopped": stopped(),
        "acknowledged": mark(diagnosed(), now=NOW + 8, actor="T0LOCAL/U0BEN", what="acknowledged",
                             acknowledged_by="T0LOCAL/U0BEN"),
    }  # fmt: skip


def windows(count: int = 36, start: float = ONSET - 24 * 3600, fault_at: float = ONSET) -> list[WindowClosed]:
    """Hourly windows of flight-delay: version 1 healthy, version 2 in Celsius from `fault_at` on."""
    out = []
    for n in range(count):
        at = start + n * 3600
        sick = at >= fault_at
        counts = CELSIUS if sick else [c + (7 * ((n + i) % 5)) for i, c in enumerate(COLD)]
        temp = SignalWindow(
            summary=Summary(rows=1200, mean=6.5 if sick else 43.0 + n % 4, std=9.0),
            histogram=Histogram(counts=counts, cuts=CUTS), psi=1.31 if sick else 0.01 + 0.004 * (n % 5),
        )  # fmt: skip
        latency = SignalWindow(summary=Summary(rows=1200, mean=22.0 + n % 3), value=22.0 + n % 3)
        out.append(
            WindowClosed(
                id=f"win_{n}", cause="b", actor="detect", at=at + 3600, tenant="acme", model="flight-delay",
                version="2" if sick else "1", baseline="b1", start=at, end=at + 3600, rows=1200,
                signals={"feature:temp": temp, "latency": latency},
            )
        )  # fmt: skip
    return out


def changes() -> list[ChangeRecorded]:
    deploy = ChangeRecorded(
        id="chg_41", at=ONSET - 600, kind="deployment", target="flight-delay", from_="1", to="2", by="ci",
        summary="Deploy version 2 with the new weather job", url="https://ci.example.com/run/41",
    )  # fmt: skip
    flag = ChangeRecorded(id="chg_40", at=ONSET - 86_400, kind="flag", target="gate-planner", summary="Enable the map")
    return [flag, deploy]
