"""Uploaded files: bytes on disk beside the store, Slack's file object in it."""

from __future__ import annotations

import mimetypes
import re
import secrets
import struct
from pathlib import Path

from .team import BOT_USER, Team

INLINE = {"image/png", "image/jpeg", "image/gif", "image/webp"}
MOST_BYTES = 50_000_000


class Files:
    """Files by id. `content` and `write` touch the disk; the rest is memory."""

    def __init__(self, team: Team, folder: Path) -> None:
        self.team, self.folder = team, folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, id_or_url: str) -> dict | None:
        """By file id, or by one of the URLs a file object carries."""
        rows = self.team.store.rows("file")
        if id_or_url in rows:
            return rows[id_or_url]
        match = re.search(r"/files/(F0[0-9A-F]+)", id_or_url)
        return rows.get(match[1]) if match else None

    def expect(self, name: str, length: int, alt_text: str = "") -> dict:
        """A file announced but not yet uploaded; `_ticket` is the secret of its upload address."""
        file_id = self.team.new_id("F0")
        name = re.sub(r"[^\w.() -]", "_", name)[-120:] or "file"
        mimetype = mimetypes.guess_type(name)[0] or "application/octet-stream"
        place = f"{self.team.base_url}/files/{file_id}/{name.replace(' ', '%20')}"
        kind = name.rpartition(".")[2].lower()
        row = {
            "id": file_id, "created": int(self.team.now()), "timestamp": int(self.team.now()), "name": name,
            "title": name, "mimetype": mimetype, "filetype": kind, "pretty_type": kind.upper(), "user": BOT_USER,
            "editable": False, "size": length, "mode": "hosted", "is_external": False, "is_public": True,
            "url_private": place, "url_private_download": place, "permalink": place, "alt_txt": alt_text,
            "channels": [], "ims": [], "shares": {}, "_ticket": secrets.token_urlsafe(18), "_state": "expected",
        }  # fmt: skip
        return self.team.store.put("file", file_id, row)

    def by_ticket(self, ticket: str) -> dict | None:
        return next((f for f in self.team.store.rows("file").values() if f["_ticket"] == ticket), None)

    def write(self, row: dict, content: bytes) -> None:
        """Keep the bytes; an image's width and height are read from them."""
        (self.folder / row["id"]).write_bytes(content)
        row |= {"size": len(content), "_state": "uploaded"}
        if size := png_size(content):
            row |= {"original_w": size[0], "original_h": size[1], "thumb_720": row["url_private"]}
        self.team.store.put("file", row["id"], row)

    def path(self, row: dict) -> Path:
        return self.folder / row["id"]

    @staticmethod
    def object(row: dict) -> dict:
        """Slack's file object."""
        return {k: v for k, v in row.items() if not k.startswith("_")}


def png_size(content: bytes) -> tuple[int, int] | None:
    """(width, height) of a PNG (from its IHDR chunk), None for anything else."""
    if len(content) < 24 or content[:8] != b"\x89PNG\r\n\x1a\n":
        return None
    return struct.unpack(">II", content[16:24])
