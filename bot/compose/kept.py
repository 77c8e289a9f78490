"""The baselines in use: read out of what detection stored, carried out as a file, brought in from one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bot.compose.ground import Ground
from core.detect import NOTE, PARTITIONS
from core.errors import MiddlewatchError
from core.events import content_id
from core.ports import Rebaseline
from core.privacy import Mask
from core.triage import rebaselined

ENDING = ".baseline"
LEARN = (".parquet", ".csv", ".ndjson", ".jsonl")


async def models(house: Ground, wanted: str) -> list[tuple[str, str]]:
    """(tenant, model) of all that are watched, or of the one called `wanted` (`model` or `tenant/model`)."""
    known = await house.views.telemetry.models()
    found = [(t, m) for t, m in known if not wanted or wanted in (m, f"{t}/{m}")]
    if wanted and len(found) != 1:
        names = ", ".join(f"{t}/{m}" for t, m in (found or known)) or "none: publish to inference.<tenant>.<model>"
        what = "is served for several tenants" if found else "is not watched"
        raise MiddlewatchError(f"model {wanted!r} {what}: name one of {names}")
    return found


async def versions(house: Ground, tenant: str, model: str) -> list[tuple[str, Any, bool]]:
    """(version, its `detectors.baseline.Reference`, whether it serves now) as last stored, at most seconds ago."""
    from detectors.memory import held_against, reference_of

    name, snapshots, found = f"{tenant}/{model}", house.views.snapshots, []
    for place in (f"detect:{n}" for n in range(PARTITIONS)):
        data = await snapshots.piece(place, name)
        for version, key, serving in held_against(data) if data else ():
            reference = await snapshots.piece(place, f"{name}#{key}")
            if reference is not None:
                found.append((version, reference_of(reference), serving))
    return found


async def chosen(house: Ground, wanted: str, version: str) -> Any:
    """The Reference of that version of the model; of the one that serves when `version` is empty."""
    [(tenant, model)] = await models(house, wanted)
    found = await versions(house, tenant, model)
    for name, reference, serving in found:
        if name == version or (serving and not version):
            return reference
    have = ", ".join(name for name, _, _ in found)
    if have:
        raise MiddlewatchError(f"{tenant}/{model}: no baseline of version {version!r}: there are those of {have}")
    rows = house.policy.detection.baseline_rows
    raise MiddlewatchError(
        f"{tenant}/{model} has no baseline yet: it is learnt from its first {rows:,} rows; or bring one with "
        "`python -m bot baseline import`"
    )


async def table(house: Ground, wanted: str) -> list[dict[str, Any]]:
    """One row a version: what it is held against, since when, by whose word, and what was refused lately."""
    approved = {(a.tenant, a.model, a.version): a for a in await house.views.rebaselines.rebaselines()}
    rows = []
    for tenant, model in await models(house, wanted):
        note = await house.views.flags.get_flag(f"{NOTE}{tenant}/{model}")
        said = msgspec.json.decode(note)["text"] if note else ""
        for version, reference, serving in await versions(house, tenant, model):
            rows.append(_row(reference, version, serving) | {"note": said})
        waiting = [a for key, a in approved.items() if key[:2] == (tenant, model)]
        named = {row["version"]: row for row in rows if (row["tenant"], row["model"]) == (tenant, model)}
        for one in waiting:
            word = {"by": one.by, "at": one.at, "reason": one.reason, "file": one.file}
            if one.version in named:
                named[one.version]["approved"] = word
            else:
                rows.append({"tenant": tenant, "model": model, "version": one.version, "approved": word, "note": said})
        if not named and not waiting:
            rows.append({"tenant": tenant, "model": model, "version": "", "approved": None, "note": said})
    return rows


def _row(reference: Any, version: str, serving: bool) -> dict[str, Any]:
    return {
        "tenant": reference.tenant, "model": reference.model, "version": version, "serving": serving,
        "id": reference.id, "rows": reference.rows, "source": reference.source, "start": reference.start,
        "end": reference.end, "signals": len(reference.columns), "errors": reference.error is not None,
        "approved": None,
    }  # fmt: skip


def shown(reference: Any, masked: Sequence[str] = ()) -> dict[str, Any]:
    """Everything of a Reference that a person may want to see, as plain data; of masked features no values."""
    told = Mask(masked).signals(reference.exported().signals)
    signals = [
        {
            "signal": column.signal, "kind": column.bins.kind,
            "summary": msgspec.to_builtins(told[column.signal].summary),
            "histogram": msgspec.to_builtins(told[column.signal].histogram),
            "independent_rows": round(reference.rows / max(column.whole, 1.0)), "season": bool(column.season),
        }
        for column in reference.columns if column.signal in told
    ]  # fmt: skip
    error = reference.error
    wrong = None if error is None else {"rows": error.rows, "mean": error.mean, "task": error.task}
    return _row(reference, reference.version, False) | {
        "learnt": signals, "error": wrong, "notes": reference.notes, "segments": sorted(reference.segments),
    }  # fmt: skip


async def carried_out(house: Ground, wanted: str, version: str, out: Path) -> Any:
    """Write the baseline to `out`, for `import`, for another Middlewatch, or for a policy to name."""
    from detectors.baseline import encode

    if out.suffix != ENDING:
        raise MiddlewatchError(f"{out}: an exported baseline is named *{ENDING}; `baseline show --json` is for reading")
    reference = await chosen(house, wanted, version)
    try:
        out.write_bytes(encode(reference))
    except OSError as error:
        raise MiddlewatchError(f"{out} cannot be written: {error.strerror}") from None
    return reference


async def brought_in(house: Ground, wanted: str, version: str, file: Path, reason: str) -> Any:
    """Have the version (the one that serves, when empty) held against the baseline in `file` from now on.

    Raises MiddlewatchError saying why a file cannot be one, before anything is changed.
    """
    from detectors.baseline import encode

    [(tenant, model)] = await models(house, wanted)
    seen = await versions(house, tenant, model)
    version = version or next((name for name, _, serving in seen if serving), "")
    if not version:
        raise MiddlewatchError(f"{tenant}/{model} has no serving version yet: name one with --version")
    reference = await asyncio.to_thread(_fit, house, tenant, model, version, file)
    await _related(house, tenant, model, reference, file)
    now, by = time.time(), "the command line"
    approved = Rebaseline(
        id=content_id("reb", tenant, model, version, now, by), tenant=tenant, model=model, version=version, at=now,
        by=by, reason=reason, file=file.name,
    )  # fmt: skip
    await rebaselined(house.log, approved)
    await house.views.rebaselines.put_rebaseline(approved, encode(reference))
    return reference


def _fit(house: Ground, tenant: str, model: str, version: str, file: Path) -> Any:
    from detectors.from_file import reference
    from detectors.options import options_of

    if file.suffix not in (ENDING, *LEARN):
        raise MiddlewatchError(f"{file}: give an exported *{ENDING}, or rows as {', '.join('*' + e for e in LEARN)}")
    options = options_of(house.policy.detection, house.policy.rules(tenant, model))
    found = reference(file, tenant, model, version, options)
    if found.rows < options.baseline_min_rows:
        raise MiddlewatchError(
            f"{file}: a baseline of {found.rows} rows is too small: it needs {options.baseline_min_rows} or more"
        )
    return msgspec.structs.replace(found, tenant=tenant, model=model)


async def _related(house: Ground, tenant: str, model: str, reference: Any, file: Path) -> None:
    """A baseline of another model would make every feature new and every known one silent."""
    windows = await house.views.telemetry.windows(tenant, model, limit=3)
    sent = {name for window in windows for name in _features(window.signals)}
    knows = _features(column.signal for column in reference.columns)
    if sent and not sent & knows:
        names = [", ".join(sorted(some)[:5]) or "no feature" for some in (knows, sent)]
        raise MiddlewatchError(
            f"{file} is no baseline of {tenant}/{model}: it knows {names[0]}; the model sends {names[1]}"
        )


def _features(signals: Iterable[str]) -> set[str]:
    """Names of the features among signals, or behind them: `relation:a` and `feature:a` both speak of a."""
    return {name for _, _, name in (signal.partition(":") for signal in signals) if name}
