"""Text from outside made fit to be shown: nothing invisible, and on request nothing that markup would act upon."""

from __future__ import annotations

import re

_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_MARKUP = re.compile(r"[<>`|]")


def visible(text: str, most: int) -> str:
    """`text` cut to `most` characters, each control, bidi, zero-width or surrogate character shown as U+FFFD."""
    return _INVISIBLE.sub("�", text[:most])


def cleaned(text: str, most: int = 300) -> str:
    """One line of `text` without invisible characters and without those that start markup or mentions."""
    return " ".join(_MARKUP.sub(" ", _INVISIBLE.sub(" ", text)).split())[:most]
