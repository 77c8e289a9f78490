"""Realistic values for the core's tests: an alert on a unit change, its incident, hypothesis, plan, and policy."""

import msgspec

from core import policy as policies
from core.approval import Person, Plan, SuccessTest
from core.events import AlertFired, SignalWindow, WindowClosed
from core.findings import Cause, Claim, Detection, Histogram, Hypothesis, Summary
from core.incidents import Incident, advance, opened

CUTS = [20.0, 30.0, 40.0, 50.0]
HEALTHY = [100.0, 300.0, 400.0, 150.0, 50.0, 0.0, 0.0]
FAULTY = [290.0, 8.0, 2.0, 0.0, 0.0, 0.0, 0.0]

ANA = Person(id="UANA", team="T1", name="Ana")
BEN = Person(id="UBEN", team="T1", name="Ben")
CHLOE = Person(id="UCHLOE", team="T1", name="Chloe")
DEV = Person(id="UDEV", team="T1", name="Dev", guest=True)
ROBOT = Person(id="UBOT", team="T1", name="robot", bot=True)


def policy(required: int = 1):
    """A policy in which Ana and Chloe approve, Ben responds, and Dev (a guest) was listed by mistake."""
    base = policies.load()
    rollback = msgspec.structs.replace(base.actions["rollback"], approvals=required)
    return msgspec.structs.replace(
        base,
        roles=policies.Roles(responder=["UBEN"], approver=["UANA", "T1/UCHLOE", "UDEV", "UBOT"]),
        actions={**base.actions, "rollback": rollback},
        deployers={"webhook": policies.DeployerAddress(url="http://127.0.0.1:1")},
    )


def histogram(counts) -> Histogram:
    return Histogram(cuts=CUTS, counts=[float(c) for c in counts])


def detection(**changes) -> Detection:
    fields = {
        "detector": "e_detector", "signal": "feature:temp", "kind": "data_drift", "at": 2000.0, "onset": 1900.0,
        "statistic": 14.2, "threshold": 13.8, "effect": 4.1, "direction": "down",
        "reference": Summary(rows=1000, mean=34.0, std=9.0), "current": Summary(rows=300, mean=2.0, std=5.0),
        "reference_histogram": histogram(HEALTHY), "current_histogram": histogram(FAULTY),
    }  # fmt: skip
    return Detection(**(fields | changes))


def alert(number: int = 1, **changes) -> AlertFired:
    fields = {
        "id": f"alert_{number}", "cause": "batch", "actor": "detect", "at": 2000.0, "tenant": "acme",
        "model": "flight-delay", "version": "2", "fingerprint": "f1", "group": "acme/flight-delay",
        "kind": "data_drift", "severity": "SEV2", "onset": 1900.0, "detections": [detection()], "reason": "first",
    }  # fmt: skip
    return AlertFired(**(fields | changes))


def hypothesis(**changes) -> Hypothesis:
    fields = {
        "written_by": "rules", "headline": "unit change", "confidence": 0.9, "action": "rollback",
        "alternatives": ["ticket"], "evidence_digest": "e" * 64,
        "claims": [Claim(text="temp moved", citations=["E1"])],
        "causes": [Cause(node="flight-delay", type="unit_change", posterior=0.9, change="chg1")],
    }  # fmt: skip
    return Hypothesis(**(fields | changes))


def plan(rules, now: float = 100.0, **changes) -> Plan:
    fields = {
        "action": "rollback", "tenant": "acme", "model": "flight-delay",
        "parameters": {"from": "2", "to": "1", "deployer": "webhook"}, "summary": "Roll back to 1",
        "undo": "Deploy 2 again", "success": SuccessTest(signal="feature:temp", version="1"),
        "evidence_digest": "e" * 64, "policy_version": rules.version_digest, "created": now,
        "required": rules.actions["rollback"].approvals, "tier": "high",
    }  # fmt: skip
    return Plan(**(fields | changes))


def diagnosed(rules, now: float = 100.0, **changes) -> Incident:
    first = opened(alert(), "inc_1", now)
    return advance(
        first, "diagnosed", writer="investigate", now=now, actor="investigate", what="unit change",
        hypothesis=hypothesis(), plan=plan(rules, now, **changes),
    )  # fmt: skip


def window(start: float, counts, version: str = "1", rows: int | None = None, deff: float = 1.0) -> WindowClosed:
    total = int(sum(counts)) if rows is None else rows
    shown = SignalWindow(summary=Summary(rows=total), histogram=histogram(counts))
    return WindowClosed(
        id=f"w{version}_{start}", cause="batch", actor="detect", at=start + 50, tenant="acme", model="flight-delay",
        version=version, baseline="b1", start=start, end=start + 50, rows=total, signals={"feature:temp": shown},
        design_effect={"feature:temp": deff},
    )  # fmt: skip
