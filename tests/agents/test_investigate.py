"""Whole investigations over fakes of the ports: the hypothesis, its claims, its action, its gaps."""

import msgspec
import pytest

from agents.investigate import replay
from core.errors import Unavailable
from core.events import ChangeRecorded
from core.findings import ACTIONS, CAUSES, Hypothesis
from core.policy import load
from tests.agents.world import (
    DEPLOY,
    HOUR,
    T0,
    Down,
    Telemetry,
    World,
    alert,
    celsius,
    celsius_case,
    incident,
    investigation,
    spring_case,
)  # fmt: skip


def said(hypothesis, role):
    return [c.text for c in hypothesis.claims if c.role == role]


@pytest.mark.parametrize("seed", range(6))
async def test_a_unit_change_that_came_with_a_deployment_is_named_with_deployment_feature_and_unit(seed):
    """The deployment, its versions and minutes, the feature and both units are named; rollback is proposed."""
    windows, case = celsius_case(seed)
    h = await investigation(windows, DEPLOY).investigate(case, 0.0)
    assert not h.abstained
    assert h.cause.type == "unit_change"
    assert (h.cause.node, h.cause.change) == ("temp", "chg_9f31")
    assert h.action == "rollback"
    told = " ".join(said(h, "cause"))
    assert "chg_9f31 took flight-delay from version 1 to version 2, 2 minutes before" in told
    assert "from Fahrenheit to Celsius" in told
    assert h.headline == "temp arrives in Celsius instead of Fahrenheit since the deployment of version 2"
    assert any("noaa" in text and "ruled out" in text for text in said(h, "ruled_out"))
    assert {r.node for r in h.blast} == {"flight-delay", "gate-planner", "rebooking"}
    assert h.runbook.file == "runbooks/unit_change.md"
    assert not h.dropped


@pytest.mark.parametrize("seed", range(6))
async def test_a_real_season_is_drift_and_never_a_rollback(seed):
    """Weather that drifts for weeks, with the error rising, is covariate drift: no rollback is on offer."""
    windows, case = spring_case(seed)
    old = ChangeRecorded(
        id="chg_old", at=T0 + 20 * 24 * HOUR - 30 * HOUR, kind="deployment", target="rebooking", summary="ui"
    )
    h = await investigation(windows, old, causes=("covariate_drift",)).investigate(case, 0.0)
    assert h.causes[0].type == "covariate_drift"
    assert h.action in ("retrain", "ticket")
    assert "rollback" not in (h.action, *h.alternatives)
    assert any("version 1 served" in text for text in said(h, "ruled_out"))


async def test_every_claim_cites_evidence_that_exists_and_every_digest_holds():
    """Citations lead to sealed evidence of the same hypothesis."""
    windows, case = celsius_case()
    h = await investigation(windows, DEPLOY).investigate(case, 0.0)
    ids = {e.id for e in h.evidence}
    assert all(c.citations and set(c.citations) <= ids for c in h.claims)
    assert all(e.digest == e.sealed().digest for e in h.evidence)


@pytest.mark.parametrize("case", [celsius_case, spring_case])
async def test_a_replay_from_the_stored_snapshots_gives_the_same_hypothesis(case):
    """Encoded, decoded and replayed, not one byte of the hypothesis differs."""
    windows, about = case()
    h = await investigation(windows, DEPLOY).investigate(about, 0.0)
    stored = msgspec.json.decode(msgspec.json.encode(h), type=Hypothesis)
    assert replay(stored, about, load()) == stored


async def test_a_replay_refuses_evidence_that_was_altered():
    """One changed number in a snapshot is found by its digest."""
    windows, about = celsius_case()
    h = await investigation(windows, DEPLOY).investigate(about, 0.0)
    first = msgspec.structs.replace(h.evidence[0], result={**h.evidence[0].result, "onset": 1.0})
    with pytest.raises(ValueError, match="altered"):
        replay(msgspec.structs.replace(h, evidence=[first, *h.evidence[1:]]), about, load())


async def test_a_forecast_of_the_slo_is_evidence_and_none_is_no_gap():
    """What was said of the SLO is cited last; a model without an SLO loses no line to it; a failing view does."""
    windows, about = celsius_case()

    async def watch(tenant: str, model: str) -> dict:
        return {"level": "watch", "seconds_to_breach": 9000.0, "at": about.onset, "by": "MLP"}

    async def nothing(tenant: str, model: str) -> None:
        return None

    async def away(tenant: str, model: str) -> None:
        raise Unavailable("the views are away")

    told, none, lost = [
        await investigation(windows, DEPLOY, forecast=port).investigate(about, 0.0) for port in (watch, nothing, away)
    ]
    assert (told.evidence[-1].source, told.evidence[-1].result["seconds_to_breach"]) == ("forecast", 9000.0)
    assert "forecast" not in [g.what for g in none.gaps] + [e.source for e in none.evidence]
    assert [g.why for g in lost.gaps if g.what == "forecast"] == ["the views are away"]


async def test_a_deployment_that_nothing_ties_to_the_drift_is_not_blamed():
    """A version that served healthy rows for days is ruled out, though something was deployed nearby."""
    windows, about = spring_case()
    near = ChangeRecorded(
        id="chg_near", at=about.onset - 600, kind="deployment", target="gate-planner", to="9", summary="new"
    )
    h = await investigation(windows, near).investigate(about, 0.0)
    assert h.cause.change is None
    assert h.action != "rollback"
    assert any("chg_near" in text and "Also considered" in text for text in said(h, "ruled_out"))


@pytest.mark.parametrize("port", ["telemetry", "changes", "runbooks", "history"])
async def test_a_port_that_is_away_is_a_named_gap_and_not_an_error(port):
    """Each store can be down; the gap names it and the investigation still ends in a hypothesis."""
    windows, about = celsius_case()
    h = await investigation(windows, DEPLOY, **{port: Down()}).investigate(about, 0.0)
    assert [g.why for g in h.gaps if g.what == port] == ["the store does not answer; is it running?"]
    assert h.action in ACTIONS
    assert h.cause.type in CAUSES


async def test_without_lineage_the_cause_is_still_found_and_the_gap_is_named():
    """The inputs the model is seen to read stand in for an unknown lineage."""
    windows, about = celsius_case()
    h = await investigation(windows, DEPLOY, graph=None).investigate(about, 0.0)
    assert (h.cause.node, h.cause.type) == ("temp", "unit_change")
    assert "lineage" in [g.what for g in h.gaps]


async def test_with_every_store_down_it_abstains_and_says_what_is_missing():
    """From the alert alone nothing is proposed but a ticket, and a person is told what to look at."""
    _, about = celsius_case()
    down = Down()
    h = await investigation(telemetry=down, changes=down, runbooks=down, history=down, graph=None).investigate(
        about, 0.0
    )
    assert h.abstained
    assert (h.action, h.alternatives) == ("ticket", [])
    assert "telemetry" in h.missing
    assert {g.what for g in h.gaps} >= {"telemetry", "changes", "lineage", "runbooks", "history"}


async def test_before_the_new_version_has_closed_a_window_the_alert_speaks_for_it():
    """With no window of version 2 yet, the detection's own numbers carry the diagnosis."""
    windows, about = celsius_case()
    early = [w for w in windows if w.version == "1"]
    h = await investigation(early, DEPLOY).investigate(about, 0.0)
    assert (h.cause.node, h.cause.type, h.action) == ("temp", "unit_change", "rollback")


async def test_a_few_still_hours_of_weather_do_not_hide_the_unit():
    """The hours before span two degrees and the next are seven warmer: little beside the spread of a winter."""
    world = World()

    def still(warmth, convert=lambda x: x):
        return lambda f, x, at: (convert(warmth + 0.15 * (x - 40)) if f == "temp" else x, 0)

    before = world.windows(T0 - 120 * HOUR, T0, "1", still(38))
    after = world.windows(T0, T0 + 8 * HOUR, "2", still(45, celsius))
    about = incident(alert([world.detection("temp", after, T0 + 120)], "2", T0 + 120, after[-1].end))
    h = await investigation(before + after, DEPLOY).investigate(about, 0.0)
    assert (h.cause.node, h.cause.type, h.action) == ("temp", "unit_change", "rollback")


async def test_a_version_that_serves_beside_rules_out_the_data():
    """While version 1 still serves healthy rows in the same hours, the data itself is ruled out."""
    world = World(3)
    before = world.windows(T0 - 120 * HOUR, T0 + 16 * HOUR, "1")
    after = world.windows(T0, T0 + 16 * HOUR, "2", lambda f, x, at: (celsius(x) if f == "temp" else x, 0))
    both = sorted(before + after, key=lambda w: w.end)
    about = incident(alert([world.detection("temp", after, T0)], "2", T0, after[-1].end))
    h = await investigation(both, DEPLOY).investigate(about, 0.0)
    assert any("Rows of version 1 in the same hours" in text for text in said(h, "ruled_out"))


async def test_policy_that_forbids_an_action_is_obeyed():
    """A rollback that policy has switched off is never proposed, not even as an alternative."""
    policy = load()
    rule = msgspec.structs.replace(policy.actions["rollback"], enabled=False)
    policy = msgspec.structs.replace(policy, actions={**policy.actions, "rollback": rule})
    windows, about = celsius_case()
    h = await investigation(windows, DEPLOY, policy=policy).investigate(about, 0.0)
    assert "rollback" not in (h.action, *h.alternatives)
    assert h.action == "fallback"


async def test_a_slow_store_is_left_behind_at_its_budget():
    """A port that never answers costs its budget and becomes a gap."""
    import asyncio

    class Slow:
        async def windows(self, *args, **kwargs):
            await asyncio.Event().wait()

    policy = load()
    quick = msgspec.structs.replace(policy.investigation, budget_seconds=0.05)
    windows, about = celsius_case()
    tools = investigation(
        windows, DEPLOY, telemetry=Slow(), policy=msgspec.structs.replace(policy, investigation=quick)
    )
    h = await tools.investigate(about, 0.0)
    assert [g.why for g in h.gaps if g.what == "telemetry"] == ["no answer within 0.05 s"]


async def test_windows_that_are_stored_a_moment_after_the_alert_are_waited_for():
    """A process that starts again knows of the alert before its windows: the diagnosis is the same as with them."""
    windows, about = celsius_case()

    class Late(Telemetry):
        asked = 0

        async def windows(self, *args, **kwargs):
            self.asked += 1
            return await super().windows(*args, **kwargs) if self.asked > 2 else []

    at_once = await investigation(windows, DEPLOY).investigate(about, 0.0)
    late = await investigation(windows, DEPLOY, telemetry=Late(windows)).investigate(about, 0.0)
    assert late == at_once
    assert late.action == "rollback"


async def test_progress_is_told_and_its_failure_is_nobodys_problem():
    """Progress lines come while it works; a listener that breaks stops nothing."""
    windows, about = celsius_case()
    lines = []

    async def listen(incident_id, text):
        lines.append((incident_id, text))
        if len(lines) == 3:
            raise Unavailable("gone")

    h = await investigation(windows, DEPLOY, progress=listen).investigate(about, 0.0)
    assert len(lines) == 3
    assert h.cause.type == "unit_change"


async def test_a_person_can_steer_away_from_the_deployment():
    """'ignore the deploy' takes the deployment out of the causes, and with it the rollback."""
    windows, about = celsius_case()
    steered = msgspec.structs.replace(about, steering=["ignore the deploy, look at the weather features"])
    h = await investigation(windows, DEPLOY).investigate(steered, 0.0)
    assert h.cause.change is None
    assert h.action != "rollback"
    assert "weather_features" in [c.node for c in h.causes]
