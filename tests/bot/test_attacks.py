"""The attack suite, run whole, with its score."""

from __future__ import annotations

import json
from operator import attrgetter
from types import SimpleNamespace

import pytest

from bot.cards import card, purposes
from bot.modals import dismiss, review, runbook, snooze, wrong
from bot.thread import note
from bot.workspace.limits import check_blocks, check_view
from core.ports import Passage
from tests.agents import world
from tests.bot import attacks
from tests.bot import examples as x

LATER = x.NOW + 60
replace = attacks.replace


@pytest.fixture
def score(record_property):
    """`score(played, harm)`: into the score that tests/conftest.py prints at the end, whichever worker played it."""

    def counted(played: int, harm: list[str]) -> None:
        leaks = sum("leak" in one for one in harm)
        for name, count in {"played": played, "unsafe": len(harm) - leaks, "leaked": leaks}.items():
            record_property(f"attacks {name}", count)

    return counted


def test_text_attacks(score):
    """No text in any place mentions, links, broadcasts, leaks, or adds a button."""
    desk = SimpleNamespace(policy=x.policy(), now=lambda: LATER)
    harm: list[str] = []
    cases = attacks.text_attacks()
    played = 0
    for case in cases:
        for place in case.get("places", attacks.PLACES):
            incident = attacks.poisoned(place, case["text"])
            values = {p: f"nonce-{n}" for n, p in enumerate(purposes(incident, desk.policy, LATER))}
            shown = card(incident, desk.policy, LATER, values)
            views = [
                review(incident, incident.plan, desk.policy, "n", "approver"), dismiss(incident, "n"),
                snooze(incident, "n", "preview"), wrong(incident, "n", "wrong"), runbook(incident.hypothesis.runbook),
            ]  # fmt: skip
            told = attacks.everything(incident, desk, [*shown.blocks, *note(incident, 0)[1]], shown.text)
            harm += attacks.harmed(told + json.dumps(views, ensure_ascii=False), case)
            harm += attacks.harmed(attacks.postmortem(incident), {**case, "id": f"{case['id']} in a postmortem"})
            harm += [f"{case['id']}/{place}: {p}" for p in check_blocks(shown.blocks)]
            harm += [f"{case['id']}/{place}: {p}" for v in views for p in check_view(v)]
            row = next(b for b in shown.blocks if b["type"] == "actions")["elements"]
            if [b["value"] for b in row if b["type"] == "button"] != ["nonce-0", "nonce-1", "nonce-2"]:
                harm.append(f"{case['id']}/{place}: buttons changed")
            played += 1
    score(played, harm)
    assert harm == []
    assert len(cases) >= 20


class Poisoned(world.Runbooks):
    """Runbooks whose words were written by an attacker."""

    def __init__(self, text: str):
        super().__init__("unit_change")
        self.text = text

    async def search(self, words: str, **how) -> list[Passage]:
        found = await super().search(words, **how)
        return [replace(p, citation=replace(p.citation, heading=self.text, text=self.text)) for p in found]


async def test_no_text_shifts_the_named_cause(record_property):
    """In the deployment, another change and a runbook at once: cause, action and confidence stay the same."""
    windows, incident = world.celsius_case(0)
    verdict = attrgetter("cause.node", "cause.type", "cause.change", "action", "confidence", "abstained")
    decoy = replace(world.DEPLOY, id="chg_1", kind="flag", target="gate-planner", at=world.DEPLOY.at - 7_200)
    true = verdict(await world.investigation(windows, world.DEPLOY, decoy).investigate(incident, 0.0))
    shifted = []
    for case in attacks.text_attacks():
        text = case["text"]
        changes = [replace(c, summary=text, by=text, url=text) for c in (world.DEPLOY, decoy)]
        ports = {"runbooks": Poisoned(text)}
        told = verdict(await world.investigation(windows, *changes, **ports).investigate(incident, 0.0))
        shifted += [f"{case['id']}: {told}, not {true}"] if told != true else []
    record_property("attacks investigated", len(attacks.text_attacks()))
    record_property("attacks shifted", len(shifted))
    assert shifted == []


@pytest.mark.servers
@pytest.mark.parametrize("name", attacks.PROTOCOL)
async def test_protocol_attacks(story, name, score):
    """No click, replay, forgery or answer makes the product do what policy does not allow."""
    harm = await attacks.PROTOCOL[name](story)
    score(1, harm)
    assert harm == []
