"""N-HiTS (Challu et al. 2023) and the Temporal Fusion Transformer (Lim et al. 2021), by pytorch-forecasting.

The only home of lightning and pytorch_forecasting. Loading them costs 300 MB and five seconds: only `forecast train`
and a forecast whose trained networks lie in the folder of models do it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from detectors.forecast.panel import HORIZON, QUANTILES, Cases, Series
from detectors.forecast.pooled import frame
from detectors.forecast.train import Say, quiet, weigh

PAST = 72
"""Hours that these networks look back."""
CLOCK = ("hour_sin", "hour_cos", "day_sin", "day_cos")
SIZES: dict[str, dict[str, Any]] = {
    "nhits": {"hidden_size": 64, "dropout": 0.1, "n_blocks": [1, 1, 1]},
    "tft": {"hidden_size": 16, "hidden_continuous_size": 8, "attention_head_size": 2, "dropout": 0.1},
}


class Deep:
    """One of the two networks, trained. `about` holds the data's range and the scores."""

    def __init__(self, name: str, network: Any, about: dict[str, Any]):
        self.name, self.network, self.about = name, network, about

    def predict(self, panel: Sequence[Series], asked: Cases, until: Sequence[int]) -> np.ndarray:
        """(N, HORIZON, quantiles), never crossing."""
        import torch

        base, unit = frame(asked)
        parts = []
        self.network.eval()
        with _hushed(), torch.inference_mode():
            for first in range(0, len(asked), 500):
                few = asked.take(np.arange(first, min(first + 500, len(asked))))
                for x, _ in _dataset(few, unknown=True).to_dataloader(train=False, batch_size=250, num_workers=0):
                    parts.append(self.network(x)["prediction"].numpy())
        out = np.concatenate(parts) if parts else np.zeros((0, HORIZON, len(QUANTILES)))
        return np.sort(base[:, :, None] + unit[:, :, None] * out, axis=2)

    def save(self, path: Path) -> None:
        """In one step: weights, and beside them what is known of them."""
        import torch

        partial = path.with_suffix(".partial")
        torch.save(
            {"state": self.network.state_dict(), "about": json.dumps({"name": self.name, **self.about})}, partial
        )
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Deep:
        """Raises ValueError naming the file and the remedy when it holds no network of this release."""
        import torch

        try:
            stored = torch.load(path, weights_only=True)
            about = json.loads(stored["about"])
            name = about.pop("name")
            network = _network(name)
            network.load_state_dict(stored["state"])
        except (OSError, KeyError, RuntimeError, ValueError, TypeError, EOFError, UnpicklingError) as error:
            raise ValueError(
                f"{path} holds no forecast network ({str(error)[:120]}): `python -m bot forecast train` makes one anew"
            ) from None
        return cls(name, network, about)


def train(
    name: str, known: Cases, *, epochs: int = 6, seed: int = 0, rate: float = 3e-3, batch: int = 256,
    start: Deep | None = None, about: dict[str, Any] | None = None, say: Say = quiet,
) -> Deep:  # fmt: skip
    """`nhits` or `tft` for these cases (all of their future known); from the weights of `start`, if given."""
    import lightning.pytorch as lightning
    import torch

    torch.set_num_threads(1)

    class Progress(lightning.Callback):
        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            loss = float(trainer.callback_metrics.get("train_loss_epoch", float("nan")))
            say(name, (trainer.current_epoch + 1) / epochs, f"pinball {loss:.4f}")

    with _hushed():
        lightning.seed_everything(seed, verbose=False)
        network = _network(name, rate)
        if start is not None:
            network.load_state_dict(start.network.state_dict())
        loader = _dataset(known).to_dataloader(train=True, batch_size=min(batch, len(known)), num_workers=0)
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, gradient_clip_val=0.5, callbacks=[Progress()],
        )  # fmt: skip
        trainer.fit(network, train_dataloaders=loader)
    return Deep(name, network, dict(about or {}))


def _network(name: str, rate: float = 3e-3) -> Any:
    import pytorch_forecasting as forecasting

    one = Cases(
        np.zeros(1, int), np.zeros(1, int), np.zeros((1, 168), np.float32), np.zeros(1, int), np.zeros(1, np.float32),
        np.zeros((1, HORIZON), np.float32), np.full(1, 168),
    )  # fmt: skip
    kinds = {"nhits": forecasting.NHiTS, "tft": forecasting.TemporalFusionTransformer}
    with _hushed():
        return kinds[name].from_dataset(
            _dataset(one), learning_rate=rate, log_interval=-1,
            loss=forecasting.QuantileLoss(quantiles=list(QUANTILES)),
            optimizer="adam", **SIZES[name],
        )  # fmt: skip


def _dataset(few: Cases, unknown: bool = False) -> Any:
    """Each case is a group of its own, so that exactly the cases asked for are seen, in their order."""
    import pandas
    from pytorch_forecasting import TimeSeriesDataSet
    from pytorch_forecasting.data.encoders import TorchNormalizer

    base, unit = frame(few)
    future = np.zeros((len(few), HORIZON), np.float32) if unknown else few.future
    values = (np.concatenate([few.past[:, -PAST:], future], axis=1) - base) / unit
    hours = few.hour[:, None] + np.arange(1 - PAST, HORIZON + 1)
    table: dict[str, Any] = {
        "case": np.repeat(np.arange(len(few)), PAST + HORIZON), "step": np.tile(np.arange(PAST + HORIZON), len(few)),
        "value": np.clip(values, -8, 8).astype(np.float32).ravel(),
        "weight": np.repeat(weigh(few) * np.minimum(unit[:, 0], 1.0), PAST + HORIZON).astype(np.float32),
        "drift": np.repeat(np.log1p(np.maximum(few.drift, 0)), PAST + HORIZON).astype(np.float32),
        "level": np.repeat(base[:, 0], PAST + HORIZON).astype(np.float32),
        "unit": np.repeat(np.log(unit[:, 0]), PAST + HORIZON).astype(np.float32),
    }  # fmt: skip
    angles = [2 * np.pi * (hours % 24) / 24, 2 * np.pi * (hours // 24 % 7) / 7]
    for name, angle in zip(CLOCK, [f(a) for a in angles for f in (np.sin, np.cos)], strict=True):
        table[name] = angle.astype(np.float32).ravel()
    known = [*CLOCK, "drift", "level", "unit"]
    return TimeSeriesDataSet(
        pandas.DataFrame(table), time_idx="step", target="value", group_ids=["case"], weight="weight",
        min_encoder_length=PAST, max_encoder_length=PAST, min_prediction_length=HORIZON, max_prediction_length=HORIZON,
        time_varying_known_reals=known, time_varying_unknown_reals=["value"],
        target_normalizer=TorchNormalizer(method="identity"), scalers=dict.fromkeys(known),
    )  # fmt: skip


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """These libraries speak a lot of what is meant to be so: one process, no logger, few batches."""
    speakers = [logging.getLogger(n) for n in ("lightning.pytorch", "pytorch_lightning", "lightning.fabric")]
    levels = [s.level for s in speakers]
    try:
        for speaker in speakers:
            speaker.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for speaker, level in zip(speakers, levels, strict=True):
            speaker.setLevel(level)
