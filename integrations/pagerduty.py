"""PagerDuty, by the Events API v2: page, acknowledge, resolve. The only home of `pdpyras`.

`pdpyras` is no longer developed; its successor `pagerduty` has the same classes but speaks only to its own https hosts.
The deduplication key is the incident, so whatever is repeated changes nothing. The routing key of the service's
integration comes from the environment: PAGERDUTY_KEY.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.errors import Unavailable
from core.incidents import Incident
from core.settings import NO_SECRET, Secret
from integrations import showing
from integrations.plain import cleaned

if TYPE_CHECKING:
    from pdpyras import EventsAPISession

_SEVERITY = {"SEV1": "critical", "SEV2": "error", "SEV3": "warning", "SEV4": "info"}


class Pagerduty:
    """`core.ports.Receiver`, and `page` for people who ask. By itself it pages only for the severities `page_for`."""

    def __init__(self, url: str = "", page_for: str = "SEV1,SEV2", key: Secret = NO_SECRET):
        self._url = url.rstrip("/")
        self._page_for = {name.strip() for name in page_for.split(",")}
        self._key = key or Secret(os.environ.get("PAGERDUTY_KEY", ""))

    async def sync(self, incident: Incident) -> None:
        """Make PagerDuty show the incident's state. What was never paged is neither acknowledged nor resolved."""
        paged = any(entry.what.startswith("paged") for entry in incident.timeline)
        if not paged and incident.severity not in self._page_for:
            return
        if incident.over:
            await self._do(lambda session: session.resolve(_dedup(incident)))
        elif incident.acknowledged_by:
            await self._do(lambda session: session.acknowledge(_dedup(incident)))
        else:
            await self.page(incident, "")

    async def page(self, incident: Incident, why: str) -> None:
        """Page the on-call. Raises Unavailable."""
        summary = showing.title(incident) + (f" ({cleaned(why)})" if why else "")
        details = {"incident": incident.id, "state": incident.state, "text": showing.body(incident)[:5_000]}
        source, severity = f"{incident.tenant}/{incident.model}", _SEVERITY[incident.severity]
        await self._do(
            lambda session: session.trigger(
                summary[:1_000], source, dedup_key=_dedup(incident), severity=severity, custom_details=details
            )
        )

    async def _do(self, work: Callable[[EventsAPISession], Any]) -> None:
        if not self._key:
            raise Unavailable("no PAGERDUTY_KEY: set it to the routing key of the service's Events API v2 integration")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # its farewell, explained above
            import pdpyras
        try:
            await asyncio.to_thread(self._run, work)
        except pdpyras.PDClientError as error:
            raise Unavailable(
                f"PagerDuty: {cleaned(str(error)).replace(self._key.reveal(), '***')}; look at PAGERDUTY_KEY"
            ) from None

    def _run(self, work: Callable[[EventsAPISession], Any]) -> None:
        from pdpyras import EventsAPISession

        with EventsAPISession(self._key.reveal()) as session:
            session.timeout, session.max_http_attempts, session.max_network_attempts = 10, 2, 2
            if self._url:
                session.url = self._url
            work(session)


def _dedup(incident: Incident) -> str:
    return f"{showing.LABEL}-{incident.tenant}-{incident.id}"[:255]
