"""Recorded cases: a folder anyone can read or write without Python.

    case.toml         the sealed truth; `read_case` never opens it
    alert.json        {"id","ts","tenant","node","metric","feature"?,"detector","observed","expected","severity",
                      "segment"?}
    telemetry.jsonl   {"grid":"g1","at":[epoch seconds...]} once per set of times, then a line per series:
                      {"row_id","node","metric","feature"?,"segment"?,"grid":"g1","n":median rows behind a value,
                      "value":[...]} (or "at" in the line itself, and "n" a list); `value[i]` was seen at `at[i]`, null
                      is a gap; it is cited as "<row_id>@<at[i]>"
    lineage.jsonl     OpenLineage RunEvents, one per node that has inputs or outputs; the facet `node` of jobs and
                      datasets has id, kind, owner, cadence_s, tags; the facet `edge` of inputs has kind, importance?,
                      lag_s
    changes.jsonl     ChangeRecorded as on the wire; `target` is a node id; `tool` tells the tool that wrote it
    schema.json       the tenant's documentation of its metrics: name, of, unit, worse, per, description
    runbooks/         Markdown, only if the case has its own

A .jsonl file may be packed as .jsonl.gz (`zcat` shows it). Nodes are named by id everywhere; their readable names are
the names of jobs and datasets in the lineage.
"""

import gzip
import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bot.simulator.case import BUDGET, Case, case_of
from bot.simulator.episode import Episode
from bot.simulator.lineage import DATASETS
from bot.simulator.visible import Series, significant

_PRODUCER = "https://middlewatch.example/simulator"
_RUN_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"


def record(episode: Episode, folder: Path | str, budget: int = BUDGET, packed: bool = False) -> Path:
    """Write an episode as a case folder (made if absent) of about `budget` bytes; the truth goes to case.toml alone.

    `packed`: the .jsonl files are written as .jsonl.gz, a sixth of the size.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _lines = _packed if packed else _plain
    case = case_of(episode.visible, budget)
    (folder / "alert.json").write_text(json.dumps(case.alert, indent=1) + "\n")
    (folder / "schema.json").write_text(json.dumps(case.schema, indent=None, separators=(",", ":")) + "\n")
    _lines(folder / "telemetry.jsonl", _telemetry(case))
    _lines(folder / "lineage.jsonl", run_events(case))
    _lines(
        folder / "changes.jsonl",
        [{key: value for key, value in change.items() if key != "when"} for change in case.changes],
    )
    (folder / "case.toml").write_text(
        to_toml({"seed": episode.seed, "profile": episode.profile} | episode.truth.plain())
    )
    return folder


def read_case(folder: Path | str) -> Case:
    """Read the visible part of a case. Raises ValueError naming the file and line of anything malformed."""
    folder = Path(folder)
    alert, schema = (_json(folder / name, (folder / name).read_text(), 0) for name in ("alert.json", "schema.json"))
    changes = [
        change | {"when": datetime.fromisoformat(change["at"]).timestamp()}
        for change in _read(folder / "changes.jsonl")
    ]
    nodes, edges = graph_of(_read(folder / "lineage.jsonl"))
    return Case(
        alert, nodes, edges, _series(folder / "telemetry.jsonl"), sorted(changes, key=lambda c: c["when"]), schema
    )


def read_truth(folder: Path | str) -> dict:
    """The sealed truth of a case, for scoring alone."""
    return tomllib.loads((Path(folder) / "case.toml").read_text())


def _text(rows) -> str:
    return "".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in rows)


def _plain(path: Path, rows) -> None:
    path.write_text(_text(rows))


def _packed(path: Path, rows) -> None:
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(_text(rows).encode(), 9, mtime=0))


def lines_of(path: Path) -> list[str]:
    """The lines of a file, of its packed twin where there is one instead."""
    twin = path.with_name(path.name + ".gz")
    text = path.read_text() if path.exists() else gzip.decompress(twin.read_bytes()).decode()
    return text.splitlines()


def _json(path: Path, text: str, line: int):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path.parent.name}/{path.name}, line {line or error.lineno}: not JSON ({error.msg}); "
            "each line must be one JSON object"
        ) from error


def _read(path: Path) -> list[dict]:
    return [_json(path, text, number) for number, text in enumerate(lines_of(path), 1) if text.strip()]


def _number(value: float) -> float | int:
    """A value without the digits a reader does not need."""
    short = float(f"{value:.4g}")
    return int(short) if short == int(short) and abs(short) < 1e15 else short


def _telemetry(case: Case) -> list[dict]:
    grids: dict[tuple, str] = {}
    rows = []
    for series in case.series:
        at = tuple(int(t) for t in np.round(series.at))
        if at not in grids:
            grids[at] = f"g{len(grids) + 1}"
            rows.append({"grid": grids[at], "at": list(at)})
        row = {"row_id": series.row_id, "node": series.node, "metric": series.metric}
        row |= {key: value for key, value in (("feature", series.feature), ("segment", series.segment)) if value}
        n = int(significant(np.median(series.n, keepdims=True), 2)[0])
        rows.append(row | {"grid": grids[at], "n": n, "value": [_number(v) for v in series.value]})
    return rows


def _series(path: Path) -> list[Series]:
    grids: dict[str, dict] = {}
    out = []
    for row in _read(path):
        if "value" not in row:
            grids[row["grid"]] = row
            continue
        grid = row if "at" in row else grids.get(row.get("grid"), {"at": ()})
        at = np.array(grid["at"], float)
        if len(at) != len(row["value"]) or not len(at):
            raise ValueError(
                f"{path.name}: series {row.get('row_id')} names a grid that is not above it, or has another "
                "number of values than its times"
            )
        value = np.array([np.nan if v is None else v for v in row["value"]], float)
        n = np.broadcast_to(np.asarray(row.get("n", 1), float), at.shape)
        out.append(
            Series(row["row_id"], row["node"], row["metric"], row.get("feature"), row.get("segment"), at, value, n)
        )
    return out


def run_events(case: Case) -> list[dict]:
    """The shown graph as OpenLineage RunEvents; a monitor's inputs are what it observes."""
    nodes = {node["id"]: node for node in case.nodes}
    made = {edge["dst"]: edge["src"] for edge in case.edges if edge["kind"] == "writes"}
    space, out = case.alert["tenant"], []

    def facet(node: dict) -> dict:
        told = {key: node[key] for key in ("id", "kind", "owner", "cadence_s")}
        return {"node": told | ({"tags": node["tags"]} if node["tags"] else {})}

    def entry(edge: dict) -> dict:
        node = nodes[edge["src"]]
        told = {key: value for key, value in edge.items() if key not in ("src", "dst")}
        return {
            "namespace": space,
            "name": node["name"],
            "facets": {"edge": told} | (facet(node) if node["kind"] == "source" else {}),
        }

    for node in case.nodes:
        if node["kind"] in DATASETS and (node["id"] in made or node["kind"] == "source"):
            continue
        inputs = [entry(edge) for edge in case.edges if edge["dst"] == node["id"]]
        outputs = [
            {"namespace": space, "name": nodes[dst]["name"], "facets": facet(nodes[dst])}
            for dst, src in made.items()
            if src == node["id"]
        ]
        at, failed = case.runs.get(node["id"], (case.alert_at, False))
        out.append(
            {
                "eventType": "FAIL" if failed else "COMPLETE",
                "eventTime": datetime.fromtimestamp(at, UTC).isoformat(),
                "producer": _PRODUCER,
                "schemaURL": _RUN_EVENT,
                "run": {"runId": _uuid(node["id"], at)},
                "job": {"namespace": space, "name": node["name"], "facets": facet(node)},
                "inputs": inputs,
                "outputs": outputs,
            }
        )
    known = {item["name"] for event in out for item in (event["job"], *event["inputs"], *event["outputs"])}
    for node in case.nodes:  # a source nobody shows reading is still there
        if node["name"] not in known:
            out.append(
                {
                    "eventType": "COMPLETE",
                    "eventTime": datetime.fromtimestamp(case.alert_at, UTC).isoformat(),
                    "producer": _PRODUCER,
                    "schemaURL": _RUN_EVENT,
                    "run": {"runId": _uuid(node["id"], 0)},
                    "job": {"namespace": space, "name": node["name"], "facets": facet(node)},
                    "inputs": [],
                    "outputs": [],
                }
            )
    return out


def graph_of(events: list[dict]) -> tuple[list[dict], list[dict]]:
    """(nodes, edges) from recorded RunEvents, by the ids in their facets."""
    nodes, ids, edges = {}, {}, []
    for event in events:
        for item in (event["job"], *event.get("inputs", ()), *event.get("outputs", ())):
            told = item.get("facets", {}).get("node")
            if told:
                nodes[told["id"]] = {"tags": [], "name": item["name"]} | told
                ids[item["name"]] = told["id"]
    for event in events:
        own = ids[event["job"]["name"]]
        for item in event.get("inputs", ()):
            if item["name"] in ids:
                edges.append(
                    {"src": ids[item["name"]], "dst": own} | item.get("facets", {}).get("edge", {"kind": "reads"})
                )
        edges += [{"src": own, "dst": ids[item["name"]], "kind": "writes"} for item in event.get("outputs", ())]
    return list(nodes.values()), edges


def _uuid(node: str, at: float) -> str:
    digits = f"{node}{int(at):x}".ljust(32, "0")[:32]
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def to_toml(table: dict) -> str:
    """Plain data as TOML: scalars and lists first, then tables, two levels deep; None is left out."""
    flat, tables = [], []
    for key, value in table.items():
        if isinstance(value, dict) and (value or key in ("affected", "degraded_models")):
            tables.append(
                f"\n[{key}]\n" + "".join(f"{_key(k)} = {_toml(v)}\n" for k, v in value.items() if v is not None)
            )
        elif value is not None:
            flat.append(f"{_key(key)} = {_toml(value)}\n")
    return "".join(flat + tables)


def _key(word: str) -> str:
    return word if word.replace("_", "").isalnum() else json.dumps(word)


def _toml(value) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value)
