"""The chunks' vectors in Chroma: embedded in the owner process, or a Chroma server at `CHROMA_URL`; the same code.

Vectors are always our own (`embedding_function=None`: Chroma's default embedder would download a model), and
telemetry is off. What is indexed is remembered in Chroma itself, one marker a file, written after the file's
chunks: a process killed in between indexes that file again and nothing is half there.
"""

import fcntl
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import numpy as np

from core.errors import Unavailable

_BATCH = 2_000


class Hit(msgspec.Struct, frozen=True):
    """A chunk near the query: the file, its revision, the chunk's place in it, and the cosine."""

    file: str
    revision: str
    place: int
    cosine: float


class Index:
    """Nearest chunks by cosine. Opened at first use; one process owns the embedded store at a time.

    Args:
        directory: where the embedded store lives; unused with a server.
        name: of the collections.
        url: `CHROMA_URL`, as in http://chroma:8000; empty for the embedded store.
    """

    model = ""
    """Name of the model that made the vectors; another model gets collections of its own."""

    def __init__(self, directory: Path, name: str = "runbooks", url: str = ""):
        self.directory, self.url, self.name = directory, url, name
        self._lock = threading.RLock()
        self._client = self._chunks = self._files = self._owner = None

    def held(self) -> dict[str, tuple[str, int]]:
        """What is indexed: file -> (revision, number of chunks).

        Raises:
            Unavailable: the store is owned by another process, or the server does not answer.
        """
        with self._lock:
            self._open()
            got = self._files.get(include=["metadatas"])
            return {
                file: (str(meta["revision"]), int(meta["chunks"]))
                for file, meta in zip(got["ids"], got["metadatas"], strict=True)
            }

    def put(self, file: str, revision: str, vectors: np.ndarray) -> None:
        """Indexes one file's chunks (rows of `vectors`, in order) in place of whatever the file held before."""
        with self._lock:
            before = self._marker(file)
            ids = _ids(file, revision, len(vectors))
            for at in range(0, len(ids), _BATCH):
                self._chunks.upsert(ids[at : at + _BATCH], embeddings=vectors[at : at + _BATCH])
            self._files.upsert(file, embeddings=[[1.0]], metadatas=[{"revision": revision, "chunks": len(vectors)}])
            if before:
                self._delete(sorted(set(_ids(file, *before)) - set(ids)))

    def put_many(self, files: Sequence[tuple[str, str, np.ndarray]]) -> None:
        """Indexes files that were not there before, in large batches (a first build)."""
        with self._lock:
            self._open()
            ids = [name for file, revision, vectors in files for name in _ids(file, revision, len(vectors))]
            rows = np.concatenate([vectors for *_, vectors in files]) if ids else np.zeros((0, 1))
            for at in range(0, len(ids), _BATCH):
                self._chunks.upsert(ids[at : at + _BATCH], embeddings=rows[at : at + _BATCH])
            for at in range(0, len(files), _BATCH):
                part = files[at : at + _BATCH]
                metas = [{"revision": revision, "chunks": len(vectors)} for _, revision, vectors in part]
                self._files.upsert([file for file, *_ in part], embeddings=[[1.0]] * len(part), metadatas=metas)

    def drop(self, file: str) -> None:
        """Forgets a file; unknown ones are no error."""
        with self._lock:
            if before := self._marker(file):
                self._files.delete(ids=[file])
                self._delete(_ids(file, *before))

    def near(self, vector: np.ndarray, count: int) -> list[Hit]:
        """The `count` nearest chunks, nearest first."""
        with self._lock:
            self._open()
            got = self._chunks.query(query_embeddings=vector.reshape(1, -1), n_results=count, include=["distances"])
        hits = []
        for name, distance in zip(got["ids"][0], got["distances"][0], strict=True):
            file, _, rest = name.rpartition("@")
            revision, _, place = rest.partition(":")
            hits.append(Hit(file, revision, int(place), 1.0 - float(distance)))
        return hits

    def close(self) -> None:
        """Lets another process own the store."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            if self._owner is not None:
                os.close(self._owner)
            self._client = self._chunks = self._files = self._owner = None

    def _marker(self, file: str) -> tuple[str, int] | None:
        self._open()
        got = self._files.get(ids=[file], include=["metadatas"])
        return (str(got["metadatas"][0]["revision"]), int(got["metadatas"][0]["chunks"])) if got["ids"] else None

    def _delete(self, ids: list[str]) -> None:
        for at in range(0, len(ids), _BATCH):
            self._chunks.delete(ids=ids[at : at + _BATCH])

    def _open(self) -> None:
        if self._chunks is not None:
            return
        os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
        import chromadb
        from chromadb.config import Settings
        from chromadb.errors import ChromaError

        name = "-".join(filter(None, (self.name, self.model))).replace("/", "-")
        settings = Settings(anonymized_telemetry=False)
        try:
            if self.url:
                at = urlsplit(self.url)
                secure = at.scheme == "https"
                self._client = chromadb.HttpClient(
                    at.hostname or "localhost", at.port or (443 if secure else 8000), ssl=secure, settings=settings
                )
            else:
                self._own()
                self._client = chromadb.PersistentClient(str(self.directory), settings=settings)
            self._files = self._client.get_or_create_collection(f"{name}-files", embedding_function=None)
            space = {"hnsw": {"space": "cosine", "ef_search": 200}}
            self._chunks = self._client.get_or_create_collection(
                f"{name}-chunks", embedding_function=None, configuration=space
            )
        except (ChromaError, ValueError, OSError) as broken:
            self.close()
            where = (
                f"CHROMA_URL's host {urlsplit(self.url).hostname}"
                if self.url
                else f"the store in {str(self.directory)!r}"
            )
            raise Unavailable(
                f"Chroma cannot be opened at {where}: {broken}; check the address, or delete the store, it is rebuilt"
            ) from broken

    def _own(self) -> None:
        """Takes the store's lock: an embedded index opened by a second process would silently grow stale."""
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.directory / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 32).decode("ascii", "replace").strip() or "?"
            os.close(lock)
            raise Unavailable(
                f"the runbook index in {str(self.directory)!r} is owned by process {owner}; one process may own it: "
                "use that one, or run a Chroma server and set CHROMA_URL"
            ) from None
        os.ftruncate(lock, 0)
        with suppress(OSError):
            os.write(lock, str(os.getpid()).encode())
        self._owner = lock


def _ids(file: str, revision: str, count: int) -> list[str]:
    return [f"{file}@{revision}:{place}" for place in range(count)]
