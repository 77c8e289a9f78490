"""A script's hands: play people in a running workspace over its network interface, as the page does.

async with People("http://127.0.0.1:8765") as people:
    ana = people.as_user("ana")
    card = await ana.wait_for_message(lambda m: "Review rollback" in labels(m), channel="ml-oncall")
    await ana.click(card, "Review rollback")
    view = await ana.wait_for_view()
    await ana.submit(view, {"reason": "Temperatures are in Celsius."})
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp

from .errors import PersonError

Message = dict
Predicate = Callable[[dict], bool]


class WaitedTooLong(PersonError):
    """What a script waited for did not come; the message says what was there instead."""


def labels(shown: dict) -> list[str]:
    """The labels of everything that can be operated in a message or view."""
    return [a["label"] for a in shown.get("actions", ())]


def text_of(shown: object) -> str:
    """All words of a message or view, blocks included, in order: for predicates and assertions."""
    if isinstance(shown, dict):
        parts = [v if k in ("text", "alt_text") and isinstance(v, str) else text_of(v) for k, v in shown.items()]
        return "\n".join(p for p in parts if p)
    if isinstance(shown, list):
        return "\n".join(p for p in map(text_of, shown) if p)
    return ""


class People:
    """One connection to a workspace. Raises PersonError with the workspace's own words when a gesture is refused."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> People:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def as_user(self, name: str) -> PersonAt:
        """Hands of one person."""
        return PersonAt(self, name)

    async def get(self, path: str, **query: object) -> dict:
        """GET `/people/...` or `/workspace/...`."""
        params = {k: str(v) for k, v in query.items() if v is not None}
        return await self._call("GET", path, params=params)

    async def post(self, path: str, **body: object) -> dict:
        """POST; see `bot.workspace` for what there is."""
        return await self._call("POST", path, json={k: v for k, v in body.items() if v is not None})

    async def _call(self, verb: str, path: str, **how: object) -> dict:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=90))
        async with self._session.request(verb, f"{self.base_url}{path}", **how) as answer:
            body = await answer.json()
        if answer.status >= 400:
            raise PersonError(body.pop("error", "refused"), answer.status, **body)
        return body

    async def list(self) -> list[dict]:
        """Everyone who can be acted as: `[{"id", "name", "real_name", "title", "kind", "admin"}]`."""
        return (await self.get("/people/list"))["people"]

    async def state(self) -> dict:
        """The workspace's own state: sockets, faults, calls, deliveries, counts by method."""
        return await self.get("/workspace/state")

    async def banner(self, text: str) -> None:
        """The line across the top of the page."""
        await self.post("/workspace/banner", text=text)

    async def fault(self, kind: str, method: str = "*", times: int = 1, seconds: float = 2.0) -> None:
        """Order a fault (`rate_limit`, `error`, `lost_answer`, `delay`, `duplicate`, `drop`)."""
        await self.post("/workspace/faults", kind=kind, method=method, times=times, seconds=seconds)

    async def disconnect(self) -> None:
        """Cut every socket."""
        await self.post("/workspace/disconnect")

    async def until(self, look: Callable, what: str, timeout: float):
        """Call `look()` (a coroutine giving `(found, seen, seq)`) at each change until `found` is not None."""
        deadline = time.monotonic() + timeout
        while True:
            found, seen, seq = await look()
            if found is not None:
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise WaitedTooLong(f"no {what} within {timeout:g} s; there is: {seen}", 504)
            await self.get("/people/wait", since=seq, timeout=round(min(left, 25), 3))

    async def wait_connected(self, timeout: float = 30) -> None:
        """Until the app holds a socket."""

        async def look():
            state = await self.state()
            return (True if state["sockets"] else None), "no socket", state["seq"]

        await self.until(look, "socket of the app", timeout)


class PersonAt:
    """One person in one workspace. `channel` is a name, an id, or `dm` (their own with the app)."""

    def __init__(self, people: People, name: str) -> None:
        self.people, self.name = people, name

    async def messages(
        self, channel: str | None = None, thread_ts: str | None = None, limit: int = 200
    ) -> list[Message]:
        """What the person sees, oldest first, ephemerals (`"ephemeral": true`) among it."""
        found = await self.people.get("/people/messages", **self._as(channel, thread_ts), limit=limit)
        return found["messages"]

    def _as(self, channel: str | None, thread_ts: str | None) -> dict:
        return {"as": self.name, "channel": channel, "thread_ts": thread_ts}

    async def ephemerals(self) -> list[Message]:
        """What only this person was told."""
        return (await self.people.get("/people/ephemerals", **{"as": self.name}))["messages"]

    async def views(self) -> list[dict]:
        """The person's open modals, bottom first."""
        return (await self.people.get("/people/views", **{"as": self.name}))["views"]

    async def home(self) -> dict | None:
        """The person's published App Home."""
        return (await self.people.get("/people/home", **{"as": self.name}))["view"]

    async def say(self, channel: str, text: str, thread_ts: str | None = None) -> Message:
        """Type a message; `@middlewatch`, `@ana`, `#general` become mentions."""
        sent = await self._act("say", channel=channel, text=text, thread_ts=thread_ts)
        return sent["message"]

    async def command(self, channel: str, line: str) -> dict:
        """Type a slash command such as `/mw status`."""
        return await self._act("command", channel=channel, text=line)

    async def click(
        self, shown: dict, action: str, value: object = None, *, block_id: str | None = None, confirm: bool = True,
        state: dict | None = None,
    ) -> dict:  # fmt: skip
        """Operate an element of a message or view by its `action_id` or its label.

        `value` is what is chosen in a select, overflow or feedback; `confirm` answers the element's
        confirmation dialog, if it has one.
        """
        named = [a for a in shown["actions"] if action in (a["action_id"], a["label"])]
        action_id = named[0]["action_id"] if named else action
        if len(named) > 1:
            block_id = block_id or named[0]["block_id"]
        where = {"channel": shown["channel"], "ts": shown["ts"]} if "ts" in shown else {"view_id": shown["id"]}
        return await self._act(
            "click", **where, action_id=action_id, block_id=block_id, value=value, confirmed=confirm, state=state
        )  # fmt: skip

    async def submit(self, view: dict, values: dict | None = None) -> dict:
        """Submit a modal; `values` is `{action_id: value}`. `{"ok": False, "errors": {...}}` when it stays open."""
        return await self._act("submit", view_id=view["id"], values=values or {})

    async def close(self, view: dict, everything: bool = False) -> dict:
        """Cancel a modal."""
        return await self._act("close", view_id=view["id"], everything=everything)

    async def open_home(self, tab: str = "home") -> dict:
        """Enter the App Home."""
        return await self._act("open_home", tab=tab)

    async def react(self, message: Message, name: str) -> dict:
        """Add (or take away) a reaction."""
        return await self._act("react", channel=message["channel"], ts=message["ts"], name=name)

    async def _act(self, what: str, **body: object) -> dict:
        return await self.people.post(f"/people/{what}", **{"as": self.name}, **body)

    async def wait_for_message(
        self, predicate: Predicate | str, timeout: float = 30, *, channel: str | None = None,
        thread_ts: str | None = None,
    ) -> Message:  # fmt: skip
        """The newest message that fits, waiting up to `timeout` seconds; a string fits when the message says it."""
        fits = (lambda m: predicate in text_of(m)) if isinstance(predicate, str) else predicate

        async def look():
            got = await self.people.get("/people/messages", **self._as(channel, thread_ts))
            found = next((m for m in reversed(got["messages"]) if fits(m)), None)
            return found, [m["text"][:120] for m in got["messages"][-5:]], got["seq"]

        return await self.people.until(look, "message that fits", timeout)

    async def wait_for_view(self, predicate: Predicate = lambda view: True, timeout: float = 30) -> dict:
        """The top modal once it fits."""

        async def look():
            got = await self.people.get("/people/views", **{"as": self.name})
            found = got["views"][-1] if got["views"] and predicate(got["views"][-1]) else None
            return found, [text_of(v.get("title")) for v in got["views"]], got["seq"]

        return await self.people.until(look, "dialog that fits", timeout)

    async def wait_for_no_view(self, timeout: float = 30) -> None:
        """Until nothing is open before this person."""

        async def look():
            got = await self.people.get("/people/views", **{"as": self.name})
            return (None if got["views"] else True), [text_of(v.get("title")) for v in got["views"]], got["seq"]

        await self.people.until(look, "closed dialog", timeout)

    async def wait_for_home(self, predicate: Predicate = lambda view: True, timeout: float = 30) -> dict:
        """The App Home once it fits."""

        async def look():
            got = await self.people.get("/people/home", **{"as": self.name})
            view = got["view"]
            return (view if view and predicate(view) else None), text_of(view)[:200], got["seq"]

        return await self.people.until(look, "App Home that fits", timeout)


async def gather(*work):
    """Several gestures at once (a double click, two people): all results, refusals as PersonErrors."""
    return await asyncio.gather(*work, return_exceptions=True)
