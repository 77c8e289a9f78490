"""Event time between events: what a model's clock would show now, so that silence can be told from a quiet tenant.

Each tenant has one clock: the newest plausible event time that any of its models sent, running on with the wall clock.
Each model has its own lag behind that clock. A model that is replayed three days behind the others is three days late
to everything and silent to nobody; what counts as its silence is how far the clock moved since it was last heard,
beyond what is usual between its messages: who sends an hour of events in one message is not silent within the hour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from msgspec import Struct

JUMP, CONFIRM = 86_400.0, 20
"""An event this many seconds away from where event time should be does not move it; so many in a row do. One producer
with a wrong clock must not close everybody's windows and end everybody's watch for silence."""


class Pace(Struct):
    """One model against its tenant's clock."""

    lag: float
    """Seconds behind the clock when it was last heard."""
    at: float
    """What the clock showed then."""
    usual: float = 0.0
    """Seconds that the clock moves on between its messages: the largest so far, slowly forgotten."""


USUAL_TIMES, FORGOTTEN = 2.0, 0.9
"""So many usual waits are no silence yet; of a long wait so much is remembered at the next message."""


class Times(NamedTuple):
    """The event times of some events, one at least."""

    least: float
    most: float
    count: int
    each: Callable[[], Sequence[float]]
    """All of them in their order; seldom asked for."""

    @classmethod
    def of(cls, times: Sequence[float]) -> Self:
        return cls(min(times), max(times), len(times), lambda: times)


class TenantClock(Struct):
    """`here` is the newest event time believed; `strange` how many events in a row disagreed; `heard` how many came."""

    here: float = 0.0
    strange: int = 0
    heard: int = 0


class EventTime(Struct):
    """The clocks of all tenants of one partition, and the lags of their models."""

    tenants: dict[str, TenantClock] = {}
    paces: dict[str, Pace] = {}
    """By tenant/model."""

    @property
    def busiest(self) -> float:
        """Event time of the tenant that sent most (one event of a wrong clock is not it); 0 before the first event."""
        clock = max(self.tenants.values(), key=lambda clock: clock.heard, default=TenantClock())
        return clock.here

    def heard(self, tenant: str, model: str, times: Times, elapsed: float, newest: float, span: float = 0.0) -> None:
        """Events of one model at these times, `elapsed` wall seconds after the last ones of anybody.

        `newest` is the model's newest event time as its own watch believes it, 0 when it has none; `span` the
        longest time that one of its messages covered.
        """
        clock = self.tenants.setdefault(tenant, TenantClock())
        before = clock.here
        clock.heard += times.count
        self._move(clock, times, elapsed)
        if before and not before - JUMP <= clock.here <= before + elapsed + JUMP:
            self._another_time(tenant, clock.here - before)
        if newest:
            name = f"{tenant}/{model}"
            past = self.paces.get(name)
            waited = min(max(before - past.at, 0.0), JUMP) if past else 0.0
            usual = max(waited, min(span, JUMP), FORGOTTEN * past.usual if past else 0.0)
            self.paces[name] = Pace(clock.here - newest, clock.here, usual)

    def _move(self, clock: TenantClock, times: Times, elapsed: float) -> None:
        """Follow what is said, but no single clock that is far off."""
        here, strange = clock.here, clock.strange
        if here and here - JUMP <= times.least and times.most <= here + elapsed + JUMP:
            clock.here, clock.strange = max(here, times.most), 0
            return
        for at in times.each():
            if not here or here - JUMP <= at <= here + elapsed + JUMP:
                here, strange = max(here, at), 0
            elif strange + 1 < CONFIRM:
                strange += 1
            else:
                here, strange = at, 0
        clock.here, clock.strange = here, strange

    def _another_time(self, tenant: str, moved: float) -> None:
        """The clock now follows a stream of another time (a replay began): that is nobody's silence."""
        for name, pace in self.paces.items():
            if name.startswith(f"{tenant}/"):
                pace.lag, pace.at = pace.lag + moved, pace.at + moved

    def reached(self, tenant: str, model: str, elapsed: float) -> float:
        """The event time this model has reached, `elapsed` wall seconds after the last event of anybody."""
        clock = self.tenants.get(tenant)
        if clock is None:
            return 0.0
        pace = self.paces.get(f"{tenant}/{model}")
        if pace is None:
            return clock.here + elapsed
        return pace.at - pace.lag + max(clock.here - pace.at + elapsed - USUAL_TIMES * pace.usual, 0.0)
