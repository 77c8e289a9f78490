"""The JetStream streams, declared once. Data only: `integrations.nats` makes the server agree.

What producers publish on `inference.<tenant>.<model>` and `label.<tenant>.<model>` the server itself stores as
`partition.<n>.inference.<tenant>.<model>` (a subject transform of the stream): n is a hash of tenant and model, so all
of one model, labels too, lies in one partition. What has another number of tokens is stored as it came, and is read,
and set aside, with partition 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from core.detect import PARTITIONS

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
_GB = 1024**3


class Stream(Struct, frozen=True, kw_only=True):
    """One stream. What it holds is kept `days` (0: for ever) and at most `max_bytes` (-1: no limit)."""

    name: str
    subject: str
    days: float = 0.0
    max_bytes: int = -1
    duplicates: float = 2 * _MINUTE
    """Seconds in which a second message with the same id is dropped."""
    append_only: bool = False
    """Nothing can be deleted or purged: neither by us nor by anybody with the same rights."""
    partitions: int = 0
    """Its messages are divided into so many parts by tenant and model; 0: they are not."""

    @property
    def transform(self) -> dict[str, str] | None:
        """The server's subject transform that makes the partitions."""
        if not self.partitions:
            return None
        first = self.subject.partition(".")[0]
        to = f"partition.{{{{partition({self.partitions},1,2)}}}}.{first}.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}"
        return {"src": f"{first}.*.*", "dest": to}


STREAMS = (
    Stream(name="INFERENCE", subject="inference.>", days=3, max_bytes=4 * _GB, partitions=PARTITIONS),
    Stream(name="LABELS", subject="label.>", days=30, max_bytes=1 * _GB, partitions=PARTITIONS),
    Stream(name="CHANGES", subject="change.>", days=400),
    Stream(name="LINEAGE", subject="lineage.>", days=400),
    # a detector that resumes from its snapshot says the same alerts and windows again: they must still be known
    Stream(name="WINDOWS", subject="window.>", days=90, max_bytes=4 * _GB, duplicates=_HOUR),
    Stream(name="DETECTIONS", subject="detection.>", days=30, duplicates=_DAY),
    Stream(name="ALERTS", subject="alert.>", days=400, duplicates=_DAY),
    Stream(name="INCIDENTS", subject="incident.>", duplicates=_DAY, append_only=True),
    Stream(name="DEAD", subject="dead.>", days=30, max_bytes=_GB // 4, duplicates=_HOUR),
)
"""INCIDENTS is the audit log: no limit of any kind, append-only."""

_BY_NAME = {stream.name: stream for stream in STREAMS}
_BY_TOKEN = {stream.subject.partition(".")[0]: stream.name for stream in STREAMS}


def stream_of(subject: str) -> str:
    """Name of the stream that keeps `subject` (a wildcard is fine). Raises ValueError when none does."""
    token = subject.partition(".")[0]
    if token not in _BY_TOKEN:
        raise ValueError(f"no stream keeps {subject!r}; subjects start with {', '.join(_BY_TOKEN)}")
    return _BY_TOKEN[token]


def spoken(subject: str) -> str:
    """The subject as it was published, of one as it is stored: `partition.3.label.acme.m` -> `label.acme.m`."""
    return subject.split(".", 2)[2] if subject.startswith("partition.") else subject


def filters(subject: str, partition: int | None = None) -> list[str]:
    """What a consumer asks for to be given `subject` (a wildcard is fine) as it is stored, of one partition or all.

    Raises ValueError when no stream keeps it.
    """
    if not _BY_NAME[stream_of(subject)].partitions:
        return [subject]
    stored = f"partition.{'*' if partition is None else partition}.{subject}"
    return [stored] if partition else [stored, subject]


def faults(stream: Stream, found: Mapping[str, Any]) -> list[str]:
    """What about an existing stream breaks a promise of ours, in words; empty when it will do.

    `found` is the server's configuration of it. Limits are the operator's to choose; only the audit log must have none.
    """
    said = []
    if stream.subject not in (found.get("subjects") or []):
        said.append(f"it keeps {', '.join(found.get('subjects') or ['nothing'])} instead of {stream.subject}")
    divided = (found.get("subject_transform") or {}).get("dest")
    if divided and stream.transform and divided != stream.transform["dest"]:
        said.append(f"its subjects are divided as {divided} instead of {stream.transform['dest']}")
    if not stream.append_only:
        return said
    said += [f"{flag} is off" for flag in ("deny_delete", "deny_purge") if not found.get(flag)]
    for limit in ("max_age", "max_bytes", "max_msgs", "max_msgs_per_subject"):
        if (found.get(limit) or 0) > 0:
            said.append(f"{limit} would drop old entries of the audit log")
    return said
