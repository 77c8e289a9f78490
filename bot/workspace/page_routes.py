"""The page and its fragments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from .server import Workspace


def add(ws: Workspace, app: web.Application, bound) -> None:
    """Bind the page's addresses."""
