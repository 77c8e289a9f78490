"""What the workspace knows of itself, for `/workspace/state` and the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .server import Workspace


def snapshot(ws: Workspace) -> dict:
    """Sockets, standing faults, the app's last calls and deliveries, calls counted by method."""
    return {
        "name": ws.team.name, "url": ws.url, "api_url": ws.api_url, "banner": ws.banner,
        "sockets": ws.hub.connected, "faults": ws.faults.listed(), "calls": list(ws.calls.log)[-200:],
        "counts": ws.calls.count, "deliveries": list(ws.hub.deliveries)[-200:],
        "undelivered": len(ws.store.rows("event")), "manifest": ws.team.manifest.source, "seq": ws.feed.seq,
    }  # fmt: skip
