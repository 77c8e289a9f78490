"""A language model may word the findings and choose among what is offered. It can add no fact, no name, no action.

The model never sees raw telemetry: it gets the rules' own sentences, templated and fenced. Whatever it answers goes
through the same gate as everything else; a sentence that fails is replaced by the rules' own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from agents import prompts, sanitise
from core.errors import Unavailable
from core.findings import Cause, Claim
from core.ports import LanguageModel

MAX_SENTENCE = 400
GRACE = 1.0
"""Seconds beyond its time after which a model is left behind."""
NEAR = 0.5
"""A cause is offered to the model if it is at least this likely relative to the first."""


class Sentence(Struct, frozen=True):
    """The model's words for one finding."""

    finding: str
    text: str


class Wording(Struct, frozen=True):
    """What the model fills in: its words, and its choice among the offered ids."""

    sentences: list[Sentence]
    cause: str
    action: str


class Worded(Struct, frozen=True):
    """Claims in the model's words with the rules' own beside them, and what it chose."""

    claims: list[Claim]
    cause: str
    action: str


def offered(causes: Sequence[Cause]) -> list[Cause]:
    """The causes a model may choose from: the first and those nearly as likely."""
    return [c for c in causes[:3] if c.posterior >= NEAR * causes[0].posterior]


def ask(
    claims: Sequence[Claim], causes: Sequence[Cause], actions: Sequence[str], complaints: Sequence[str] = ()
) -> str:
    """The user part of the prompt. All text in it is fenced."""
    findings = [sanitise.fence(c.text, f"F{i} {c.role}", 600) for i, c in enumerate(claims, 1)]
    choices = [f"C{i}: {c.type} at {sanitise.fence(c.node, 'node', 96)}" for i, c in enumerate(offered(causes), 1)]
    parts = ["Findings:", *findings, "Causes:", *choices, "Actions: " + ", ".join(actions)]
    if complaints:
        parts += ["Your last answer was refused:", *(f"- {sanitise.template(c, 200)}" for c in complaints[:8])]
    return "\n".join(parts)


async def word(
    model: LanguageModel,
    claims: Sequence[Claim],
    causes: Sequence[Cause],
    actions: Sequence[str],
    *,
    timeout: float,
    complaints: Sequence[str] = (),
) -> Worded:
    """The findings in the model's words. Raises Unavailable when it is slow, away, or answers anything else."""
    asked = prompts.text("hypothesise"), ask(claims, causes, actions, complaints)
    async with asyncio.timeout(timeout + GRACE):  # whatever stands behind the port may not know of time
        answer = await model.fill(*asked, Wording, timeout=timeout)
    if not _filled(answer):
        raise Unavailable("the language model did not fill the form")
    said: dict[str, str] = {}
    for sentence in answer.sentences[:60]:
        said.setdefault(sentence.finding.strip(), sanitise.clean(sentence.text, MAX_SENTENCE))
    worded = [
        msgspec.structs.replace(c, text=said[f"F{i}"]) if said.get(f"F{i}") else c for i, c in enumerate(claims, 1)
    ]
    choices = {f"C{i}": c.node for i, c in enumerate(offered(causes), 1)}
    cause = choices.get(answer.cause.strip(), causes[0].node if causes else "")
    action = answer.action.strip() if answer.action.strip() in actions else (actions[0] if actions else "ticket")
    return Worded(worded, cause, action)


def _filled(answer: object) -> bool:
    """Whether every field of the form holds what it should."""
    try:
        msgspec.convert(msgspec.to_builtins(answer), Wording)
    except (msgspec.MsgspecError, TypeError):
        return False
    return isinstance(answer, Wording)
