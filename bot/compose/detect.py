"""Detect: inference events and labels in, closed windows and detections out; detections in, alerts out.

Any number of processes share the partitions; one of them, whichever reads the detections, decides what is told.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Sequence, Sized
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from bot.compose.baselines import finder
from bot.compose.ground import Ground, Work
from bot.compose.world import keep_world, world_of
from core.alerting import rules_of
from core.alerts import Alerts
from core.detect import PARTITIONS, Columns, Detect
from core.errors import Conflict, PolicyError, Unavailable
from core.policy import DEFAULT, Policy, line_of
from core.ports import Rebaselines
from core.privacy import Mask
from core.settings import Settings
from core.tasks import together
from core.watcher import Watcher
from integrations.nats import Route
from integrations.partitions import Claim, Taken
from integrations.wire import Bad, Decoded, decoder, is_arrow

log = logging.getLogger("middlewatch")

SNAPSHOT_SECONDS = 1.0
SNAPSHOT_SHARE = 0.1
"""At most this part of a process's time goes into snapshots: where they take long they are made less often."""
SNAPSHOT_MOST = 20.0
"""Seconds between snapshots at most: until then `status` is behind and a restart reads again."""
LOOK_SECONDS = 0.02
QUIET_LOOKS = 5
"""So many looks in a row that found nothing waiting mean that nothing older will come."""
STREAMS = (("INFERENCE", "inference.>"), ("LABELS", "label.>"))


async def build(house: Ground, stack: AsyncExitStack) -> tuple[list[Route], Work]:
    from detectors.monitor import Monitor
    from detectors.warm import warm

    policy, world = house.policy, world_of(house.policy)
    _known_detectors(policy, house.settings)
    await asyncio.to_thread(warm)
    calm_collector()

    baseline = finder(policy, house.settings)

    def watcher() -> Watcher:
        return Watcher(Monitor(policy.detection, baseline, policy.rules, share=PARTITIONS), Mask(policy.privacy.masked))

    detecting = Detecting(house, watcher, asyncio.Semaphore(1))
    sharing = house.bus.work("detect-inference", "inference.>", PARTITIONS, detecting.partition)
    rules = rules_of(policy.alerting, policy.detection)
    alerts = Alerts(house.bus, house.views.snapshots, house.views.flags, policy, rules, world)
    return [], [sharing, _alerting(house, alerts), keep_world(house, world)]


def calm_collector() -> None:
    """Look for garbage cycles less often: windows are thousands of small objects that die by themselves."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def read(payload: bytes, content_type: str = "") -> Decoded:
    """Served predictions of one message: those in Arrow stay in columns, which is what makes them fast."""
    if not is_arrow(content_type):
        return decoder("inference.>")(payload, content_type)
    from detectors.columnar import rows_of_arrow
    from integrations.arrow import shown

    try:
        parts, spoilt = rows_of_arrow(payload)
    except (ValueError, TypeError, OverflowError) as error:
        return Decoded([], [Bad(f"the Arrow batch cannot be read: {error}"[:500], payload, 0)])
    bad = [Bad(why, shown(row), index) for index, why, row in spoilt]
    return Decoded([Columns(version, rows) for version, rows in parts], bad)


def _known_detectors(policy: Policy, settings: Settings) -> None:
    """Policy names detectors by file; a name without a file stops the start. Raises PolicyError."""
    from detectors.base import names

    path = settings.policy or DEFAULT
    for family, chosen in policy.detection.signals.items():
        for name in set(chosen) - set(names()):
            line = line_of(path, ["detection", "signals", family])
            raise PolicyError(f"{path}:{line}: no detector {name!r}: there are {', '.join(sorted(names()))}")


@dataclass
class Detecting:
    """Works on partitions. `cpu` is shared by all of this process."""

    house: Ground
    watcher: Callable[[], Watcher]
    cpu: asyncio.Semaphore
    at_work: dict[int, Detect] = field(default_factory=dict)
    """partition -> what works on it in this process."""

    async def partition(self, claim: Claim) -> None:
        """Read on from the partition's snapshot until cancelled; then store where it stands. Ends with Taken when
        another process works on it now. After an outage it starts again from the snapshot, because what was said must
        be said completely."""
        views = self.house.views
        while True:
            try:
                epoch = await views.snapshots.claim(f"detect:{claim.partition}")
                detect = Detect(
                    self.watcher, self.house.bus, views.telemetry, views.flags, views.snapshots,
                    partition=claim.partition, epoch=epoch, cpu=self.cpu,
                )  # fmt: skip
                await detect.restore()
                self.at_work[claim.partition] = detect
                await self._read_on(claim, detect)
            except (Taken, Conflict) as lost:
                raise Taken(str(lost)) from None
            except Unavailable as outage:
                log.warning("partition %d starts again from its snapshot: %s", claim.partition, outage)
            await asyncio.sleep(1.0)

    async def _read_on(self, claim: Claim, detect: Detect) -> None:
        sequences = detect.position.sequences
        feeds = [
            self.house.bus.feed(
                durable=f"detect-{subject.partition('.')[0]}-{claim.partition}", subject=subject, claim=claim,
                start=sequences.get(name, 0) + 1, decode=read if name == "INFERENCE" else None,
            )
            for name, subject in STREAMS
        ]  # fmt: skip
        served, labels = feeds
        try:
            await served.open()  # the partition is ours with this, or Taken
            approved = self.house.views.rebaselines
            heard = await _rebaselined(detect, approved, frozenset())  # before any event of a version it speaks of
            await together(
                _approvals(detect, approved, heard),
                _reading(detect, served),
                _reading(detect, labels, after=served),
                _checkpoints(detect, feeds, self.at_work),
            )
        except asyncio.CancelledError:
            await _stored(detect, feeds)
            raise
        finally:
            self.at_work.pop(claim.partition, None)
            for feed in feeds:
                await feed.close()


async def _approvals(detect: Detect, approved: Rebaselines, heard: frozenset[str]) -> None:
    """Follow what people approve as a baseline while this runs."""
    while True:
        await asyncio.sleep(SNAPSHOT_SECONDS)
        try:
            heard = await _rebaselined(detect, approved, heard)
        except Unavailable as away:
            log.warning("approved baselines as last known: %s", away)


async def _rebaselined(detect: Detect, approved: Rebaselines, heard: frozenset[str]) -> frozenset[str]:
    """Hand over the approvals that are not among those `heard`; those that are now."""
    every = await approved.rebaselines()
    for one in every:
        if one.id not in heard:
            await detect.rebaseline(one, await approved.brought(one))
    return frozenset(one.id for one in every)


async def _reading(detect: Detect, feed: Any, after: Any = None) -> None:
    """Take in a feed; with `after`, never what the server stored later than that feed's last: a label that comes before
    its prediction joins nothing."""
    async for batch in feed:
        if after is not None:
            await _caught_up(detect, after, batch[-1].at)
        async with detect.turn:
            await detect.on_batch(feed.stream, batch)


async def _caught_up(detect: Detect, feed: Any, at: float) -> None:
    """Until everything of `feed` that the server stored before `at` (epoch seconds, its clock) was taken in."""
    quiet = 0
    while detect.stored_at.get(feed.stream, 0.0) < at and quiet < QUIET_LOOKS:
        quiet = 0 if feed.waiting else quiet + 1
        await asyncio.sleep(LOOK_SECONDS)


async def _checkpoints(detect: Detect, feeds: Sequence[Any], at_work: Sized) -> None:
    stored: dict[str, int] = {}
    clock = asyncio.get_running_loop().time
    pause = SNAPSHOT_SECONDS
    while True:
        await asyncio.sleep(pause)
        async with detect.turn:  # waiting for a batch that is being taken in is no part of what a snapshot costs
            begun = clock()
            await detect.tick()
        if detect.position.sequences != stored:
            stored = await _stored(detect, feeds)
        pause = min(max(SNAPSHOT_SECONDS, (clock() - begun) * len(at_work) / SNAPSHOT_SHARE), SNAPSHOT_MOST)


async def _stored(detect: Detect, feeds: Sequence[Any]) -> dict[str, int]:
    """Store the snapshot, then acknowledge what it holds; the sequences, none when it could not be stored."""
    try:
        stored = await detect.checkpoint()
    except Unavailable as away:
        log.warning("snapshot not stored, nothing is acknowledged: %s", away)
        return {}
    for feed in feeds:
        if feed.stream in stored:
            await feed.ack(stored[feed.stream])
    return stored


async def _alerting(house: Ground, alerts: Alerts) -> None:
    """Be the one who reads the detections, or stand by; after an outage go on from the stored state."""
    while True:
        feed = house.bus.feed(durable="detect-alerts", subject="detection.>")
        await feed.until_free()
        feed = house.bus.feed(durable="detect-alerts", subject="detection.>", start=await alerts.restore() + 1)
        try:
            await together(_forming(alerts, feed), _timely(alerts))
        except (Unavailable, Conflict) as outage:
            log.warning("alerts start again from their stored state: %s", outage)
            await asyncio.sleep(1.0)
        finally:
            await feed.close()


async def _forming(alerts: Alerts, feed: Any) -> None:
    async for batch in feed:
        async with alerts.turn:
            await alerts.on_batch(batch)
        await feed.ack(batch[-1].seq)


async def _timely(alerts: Alerts) -> None:
    while True:
        await asyncio.sleep(SNAPSHOT_SECONDS)
        async with alerts.turn:
            await alerts.on_time()
