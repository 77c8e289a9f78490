"""How fast the Slack side answers, over Slack's own protocols against the local workspace; one JSON line.

    python benchmarks/slack.py [--burst 100] [--rounds 30]

Real parts: the Bolt app on Socket Mode, the workspace with Slack's limits enforced, the stores in a real Valkey. Only
the audit bus is left out. Goals: click to ack p99 < 100 ms, click to changed card p95 < 300 ms, mention to answer p95
< 1 s without a language model, one message per incident in a burst, at most 12 edits per incident.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec

from bot.app import Converse
from bot.wire import Access
from bot.workspace import APP_TOKEN, BOT_TOKEN, People, serve
from bot.workspace.people import text_of
from core.errors import Retry
from core.incident_log import IncidentLog
from core.incidents import Incident, changed
from integrations.local_server import RedisServer
from integrations.redis import RedisViews
from tests.bot import examples as x
from tests.servers import started

MANIFEST = Path(__file__).resolve().parents[1] / "bot" / "manifest.yaml"


class Quiet:
    """The audit bus, left out: the benchmark is of the Slack side."""

    async def publish(self, event: Any) -> None:
        return None


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Milliseconds at the median, 95% and 99%, and how many were measured."""
    ordered = sorted(1000 * s for s in seconds)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {"p50": round(statistics.median(ordered), 1), "p95": at(0.95), "p99": at(0.99), "n": len(ordered)}


async def shown(side: Converse, incident: Incident) -> None:
    """Deliver as the bus does: again after each Retry."""
    while True:
        try:
            await side.on_incident(changed(incident))
            return
        except Retry as wait:
            await asyncio.sleep(wait.after)


async def store(views: Any, incident: Incident) -> Incident:
    """Put an incident into the store as revision 1 of its own."""
    fresh = msgspec.structs.replace(incident, revision=1)
    await views.incidents.save(fresh)
    await views.incidents.published(fresh)
    return fresh


def is_card(message: dict, incident_id: str) -> bool:
    return ((message.get("metadata") or {}).get("event_payload") or {}).get("incident") == incident_id


async def clicks(people: People, side: Converse, views: Any, rounds: int) -> dict[str, Any]:
    """Acknowledge a fresh incident each round: to the ack, and to the card that says so."""
    ben, acks, cards = people.as_user("ben"), [], []
    for n in range(rounds):
        incident = await store(views, x.first(id=f"inc_click{n}"))
        await shown(side, incident)
        card = await ben.wait_for_message(lambda m, i=incident.id: is_card(m, i), channel="ml-oncall")
        started = time.perf_counter()
        answer = await ben.click(card, "acknowledge")
        acks.append(answer["ms"] / 1000)
        await ben.wait_for_message(
            lambda m, i=incident.id: is_card(m, i) and "Acknowledged by" in text_of(m), channel="ml-oncall"
        )
        cards.append(time.perf_counter() - started)
    return {"click_to_ack_ms": quantiles(acks), "click_to_card_ms": quantiles(cards)}


async def mentions(people: People, rounds: int) -> dict[str, Any]:
    """Ask by mention, one question every 1.2 s (Slack lets one message a second into a channel); until the answer."""
    ben, took = people.as_user("ben"), []
    questions = ("status", "incidents", "help", "how are the models", "handoff")
    for n in range(rounds):
        started = time.perf_counter()
        asked = await ben.say("general", f"@middlewatch {questions[n % len(questions)]}")
        await ben.wait_for_message(
            lambda m: m["user"] != "U0BEN" and not m["streaming"], channel="general", thread_ts=asked["ts"]
        )
        took.append(time.perf_counter() - started)
        await asyncio.sleep(1.2)
    return {"mention_to_answer_ms": quantiles(took)}


async def burst(people: People, side: Converse, views: Any, count: int) -> dict[str, Any]:
    """Many incidents opened at the same moment."""
    incidents = [await store(views, x.first(id=f"inc_burst{n:03d}")) for n in range(count)]
    started = time.perf_counter()
    await asyncio.gather(*(shown(side, i) for i in incidents))
    took = time.perf_counter() - started
    messages = await people.as_user("ana").messages("ml-oncall", limit=5_000)
    ids = [m["metadata"]["event_payload"]["incident"] for m in messages if m.get("metadata")]
    mine = [i for i in ids if i.startswith("inc_burst")]
    return {
        "incidents": count, "messages": len(mine), "duplicates": len(mine) - len(set(mine)),
        "missing": count - len(set(mine)), "seconds": round(took, 1),
    }  # fmt: skip


async def life(people: People, side: Converse, views: Any) -> dict[str, Any]:
    """One incident from alert to confirmed; what it cost."""
    before = (await people.state())["counts"]
    steps = (x.first(), x.diagnosed(), x.approved(), x.executing(), x.verifying(), x.resolved())
    for n, step in enumerate(steps, 1):
        step = msgspec.structs.replace(step, id="inc_life", revision=n)
        await views.incidents.save(step)
        await views.incidents.published(step)
        await shown(side, step)
        await asyncio.sleep(0.5)
    await asyncio.sleep(3)
    await side.desk.outbox.drain()
    after = (await people.state())["counts"]
    spent = {m: after[m] - before.get(m, 0) for m in after if after[m] > before.get(m, 0)}
    messages = await people.as_user("ana").messages("ml-oncall", limit=5_000)
    mine = [m for m in messages if is_card(m, "inc_life")]
    return {"channel_messages": len(mine), "edits": spent.get("chat.update", 0), "calls": spent}


async def measure(rounds: int, count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        redis = started(RedisServer(Path(folder)))
        try:
            async with RedisViews(redis.url) as views:
                return await _measured(Path(folder), views, rounds, count)
        finally:
            redis.stop()


async def _measured(folder: Path, views: Any, rounds: int, count: int) -> dict[str, Any]:
    for window in x.windows():
        await views.telemetry.add_window(window)
    async with (
        await serve(data_dir=folder / "workspace", manifest=MANIFEST) as workspace,
        People(workspace.url) as people,
    ):
        side = Converse(
            access=Access(BOT_TOKEN, APP_TOKEN, workspace.api_url), policy=x.policy(),
            log=IncidentLog(views.incidents, Quiet()), incidents=views.incidents, telemetry=views.telemetry,
            changes=views.changes, cards=views.cards, nonces=views.nonces, silences=views.silences, flags=views.flags,
            lineage=lambda tenant: None,
        )  # fmt: skip
        await side.start()
        try:
            found = {"one_incident": await life(people, side, views)}
            found |= await clicks(people, side, views, rounds)
            found |= await mentions(people, rounds)
            found["burst"] = await burst(people, side, views, count)
            calls = await people.state()
            found["rate_limited_calls"] = sum(1 for c in calls["calls"] if "rate" in c["answer"])
            return found
        finally:
            await side.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--burst", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=30)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    print(json.dumps({"benchmark": "slack", **asyncio.run(measure(chosen.rounds, chosen.burst))}))


if __name__ == "__main__":
    main()
