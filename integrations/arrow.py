"""Arrow IPC streams row by row, for every reader that has no use for columns. pyarrow is imported lazily.

A column is a field of the event; of served predictions, any other column is a feature (as is what a struct column
`features` holds). One row that cannot be read is set aside alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

ARROW = "application/vnd.apache.arrow.stream"


def rows_of(payload: bytes, fields: set[str]) -> list[dict[str, Any]]:
    """Each row as the plain event that JSON would hold. Raises ValueError when the bytes are no Arrow stream.

    With `features` among `fields`, columns of other names become features.
    """
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
            rows: list[dict[str, Any]] = reader.read_all().to_pylist()
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"not an Arrow IPC stream: {str(error)[:200]}") from None
    return [_event(row, fields) for row in rows]


def _event(row: Mapping[str, Any], fields: set[str]) -> dict[str, Any]:
    event = {name: _plain(value) for name, value in row.items() if name in fields and value is not None}
    if "features" in fields:
        others = {name: value for name, value in row.items() if name not in fields}
        event["features"] = others | (event.get("features") or {})
    return event


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def shown(row: Any) -> bytes:
    """A row as it is kept when it could not be read."""
    try:
        return msgspec.json.encode(row)
    except (TypeError, ValueError, OverflowError):
        return json.dumps(row, default=str).encode("utf-8", "replace")
