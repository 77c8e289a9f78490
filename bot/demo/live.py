"""The demo for a person: traffic runs by itself, waits while somebody decides, and says on the page what goes on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from bot.demo.replay import HOUR
from bot.demo.stage import Say, Stage
from bot.demo.story import QUIET_PACE, SPRING_PACE, Seen, watching
from bot.workspace.people import People

DECIDING_PACE = 0.2
RECOVERING_PACE = 2.0

PROGRAMME = """
  What will happen
    now        real flights of March 2013 go through version 1 of a delay model; nothing is wrong
    ~20 s      version 2 is deployed; its feature job delivers temperatures in Celsius, and nobody says so
    ~22 s      Middlewatch notices, opens one incident, posts one card, and edits its hypothesis into it
    then       it waits for you, as Ana (approver): press "Review rollback", give a reason, approve
               (as Ben or Dev, chosen at "Act as", you are refused)
    +10 s      the model server is back on version 1 and fresh events confirm it
    +1 min     the real spring arrives: a second incident, for which rollback is not the answer
"""


class Live:
    """Runs the replay at a pace that fits what the person is doing."""

    def __init__(self, stage: Stage, say: Say):
        self.stage, self.say = stage, say
        self._told: set[str] = set()

    async def run(self) -> None:
        """Until interrupted."""
        replay = self.stage.replay
        replay.set_pace(QUIET_PACE)
        async with contextlib.AsyncExitStack() as stack:
            seen = await stack.enter_async_context(watching(self.stage.nats_url))
            people = None
            if self.stage.workspace_url:
                people = await stack.enter_async_context(People(self.stage.workspace_url))
            running = asyncio.create_task(replay.run())
            stack.callback(running.cancel)
            while True:
                self._steer(seen)
                await self._show(people)
                if died := self.stage.died():
                    self.say(f"a process of the demo ended: {died}")
                    return
                with contextlib.suppress(TimeoutError):
                    async with seen.changed:
                        await asyncio.wait_for(seen.changed.wait(), 1.0)

    def _steer(self, seen: Seen) -> None:
        """Slow while somebody decides, quicker while recovery is tested, fast on the way to spring."""
        replay = self.stage.replay
        latest = {i["id"]: i for _, i in seen.states}
        for incident in latest.values():
            self._tell(incident)
        current = list(latest.values())[-1] if latest else None
        if current is None:
            return
        state = current["state"]
        over = state in ("resolved", "dismissed")
        replay.hold(not over)
        replay.hold_pace = RECOVERING_PACE if state in ("executing", "verifying") else DECIDING_PACE
        if over and replay.pace != SPRING_PACE:
            replay.set_pace(SPRING_PACE)

    def _tell(self, incident: dict[str, Any]) -> None:
        for entry in incident["timeline"]:
            line = f"{incident['id'][:10]} {incident['state']:<10} {entry['what'][:140]}"
            key = f"{incident['id']}{entry['at']}{entry['what']}"
            if key not in self._told:
                self._told.add(key)
                self.say(f"{time.strftime('%H:%M:%S')}  {line}")

    async def _show(self, people: People | None) -> None:
        """The banner: event time, its speed, and which version serves."""
        progress = self.stage.replay.progress
        at = time.strftime("%a %d %b %Y %H:%MZ", time.gmtime(progress.position))
        speed = self.stage.replay.hold_pace if progress.held else self.stage.replay.pace
        text = (
            f"Real flights of 2013, replayed {speed * HOUR:,.0f} times faster. Event time {at}, "
            f"{progress.requests:,} predictions, version {progress.version or '1'} serves."
        )
        if people is not None:
            await people.banner(text)
