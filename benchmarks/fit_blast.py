"""Train the blast radius' graph network on simulated incidents; compare it with plain reach on others. One JSON line.

    python -m benchmarks.fit_blast --train DIR --test DIR [--out FILE]

DIR holds recorded incidents (`simulate`). The label of a model is whether its own quality fell within a day, against
the same world without the fault; candidates are the models that the shown lineage can reach from the root. Three seeds
are trained (PyTorch Geometric, SAGEConv, mean aggregation); the first is kept if the networks' mean beats reach by 0.03
AUPRC, without a lower average precision per incident.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from agents import blast, cases
from agents.ways import edges_of
from bot.simulator.record import read_truth
from bot.simulator.score import average_precision

WIDTH, LAYERS, EPOCHS, GAIN = 16, 3, 60, 0.03


def incidents(place: Path) -> list[tuple[blast.Graph, Any, Any]]:
    """(graph, which rows are models, which of them were degraded) of every incident with a fault."""
    found = []
    for folder in sorted(p for p in place.iterdir() if (p / "case.toml").exists()):
        truth = read_truth(folder)
        if not truth.get("root"):
            continue
        nodes, shown = cases.lineage(folder)
        kinds = {n: str(about.get("kind", "")) for n, about in nodes.items()}
        g = blast.graph(edges_of(shown), kinds, truth["root"]["node"], truth["type"])
        models = np.array([kinds.get(n) == "model" for n in g.names])
        if models.any():
            found.append((g, models, np.array([n in truth.get("degraded_models", {}) for n in g.names])))
    return found


def trained(data: list[tuple[blast.Graph, Any, Any]], seed: int) -> Any:
    """A network fitted to the incidents."""
    import torch
    from torch_geometric.data import Data
    from torch_geometric.loader import DataLoader
    from torch_geometric.nn import SAGEConv

    torch.manual_seed(seed)
    torch.set_num_threads(1)

    class Net(torch.nn.Module):
        def __init__(self, inputs: int):
            super().__init__()
            sizes = [inputs, *[WIDTH] * LAYERS]
            self.layers = torch.nn.ModuleList(SAGEConv(a, b) for a, b in itertools.pairwise(sizes))
            self.head = torch.nn.Linear(WIDTH, 1)

        def forward(self, x: Any, edges: Any) -> Any:
            for layer in self.layers:
                x = layer(x, edges).relu()
            return self.head(x).squeeze(-1)

    f = torch.float32
    graphs = [Data(x=torch.tensor(g.x, dtype=f), edge_index=torch.tensor(g.edges), m=torch.tensor(m),
                   y=torch.tensor(y, dtype=f)) for g, m, y in data]  # fmt: skip
    net = Net(data[0][0].x.shape[1])
    steps = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.01)
    for _ in range(EPOCHS):
        for batch in DataLoader(graphs, batch_size=64, shuffle=True):
            steps.zero_grad()
            said = net(batch.x, batch.edge_index)[batch.m]
            torch.nn.functional.binary_cross_entropy_with_logits(said, batch.y[batch.m]).backward()
            steps.step()
    return net


def save(net: Any, path: Path) -> None:
    """The matrices, as `agents.blast` multiplies them."""
    told = {"head": net.head.weight[0], "offset": net.head.bias}
    for i, layer in enumerate(net.layers):
        told |= {f"near{i}": layer.lin_l.weight, f"own{i}": layer.lin_r.weight, f"bias{i}": layer.lin_l.bias}
    np.savez(path, **{name: value.detach().numpy().astype(np.float32) for name, value in told.items()})


def quality(data: list[tuple[blast.Graph, Any, Any]], said: list[Any]) -> dict[str, float]:
    """AUPRC over all models, mean average precision per incident that hurt any, Brier score."""
    p = np.concatenate([s[m] for s, (_, m, _) in zip(said, data, strict=True)])
    y = np.concatenate([y[m] for _, m, y in data]).astype(float)
    each = [average_precision(s[m], t[m].astype(float)) for s, (_, m, t) in zip(said, data, strict=True) if t[m].any()]
    return {"auprc": round(average_precision(p, y), 3), "ap": round(float(np.mean(each)), 3),
            "brier": round(float(np.mean((p - y) ** 2)), 3)}  # fmt: skip


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--train", required=True, type=Path)
    args.add_argument("--test", required=True, type=Path)
    args.add_argument("--out", type=Path, default=blast.FILE)
    told = args.parse_args()
    import torch

    train, test = incidents(told.train), incidents(told.test)
    nets = [trained(train, seed) for seed in (1, 2, 3)]
    f = torch.float32
    each = []
    for net in nets:
        with torch.no_grad():
            said = [net(torch.tensor(g.x, dtype=f), torch.tensor(g.edges)).sigmoid().numpy() for g, _, _ in test]
        each.append(quality(test, said))
    mean = {name: round(float(np.mean([q[name] for q in each])), 3) for name in each[0]}
    plain = quality(test, [g.reach for g, _, _ in test])
    earned = mean["auprc"] >= plain["auprc"] + GAIN and mean["ap"] >= plain["ap"]
    if earned:
        save(nets[0], told.out)
    print(json.dumps({"benchmark": "fit_blast", "train": len(train), "test": len(test),
                      "models": int(sum(m.sum() for _, m, _ in test)), "graph_network": mean, "seeds": each,
                      "reach": plain, "kept": earned}))  # fmt: skip
    return 0 if earned else 1


if __name__ == "__main__":
    sys.exit(main())
