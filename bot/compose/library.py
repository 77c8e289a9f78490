"""The runbook author's tools: what `python -m bot runbooks` asks of the knowledge room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.compose.ground import ground
from core.policy import Policy
from core.settings import Settings

Progress = Callable[[int, int], None]


def _library(settings: Settings) -> Any:
    """Every runbook, searched by words and meaning, compared with every chunk (no index: the process is short)."""
    from knowledge.embedder import Embedder
    from knowledge.search import Runbooks
    from knowledge.tune import chosen
    from knowledge.vectors import Vectors

    folder = settings.var / "knowledge"
    return Runbooks(settings.runbooks, vectors=Vectors(folder, Embedder(chosen(folder))))


async def _asked(settings: Settings, policy: Policy, library: Any) -> list[Any]:
    """One question for each past incident."""
    from knowledge.questions import questions

    async with ground(settings, policy, "runbooks") as house:
        incidents = await house.views.incidents.all(over=True)
    await asyncio.to_thread(library.refresh)
    return questions(incidents, library.shelf.books.values())


async def lint(settings: Settings) -> list[str]:
    """Complaints, each `file:line: what; remedy`."""
    from detectors.base import names
    from knowledge.frontmatter import Known
    from knowledge.lint import lint as complaints

    known = Known(detectors=frozenset(names()))
    return [str(c) for c in await asyncio.to_thread(complaints, [settings.runbooks], known)]


async def search(settings: Settings, words: str, top: int) -> list[Any]:
    """Passages, best first; empty when nothing fits."""
    return await _library(settings).search(words, top=top, asked=True)


async def attempt(settings: Settings, policy: Policy, path: Path) -> Any:
    """What a new or changed runbook would answer of the past incidents."""
    from knowledge.coverage import trial

    library = _library(settings)
    asked = await _asked(settings, policy, library)
    return await asyncio.to_thread(trial, path, library, asked), len(asked)


async def coverage(settings: Settings, policy: Policy) -> Any:
    """What no runbook speaks of."""
    from detectors.base import names
    from knowledge.coverage import coverage as uncovered

    library = _library(settings)
    asked = await _asked(settings, policy, library)
    signals = ("feature", "score", "error", "latency", "confidence", "quality", "silence", "staleness", "nulls")
    return await asyncio.to_thread(uncovered, library, asked, names(), signals, datetime.now(UTC).date())


async def tune(settings: Settings, policy: Policy, progress: Progress) -> Any:
    """Fine-tune on the team's own incidents; kept only if it wins on questions held out."""
    from knowledge.tune import tune as learn

    library = _library(settings)
    asked = await _asked(settings, policy, library)
    books, folder = list(library.shelf.books.values()), settings.var / "knowledge"
    return await asyncio.to_thread(learn, books, asked, folder, progress=progress)


def rank(
    settings: Settings, corpus: Path, sections: Path | None, queries: Path, out: Path, everywhere: bool,
    progress: Progress,
) -> int:  # fmt: skip
    """Rank a benchmark's queries into a TREC run; how many."""
    from knowledge.bulk import run
    from knowledge.embedder import Embedder
    from knowledge.vectors import Vectors

    vectors = Vectors(settings.var / "knowledge", Embedder())
    return run(corpus, sections, queries, out, vectors=vectors, everywhere=everywhere, progress=progress)
