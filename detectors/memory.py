"""The Monitor's state as bytes, and back: a restart goes on where it was, without reading an event again.

MessagePack of plain data; arrays as their bytes, packed. References hardly ever change: they are pieces of their own,
stored once however many versions share them and however often the model's state is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from core.events import InferenceServed
from detectors import baseline
from detectors.arrays import State, whole
from detectors.baseline import ErrorReference, Reference
from detectors.compiled import Compiled
from detectors.labels import ErrorWatch
from detectors.model import Model, Version
from detectors.rows import Coded, Rows
from detectors.segments import Segments
from detectors.watch import Trouble, Watch

if TYPE_CHECKING:
    from detectors.monitor import Monitor

FORMAT = 5


def freeze(monitor: Monitor) -> bytes:
    """Every model of the monitor."""
    models = monitor.models.values()
    known = {key: baseline.encode(one) for model in models for key, one in references(model).items()}
    return pack([FORMAT, [freeze_model(model) for model in models], known])


def thaw(monitor: Monitor, pieces: Iterable[bytes]) -> None:
    """Models of the snapshot replace those of the same name. Raises ValueError for bytes that are no such snapshot."""
    try:
        models: list[Any] = []
        known: dict[str, bytes] = {}
        for data in pieces:
            states, given = _opened(data)
            models += states
            known |= given
        for state in models:
            thaw_model(monitor, state, known)
    except (msgspec.MsgspecError, OSError, LookupError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a snapshot of the monitor ({type(error).__name__}: {error}); start without it") from None


def pieces_of(model: Model, everything: bool) -> dict[str, bytes]:
    """One model alone, for `thaw`: `tenant/model` is its state; `tenant/model#id` a reference, which is left out when
    it was given before and nobody asks for `everything`."""
    name = f"{model.tenant}/{model.model}"
    found = {name: pack([FORMAT, [freeze_model(model)], {}])}
    for key, reference in references(model).items():
        given = model.given.get(key)
        if everything or given is None or given[0] is not reference or given[1] is not reference.error:
            found[f"{name}#{key}"] = pack([FORMAT, [], {key: baseline.encode(reference)}])
            model.given[key] = reference, reference.error
    return found


def references(model: Model) -> dict[str, Reference]:
    """All that the model is held against, by id; of two with one id the compiled one, which is in use."""
    known = [model.reference, *(v.reference for v in model.versions.values())]
    known += [compiled.reference for compiled in model.compiled.values()]
    return {reference.id: reference for reference in known if reference is not None}


def pack(data: Any) -> bytes:
    try:
        return msgspec.msgpack.encode(data)
    except OverflowError:
        return msgspec.msgpack.encode(_small(data))


def unpack(data: bytes) -> Any:
    return msgspec.msgpack.decode(data, ext_hook=lambda code, text: int(bytes(text), 16))


def _small(data: Any) -> Any:
    """The same with whole numbers of more than 64 bits, which producers may send, as hexadecimal extensions."""
    if isinstance(data, dict):
        return {key: _small(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_small(value) for value in data]
    if isinstance(data, int) and not -(2**63) <= data < 2**64:
        return msgspec.msgpack.Ext(1, f"{data:x}".encode())
    return data


def array(values: np.ndarray | None) -> Any:
    """[dtype, shape, packed bytes] of an array: LZ4, a tenth of what deflating costs."""
    if values is None:
        return None
    import pyarrow as pa

    plain = pa.py_buffer(np.ascontiguousarray(values).view(np.uint8).reshape(-1))
    return [values.dtype.str, list(values.shape), pa.compress(plain, codec="lz4", asbytes=True)]


def unarray(state: Any) -> np.ndarray | None:
    if state is None:
        return None
    import pyarrow as pa

    dtype, shape, packed = state
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    plain = pa.decompress(packed, decompressed_size=size, codec="lz4", asbytes=True)
    return np.frombuffer(bytearray(plain), dtype=dtype).reshape(shape)


def rows_out(rows: Rows) -> Any:
    columns = {
        k: array(v) if isinstance(v, np.ndarray) else {"raw": v.listed() if isinstance(v, Coded) else v}
        for k, v in rows.columns.items()
    }
    return [array(rows.at), rows.ids, columns, array(rows.errors)]


def rows_in(state: Any) -> Rows:
    columns = {k: v["raw"] if isinstance(v, dict) else unarray(v) for k, v in state[2].items()}
    return Rows(at=unarray(state[0]), ids=state[1], columns=columns, errors=unarray(state[3]))


def freeze_model(model: Model) -> dict[str, Any]:
    """Plain data of one model; `thaw_model` reads it in any process."""
    return {
        "name": [model.tenant, model.model],
        "references": list(references(model)),
        "reference": model.reference.id if model.reference else None,
        "learning": [rows_out(rows) for rows in model.learning],
        "learning_rows": [model.learning_rows, model.restless],
        "served": model.memory.snapshot(array),
        "clock": model.clock.snapshot(msgspec.to_builtins),
        "counts": [model.silent_since, model.serving, model.rows, model.duplicates, model.labels, model.unknown_labels],
        "told": sorted(model.told),
        "flow": model.flow.snapshot(),
        "versions": [freeze_version(v) for v in model.versions.values()],
    }


def thaw_model(monitor: Monitor, state: dict[str, Any], known: dict[str, bytes]) -> None:
    tenant, name = state["name"]
    monitor.models.pop((tenant, name), None)
    model = monitor.model(tenant, name)
    references = {key: baseline.decode(known[key]) for key in state["references"]}
    model.given = {key: (reference, reference.error) for key, reference in references.items()}
    model.reference = references.get(state["reference"])
    used = {one["watch"]["reference"] for one in state["versions"] if one["watch"] is not None}
    model.compiled = {key: Compiled(references[key], model.options) for key in sorted(used)}
    model.learning, model.learning_rows = [rows_in(r) for r in state["learning"]], state["learning_rows"][0]
    model.restless = state["learning_rows"][1]
    model.memory.restore(state["served"], unarray)
    model.clock.restore(state["clock"], lambda event: msgspec.convert(event, InferenceServed))
    model.silent_since, model.serving, model.rows, model.duplicates, model.labels, model.unknown_labels = state[
        "counts"
    ]
    model.told = set(state["told"])
    model.flow.restore(state["flow"])
    model.changed = False
    for one in state["versions"]:
        version = thaw_version(model, one, references)
        model.versions[version.name] = version


def held_against(data: bytes) -> list[tuple[str, str, bool]]:
    """(version, id of its reference, whether it serves now) of one model's piece. Raises ValueError as `thaw`."""
    [state] = _opened(data)[0]
    serving = state["counts"][1]
    found = [(one["name"], one["reference"]) for one in state["versions"] if one["reference"] is not None]
    return [(name, key, name == serving) for name, key in found]


def reference_of(data: bytes) -> Reference:
    """The reference in its own piece. Raises ValueError as `thaw`."""
    [reference] = _opened(data)[1].values()
    return baseline.decode(reference)


def _opened(data: bytes) -> list[Any]:
    form, *held = unpack(data)
    if form != FORMAT:
        raise ValueError(f"snapshot of format {form}, this release reads {FORMAT}: start without it")
    return held


def freeze_version(version: Version) -> dict[str, Any]:
    return {
        "name": version.name, "pending": msgspec.to_builtins(version.pending),
        "parts": [rows_out(part) for part in version.parts],
        "counts": [version.first_at, version.last_at, version.rows, version.away], "flow": version.flow,
        "approved": version.approved,
        "reference": version.reference.id if version.reference else None,
        "watch": None if version.watch is None else freeze_watch(version.watch),
        "segments": None if version.segments is None else freeze_segments(version.segments),
        "errors": None if version.errors is None else freeze_errors(version.errors),
        "failures": None if version.failures is None else freeze_errors(version.failures),
    }  # fmt: skip


def thaw_version(model: Model, state: dict[str, Any], references: dict[str, Reference]) -> Version:
    version = Version(state["name"])
    version.pending = [msgspec.convert(p, InferenceServed) for p in state["pending"]]
    version.parts = [rows_in(part) for part in state["parts"]]
    version.first_at, version.last_at, version.rows, version.away = state["counts"]
    version.reference = references.get(state["reference"])
    version.flow, version.approved = state["flow"], state.get("approved", "")
    if state["watch"] is not None:
        version.watch = Watch(model.compiled[state["watch"]["reference"]], model.options)
        thaw_watch(version.watch, state["watch"])
    if state["segments"] is not None and version.reference is not None:
        version.segments = Segments(version.reference.segments, model.options)
        for name, (parts, watch) in state["segments"].items():
            version.segments.parts[name] = [rows_in(part) for part in parts]
            thaw_watch(version.segments.watches[name], watch)
    if state["errors"] is not None:
        version.errors = thaw_errors(model, state["errors"])
    if state.get("failures") is not None:
        version.failures = thaw_errors(model, state["failures"])
    return version


def freeze_segments(segments: Segments) -> dict[str, Any]:
    return {
        name: [[rows_out(part) for part in segments.parts[name]], freeze_watch(watch)]
        for name, watch in segments.watches.items()
    }


WATCH = ("row", "first_at", "last_at", "window_start", "window_end", "window_rows", "boundary", "hushed")


def freeze_watch(watch: Watch) -> dict[str, Any]:
    return {
        "reference": watch.compiled.reference.id, "state": freeze_state(watch.state),
        "plain": [getattr(watch, name) for name in WATCH], "hush": watch.hush.tolist(),
        "readers": watch.readers.snapshot(),
        "troubles": [msgspec.to_builtins(t) for t in watch.troubles.values()],
    }  # fmt: skip


def freeze_state(state: State) -> list[Any]:
    """The counts of blocks, which are most of it, two to a byte; the rest packed as it is."""
    from detectors.packing import halved

    size = state.ring.nbytes
    packed, more = halved(whole(state)[:size])
    return [packed.tobytes(), more.tobytes(), array(whole(state)[size:])]


def thaw_state(state: State, kept: list[Any]) -> None:
    from detectors.packing import doubled

    block, size = whole(state), state.ring.nbytes
    packed, more, rest = kept
    doubled(np.frombuffer(packed, np.uint8), np.frombuffer(more or b"\0", np.uint8), block[:size])
    block[size:] = unarray(rest)


def thaw_watch(watch: Watch, state: dict[str, Any]) -> None:
    thaw_state(watch.state, state["state"])
    for name, value in zip(WATCH, state["plain"], strict=True):
        setattr(watch, name, value)
    watch.hush = np.array(state["hush"])
    watch.readers.restore(state["readers"])
    troubles = [msgspec.convert(t, Trouble) for t in state["troubles"]]
    watch.troubles = {t.kind: t for t in troubles}


ERRORS = (
    "task",
    "learning",
    "times",
    "stride",
    "rows",
    "fired",
    "calm_rows",
    "calm_sum",
    "patience",
    "window",
    "window_start",
    "window_end",
)


def freeze_errors(errors: ErrorWatch) -> dict[str, Any]:
    return {
        "plain": [getattr(errors, name) for name in ERRORS],
        "reference": None if errors.reference is None else msgspec.to_builtins(errors.reference),
        "pairs": list(errors.pairs),
        "long": list(errors.long),
        "marks": errors.marks.snapshot(),
        "detectors": {name: detector.snapshot() for name, detector in errors.detectors.items()},
    }


def thaw_errors(model: Model, state: dict[str, Any]) -> ErrorWatch:
    reference = None if state["reference"] is None else msgspec.convert(state["reference"], ErrorReference)
    errors = ErrorWatch(model.options, reference)
    for name, value in zip(ERRORS, state["plain"], strict=True):
        setattr(errors, name, value)
    errors.pairs, errors.long = tuple(state["pairs"]), tuple(state["long"])
    errors.marks.restore(state["marks"])
    for name, detector in errors.detectors.items():
        if name in state["detectors"]:
            detector.restore(state["detectors"][name])
    return errors
