"""A person's words to a running investigation, as constraints on the next run: what to leave out, where to look.

The words are untrusted text. They can exclude evidence or favour a node; they can add nothing and choose no action.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from agents import sanitise

FAVOUR = 2.5
"""Nats that a node named by a person gains."""

_AWAY = re.compile(
    r"(?i)\b(?:ignore|exclude|forget|drop|disregard|skip|rule out|not|isn't|wasn't|unrelated|leave out)\b"
)
_TOWARDS = re.compile(
    r"(?i)\b(?:look(?:ing)? (?:at|into)|check|focus(?: on)?|consider|suspect|investigate|blame|inspect|"
    r"think it(?:'s| is))\b"
)
_DULL = frozenset(
    [
        "the",
        "a",
        "an",
        "at",
        "to",
        "of",
        "in",
        "on",
        "and",
        "or",
        "it",
        "is",
        "was",
        "that",
        "this",
        "into",
        "please",
        "look",
        "check",
        "feed",
        "job",
        "data",
        "model",
        "with",
        "for",
        "we",
        "know",
        "already",
        "change",
        "changes",
        "version",
    ]
)
_KINDS = {
    "deployment": ("deploy", "deployment", "deploys", "release", "rollout", "promotion"),
    "feature_job": ("job", "pipeline"),
    "schema": ("schema", "migration"),
    "flag": ("flag", "toggle"),
    "configuration": ("config", "configuration", "setting"),
    "data": ("backfill", "dataset"),
}


class Steering(NamedTuple):
    """What people asked for. `said` are the sanitised sentences that had an effect, for the card."""

    without_changes: frozenset[str]
    """Ids of changes to leave out."""
    without_nodes: frozenset[str]
    towards: frozenset[str]
    said: tuple[str, ...]

    def prior(self, node: str) -> float:
        return FAVOUR if node in self.towards else 0.0


def read(sentences: Iterable[str], nodes: Sequence[str], changes: Sequence[dict[str, Any]]) -> Steering:
    """The constraints in what people wrote, over the nodes and changes (evidence rows) there are.

    >>> s = read(["ignore the deploy, look at the weather feed"], ["weather", "temp"],
    ...          [{"name": "c1", "kind": "deployment", "target": "m"}])
    >>> sorted(s.without_changes), sorted(s.towards)
    (['c1'], ['weather'])
    """
    gone: set[str] = set()
    hidden: set[str] = set()
    towards: set[str] = set()
    said: list[str] = []
    for sentence in list(sentences)[-8:]:
        text = sanitise.clean(sentence, 300)
        before = len(gone) + len(hidden) + len(towards)
        for part in re.split(r"[,;.!?]|\bbut\b|\band\b(?=\s+(?:look|check|focus|ignore|consider))", text):
            away, to = _AWAY.search(part), _TOWARDS.search(part)
            if not away and not to:
                continue
            words = {w for w in re.findall(r"[\w\-.]+", part.lower()) if w not in _DULL}
            kinds = {kind for kind, names in _KINDS.items() if set(names) & set(re.findall(r"\w+", part.lower()))}
            matched = {node for node in nodes if _matches(node, words)}
            if away and (not to or away.start() < to.start()):
                gone |= {c["name"] for c in changes if c["kind"] in kinds or c["name"].lower() in words}
                hidden |= matched
                towards -= matched
            else:
                towards |= matched
                hidden -= matched
        if len(gone) + len(hidden) + len(towards) != before:
            said.append(text)
    return Steering(frozenset(gone), frozenset(hidden), frozenset(towards), tuple(said))


def _matches(node: str, words: set[str]) -> bool:
    """Whether the words name the node: its whole name, or its most telling parts."""
    name = node.lower()
    return name in words or any(len(w) > 2 and w in re.split(r"[^a-z0-9]+", name) for w in words)
