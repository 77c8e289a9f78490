"""Rows that survive: kind -> key -> JSON object, written through to one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from .errors import WorkspaceError


class StoreLocked(WorkspaceError):
    """Another workspace already has this data directory open."""


class Store:
    """Everything the workspace remembers.

    Reads come from memory; each `put` and `drop` is one committed SQLite statement
    (write-ahead log), so a process killed with -9 loses nothing that was answered.
    Bodies must be JSON-serialisable dicts. `rows(kind)` keeps insertion order.

    Raises `StoreLocked` when another process holds the file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0.2, check_same_thread=False)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("CREATE TABLE IF NOT EXISTS row (kind TEXT, key TEXT, body TEXT, PRIMARY KEY (kind, key))")
        except sqlite3.OperationalError as error:
            self._db.close()
            raise StoreLocked(
                f"{path}: the workspace's file is in use ({error}); stop the other workspace or pass another data_dir"
            ) from error
        self._rows: dict[str, dict[str, dict]] = {}
        for kind, key, body in self._db.execute("SELECT kind, key, body FROM row ORDER BY rowid"):
            self._rows.setdefault(kind, {})[key] = json.loads(body)

    def rows(self, kind: str) -> dict[str, dict]:
        """All rows of one kind, by key. Mutate a body only to `put` it back."""
        return self._rows.setdefault(kind, {})

    def put(self, kind: str, key: str, body: dict) -> dict:
        """Remember `body`; returns it."""
        self._db.execute(
            "INSERT INTO row VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
            (kind, key, json.dumps(body, separators=(",", ":"))),
        )
        self.rows(kind)[key] = body
        return body

    def drop(self, kind: str, key: str) -> dict | None:
        """Forget one row; returns it, or None when there was none."""
        self._db.execute("DELETE FROM row WHERE kind = ? AND key = ?", (kind, key))
        return self.rows(kind).pop(key, None)

    def close(self) -> None:
        """Release the file."""
        self._db.close()
