"""Vectors on disk by the hash of their text: a file embedded once is never embedded again, and a warm start needs
no torch.
"""

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from knowledge.embedder import DIMENSION, Embedder

_KEY = 16
_WIDTH = 2 * DIMENSION


class Vectors:
    """An append-only pair of files per model: 16-byte keys and float16 rows. A torn last record is cut off. Several
    processes may share the directory.

    float16 keeps cosines to three decimals, at half the space.
    """

    def __init__(self, directory: Path, embedder: Embedder):
        self.embedder = embedder
        self._keys_path = directory / f"{embedder.name}.keys"
        self._rows_path = directory / f"{embedder.name}.f16"
        self._lock = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)
        self._rows: dict[bytes, int] = {}
        self._asked: dict[str, np.ndarray] = {}
        self._table = np.zeros((0, DIMENSION), dtype=np.float16)
        with self._exclusive():
            self._read()

    def rows(self, texts: Sequence[str], progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        """The texts' row numbers (int64) for `take`; only texts never seen before are embedded.

        Raises:
            Unavailable: something must be embedded and the model is not installed.
        """
        keys = [_key(text) for text in texts]
        with self._lock:
            fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows}
        if fresh:
            self._append(list(fresh), self.embedder.encode(list(fresh.values()), progress).astype(np.float16))
        with self._lock:
            return np.array([self._rows[key] for key in keys], dtype=np.int64)

    def asked(self, question: str) -> np.ndarray:
        """A question's vector, kept in memory for the next time, never on disk."""
        if (found := self._asked.get(question)) is None:
            found = self.embedder.encode([question])[0]
            if len(self._asked) >= 256:
                self._asked.clear()
            self._asked[question] = found
        return found

    def remember(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        """Takes vectors made elsewhere (an export, another machine) for these texts; they are made unit length."""
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        self._append([_key(text) for text in texts], unit.astype(np.float16))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The unit vectors of these rows, float32; a negative row number (no vector yet) gives zeros."""
        rows = np.asarray(rows, dtype=np.int64)
        out = self._table[rows].astype(np.float32) if len(self._table) else np.zeros((len(rows), DIMENSION), np.float32)
        out[rows < 0] = 0.0
        return out

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of the texts, float32, one row each."""
        return self.take(self.rows(texts))

    def _append(self, keys: list[bytes], rows: np.ndarray) -> None:
        """Adds rows, after what other processes added meanwhile; the file lock keeps keys and rows in step."""
        with self._lock, self._exclusive():
            self._read()
            new = [at for at, key in enumerate(keys) if key not in self._rows]
            with self._rows_path.open("ab") as table, self._keys_path.open("ab") as index:
                table.write(rows[new].tobytes())
                table.flush()
                index.write(b"".join(keys[at] for at in new))
            for at in new:
                self._rows[keys[at]] = len(self._rows)
            self._table = np.concatenate([self._table, rows[new]])

    def _read(self) -> None:
        """Takes in what is on disk beyond what is known here, and cuts off a torn end."""
        if not (self._keys_path.exists() and self._rows_path.exists()):
            return
        known = len(self._rows)
        count = min(self._keys_path.stat().st_size // _KEY, self._rows_path.stat().st_size // _WIDTH)
        with self._keys_path.open("rb") as keys:
            keys.seek(known * _KEY)
            tail = keys.read((count - known) * _KEY)
        table = np.fromfile(self._rows_path, np.float16, (count - known) * DIMENSION, offset=known * _WIDTH)
        self._table = np.concatenate([self._table, table.reshape(-1, DIMENSION)])
        self._rows.update({tail[at * _KEY : (at + 1) * _KEY]: known + at for at in range(count - known)})
        for path, width in ((self._keys_path, _KEY), (self._rows_path, _WIDTH)):
            if path.stat().st_size != count * width:
                os.truncate(path, count * width)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        with self._keys_path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=_KEY).digest()
