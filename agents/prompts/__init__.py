"""Prompts are prose in files of their own; `text("hypothesise")` is `hypothesise.md`."""

from functools import cache
from pathlib import Path


@cache
def text(name: str) -> str:
    """The prompt of this name. Raises FileNotFoundError."""
    return (Path(__file__).parent / f"{name}.md").read_text("utf-8")
