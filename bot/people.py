"""Who clicked, as Slack itself vouches for them. When Slack cannot say, the answer is no."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from bot.blocks import clean
from bot.wire import explained
from core.approval import Person, role_of
from core.errors import Refused
from core.policy import Policy

REMEMBERED = 300.0
"""Seconds a looked-up person serves for reading; writing always looks again."""


GROUPS_FRESH = 10.0
"""Seconds one reading of all user groups serves: Slack allows twenty a minute, and a person may click twice."""


class People:
    """Persons by (team, user id), with their user groups' handles."""

    def __init__(self, slack: Any, policy: Policy, monotonic: Callable[[], float] = time.monotonic):
        self.slack, self.policy, self.monotonic = slack, policy, monotonic
        self.team = ""
        """Our own workspace; people of any other are guests. Empty until Slack has said which it is."""
        self._reading = asyncio.Lock()
        self._groups_at: float | None = None
        self._groups_read: list[dict[str, Any]] = []
        self._known: dict[tuple[str, str], tuple[float, Person]] = {}

    async def person(self, team: str, user: str, *, fresh: bool = True) -> Person:
        """The person. Raises Refused when Slack cannot vouch for them now."""
        known = self._known.get((team, user))
        if known and not fresh and self.monotonic() - known[0] < REMEMBERED:
            return known[1]
        try:
            found = (await self.slack.users_info(user=user))["user"]
            groups = await self._groups(user)
        except Exception as error:
            failure = explained(error, "users.info")
            raise Refused(f"Who you are could not be checked just now, so nothing was done ({failure}).") from error
        person = _person(team, user, found, groups, self.team or team)
        self._known[team, user] = (self.monotonic(), person)
        return person

    async def _groups(self, user: str) -> list[str]:
        """Handles of the policy's user groups that hold `user`; Slack is not asked when policy names none."""
        roles = self.policy.roles
        wanted = {m[1:] for m in (*roles.responder, *roles.approver, *roles.admin) if m.startswith("@")}
        if not wanted:
            return []
        groups = await self._all_groups()
        return [g["handle"] for g in groups if g.get("handle") in wanted and user in (g.get("users") or ())]

    async def _all_groups(self) -> list[dict[str, Any]]:
        """Every user group with its people, at most GROUPS_FRESH seconds old. Raises what the client raises."""
        async with self._reading:
            if self._groups_at is None or self.monotonic() - self._groups_at > GROUPS_FRESH:
                self._groups_read = (await self.slack.usergroups_list(include_users=True))["usergroups"]
                self._groups_at = self.monotonic()
        return self._groups_read

    async def approvers(self) -> list[str]:
        """User ids that may approve, as far as Slack says who is in the groups now."""
        members = [*self.policy.roles.approver, *self.policy.roles.admin]
        ids = [m.rpartition("/")[2] for m in members if not m.startswith("@")]
        wanted = {m[1:] for m in members if m.startswith("@")}
        if wanted:
            try:
                groups = await self._all_groups()
            except Exception as error:
                raise explained(error, "usergroups.list") from error
            ids += [u for g in groups if g.get("handle") in wanted for u in g.get("users") or ()]
        return list(dict.fromkeys(ids))

    def role(self, person: Person) -> str:
        return role_of(person, self.policy)


def _person(team: str, user: str, found: dict[str, Any], groups: list[str], home: str) -> Person:
    profile = found.get("profile") or {}
    shown = profile.get("display_name") or profile.get("real_name") or found.get("real_name") or found.get("name") or ""
    outside = found.get("is_stranger") or team != home or (found.get("team_id") or home) != home
    limited = found.get("is_restricted") or found.get("is_ultra_restricted") or found.get("deleted")
    return Person(
        id=user, team=team, name=clean(found.get("real_name") or shown, 80), groups=[] if outside else groups,
        bot=bool(found.get("is_bot") or found.get("is_workflow_bot") or user == "USLACKBOT"),
        guest=bool(outside or limited),
    )  # fmt: skip
