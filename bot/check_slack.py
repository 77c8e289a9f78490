"""What is missing before the Slack side can work, as sentences: tokens, scopes, channels, roles. Reads only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp

from bot.wire import Access, SlackFailure, calling, client
from core.policy import Policy

MANIFEST = Path(__file__).with_name("manifest.yaml")


async def missing(access: Access, policy: Policy) -> list[str]:
    """Everything that would not work, worst first, each with its remedy; empty when all is well."""
    async with aiohttp.ClientSession() as session:
        slack = client(access, session, patient=True)
        try:
            with calling("auth.test"):
                me = await slack.auth_test()
        except SlackFailure as failure:
            return [f"{failure}. bot/SLACK.md, steps 1 to 3."]
        wrong = _scopes(me.headers)
        wrong += await _socket(slack, access)
        wrong += await _channels(slack, policy)
        return wrong + await _roles(slack, policy)


def wanted_scopes() -> set[str]:
    """The bot scopes of the manifest."""
    import yaml

    manifest = yaml.safe_load(MANIFEST.read_text("utf-8"))
    return set(manifest["oauth_config"]["scopes"]["bot"])


def _scopes(headers: Any) -> list[str]:
    given = {k.lower(): v for k, v in headers.items()}.get("x-oauth-scopes")
    if given is None:
        return []  # a workspace that does not say
    lacking = sorted(wanted_scopes() - {s.strip() for s in str(given).split(",")})
    return (
        [f"The bot token lacks {', '.join(lacking)}: paste bot/manifest.yaml again and reinstall."] if lacking else []
    )


async def _socket(slack: Any, access: Access) -> list[str]:
    if not access.app_token:
        told = "SLACK_APP_TOKEN and SLACK_SIGNING_SECRET are both missing: Slack has no way to reach Middlewatch."
        return [] if access.signing_secret else [told]
    try:
        with calling("apps.connections.open"):
            await slack.apps_connections_open(app_token=access.app_token)
    except SlackFailure as failure:
        return [f"Socket Mode: {failure}. bot/SLACK.md, step 2."]
    return []


async def _channels(slack: Any, policy: Policy) -> list[str]:
    routing = policy.routing
    names = dict.fromkeys([routing.channel, *routing.by_owner.values(), *routing.by_severity.values()])
    found: dict[str, bool] = {}
    cursor = ""
    try:
        while True:
            with calling("conversations.list"):
                page = await slack.conversations_list(types="public_channel,private_channel", limit=500, cursor=cursor)
            for channel in page["channels"]:
                found[channel["name"]] = found[channel["id"]] = True
            cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                break
    except SlackFailure as failure:
        return [f"Channels: {failure}"]
    return [
        f"There is no channel {name} that the app can see: create it, or /invite @middlewatch if it is private."
        for name in names
        if name.removeprefix("#") not in found and not name.startswith(("C", "G"))
    ]


async def _roles(slack: Any, policy: Policy) -> list[str]:
    wrong = []
    roles = policy.roles
    if not (roles.approver or roles.admin):
        wrong.append("Nobody may approve: name user ids or user groups under [roles] approver in the policy.")
    groups: set[str] = set()
    wanted = {m[1:] for m in (*roles.responder, *roles.approver, *roles.admin) if m.startswith("@")}
    if wanted:
        try:
            with calling("usergroups.list"):
                groups = {g["handle"] for g in (await slack.usergroups_list())["usergroups"]}
        except SlackFailure as failure:
            return [*wrong, f"User groups: {failure}"]
    wrong += [f"There is no user group @{g}: correct [roles] in the policy." for g in sorted(wanted - groups)]
    for member in dict.fromkeys([*roles.responder, *roles.approver, *roles.admin]):
        if member.startswith("@"):
            continue
        try:
            with calling("users.info"):
                await slack.users_info(user=member.rpartition("/")[2])
        except SlackFailure as failure:
            wrong.append(f"[roles] names {member}: {failure}")
    return wrong
