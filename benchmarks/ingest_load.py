"""The load of `ingest`: rows of twenty features, in every wire format, for any number of models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

EVERY, START = 4.0, 1_700_006_400.0
FORMATS = ("json", "json_batch", "msgpack_batch", "arrow")
ROWS = {"json": 1, "json_batch": 200, "msgpack_batch": 200, "arrow": 1_000}
"""Rows a message."""
TYPES = {"json": "application/json", "json_batch": "application/json", "msgpack_batch": "application/msgpack",
         "arrow": "application/vnd.apache.arrow.stream"}  # fmt: skip
LEVELS = ["alpha", "beta", "gamma", "delta", "eps", "zeta", "eta", "theta"]


def columns(rows: int, seed: int, start: float, first: int, shift: float = 0.0) -> dict[str, Any]:
    """Twenty features: fourteen numbers, six categories of eight levels; `shift` in standard deviations."""
    rng = np.random.default_rng(seed)
    made: dict[str, Any] = {"id": [f"r{first + i:08d}" for i in range(rows)], "at": start + EVERY * np.arange(rows)}
    for i in range(14):
        values = rng.lognormal(2, 0.6, rows) * np.exp(0.6 * shift) if i % 2 else rng.normal(50 + 9 * shift, 9, rows)
        made[f"n{i}"] = np.round(values, 4)
    made |= {f"c{i}": rng.choice(LEVELS, rows) for i in range(6)}
    made["score"] = np.round(rng.beta(2, 8, rows), 5)
    return made


def events(table: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows as plain events."""
    features = [name for name in table if name[0] in "nc"]
    lists = {name: (v.tolist() if isinstance(v, np.ndarray) else v) for name, v in table.items()}
    return [
        {"id": lists["id"][i], "at": lists["at"][i], "version": "1", "features": {n: lists[n][i] for n in features},
         "score": lists["score"][i]}
        for i in range(len(lists["id"]))
    ]  # fmt: skip


def payload(form: str, table: dict[str, Any]) -> bytes:
    """One message that carries this table in one wire format."""
    if form == "json":
        return msgspec.json.encode(events(table)[0])
    if form == "json_batch":
        return msgspec.json.encode(events(table))
    if form == "msgpack_batch":
        return msgspec.msgpack.encode(events(table))
    import pyarrow as pa

    arrays = {n: pa.array(v).dictionary_encode() if n[0] == "c" else pa.array(v) for n, v in table.items()}
    arrays["version"] = pa.array(["1"] * len(table["id"])).dictionary_encode()
    batch = pa.RecordBatch.from_pydict(arrays)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def reference() -> bytes:
    """An exported baseline of 5,000 rows."""
    from detectors import baseline
    from detectors.learn import learn
    from detectors.rows import Rows

    table = columns(5_000, 99, START - 5_000 * EVERY, 0)
    held = {f"feature:{n}": v if n[0] == "n" else v.tolist() for n, v in table.items() if n[0] in "nc"}
    rows = Rows(at=table["at"], ids=table["id"], columns=held | {"score": table["score"]})
    return baseline.encode(learn(rows, tenant="bench", model="m", version="1", source="bench"))


class Load:
    """Messages for many models: every model gets the same rounds of rows, each round later in event time."""

    def __init__(self, models: int, prefix: str = "m"):
        self.models, self.names = models, [f"{prefix}{i}" for i in range(models)]
        self.row = 0

    def messages(self, form: str, rounds: int) -> Iterator[tuple[str, bytes, int]]:
        """(model, payload, rows), models in turn as they come in life."""
        for _ in range(rounds):
            body = payload(form, self._next(ROWS[form]))
            for name in self.names:
                yield name, body, ROWS[form]

    def shifted(self) -> bytes:
        """200 rows as JSON that are far from the reference."""
        return payload("json_batch", self._next(200, 2.0))

    def _next(self, rows: int, shift: float = 0.0) -> dict[str, Any]:
        table = columns(rows, self.row, START + self.row * EVERY, self.row, shift)
        self.row += rows
        return table
