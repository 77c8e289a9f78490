"""OpenLineage events into the lineage graph: run, job and dataset events, in any order, with repeats.

Understood facets: `ownership`, `documentation`, `tags`, `schema`, `columnLineage`, `datasetType`, `jobType`,
`parent`, `lifecycleStateChange`, and run times. An unknown facet is ignored, as the standard asks.

Kinds: a tag `kind` (`feature`, `model`, `service` ...) decides; then the dataset type facet; then the namespace
(`models:`, `mlflow:`). Columns that feed a *model* become feature nodes of their own, named by the column, between
dataset and model; a tag `importance` on that model's column lineage transformation is not in the standard, so
importances come from a tag `importance:<feature>` on the model's dataset, or from the hand-written file.

Reference: https://openlineage.io/spec (2-0-2), and its facets.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from knowledge.lineage import KINDS, Edge, Lineage, Node
from knowledge.words import clean

MAX_ENDS = 1_000
MAX_COLUMNS = 500
FAR = 4_102_444_800.0
"""2100-01-01: the newest statement wins, so one from a broken clock would win for good."""
_TYPES = {"MODEL": "model", "FEATURE": "feature", "SERVICE": "service", "ENDPOINT": "service"}
_SCHEMES = {"mlflow": "model", "models": "model", "model": "model", "endpoint": "service", "feature": "feature"}
_STATES = {
    "START": "start",
    "RUNNING": "running",
    "COMPLETE": "complete",
    "FAIL": "fail",
    "ABORT": "abort",
    "OTHER": "other",
}


class LineageError(ValueError):
    """The event is not OpenLineage; the message names the field and what it should hold."""


def learn(graph: Lineage, event: dict[str, Any]) -> None:
    """Adds what one decoded OpenLineage event says to the graph.

    Raises:
        LineageError: the event cannot be read; the graph is then unchanged.
    """
    if not isinstance(event, dict):
        raise LineageError("lineage event is not an object; send an OpenLineage RunEvent, JobEvent or DatasetEvent")
    at = _time(event)
    kind = event.get("eventType")
    if kind is not None and str(kind).upper() not in _STATES:
        raise LineageError(f"eventType {str(kind)[:40]!r} is not one of {', '.join(_STATES)}")
    state = _STATES.get(str(kind or "").upper(), "")
    if "dataset" in event and "job" not in event:
        facts = _dataset(event["dataset"], "dataset", at, written=False)
        _apply(graph, [facts], [])
        return
    job = _named(event.get("job"), "job")
    ins = [_dataset(item, f"inputs[{at_}]", at, written=False) for at_, item in enumerate(_list(event, "inputs"))]
    outs = [
        _dataset(item, f"outputs[{at_}]", at, written=state == "complete")
        for at_, item in enumerate(_list(event, "outputs"))
    ]
    node = _job(event, job, at, state)
    edges = [Edge(source=dataset.id, target=job, kind="reads", seen=at) for dataset, *_ in ins]
    edges += [Edge(source=job, target=dataset.id, kind="writes", seen=at) for dataset, *_ in outs]
    parents = list(_parents(event))
    edges += [Edge(source=parent, target=job, kind="contains", seen=at) for parent, _ in parents]
    known = [(Node(id=parent, kind="job", name=name), at, []) for parent, name in parents]
    _apply(graph, [*ins, *outs, *known, (node, at, [])], edges)


def _apply(graph: Lineage, facts: list[tuple[Node, float, list]], edges: list[Edge]) -> None:
    for node, at, _ in facts:
        graph.add(node, at)
    for edge in edges:
        graph.connect(edge)
    for node, at, columns in facts:
        for source, column, target in columns:
            _column(graph, node, source, column, target, at)


def _column(graph: Lineage, node: Node, source: str, column: str, target: str, at: float) -> None:
    if node.kind != "model":
        graph.connect(Edge(source=source, target=node.id, kind="columns", columns=(f"{column}>{target}",), seen=at))
        return
    feature = f"{source}#{column}"
    graph.add(Node(id=feature, kind="feature", name=column), at)
    graph.connect(Edge(source=source, target=feature, kind="column", seen=at))
    graph.connect(
        Edge(source=feature, target=node.id, kind="feeds", importance=_importance(node.tags, column), seen=at)
    )


def _job(event: dict[str, Any], job: str, at: float, state: str) -> Node:
    facets = _facets(event["job"], "job")
    tags = _tags(facets)
    job_type = str(_facet(facets, "jobType").get("jobType", "")).upper()
    kind = _tag(tags, "kind") or {"TRAINING": "training_job", "LABELING": "label_job"}.get(job_type, "job")
    done = at if state == "complete" else 0.0
    return Node(
        id=job, kind=kind if kind in KINDS else "job", name=_text(event["job"]["name"]), owner=_owner(facets),
        tags=tags, tier=_tag(tags, "tier"), last_run=done,
        description=_text(_facet(facets, "documentation").get("description", "")),
        runs=(done,) if done else (), last_state=state, state_at=at if state else 0.0,
    )  # fmt: skip


def _parents(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The job whose run started this one (a DAG and its task), and that run's root where it is another."""
    facet = _facet(_facets(event.get("run") or {}, "run"), "parent")
    root = facet.get("root")
    for holder in (facet, root if isinstance(root, dict) else {}):
        job = holder.get("job")
        if isinstance(job, dict) and isinstance(job.get("name"), str) and isinstance(job.get("namespace"), str):
            yield _named(job, "parent.job"), _text(job["name"])


def _dataset(item: Any, where: str, at: float, written: bool) -> tuple[Node, float, list[tuple[str, str, str]]]:
    name = _named(item, where)
    facets = _facets(item, where)
    tags = _tags(facets)
    scheme = str(item["namespace"]).split(":", 1)[0].lower()
    kind = (
        _tag(tags, "kind")
        or _TYPES.get(str(_facet(facets, "datasetType").get("datasetType", "")).upper())
        or _SCHEMES.get(scheme, "dataset")
    )
    change = str(_facet(facets, "lifecycleStateChange").get("lifecycleStateChange", "")).upper()
    dead = {"DROP": True, "CREATE": False, "OVERWRITE": False}.get(change)
    node = Node(
        id=name, kind=kind if kind in KINDS else "dataset", name=_text(item["name"]), owner=_owner(facets), tags=tags,
        tier=_tag(tags, "tier"), description=_text(_facet(facets, "documentation").get("description", "")),
        last_run=at if written else 0.0, dead=dead,
    )  # fmt: skip
    return node, at, list(_columns(_facet(facets, "columnLineage"), where))


def _columns(facet: dict[str, Any], where: str) -> Iterator[tuple[str, str, str]]:
    """(source dataset, its column, our column) for each entry of a column lineage facet."""
    fields = facet.get("fields")
    for target, entry in list(fields.items())[:MAX_COLUMNS] if isinstance(fields, dict) else []:
        sources = entry.get("inputFields") if isinstance(entry, dict) else None
        for source in sources[:MAX_COLUMNS] if isinstance(sources, list) else []:
            if isinstance(source, dict) and isinstance(source.get("field"), str):
                yield _named(source, f"{where}.columnLineage"), _text(source["field"]), _text(target)


def _time(event: dict[str, Any]) -> float:
    value = event.get("eventTime")
    try:
        moment = datetime.fromisoformat(value)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        raise LineageError(f"eventTime {str(value)[:40]!r} is not a time; write it as 2026-10-02T03:00:00Z") from None
    if not math.isfinite(seconds) or seconds <= 0:
        raise LineageError(f"eventTime {str(value)[:40]!r} is before 1970; check the producer's clock")
    if seconds > FAR:
        raise LineageError(f"eventTime {str(value)[:40]!r} is after 2100; check the producer's clock")
    return seconds


def _named(item: Any, where: str) -> str:
    """`namespace/name`, cleaned: the id OpenLineage gives to jobs and datasets."""
    if not isinstance(item, dict):
        raise LineageError(f"{where} is not an object with namespace and name")
    parts = [item.get("namespace"), item.get("name")]
    told = [_text(part) if isinstance(part, str) else "" for part in parts]
    if not all(told):
        raise LineageError(f"{where} has no namespace and name; both are required text")
    return "/".join(told)


def _list(event: dict[str, Any], key: str) -> list:
    items = event.get(key) or []
    if not isinstance(items, list):
        raise LineageError(f"{key} is not a list of datasets")
    if len(items) > MAX_ENDS:
        raise LineageError(f"{key} has {len(items):,} datasets, over {MAX_ENDS:,}; split the job")
    return items


def _facets(item: dict[str, Any], where: str) -> dict[str, Any]:
    facets = (item.get("facets") if isinstance(item, dict) else None) or {}
    if not isinstance(facets, dict):
        raise LineageError(f"{where}.facets is not an object")
    return facets


def _facet(facets: dict[str, Any], name: str) -> dict[str, Any]:
    facet = facets.get(name)
    return facet if isinstance(facet, dict) and not facet.get("_deleted") else {}


def _owner(facets: dict[str, Any]) -> str:
    owners = _facet(facets, "ownership").get("owners")
    names = (
        [owner["name"] for owner in owners if isinstance(owner, dict) and isinstance(owner.get("name"), str)]
        if isinstance(owners, list)
        else []
    )
    return _text(names[0]) if names else ""


def _tags(facets: dict[str, Any]) -> tuple[str, ...]:
    tags = _facet(facets, "tags").get("tags")
    pairs = (
        [tag for tag in tags if isinstance(tag, dict) and isinstance(tag.get("key"), str)]
        if isinstance(tags, list)
        else []
    )
    return tuple(sorted({_text(f"{tag['key']}={tag.get('value', '')}") for tag in pairs[:100]}))


def _tag(tags: tuple[str, ...], key: str) -> str:
    return next((value for name, _, value in (tag.partition("=") for tag in tags) if name == key), "")


def _importance(tags: tuple[str, ...], column: str) -> float | None:
    try:
        value = float(_tag(tags, f"importance:{column}"))
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _text(value: Any) -> str:
    return " ".join(clean(str(value), 300).split())
