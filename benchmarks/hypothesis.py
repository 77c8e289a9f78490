"""How quick is a hypothesis by rules where the lineage has a thousand nodes? Prints one JSON line.

    python -m benchmarks.hypothesis [--runs 30]

The real investigation over ports in memory: windows of a fortnight, 72 hours of changes, and a layered lineage of 1,000
nodes and 3,000 edges above the model. Seconds from the incident to the gated hypothesis, for the live path and for the
largest recorded case; the limit is a median of 2 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from pathlib import Path

from agents.answers import investigate_case
from tests.agents.world import DEPLOY, LEVEL, Graph, celsius_case, investigation

CASES = Path(__file__).resolve().parents[1] / "tests" / "agents" / "cases"
NODES, EDGES, LIMIT = 1_000, 3_000, 2.0


def lineage() -> Graph:
    """Layers of a hundred nodes, each fed by three of the layer above; the last ones feed the model's inputs."""
    dice, inputs = random.Random(1), list(LEVEL)
    names = [f"n{i}" for i in range(NODES - len(inputs) - 1)]
    edges = [(feature, "flight-delay") for feature in inputs]
    for place, name in enumerate(names[100:], 100):
        edges += [(dice.choice(names[place // 100 * 100 - 100 : place // 100 * 100]), name) for _ in range(3)]
    edges += [(dice.choice(names[-100:]), feature) for feature in inputs for _ in range(3)]
    kinds = dict.fromkeys(names, "job") | dict.fromkeys(inputs, "feature") | {"flight-delay": "model"}
    return Graph(sorted(set(edges)), kinds)


async def live(runs: int) -> list[float]:
    windows, about = celsius_case()
    tools = investigation(windows, DEPLOY, graph=lineage())
    tools.warm()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        said = await tools.investigate(about, 0.0)
        seconds.append(time.perf_counter() - start)
        assert said.cause is not None
    return seconds


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--runs", type=int, default=30)
    runs = args.parse_args().runs
    graph, seconds = lineage(), sorted(asyncio.run(live(runs)))
    recorded = []
    for folder in sorted(p for p in CASES.iterdir() if p.is_dir())[:: max(138 // runs, 1)]:
        start = time.perf_counter()
        investigate_case(folder)
        recorded.append(time.perf_counter() - start)
    p50 = statistics.median(seconds)
    print(json.dumps({"benchmark": "hypothesis", "nodes": len(graph.nodes), "edges": len(graph.pairs), "runs": runs,
                      "p50_s": round(p50, 3), "p95_s": round(seconds[int(0.95 * (runs - 1))], 3),
                      "recorded_case_p50_s": round(statistics.median(recorded), 3), "limit_s": LIMIT,
                      "ok": p50 < LIMIT}))  # fmt: skip
    return 0 if p50 < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
