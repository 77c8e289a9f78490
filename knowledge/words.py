"""From text to words for the lexical index: identifiers are split, and hidden characters are dropped.

`featurePSIShift`, `feature_psi_shift` and `feature psi shift` must meet in the same words, because runbook titles
are written in one style, alert texts in another and metric names in a third.
"""

import re
import unicodedata
from functools import lru_cache

# Bidirectional overrides, zero-width marks, soft hyphen, byte-order mark, tag characters: invisible in a browser,
# read by a machine.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_RUN = re.compile(r"[^\W_]+(?:[._\-/:]*[^\W_]+)*")
_HUMP = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_a-zA-Z]+")

_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "may",
        "more",
        "most",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "should",
        "so",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)


def clean(text: str, limit: int = 200_000) -> str:
    """The text without control, bidi, zero-width and surrogate characters, in NFC, at most `limit` characters."""
    text = text[:limit].replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", _CONTROL.sub(" ", _HIDDEN.sub("", text)))


def hidden(text: str) -> list[int]:
    """Offsets of characters that a reader cannot see but a machine would read."""
    return [found.start() for found in _HIDDEN.finditer(text)]


def stem(word: str) -> str:
    """A plain suffix-stripper: plural, -ing, -ed, -ly; enough to join "failing", "fails" and "failed".

    >>> [stem(word) for word in ("fails", "failing", "failed", "latencies", "status", "process")]
    ['fail', 'fail', 'fail', 'latency', 'status', 'process']
    """
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for suffix in ("ing", "ed"):
        root = word[: -len(suffix)]
        if word.endswith(suffix) and len(root) >= 3 and any(vowel in root for vowel in "aeiouy"):
            if root[-1] == root[-2] and root[-1] not in "lsz":
                return root[:-1]
            return root[:-1] if root.endswith("e") else root
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


def words(text: str) -> list[str]:
    """Lower-case stemmed words; an identifier gives its parts and, when it has several, itself joined.

    >>> words("KubePodCrashLooping")
    ['kube', 'pod', 'crash', 'loop', 'kubepodcrashlooping']
    >>> words("rate(http_requests_total[5m])")
    ['rate', 'http', 'request', 'total', 'httprequeststotal', '5', 'm', '5m']
    """
    return [word for run in _RUN.findall(text) for word in _parts(run)]


@lru_cache(maxsize=1 << 16)
def _parts(run: str) -> tuple[str, ...]:
    parts = [part.lower() for part in _HUMP.findall(run)]
    whole = ["".join(parts)] if 1 < len(parts) <= 12 and not run.isdigit() else []
    return (*[stem(part) for part in parts if part not in _STOP], *whole)


def spaced(identifier: str) -> str:
    """An identifier as plain words, for a model that reads language.

    >>> spaced("KubePodCrashLooping")
    'Kube Pod Crash Looping'
    """
    return " ".join(_HUMP.findall(identifier)) or identifier
