"""The demo's story with no browser: people are played through the workspace's own network interface.

What happened when is read from the outside: timestamps that NATS gave the messages, timestamps of the messages in the
channel, answers of the admin interface. Product functions are never called.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from bot.demo.model import MODEL
from bot.demo.publish import connect
from bot.demo.stage import TOKEN, Stage
from bot.workspace.people import People, PersonAt, labels, text_of
from core.errors import MiddlewatchError

CHANNEL = "ml-oncall"
REVIEW = "Review rollback"
QUIET_PACE = 10.0
"""Hours of event time a second before anything happens: the fault comes within a quarter of a minute."""
SPRING_PACE = 40.0
"""Hours of event time a second once the first incident is over."""


class StoryError(MiddlewatchError):
    """A step of the story did not happen; the message says which, and what there was instead."""


@dataclass
class Seen:
    """What was published, with the wall clock NATS gave it."""

    deploys: list[float] = field(default_factory=list)
    alerts: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    states: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    """(wall clock, incident) of every audit entry."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)


@contextlib.asynccontextmanager
async def watching(nats_url: str) -> AsyncIterator[Seen]:
    """Listen to changes, alerts and incidents from the streams' beginning."""
    seen = Seen()
    connection = await connect(nats_url, "story")
    js = connection.jetstream()

    async def on_message(message: Any) -> None:
        said, at = json.loads(message.data), message.metadata.timestamp.timestamp()
        kind = message.subject.split(".")[0]
        if kind == "change" and said["kind"] == "deployment" and said.get("to") == "2":
            seen.deploys.append(at)
        elif kind == "alert" and message.subject.startswith("alert.fired"):
            seen.alerts.append((at, said))
        elif kind == "incident":
            seen.states.append((at, said["incident"]))
        async with seen.changed:
            seen.changed.notify_all()

    try:
        for subject in ("change.>", "alert.>", "incident.>"):
            await js.subscribe(subject, ordered_consumer=True, cb=on_message)
        yield seen
    finally:
        await connection.close()


class Story:
    """One telling. `say(what)` prints a line of the timeline; `result` is what `--json` writes."""

    def __init__(self, stage: Stage, say: Callable[[str], None]):
        self.stage, self.say = stage, say
        self.began = time.time()
        self.seconds: dict[str, float] = {}
        self.incidents: list[dict[str, Any]] = []

    def tell(self, what: str, at: float | None = None) -> None:
        """One line of the timeline: seconds since the beginning, event time, events so far, what happened."""
        replay = self.stage.replay.progress
        event_time = time.strftime("%d %b %H:%MZ", time.gmtime(replay.position))
        self.say(f"{(at or time.time()) - self.began:7.1f} s  {event_time}  {replay.requests:>7,} events  {what}")

    async def run(self) -> dict[str, Any]:
        """Tell it all. Raises StoryError at the first step that fails."""
        replay = self.stage.replay
        replay.set_pace(QUIET_PACE)
        async with watching(self.stage.nats_url) as seen, People(self.stage.workspace_url) as people:
            running = asyncio.create_task(replay.run())
            try:
                await self._both_incidents(seen, people)
                replay.hold(True)
                replay.hold_pace = 0.0
                return await self._accounts(seen)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def _both_incidents(self, seen: Seen, people: People) -> None:
        ana, ben, dev = people.as_user("ana"), people.as_user("ben"), people.as_user("dev")
        self.tell("version 1 serves real flights; nothing is wrong")
        await self._fault(seen)
        card = await self._first_card(seen, ana)
        card = await self._hypothesis(seen, ana, card)
        await self._refused(dev, card)
        await self._refused(ben, card)
        await self._approve(seen, ana, card)
        await self._confirmed(seen, ana, card)
        await self._spring(seen, ana, card)

    async def _fault(self, seen: Seen) -> None:
        await self._until(seen, lambda: seen.deploys, "the deployment of version 2", 120)
        if seen.states:
            raise StoryError(f"false alarm before the deployment: {seen.states[0][1]['alerts'][0]['kind']}")
        self.at_deploy = self.stage.replay.progress.requests
        self.tell("version 2 deployed (its feature job delivers Celsius); nothing else is said", seen.deploys[0])
        await self._until(seen, lambda: seen.alerts, "an alert", 120)
        at, alert = seen.alerts[0]
        self.stage.replay.hold(True)
        self.detected_after = max(d.get("row", 0) for d in alert["detections"])
        self.seconds["drift_to_alert"] = at - seen.deploys[0]
        signals = ", ".join(d["signal"] for d in alert["detections"][:3])
        self.tell(f"alert {alert['severity']} {alert['kind']}: {signals}", at)

    async def _first_card(self, seen: Seen, ana: PersonAt) -> dict[str, Any]:
        card = await ana.wait_for_message(
            lambda m: MODEL in text_of(m) and m.get("blocks"), channel=CHANNEL, timeout=30
        )
        at = float(card["ts"])
        self.seconds["alert_to_first_card"] = at - seen.alerts[0][0]
        self.tell(f"first card: {card['text'][:110]}", at)
        return card

    async def _hypothesis(self, seen: Seen, ana: PersonAt, card: dict[str, Any]) -> dict[str, Any]:
        found = await ana.wait_for_message(
            lambda m: m["ts"] == card["ts"] and REVIEW in labels(m), channel=CHANNEL, timeout=60
        )
        pictured = lambda m: m["ts"] == card["ts"] and any(b["type"] == "image" for b in m["blocks"])  # noqa: E731
        found = await ana.wait_for_message(pictured, channel=CHANNEL, timeout=60)
        at, incident = next((at, i) for at, i in seen.states if i["state"] == "diagnosed")
        self.seconds["alert_to_hypothesis"] = at - seen.alerts[0][0]
        cause = incident["hypothesis"]["causes"][0]
        self.tell(f"hypothesis: {incident['hypothesis']['headline']} ({cause['type']}, {cause['posterior']:.2f})", at)
        words = text_of(found)
        for needed in ("temp", "2", "[E"):
            if needed not in words:
                raise StoryError(f"the card does not say {needed!r}:\n{words[:2000]}")
        if incident["plan"]["action"] != "rollback":
            raise StoryError(f"the plan is {incident['plan']['action']}, not rollback")
        return found

    async def _refused(self, person: PersonAt, card: dict[str, Any]) -> None:
        """Someone without the role reviews, approves, and is told no, in private; nothing changes."""
        before = len(await person.ephemerals())
        await person.click(card, REVIEW)
        view = await person.wait_for_view(lambda v: v.get("submit") and "Roll " in text_of(v))
        answer = await person.submit(view, _filled(view, "I would like to"))
        told = " ".join((answer.get("errors") or {}).values()) or await self._told(person, before)
        if "needs the role approver" not in told:
            raise StoryError(f"{person.name} was not refused: {told}")
        self.tell(f"{person.name} approves and is refused: {told.removeprefix('Not approved').strip()[:110]}")

    async def _told(self, person: PersonAt, before: int) -> str:
        """What the person was told by a dialog or an ephemeral message."""
        for _ in range(200):
            said = [*await person.views(), *(await person.ephemerals())[before:]]
            words = [text_of(one).replace("\n", " ") for one in said]
            if refusal := next((w for w in words if "needs the role" in w), None):
                return refusal
            await asyncio.sleep(0.05)
        raise StoryError(f"{person.name} was told nothing")

    async def _approve(self, seen: Seen, ana: PersonAt, card: dict[str, Any]) -> None:
        await ana.click(card, REVIEW)
        view = await ana.wait_for_view(lambda v: v.get("submit") and "Roll " in text_of(v))
        clicked = time.time()
        answer = await ana.submit(view, _filled(view, "Temperatures arrive in Celsius since version 2"))
        if not answer.get("ok"):
            raise StoryError(f"the modal was not accepted: {answer}")
        self.clicked = clicked
        self.seconds["click_to_ack"] = answer["ms"] / 1000
        changed = await ana.wait_for_message(
            lambda m: m["ts"] == card["ts"] and REVIEW not in labels(m), channel=CHANNEL, timeout=30
        )
        self.seconds["click_to_card"] = _edited(changed, clicked) - clicked
        self.tell("ana approves with a reason", clicked)
        at = await self._state(seen, "verifying", 60)
        self.tell("executed: the model server went back to version 1", at)
        self.stage.replay.hold(False)
        await self._rolled_back_once()

    async def _rolled_back_once(self) -> None:
        from aiohttp import ClientSession

        url, bearer = f"{self.stage.model_url}/v1/models/{MODEL}", {"Authorization": f"Bearer {TOKEN}"}
        async with ClientSession(headers=bearer) as session, session.get(url) as response:
            said = await response.json()
        rollbacks = [d for d in said["deployments"] if d["kind"] == "rollback"]
        if said["current"] != "1" or len(rollbacks) != 1:
            raise StoryError(f"the model server serves {said['current']} after {len(rollbacks)} rollbacks")

    async def _confirmed(self, seen: Seen, ana: PersonAt, card: dict[str, Any]) -> None:
        at = await self._state(seen, "resolved", 120)
        self.seconds["approved_to_confirmed"] = at - self.clicked
        found = await ana.wait_for_message(
            lambda m: m["ts"] == card["ts"] and "Confirmed" in text_of(m), channel=CHANNEL, timeout=30
        )
        outcome = next(i for _, i in seen.states if i["state"] == "resolved")["outcome"]
        self.tell(outcome["text"], at)
        self._keep(seen, found)

    async def _spring(self, seen: Seen, ana: PersonAt, card: dict[str, Any]) -> None:
        """The real year runs on; something real must come, and rollback must not be the answer to it."""
        replay = self.stage.replay
        replay.set_pace(SPRING_PACE)
        first = seen.states[0][1]["id"]
        others = lambda *states: [(at, i) for at, i in seen.states if i["id"] != first and i["state"] in states]  # noqa: E731
        await self._until(seen, lambda: others("opened"), "a second incident", 240)
        replay.hold(True)
        await self._until(seen, lambda: others("diagnosed"), "a hypothesis for it", 60)
        at, incident = others("diagnosed")[0]
        action = incident["plan"]["action"] if incident["plan"] else "none"
        if action == "rollback":
            raise StoryError("rollback was proposed for real drift")
        found = await ana.wait_for_message(
            lambda m: m["ts"] != card["ts"] and MODEL in text_of(m) and "E1" in text_of(m), channel=CHANNEL, timeout=60
        )
        self.tell(f"second incident, {incident['kind']}: {incident['hypothesis']['headline']}; proposed: {action}", at)
        self._keep(seen, found)

    def _keep(self, seen: Seen, card: dict[str, Any]) -> None:
        latest = {i["id"]: i for _, i in seen.states}
        known = {i["id"] for i in self.incidents}
        for incident in latest.values():
            if incident["id"] in known:
                continue
            said = incident["hypothesis"] or {}
            self.incidents.append({
                "id": incident["id"], "kind": incident["kind"], "severity": incident["severity"],
                "state": incident["state"], "onset": incident["onset"], "headline": said.get("headline"),
                "cause": (said.get("causes") or [{}])[0].get("type"), "confidence": said.get("confidence"),
                "action": (incident["plan"] or {}).get("action"), "outcome": (incident["outcome"] or {}).get("text"),
                "card": card["text"],
            })  # fmt: skip

    async def _accounts(self, seen: Seen) -> dict[str, Any]:
        """Nothing lost, nothing dead, and the audit log verifies: asked of the command line, as an operator would."""
        published = self.stage.replay.progress.requests
        status = await self._settled(published)
        code, words = await self.stage.ask("audit", "verify")
        if code:
            raise StoryError(f"audit verify failed: {words}")
        self.tell(words.strip().splitlines()[-1])
        lost = published - status["detect"]["events"]
        events = {
            "published": published, "detected_after": self.detected_after, "lost": lost,
            "dead_lettered": status["dead"],
        }  # fmt: skip
        if lost or status["dead"]:
            raise StoryError(f"{lost} events lost, {status['dead']} dead-lettered")
        return {"ok": True, "seconds": _rounded(self.seconds), "events": events, "incidents": self.incidents}

    async def _settled(self, published: int) -> dict[str, Any]:
        status: dict[str, Any] = {}
        for _ in range(240):  # detection says how far it is with its snapshots, which a busy machine makes seldom
            code, words = await self.stage.ask("status", "--json")
            if code:
                raise StoryError(f"status failed: {words}")
            status = json.loads(words.strip().splitlines()[-1])
            if status["detect"]["events"] >= published:
                break
            await asyncio.sleep(0.25)
        return status

    async def _state(self, seen: Seen, state: str, timeout: float) -> float:
        has = lambda: [at for at, i in seen.states if i["state"] == state]  # noqa: E731
        await self._until(seen, has, f"an incident that is {state}", timeout)
        return has()[0]

    async def _until(self, seen: Seen, there: Callable[[], Any], what: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        async with seen.changed:
            while not there():
                if died := self.stage.died():
                    raise StoryError(f"a process ended: {died}")
                left = deadline - time.monotonic()
                if left <= 0:
                    states = [(i["id"], i["state"], i["timeline"][-1]["what"]) for _, i in seen.states]
                    raise StoryError(f"no {what} within {timeout:g} s; incidents: {states}")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(seen.changed.wait(), min(left, 1.0))


def failed(error: Exception, story: Story | None) -> dict[str, Any]:
    """The JSON of a story that broke off."""
    seconds = _rounded(story.seconds) if story else {}
    incidents = story.incidents if story else []
    return {"ok": False, "error": str(error), "seconds": seconds, "events": {}, "incidents": incidents}


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in seconds.items()}


def _filled(view: dict[str, Any], reason: str) -> dict[str, str]:
    """Values for the modal's inputs: the reason."""
    return {a["action_id"]: reason for a in view["actions"] if a["action_id"] == "reason"}


def _edited(message: dict[str, Any], since: float) -> float:
    """Wall clock of the message's latest edit, which is the one waited for; now when it carries none."""
    at = float((message.get("edited") or {}).get("ts", 0.0))
    return at if at >= since else time.time()
