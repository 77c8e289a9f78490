"""Vectors on disk by the hash of their text: a file embedded once is never embedded again, and a warm start needs
no torch.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from knowledge.embedder import DIMENSION, Embedder

_KEY = 16


class Vectors:
    """An append-only pair of files per model: 16-byte keys and float16 rows. A torn last record is cut off at the
    next start.

    float16 keeps cosines to three decimals, at half the space. One process writes (the owner of the index); others
    may read.
    """

    def __init__(self, directory: Path, embedder: Embedder):
        self.embedder = embedder
        self._keys_path = directory / f"{embedder.name}.keys"
        self._rows_path = directory / f"{embedder.name}.f16"
        self._lock = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)
        self._rows: dict[bytes, int] = {}
        self._table = np.zeros((0, DIMENSION), dtype=np.float16)
        self._read()

    def rows(self, texts: Sequence[str], progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        """The texts' row numbers (int64) for `take`; only texts never seen before are embedded.

        Raises:
            Unavailable: something must be embedded and the model is not installed.
        """
        keys = [hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=_KEY).digest() for text in texts]
        with self._lock:
            fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows}
        if fresh:
            self._append(list(fresh), self.embedder.encode(list(fresh.values()), progress).astype(np.float16))
        with self._lock:
            return np.array([self._rows[key] for key in keys], dtype=np.int64)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The unit vectors of these rows, float32."""
        return self._table[rows].astype(np.float32)

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of the texts, float32, one row each."""
        return self.take(self.rows(texts))

    def _read(self) -> None:
        if not (self._keys_path.exists() and self._rows_path.exists()):
            return
        keys = self._keys_path.read_bytes()
        count = min(len(keys) // _KEY, self._rows_path.stat().st_size // (2 * DIMENSION))
        self._table = np.fromfile(self._rows_path, dtype=np.float16, count=count * DIMENSION).reshape(count, DIMENSION)
        self._rows = {keys[at * _KEY : (at + 1) * _KEY]: at for at in range(count)}
        for path, width in ((self._keys_path, _KEY), (self._rows_path, 2 * DIMENSION)):
            if path.stat().st_size != count * width:
                with path.open("r+b") as torn:
                    torn.truncate(count * width)

    def _append(self, keys: list[bytes], rows: np.ndarray) -> None:
        with self._lock:
            new = [at for at, key in enumerate(keys) if key not in self._rows]
            with self._rows_path.open("ab") as table, self._keys_path.open("ab") as index:
                table.write(rows[new].tobytes())
                table.flush()
                index.write(b"".join(keys[at] for at in new))
            for at in new:
                self._rows[keys[at]] = len(self._rows)
            self._table = np.concatenate([self._table, rows[new]])
