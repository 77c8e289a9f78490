"""What policy and environment name of the outside, made once a process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bot.compose.ground import Ground
from core.settings import Settings


def runbooks(house: Ground, *, owner: bool = False) -> Any:
    """One process owns the index (Chroma's rule): the one that investigates. Others compare with every chunk."""
    if "runbooks" not in house.shared:
        from knowledge.embedder import Embedder
        from knowledge.index import Index
        from knowledge.search import Runbooks
        from knowledge.tune import chosen
        from knowledge.vectors import Vectors
        from knowledge.warming import WarmingRunbooks

        folder, url = house.settings.var / "knowledge", house.settings.chroma_url
        embedder, root = Embedder(chosen(folder)), house.settings.runbooks
        house.shared["embedder"] = embedder
        index = Index(folder / "chroma", "runbooks", url) if owner else None
        full = Runbooks(root, vectors=Vectors(folder, embedder), index=index)
        house.shared["runbooks"] = WarmingRunbooks(Runbooks(root), full)
        house.warming.append(house.shared["runbooks"].warm)
    return house.shared["runbooks"]


def model(settings: Settings) -> Any:
    if not settings.llm_url:
        return None
    from integrations.vllm import VLLM

    return VLLM(settings.llm_url, settings.llm_model, key=settings.llm_key)


def named(house: Ground) -> list[str]:
    return house.policy.receivers.enabled


def receivers(house: Ground) -> dict[str, Any]:
    """The outside systems that policy names: made once a process."""
    if "receivers" not in house.shared:
        made: dict[str, Any] = {}
        if "jira" in named(house):
            from integrations.jira import Jira

            made["jira"] = Jira(**house.policy.receivers.jira, token=house.settings.jira_token)
        if "pagerduty" in named(house):
            from integrations.pagerduty import Pagerduty

            made["pagerduty"] = Pagerduty(**house.policy.receivers.pagerduty, key=house.settings.pagerduty_key)
        house.shared["receivers"] = made
    return house.shared["receivers"]


def open_ticket(house: Ground) -> Callable[[Any, Any], Awaitable[str]]:
    """What the card's "Open a ticket" does: the action's own text, once an incident."""
    from core.action.ticket import body

    async def open_ticket(incident: Any, person: Any) -> str:
        title = f"{incident.severity} {incident.model}: {incident.kind}"
        return await tickets(house).open_ticket(f"ticket-{incident.id}", title, body(incident))

    return open_ticket


def tickets(house: Ground) -> Any:
    """Jira when the policy names it, else Markdown files."""
    if "jira" in named(house):
        return receivers(house)["jira"]
    from integrations.local_tickets import LocalTickets

    return LocalTickets(house.settings.var / "tickets")
