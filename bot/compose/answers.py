"""What the command line asks of the rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bot.compose import outside
from bot.compose.converse import slack_access
from bot.compose.ground import Ground, ground
from bot.compose.lineage import checked
from core.errors import Unavailable
from core.policy import Policy
from core.settings import Settings


async def rebuild(house: Ground) -> dict[str, int]:
    """Forget the views and make them again from the streams; how many of each were applied."""
    from integrations.rebuild import rebuild as from_streams

    await house.views.clear()
    return await from_streams(house.bus, house.views)


def checks(settings: Settings, policy: Policy) -> dict[str, Callable[[], Awaitable[str]]]:
    """What `check` asks, by name; each answers with a line or raises with the remedy."""

    async def rules() -> str:
        approvers = policy.roles.approver + policy.roles.admin
        return f"{settings.policy or 'shipped defaults'}, digest {policy.version_digest}, " + (
            f"{len(approvers)} may approve" if approvers else "NOBODY may approve yet: fill [roles] in your policy"
        )

    async def servers_answer() -> str:
        async with ground(settings, policy, "check") as house:
            depth = await house.bus.depth()
            await house.views.store.do("PING")
            return f"NATS {house.bus.shown} with {len(depth)} streams; Redis answers"

    async def slack() -> str:
        if not settings.real_slack:
            return "no SLACK_BOT_TOKEN: the local workspace will be used (bot/SLACK.md: how to use your Slack)"
        from bot.wire import check_slack

        return await check_slack(await slack_access(settings), policy)

    async def books() -> str:
        from knowledge.lint import lint
        from knowledge.runbooks import files

        found = await asyncio.to_thread(lint, [settings.runbooks])
        if found:
            raise Unavailable("; ".join(str(c) for c in found[:3]))
        return f"{len(list(files(settings.runbooks)))} in {settings.runbooks}, no complaints"

    async def lineage() -> str:
        return await checked(settings)

    async def deployers() -> str:
        known = [name for name, d in policy.deployers.items() if d.url]
        return f"{', '.join(known)} configured" if known else "none: rollback proposals become tickets"

    async def model() -> str:
        if not settings.llm_url:
            return "no LLM_URL: rules write hypotheses"
        return f"{await outside.model(settings).ready()} at {settings.llm_url}"

    return {
        "policy": rules,
        "servers": servers_answer,
        "slack": slack,
        "runbooks": books,
        "lineage": lineage,
        "deployers": deployers,
        "model": model,
    }
