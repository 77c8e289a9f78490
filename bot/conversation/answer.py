"""An answer before it has a place: blocks to show, an optional picture, and what else might have been meant."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.blocks import Block, context, section
from core.approval import Person
from core.incidents import Incident


@dataclass
class Answer:
    """`text` is the notification; `blocks` what is read; `options` are commands offered as buttons ("did you mean")."""

    text: str
    blocks: list[Block] = field(default_factory=list)
    picture: tuple[bytes, str] | None = None
    options: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, *paragraphs: str, cites: str = "", **more) -> Answer:
        """An answer of mrkdwn paragraphs; `cites` says where its numbers come from."""
        blocks = [section(p) for p in paragraphs if p]
        if cites:
            blocks.append(context(cites))
        return cls(text=paragraphs[0][:290], blocks=blocks, **more)


@dataclass(frozen=True)
class Asked:
    """One question with everything it depends on. `words` are what follows the command's name."""

    words: list[str]
    person: Person
    channel: str = ""
    thread: str = ""
    read_only: bool = False
    incident: Incident | None = None
    """The incident in whose thread it was asked."""

    @property
    def rest(self) -> str:
        return " ".join(self.words)
