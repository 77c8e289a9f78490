"""A recorded case, read from its folder: the visible part alone. The sealed truth (`case.toml`) is never opened here.

The folder holds `alert.json`, `telemetry.jsonl` (series of numbers by node), `lineage.jsonl` (OpenLineage RunEvents),
`changes.jsonl`, `schema.json` (what each metric means, in the tenant's own words) and perhaps `runbooks/`. A `.jsonl`
may be packed as `.jsonl.gz`.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents import sanitise
from agents.metrics import Role, role_described
from core.events import epoch

MOST = 200_000_000
"""Bytes that an unpacked file may have: a few kilobytes can be packed to unpack to any number."""


class Series(NamedTuple):
    """One metric of one node over time. `at` ascending, epoch seconds; `value` without gaps; `n` rows behind each."""

    row_id: str
    node: str
    metric: str
    feature: str
    segment: str
    at: Any
    value: Any
    n: Any
    role: Role


class Edge(NamedTuple):
    """`source` feeds `target`; `kind` as the tenant calls it; importance in 0..1 or None; lag in seconds."""

    source: str
    target: str
    kind: str
    importance: float | None
    lag: float


class Case(NamedTuple):
    """What an investigator may see. `nodes`: id -> {name, kind, owner, cadence_s}."""

    name: str
    alert: dict[str, Any]
    at: float
    nodes: dict[str, dict[str, Any]]
    edges: list[Edge]
    series: list[Series]
    changes: list[dict[str, Any]]
    runbooks: list[dict[str, str]]

    @property
    def segment(self) -> str:
        """The slice of the traffic that alerted; empty for all of it."""
        return str(self.alert.get("segment") or "")


def read(folder: Path) -> Case:
    """The case in `folder`. Raises ValueError naming the file and line of what cannot be read."""
    folder = Path(folder)
    alert = _object(folder / "alert.json")
    for key in ("node", "ts"):
        if key not in alert:
            raise ValueError(f"{folder.name}/alert.json has no {key!r}: name the node that alerted and when")
    schema = _object(folder / "schema.json") if (folder / "schema.json").exists() else {}
    nodes, edges = lineage(folder)
    nodes.setdefault(alert["node"], {"name": str(alert["node"]), "kind": ""})
    roles = _roles(schema, f"{folder.name}/schema.json")
    series = _telemetry(folder / "telemetry.jsonl", nodes, roles)
    changes = [_change(row, folder, i) for i, row in enumerate(_rows(folder / "changes.jsonl"), 1)]
    return Case(folder.name, alert, _time(alert["ts"], folder, "alert.json"), nodes, edges, series,
                sorted(changes, key=lambda c: (c["at"], c["id"])), _runbooks(folder))  # fmt: skip


def lineage(folder: Path) -> tuple[dict[str, dict[str, Any]], list[Edge]]:
    """Nodes and edges of the case's lineage alone. Raises ValueError naming the file and line."""
    return _lineage(_rows(folder / "lineage.jsonl"), f"{folder.name}/lineage.jsonl")


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path.parent.name}/{path.name} is missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.parent.name}/{path.name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.parent.name}/{path.name} must be one JSON object")
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file; a missing file is an empty one (what is not known is not there)."""
    found = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path.parent.name}/{path.name}:{number}: not JSON: {error.msg}") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path.parent.name}/{path.name}:{number}: must be one JSON object")
        found.append(row)
    return found


def _lines(path: Path) -> list[str]:
    """The lines of a file or of its packed twin (`.gz`); none when there is neither."""
    packed = path.with_name(path.name + ".gz")
    try:
        if path.exists():
            return path.read_text("utf-8").splitlines()
        if packed.exists():
            with gzip.open(packed) as file:
                text = file.read(MOST + 1)
            if len(text) > MOST:
                raise ValueError(f"{path.parent.name}/{packed.name} holds more than {MOST // 1_000_000} MB")
            return text.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.parent.name}/{path.name} is not UTF-8 text: {error.reason}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.parent.name}/{path.name} cannot be read: {error}") from None
    return []


def _time(value: Any, folder: Path, file: str) -> float:
    try:
        return epoch(value)
    except ValueError as error:
        raise ValueError(f"{folder.name}/{file}: {error}") from None


def _change(row: dict[str, Any], folder: Path, number: int) -> dict[str, Any]:
    return {
        "id": sanitise.name(row.get("id", f"line-{number}")),
        "at": _time(row.get("at"), folder, f"changes.jsonl:{number}"),
        "kind": sanitise.name(row.get("kind", "configuration")),
        "target": str(row.get("target", "")),
        "tool": sanitise.name(row.get("tool", "")) if row.get("tool") else "",
        "summary": sanitise.template(row.get("summary", ""), 200),
    }


def _lineage(events: list[dict[str, Any]], where: str) -> tuple[dict[str, dict[str, Any]], list[Edge]]:
    """Nodes and edges. A node is known by the id in its `node` facet, else by its name. An event with outputs is a job
    between its inputs and its outputs; one without stands for what it consumes into (a model, a service)."""
    nodes: dict[str, dict[str, Any]] = {}
    ids: dict[str, str] = {}
    edges: dict[tuple[str, str], Edge] = {}
    for read in (_names, _edges):
        for number, event in enumerate(events, 1):
            try:
                read(event, ids, nodes, edges)
            except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
                told = f"no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
                raise ValueError(f"{where}:{number}: not an OpenLineage RunEvent as expected here: {told}") from None
    return nodes, list(edges.values())


def _names(event: dict[str, Any], ids: dict[str, str], nodes: dict[str, dict[str, Any]], _: Any) -> None:
    for item in (event.get("job"), *(event.get("inputs") or ()), *(event.get("outputs") or ())):
        told = ((item or {}).get("facets") or {}).get("node")
        if told and "id" in told:
            ids.setdefault(str(item["name"]), str(told["id"]))
            nodes[str(told["id"])] = {"name": sanitise.name(item["name"]), **told}


def _edges(
    event: dict[str, Any],
    ids: dict[str, str],
    nodes: dict[str, dict[str, Any]],
    edges: dict[tuple[str, str], Edge],
) -> None:
    own = _node_of(event.get("job"), ids, nodes)
    if own is None:
        return
    for item in event.get("inputs") or ():
        source = _node_of(item, ids, nodes)
        told = (item.get("facets") or {}).get("edge") or {}
        if source is not None and source != own:
            importance = told.get("importance")
            share = None if importance is None else min(max(float(importance), 0.0), 1.0)
            edges[source, own] = Edge(source, own, str(told.get("kind", "reads")), share, float(told.get("lag_s") or 0))
    for item in event.get("outputs") or ():
        sink = _node_of(item, ids, nodes)
        if sink is not None and sink != own:
            edges[own, sink] = Edge(own, sink, "writes", None, 0.0)


def _node_of(item: Any, ids: dict[str, str], nodes: dict[str, dict[str, Any]]) -> str | None:
    if not isinstance(item, dict) or "name" not in item:
        return None
    name = str(item["name"])
    found = ids.get(name, name)
    nodes.setdefault(found, {"name": sanitise.name(name), "kind": ""})
    return found


def _roles(schema: dict[str, Any], where: str) -> dict[tuple[str, str], Role]:
    """(metric, node kind) -> role, from the tenant's own documentation of its metrics."""
    found: dict[tuple[str, str], Role] = {}
    metrics = schema.get("metrics") or []
    if not isinstance(metrics, list):
        raise ValueError(f"{where}: `metrics` must be a list")
    for row in metrics:
        if not isinstance(row, dict) or not isinstance(row.get("of") or [], list):
            raise ValueError(f"{where}: each of its `metrics` must be an object, with `of` a list of node kinds")
        name = str(row.get("name", ""))
        role = role_described(
            name, str(row.get("description", "")), str(row.get("worse", "")), str(row.get("unit", ""))
        )
        for kind in row.get("of") or ("",):
            found[name, str(kind).replace(" ", "_")] = role
        found.setdefault((name, ""), role)
    return found


def _telemetry(path: Path, nodes: dict[str, dict[str, Any]], roles: dict[tuple[str, str], Role]) -> list[Series]:
    grids: dict[str, dict[str, Any]] = {}
    found = []
    for number, row in enumerate(_rows(path), 1):
        if "value" not in row:
            grids[str(row.get("grid"))] = row
            continue
        try:
            at, value, n = _numbers(row, row if "at" in row else grids.get(str(row.get("grid"))))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path.parent.name}/{path.name}:{number}: {error}") from None
        seen = np.isfinite(value) & np.isfinite(at)
        order = np.argsort(at[seen], kind="stable")
        node, metric = str(row.get("node", "")), str(row.get("metric", ""))
        kind = str(nodes.get(node, {}).get("kind", ""))
        role = roles.get((metric, kind)) or roles.get((metric, "")) or role_described(metric, "", "", "")
        nodes.setdefault(node, {"name": sanitise.name(node), "kind": ""})
        found.append(
            Series(str(row.get("row_id", f"line-{number}")), node, metric, str(row.get("feature") or ""),
                   str(row.get("segment") or ""), at[seen][order], value[seen][order], n[seen][order], role)
        )  # fmt: skip
    return found


def _numbers(row: dict[str, Any], grid: dict[str, Any] | None) -> tuple[Any, Any, Any]:
    """Times, values (NaN for a gap) and row counts of a series. Raises ValueError or TypeError saying what is wrong."""
    if grid is None or len(grid.get("at", ())) != len(row["value"]):
        raise ValueError("its times are missing or as many as its values are not")
    at = np.array(grid["at"], float)
    value = np.array([math.nan if v is None else v for v in row["value"]], float)
    return at, value, np.broadcast_to(np.asarray(row.get("n", grid.get("n", 1)), float), at.shape)


def _runbooks(folder: Path) -> list[dict[str, str]]:
    place = folder / "runbooks"
    files = sorted(place.glob("*.md")) if place.is_dir() else []
    return [{"file": f.name, "text": f.read_text("utf-8", "replace")[:20_000]} for f in files[:200]]


def when(at: float) -> str:
    """A time for people: `2026-04-05 16:00Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%MZ")
