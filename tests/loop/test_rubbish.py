"""What bad input gets, in a running town: one bad event is set aside with its reason, and everything else goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from nats.js.errors import NoStreamResponseError

from tests.loop.rubbish import mixed, odd, shapes, unreadable
from tests.loop.town import START, TARGETS, Town

pytestmark = [pytest.mark.xdist_group("rubbish"), pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]

HEALTHY = 1_000
AT = START + (HEALTHY - 1) * 10
"""Event time of the rubbish: where the healthy rows have come to."""
CASES = [*unreadable(AT), *mixed(AT)]
APART = 40
"""Healthy rows between two odd ones: that few are no drift."""
ODD = odd(AT, step=APART * 10)
SHAPES = shapes(until=AT + len(ODD) * APART * 10)


@dataclass
class Fed:
    """The town after the rubbish, and what it says of itself."""

    town: Town
    status: dict[str, Any]
    dead: list[dict[str, Any]]
    good: int
    labels: int


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fed(tmp_path_factory, prepared):
    """Healthy rows, every rubbish, odd rows among healthy ones, models of odd shapes."""
    async with Town(tmp_path_factory.mktemp("rubbish"), prepared) as town:
        await town.serve(HEALTHY, version="1")
        for case in CASES:
            await town.js.publish(case.subject, case.payload, timeout=20)
        for _ in range(3):  # a producer that is not sure says it again
            await town.js.publish(CASES[0].subject, b"again and again", timeout=20, headers={"Nats-Msg-Id": "one"})
        for case in ODD:
            await town.serve(APART, version="1")
            await town.js.publish(case.subject, case.payload, timeout=20)
        for case in SHAPES:
            await town.js.publish(case.subject, case.payload, timeout=20)
        town.note("sent")
        good = town.sent + sum(case.good for case in [*CASES, *ODD, *SHAPES])
        labels = sum(case.labels for case in CASES)
        status = await town.status(events=good, labels=labels)
        town.note("counted")
        yield Fed(town, status, await town.dead(), good, labels)


@pytest.mark.parametrize("case", [c for c in CASES if c.reasons], ids=lambda c: c.name)
async def test_a_bad_event_is_set_aside_with_a_reason_that_names_value_and_remedy(fed, case):
    """`python -m bot dead` shows each bad event once, with what is wrong and what to do."""
    found = [letter["reason"] for letter in fed.dead if letter["subject"] == case.subject]
    for words in case.reasons:
        assert [r for r in found if all(word in r for word in words)], f"nothing says {words} among {found}"


async def test_nothing_else_is_set_aside(fed):
    """As many dead letters as bad events: good ones are not among them, and a repeat is one."""
    expected = sum(len(case.reasons) for case in CASES) + 1
    assert len(fed.dead) == fed.status["dead"] == expected, [(d["subject"], d["reason"]) for d in fed.dead]
    assert sum(d["payload"] == "again and again" for d in fed.dead) == 1


async def test_every_good_event_is_counted(fed):
    """Odd values, neighbours of bad events, late and doubled events, models of any shape: detect has taken in all."""
    assert fed.status["detect"]["events"] == fed.good
    assert fed.status["detect"]["labels"] == fed.labels


async def test_a_wrong_clock_moves_nobody_else(fed):
    """Events from the year 2100 leave event time where the others are."""
    assert fed.status["detect"]["event_time"] <= AT + (len(ODD) * APART + 60) * 10


async def test_all_processes_still_run(fed):
    """Nothing died of it, and no handler failed."""
    assert {t: fed.town.processes[t].returncode for t in TARGETS} == dict.fromkeys(TARGETS)
    for target in TARGETS:
        log = (fed.town.folder / f"{target}.log").read_text(errors="replace")
        assert "Traceback" not in log, log[log.index("Traceback") :][:3_000]


async def test_rubbish_alone_raises_no_alert(fed):
    """Some odd rows in fifteen hundred are no drift: nobody is woken."""
    alerts = [
        (a["model"], a["version"], d["kind"], d["signal"], d["detail"])
        for _, a in fed.town.seen.alerts
        for d in a["detections"]
    ]
    assert alerts == []
    assert await fed.town.cards() == []


async def test_memory_stays_bounded(fed):
    """Ten thousand categories, five hundred features and forty versions do not blow detection up."""
    resident, snapshot = fed.town.memory("detect"), fed.status["detect"]["snapshot_bytes"]
    fed.town.note(f"detect: {resident:.0f} MB resident, snapshot {snapshot / 1e6:.1f} MB")
    assert resident < 500
    assert snapshot < 40_000_000


async def test_a_producer_hears_that_nobody_keeps_its_subject(fed):
    """A subject of no family is refused at once: the producer knows, nothing is lost in silence."""
    with pytest.raises(NoStreamResponseError):
        await fed.town.js.publish("predictions.acme.fraud", b"{}", timeout=10)


async def test_a_real_drift_is_found_all_the_same(fed):
    """After all of it, four standard deviations of temperature open one incident within 600 rows."""
    await fed.town.serve(600, version="1", shift=4.0)
    incident = await fed.town.state("diagnosed", timeout=90)
    assert {d["signal"] for a in incident["alerts"] for d in a["detections"]} >= {"feature:temp"}
    await fed.town.card("temp", timeout=60)
