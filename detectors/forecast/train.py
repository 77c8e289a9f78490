"""Training the pooled network: the home of torch among the detectors, loaded only to train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from detectors.forecast.panel import HORIZON, LEAST, QUANTILES, Cases, Series, cases, origins
from detectors.forecast.pooled import LAYERS, Pooled, frame, inputs

Say = Callable[[str, float, str], None]
"""(what, share done, words): told now and then while training."""


def quiet(what: str, share: float, words: str) -> None:
    """Says nothing."""


def sample(panel: Sequence[Series], until: Sequence[int], most: int = 400) -> Cases:
    """At most `most` cases a series whose whole future lies before `until[s]`, evenly spaced."""
    strides = [max(1, (end - LEAST - HORIZON) // most) for end in until]
    return cases(panel, [origins(len(o), LEAST, e, n) for o, e, n in zip(panel, until, strides, strict=True)])


def weigh(known: Cases) -> np.ndarray:
    """(N,) weights with which every series counts the same, of mean 1."""
    _, index, counts = np.unique(known.series, return_inverse=True, return_counts=True)
    weight = 1.0 / counts[index]
    return (weight / weight.mean()).astype(np.float32)


def train_pooled(
    known: Cases, *, epochs: int = 14, width: int = 96, seed: int = 0, batch: int = 512, rate: float = 2e-3,
    start: Pooled | None = None, about: dict[str, Any] | None = None, say: Say = quiet,
) -> Pooled:  # fmt: skip
    """A pooled network for these cases (all of their future known); from the weights of `start`, if given."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    x = torch.from_numpy(inputs(known))
    base, unit = frame(known)
    y = torch.from_numpy((known.future - base) / unit)
    # losses count in units of the target, every series the same
    w = torch.from_numpy(weigh(known) * np.minimum(unit[:, 0], 1.0))
    w = w / w.mean()
    sizes = [x.shape[1], width, width, HORIZON * len(QUANTILES)]
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
    if start is not None:
        for n, layer in enumerate(layers, 1):
            layer.weight.data = torch.from_numpy(start.weights[f"w{n}"].T.copy())
            layer.bias.data = torch.from_numpy(start.weights[f"b{n}"].copy())
    net = torch.nn.Sequential(
        layers[0], torch.nn.ReLU(), torch.nn.Dropout(0.1), layers[1], torch.nn.ReLU(), torch.nn.Dropout(0.1), layers[2]
    )
    steps = -(-len(x) // batch)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=epochs * steps)
    q = torch.tensor(QUANTILES)
    for epoch in range(epochs):
        order, total = torch.randperm(len(x)), 0.0
        for chosen in order.split(batch):
            error = y[chosen][:, :, None] - net(x[chosen]).view(-1, HORIZON, len(QUANTILES))
            loss = (torch.maximum(q * error, (q - 1) * error).mean(dim=(1, 2)) * w[chosen]).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(chosen)
        say("mlp", (epoch + 1) / epochs, f"pinball {total / len(x):.4f}")
    found = [part for layer in layers for part in (layer.weight.detach().numpy().T, layer.bias.detach().numpy())]
    return Pooled(dict(zip(LAYERS, (np.ascontiguousarray(f) for f in found), strict=True)), dict(about or {}))
