"""Changing an incident durably: decide, save by compare-and-set, publish to the audit log, in that order.

A crash between saving and publishing leaves a revision marked unpublished; `republish` (run at every start) writes it
then. The audit entry is a pure function of the revision, so a repeat is the same bytes under the same message id.
"""

from __future__ import annotations

from collections.abc import Callable

from core.errors import AuditError, Conflict, MiddlewatchError
from core.incidents import Incident, changed
from core.ports import Bus, Incidents

ATTEMPTS = 20
"""Lost races before giving up: each one means somebody else made progress."""


class IncidentLog:
    """The one way in which an incident changes."""

    def __init__(self, view: Incidents, bus: Bus):
        self.view, self.bus = view, bus

    async def open(self, incident: Incident) -> Incident:
        """Store and publish a first revision; if it exists already, that one (published again if need be)."""
        try:
            await self.view.save(incident)
        except Conflict:
            existing = await self.view.get(incident.id)
            if existing is None:
                raise
            await self.republish(existing.id)
            return existing
        await self._publish(incident)
        return incident

    async def change(self, incident_id: str, decide: Callable[[Incident], Incident | None]) -> Incident:
        """Apply the pure `decide` to the latest revision until it sticks; the resulting incident.

        `decide` may return None for "nothing to change" and may raise (TransitionError, Refused): nothing is then
        written. Raises AuditError when the audit log cannot be written; the caller must then not act.
        """
        for _ in range(ATTEMPTS):
            current = await self.view.get(incident_id)
            if current is None:
                raise MiddlewatchError(f"no incident {incident_id!r}; `python -m bot incident` lists them")
            await self.republish(incident_id)  # the log must hold revision n before n+1 is written
            after = decide(current)
            if after is None:
                return current
            try:
                await self.view.save(after)
            except Conflict:
                continue
            await self._publish(after)
            return after
        raise Conflict(f"incident {incident_id} changed {ATTEMPTS} times while this change was tried")

    async def republish(self, incident_id: str | None = None) -> int:
        """Publish revisions that a crash left unpublished (all, or of one incident); how many."""
        waiting = [i for i in await self.view.unpublished() if incident_id in (None, i.id)]
        for incident in sorted(waiting, key=lambda i: (i.id, i.revision)):
            await self._publish(incident)
        return len(waiting)

    async def _publish(self, incident: Incident) -> None:
        try:
            await self.bus.publish(changed(incident))
        except Exception as error:
            raise AuditError(
                f"the audit entry {incident.id}.{incident.revision} could not be written: {error}"
            ) from error
        await self.view.published(incident)
