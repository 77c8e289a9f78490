"""Jira: tickets, and issues that follow their incident. The only home of `jira`.

Found again by label, so that whatever is repeated changes nothing. Cloud wants `email` and an API token; a server of
your own wants a personal access token and no email. The token comes from the environment: JIRA_TOKEN.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.errors import Unavailable
from core.events import content_id
from core.incidents import Incident
from core.settings import NO_SECRET, Secret
from integrations import showing
from integrations.plain import cleaned

if TYPE_CHECKING:
    from jira import JIRA, Issue


class Jira:
    """`core.ports.Ticketing` and `core.ports.Receiver`."""

    def __init__(
        self, url: str, project: str, email: str = "", issue_type: str = "Task", token: Secret = NO_SECRET
    ):  # fmt: skip
        self._url, self._project, self._email, self._type = url.rstrip("/"), project, email, issue_type
        self._token = token or Secret(os.environ.get("JIRA_TOKEN", ""))
        self._turn = asyncio.Lock()

    async def open_ticket(self, key: str, title: str, body: str) -> str:
        """The issue's address, made once per key."""

        def work(client: JIRA) -> str:
            label = content_id(showing.LABEL, key)
            issue = self._found(client, label) or self._made(client, label, title, body)
            return f"{self._url}/browse/{issue.key}"

        return str(await self._do(work))

    async def sync(self, incident: Incident) -> None:
        """One issue an incident: its text is kept current, and it is done when the incident is over."""

        def work(client: JIRA) -> None:
            title, body = showing.title(incident), showing.body(incident)
            label = content_id(showing.LABEL, incident.tenant, incident.id)
            issue = self._found(client, label) or self._made(client, label, title, body)
            if issue.fields.description != _plain(body) or issue.fields.summary != title:
                issue.update(summary=title, description=_plain(body))
            if incident.over and _category(issue.fields.status) != "done":
                _finish(client, issue)

        await self._do(work)

    async def _do(self, work: Callable[[Any], Any]) -> Any:
        """Run `work` with the client in a thread, one at a time: two at once could both find nothing and both make."""
        from jira.exceptions import JIRAError
        from requests.exceptions import RequestException

        async with self._turn:
            try:
                return await asyncio.to_thread(self._run, work)
            except (JIRAError, RequestException) as error:
                status = getattr(error, "status_code", None)
                said = cleaned(getattr(error, "text", None) or type(error).__name__)
                remedy = "set JIRA_TOKEN" if status in (401, 403) else "look at [receivers.jira] in the policy"
                raise Unavailable(f"Jira at {self._url}: {said} ({status or 'no answer'}); {remedy}") from None

    def _run(self, work: Callable[[Any], Any]) -> Any:
        from jira import JIRA

        token = self._token.reveal()
        who: dict[str, Any] = {"basic_auth": (self._email, token)} if self._email else {"token_auth": token}
        with contextlib.closing(JIRA(self._url, max_retries=0, timeout=10, **(who if token else {}))) as client:
            return work(client)

    def _found(self, client: JIRA, label: str) -> Issue | None:
        query = f'project = "{self._project}" AND labels = "{label}"'
        found = client.search_issues(query, maxResults=1, fields=["summary", "description", "status"])
        return found[0] if found else None  # type: ignore[return-value]

    def _made(self, client: JIRA, label: str, title: str, body: str) -> Issue:
        return client.create_issue(
            project={"key": self._project}, issuetype={"name": self._type}, summary=cleaned(title)[:200],
            description=_plain(body), labels=[showing.LABEL, label],
        )  # fmt: skip


def _plain(text: str) -> str:
    """Text that Jira's wiki markup shows as it is: braces, brackets and bars start macros, links and images."""
    return re.sub(r"([{\[|!\\])", r"\\\1", text)


def _category(status: Any) -> str:
    return str(getattr(getattr(status, "statusCategory", None), "key", ""))


def _finish(client: JIRA, issue: Issue) -> None:
    for step in client.transitions(issue):
        if step.get("to", {}).get("statusCategory", {}).get("key") == "done":
            client.transition_issue(issue, step["id"])
            return
