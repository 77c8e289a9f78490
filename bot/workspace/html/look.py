"""What rendering needs to know of the world: names for ids, addresses for files, the reader's time zone."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo


def esc(text: object) -> str:
    """Text for HTML, attributes included."""
    return html.escape(str(text), quote=True)


def _same(ident: str) -> str:
    return ident


@dataclass(frozen=True)
class Look:
    """`user`, `channel`, `group` turn ids into names; `file` gives a file object for an id or URL, or None."""

    user: Callable[[str], str] = _same
    channel: Callable[[str], str] = _same
    group: Callable[[str], str] = _same
    file: Callable[[str], dict | None] = lambda ident: None
    viewer: str = ""
    zone: tzinfo = UTC
    people: tuple[tuple[str, str], ...] = ()
    channels: tuple[tuple[str, str], ...] = ()

    def time(self, ts: float) -> datetime:
        """`ts` (epoch seconds) on the reader's clock."""
        return datetime.fromtimestamp(ts, self.zone)


def slack_date(look: Look, ts: float, pattern: str) -> str:
    """Slack's date tokens filled in: `{date_short} at {time}` -> `Mar 3, 2013 at 14:05`."""
    at, day = look.time(ts), look.time(ts).day
    values = {
        "date_num": f"{at:%Y-%m-%d}", "date": f"{at:%B} {day}, {at.year}", "date_short": f"{at:%b} {day}, {at.year}",
        "date_long": f"{at:%A}, {at:%B} {day}, {at.year}", "time": f"{at:%H:%M}", "time_secs": f"{at:%H:%M:%S}",
        "ago": f"{at:%b} {day} {at:%H:%M}",
    }  # fmt: skip
    values |= {f"{k}_pretty": v for k, v in values.items() if k.startswith("date")}
    for name, value in values.items():
        pattern = pattern.replace("{" + name + "}", value)
    return pattern
