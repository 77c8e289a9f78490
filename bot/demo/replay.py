"""Replays the real flights of March 2013 and after, in event time, compressed.

Every half hour of event time is one `Slice`: the requests made in it go to the model server's `/predict` in one
batch (which publishes the inference events), and the labels of the flights that landed in it go to
`label.acme.flight-delay`. Slices depend on the plan alone and the pace only says when each is sent, so the same plan
publishes the same events however it is watched. The position is kept in a file after every slice; a replay killed
anywhere goes on from there, and what it says twice is dropped by its name.

Why the plan begins on 20 March and deploys on Tuesday 26 March at 10:00 in New York (measured on these tables against
January and February):

* **calm before and after.** Weather moves in systems of days: weekly PSI of `temp` is 0.1-4.4 within the reference
  itself, so that rows count for less than independent ones (a design effect of 18 over 25 rows and 340 over 1,600).
  Against that, nothing is unusual from 20 March until 9 April; the snowstorm of 8 March (0.71 late, 0.28 predicted),
  a real incident, is left out because it would come between the fault and the spring.
* **the fault is a cliff.** On the day of the deploy 97 % of `temp` lies below the lowest of 51,911 reference values
  and no longer agrees with dew point and humidity. AUC hardly moves and nothing fails: passengers are warned for
  nothing.
* **then the world moves.** From 9 April days are warmer than anything learnt (67 % of `temp` above the reference on
  the 9th, 80 % at the end of May, all at the end of June); 16 to 29 April 0.24 are late and 0.10 predicted, 25 to 30
  June 0.37 and 0.18. No rollback helps: v1 itself is out of season.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.demo import features, lineage
from bot.demo.flights import World, moment
from bot.demo.model import MODEL
from bot.demo.model_server import TENANT
from bot.demo.publish import connect, heed_cancel, names, publish

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from nats.js import JetStreamContext

HOUR = 3600.0


@dataclass(frozen=True)
class Plan:
    """What is replayed and when version 2 is deployed: event times in epoch seconds, slices in seconds."""

    start: float = moment("2013-03-20T00:00Z")
    deploy_at: float | None = moment("2013-03-26T14:00Z")
    end: float = moment("2013-07-01T00:00Z")
    slice: float = 1800.0

    def cuts(self, position: float) -> Iterator[tuple[float, float]]:
        """The slices after `position`; the deploy falls between two of them."""
        while position < self.end:
            until = min(position + self.slice - (position - self.start) % self.slice, self.end)
            if self.deploy_at is not None and position < self.deploy_at < until:
                until = self.deploy_at
            yield position, until
            position = until


@dataclass
class Progress:
    """How far a replay is. `position` is event time in epoch seconds; counts are of this replay since its start."""

    position: float
    requests: int = 0
    labels: int = 0
    lineage: int = 0
    deployed: bool = False
    version: str = ""
    """The version that served the latest slice."""
    pace: float = 0.0
    """Hours of event time a second, right now."""
    held: bool = False
    done: bool = False

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.position, UTC)
        speed = "held" if self.held else f"{self.pace:g} h/s"
        return f"{at:%a %d %b %Y %H:%MZ}  {self.requests:,} requests  {self.labels:,} labels  v{self.version}  {speed}"


def labels(world: World, start: float, end: float) -> list[dict[str, Any]]:
    """The labels that arrive with start <= landed < end, in order of arrival."""
    requests = world.between(start - 36 * HOUR, end)
    landed = requests["landed"]
    rows = ((landed >= start) & (landed < end)).nonzero()[0]
    ordered = sorted(rows.tolist(), key=lambda row: (landed[row], requests["id"][row]))
    return [
        {"id": requests["id"][row], "at": _iso(landed[row]), "label": int(requests["late"][row])} for row in ordered
    ]


@dataclass
class Replay:
    """One replay. `pace` is in hours of event time a second; while held it is `hold_pace` (0 stops it altogether)."""

    world: World
    server_url: str
    nats_url: str
    plan: Plan = field(default_factory=Plan)
    pace: float = 6.0
    hold_pace: float = 0.2
    token: str = ""
    state: Path | None = None
    importances: dict[str, dict[str, float]] = field(default_factory=dict)
    """Version -> feature -> share, as in the models' cards; the lineage carries them."""
    on_progress: Callable[[Progress], None] = lambda progress: None

    def __post_init__(self) -> None:
        self.progress = Progress(self.plan.start)
        if self.state and self.state.exists():
            self.progress = Progress(**json.loads(self.state.read_text()) | {"held": False})
        self._changed = asyncio.Event()
        self._passed = asyncio.Condition()

    def set_pace(self, pace: float, hold_pace: float | None = None) -> None:
        """From now on; a slice under way finishes at the new pace."""
        for asked in (pace, hold_pace or 0):
            if not 0 <= asked <= 1000:
                raise ValueError(f"pace {asked} is not between 0 and 1000 hours of event time a second")
        self.pace, self.hold_pace = pace, self.hold_pace if hold_pace is None else hold_pace
        self._changed.set()

    def hold(self, held: bool = True) -> None:
        """Go slow while a person decides, and on again with `hold(False)`."""
        self.progress.held = held
        self._changed.set()

    async def until(self, position: float) -> Progress:
        """Wait until event time has passed `position`, or the replay is over."""
        async with self._passed:
            await self._passed.wait_for(lambda: self.progress.position >= position or self.progress.done)
        return self.progress

    async def run(self) -> Progress:
        """Replay to the plan's end. Waits out a model server or a NATS that is away; raises only for a refusal.

        Raises RuntimeError with the server's own message if it refuses a request for good.
        """
        from aiohttp import ClientSession, ClientTimeout

        connection = await connect(self.nats_url, "replay")
        try:
            async with ClientSession(timeout=ClientTimeout(total=60)) as session:
                js = connection.jetstream()
                await self._lineage(js, lineage.started(self.plan.start, self.importances.get("1", {})))
                for start, end in self.plan.cuts(self.progress.position):
                    began = time.monotonic()
                    if start == self.plan.deploy_at:
                        await self._deploy(js, session, start)
                    await self._serve(js, session, start, end)
                    await self._pass(end, began)
        finally:
            await connection.close()
        self.progress.done = True
        await self._reached(self.progress.position)
        return self.progress

    async def _serve(self, js: JetStreamContext, session: ClientSession, start: float, end: float) -> None:
        """One slice: its predictions, then its labels, then the runs of the jobs that ran in it."""
        sent = features.asked(self.world.between(start, end))
        for first in range(0, len(sent), 500):
            answer = await self._post(session, "predict", {"requests": sent[first : first + 500]})
            if self.progress.version not in ("", answer["version"]):
                await self._lineage(js, lineage.served(start, answer["version"]))
            self.progress.version = answer["version"]
        self.progress.requests += len(sent)
        arrived = labels(self.world, start, end)
        if arrived:
            await publish(js, f"label.{TENANT}.{MODEL}", names(arrived), arrived)
            self.progress.labels += len(arrived)
        await self._lineage(js, lineage.ran(start, end, self.progress.version or "1"))

    async def _deploy(self, js: JetStreamContext, session: ClientSession, at: float) -> None:
        """What the team's pipeline does: train version 2, deploy it. The same key every time: one deployment."""
        await self._lineage(js, lineage.trained(at - HOUR, "2", self.importances.get("2", {})))
        asked = {
            "version": "2", "at": _iso(at), "by": "ci/flight-delay", "url": "https://ci.acme.example/flight-delay/184",
            "summary": "flight-delay v2: retrained with more trees, ships with weather_features 2.0",
        }  # fmt: skip
        await self._post(session, "deploy", asked, {"Idempotency-Key": "ci-flight-delay-184"})
        self.progress.deployed = True

    async def _lineage(self, js: JetStreamContext, events: list[dict[str, Any]]) -> None:
        for event in events:
            name = f"{event['run']['runId']} {event['eventType']} {event['eventTime']}"
            await publish(js, f"lineage.{TENANT}", name, event)
        self.progress.lineage += len(events)

    async def _post(
        self, session: ClientSession, verb: str, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Ask the model server until it answers; only a refusal that asking again cannot cure is an error."""
        from aiohttp import ClientError

        url, told = f"{self.server_url}/v1/models/{MODEL}/{verb}", False
        bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        while True:
            try:
                async with session.post(url, json=body, headers={**bearer, **(headers or {})}) as response:
                    if response.status == 200:
                        return await response.json()
                    problem = await response.text()
                    if response.status < 500:
                        raise RuntimeError(f"{url} refused with {response.status}: {problem[:500]}")
            except (ClientError, TimeoutError, OSError) as error:
                problem = str(error) or type(error).__name__
            if not told:
                print(f"replay: the model server does not answer ({problem[:200]}), trying on", flush=True)
            told = True
            await asyncio.sleep(0.2)

    async def _pass(self, end: float, began: float) -> None:
        """Let the rest of the slice's time go by at the pace of the moment; serving it took some since `began`."""
        heed_cancel()
        left = end - self.progress.position
        while True:
            self._changed.clear()
            pace = self.progress.pace = min(self.pace, self.hold_pace) if self.progress.held else self.pace
            left -= (time.monotonic() - began) * HOUR * pace
            began = time.monotonic()
            if left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left / HOUR / pace if pace else None)
            left -= (time.monotonic() - began) * HOUR * pace
            began = time.monotonic()
        await self._reached(end)

    async def _reached(self, position: float) -> None:
        self.progress.position = position
        self._keep()
        self.on_progress(self.progress)
        async with self._passed:
            self._passed.notify_all()

    def _keep(self) -> None:
        if self.state:
            partial = self.state.with_suffix(".partial")
            partial.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(asdict(self.progress)))
            partial.replace(self.state)


def _iso(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def forget(data: Path) -> None:
    """Make the next start the story's beginning: version 1 serves, nothing was replayed. Trained versions stay."""
    for name in ("deployments.json", "replay.json"):
        (data / name).unlink(missing_ok=True)
