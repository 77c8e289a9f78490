"""Lineage written by hand, in TOML or YAML, for what no pipeline reports.

[nodes.weather-api]
kind = "source"
owner = "@data-platform"
tier = "2"
cadence = "1h"

[[edges]]
from = "weather-api"
to = "weather-features"
importance = 0.4        # how much the target leans on it, 0..1
lag = "10m"
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import yaml

from knowledge.lineage import KINDS, Edge, Lineage, Node
from knowledge.openlineage import LineageError

MAX_BYTES = 4 * 2**20
_NODE = {"kind", "name", "owner", "tier", "cadence", "tags", "description"}
_EDGE = {"from", "to", "kind", "importance", "lag"}
_DURATION = re.compile(r"^(\d{1,6})\s*(s|m|h|d)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read(path: Path) -> Lineage:
    """The graph of one file. Raises LineageError, `file:line: ...`, naming the key and the remedy."""
    if (size := path.stat().st_size) > MAX_BYTES:
        raise LineageError(f"{path}: is {size / 2**20:.1f} MiB, over {MAX_BYTES >> 20}; send OpenLineage events")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as broken:
        raise LineageError(f"{path}: is not UTF-8 text (byte {broken.start}); save it as UTF-8") from None
    try:
        said = tomllib.loads(text) if path.suffix == ".toml" else _plain(path, text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError) as broken:
        raise LineageError(
            f"{path}: not readable as {path.suffix[1:].upper() or 'YAML'}: {str(broken)[:200]}"
        ) from broken
    reader = _Reader(path, text)
    return reader.graph(said or {})


def _plain(path: Path, text: str) -> Any:
    """YAML without aliases, of which a few lines can stand for more than memory holds."""
    for token in yaml.scan(text, yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken):
            line = token.start_mark.line + 1
            raise LineageError(f"{path}:{line}: uses a YAML alias; write the value out where it is needed")
    return yaml.safe_load(text)


def join(graph: Lineage, written: Lineage, at: float) -> None:
    """Adds what was written by hand, as of `at` (epoch seconds: when it was written); newer statements of others win.
    A node is recognised by its id or its name, so nobody has to know how a pipeline spells its namespaces.
    """
    known = {name: graph.find(name) or name for name in written.nodes}
    for name, node in written.nodes.items():
        graph.add(msgspec.structs.replace(node, id=known[name]), at)
    for edge in written.edges():
        ends = {"source": known[edge["source"]], "target": known[edge["target"]]}
        graph.connect(Edge(**{**edge, **ends, "columns": (), "importance_at": at, "lag_at": at}))


class _Reader:
    def __init__(self, path: Path, text: str):
        self.path, self.text = path, text

    def graph(self, said: Any) -> Lineage:
        self._keys(said, {"nodes", "edges"}, "the file")
        graph = Lineage()
        nodes, edges = said.get("nodes") or {}, said.get("edges") or []
        if not isinstance(nodes, dict) or not isinstance(edges, list):
            raise self._wrong("nodes", "nodes is a table and edges a list of tables")
        for name, facts in nodes.items():
            graph.add(self._node(str(name), facts or {}))
        for facts in edges:
            graph.connect(self._edge(facts))
        return graph

    def _node(self, name: str, facts: Any) -> Node:
        self._keys(facts, _NODE, name)
        kind = str(facts.get("kind", ""))
        if kind and kind not in KINDS:
            raise self._wrong(kind, f"kind {kind!r} of {name!r} is not one of {', '.join(KINDS)}")
        tags = facts.get("tags") or []
        text = {key: str(facts.get(key, "")) for key in ("owner", "tier", "description")}
        return Node(
            id=name, kind=kind, name=str(facts.get("name", name)),
            cadence=self._duration(facts, "cadence", name) or 0.0,
            tags=tuple(sorted(map(str, tags if isinstance(tags, list) else [tags]))), **text,
        )  # fmt: skip

    def _edge(self, facts: Any) -> Edge:
        self._keys(facts, _EDGE, "an edge")
        if not facts.get("from") or not facts.get("to"):
            raise self._wrong("[[edges]]", "an edge needs 'from' and 'to'")
        where = f"{facts['from']} -> {facts['to']}"
        importance = facts.get("importance")
        if importance is not None and (not isinstance(importance, int | float) or not 0 <= importance <= 1):
            raise self._wrong("importance", f"importance of {where} is {importance!r}; write a number from 0 to 1")
        return Edge(
            source=str(facts["from"]), target=str(facts["to"]), kind=str(facts.get("kind", "feeds")),
            importance=None if importance is None else float(importance), lag=self._duration(facts, "lag", where),
        )  # fmt: skip

    def _duration(self, facts: dict, key: str, where: str) -> float | None:
        value = facts.get(key)
        if value is None:
            return None
        if isinstance(value, int | float) and value >= 0:
            return float(value)
        found = _DURATION.match(str(value))
        if not found:
            raise self._wrong(str(value), f"{key} of {where} is {value!r}; write seconds, or a number and s, m, h or d")
        return float(int(found[1]) * _SECONDS[found[2]])

    def _keys(self, facts: Any, allowed: set[str], where: str) -> None:
        if not isinstance(facts, dict):
            raise self._wrong(where, f"{where} is not a table")
        for key in facts:
            if key not in allowed:
                raise self._wrong(str(key), f"unknown key {str(key)!r} in {where}; known: {', '.join(sorted(allowed))}")

    def _wrong(self, near: str, what: str) -> LineageError:
        line = next((at for at, text in enumerate(self.text.splitlines(), 1) if near and near in text), 1)
        return LineageError(f"{self.path}:{line}: {what}")
