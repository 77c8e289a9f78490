"""Asking an HTTP interface of somebody else: within bounds, with retries that are safe, and errors fit to be shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from core.errors import Refused, Unavailable
from integrations.plain import cleaned

LONGEST_ANSWER = 2_000_000
"""Bytes of an answer that are read at most."""


async def ask(
    method: str, url: str, *, what: str, remedy: str, body: Any = None, headers: Mapping[str, str] | None = None,
    timeout: float = 10.0, attempts: int = 3, pause: float = 0.3,
) -> Any:  # fmt: skip
    """The decoded JSON of the answer.

    Answers 5xx, 429 and silence are tried again, so a request that is not safe to repeat must carry a key. Raises
    Unavailable (with `remedy`) when that does not help, Refused with the other side's own words for other 4xx.
    Redirects are not followed: a token must not travel to an address that nobody configured.
    """
    said = ""
    limits = aiohttp.ClientTimeout(total=timeout, connect=min(timeout, 3.0))
    async with aiohttp.ClientSession(timeout=limits) as session:
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(pause * 4 ** (attempt - 1))
            try:
                async with session.request(
                    method, url, json=body, headers=headers, allow_redirects=False
                ) as answer:  # fmt: skip
                    raw = await _whole(answer, what)
                    status = answer.status
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                said = f"does not answer ({cleaned(str(error) or type(error).__name__)})"
                continue
            if status >= 500 or status == 429:
                said = f"answered {status}: {_message(raw)}"
                continue
            if status >= 300:
                raise Refused(f"{what} answered {status}: {_message(raw)}")
            return _decoded(raw, what)
    raise Unavailable(f"{what} {said}; {remedy}")


async def _whole(answer: aiohttp.ClientResponse, what: str) -> bytes:
    """The body, in however many pieces it comes. Raises Unavailable when it does not end within the bound."""
    raw = bytearray()
    async for piece in answer.content.iter_any():
        raw += piece
        if len(raw) > LONGEST_ANSWER:
            raise Unavailable(f"{what} answered more than {LONGEST_ANSWER:,} bytes")
    return bytes(raw)


def _decoded(raw: bytes, what: str) -> Any:
    try:
        return json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError):
        shown = cleaned(raw[:200].decode("utf-8", "replace"))
        raise Unavailable(f"{what} answered something that is not JSON: {shown}") from None


def _message(raw: bytes) -> str:
    """The other side's own words, wherever it keeps them."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return cleaned(raw.decode("utf-8", "replace")) or "no reason given"
    for _ in range(2):
        if isinstance(found, dict):
            found = found.get("error") or found.get("message") or found.get("detail") or ""
    return cleaned(str(found)) or "no reason given"
