"""What is being asked: an alert's words, the names in its expression, a question; each is compared in its own way.

An expression (PromQL and its like) names metrics and label values; its functions, groupings, windows and label keys
say how it is computed and not what it is about, so they are left out.
"""

import re

import msgspec

from knowledge.words import clean, spaced

MAX_TEXT = 4_000
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_SELECTOR = re.compile(r"\{[^{}]*\}")
_MATCHER = re.compile(r"([A-Za-z_]\w*)\s*(=~|!=|!~|=)\s*[\"'`]([^\"'`]*)[\"'`]")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)", re.IGNORECASE)
_NOISE = re.compile(r"\[[^\]]*\]|[\"'`][^\"'`]*[\"'`]|\b[A-Za-z_]\w*\s*(?=\()")
_NAME = re.compile(r"[A-Za-z_:][\w:.]*")
_LABEL = re.compile(r"^\s*[\w.\-/]+\s*=[^=~\n{}()][^\n{}()]*$")
_OPERATOR = re.compile(
    r"\b(?:and|or|unless|bool|offset|by|on|without|ignoring|group_left|group_right)\b", re.IGNORECASE
)
_PROSE = re.compile(r"[A-Za-z_]\w*[,;.]?\s+[A-Za-z_]\w*")
_GRAMMAR = frozenset(["inf", "nan", "e"])
_WHERE = frozenset(["namespace", "job", "instance", "pod", "endpoint", "cluster", "container"])
_ASKS = re.compile(r"^\s*(what|how|why|when|who|where|which|is|are|does|do|can|should|could)\b", re.IGNORECASE)
_CODE = re.compile(r"\w\s*[{(\[]|[<>=!]=|\s[<>*/]\s")


class Query(msgspec.Struct, frozen=True):
    """What is asked: the alert's words, its expression or names of things, and a question about them. Any may be
    empty.
    """

    words: str = ""
    expression: str = ""
    question: str = ""


def understood(text: str, expression: str = "", question: str = "") -> Query:
    """A query from parts that may be mixed: label lines (`severity=critical`) are dropped, a last line that asks is
    the question, and a text that is an expression is taken for one.

    >>> understood("PSI of temp is 3.1\\nseverity=critical\\nHow do I fix this?")
    Query(words='PSI of temp is 3.1', expression='', question='How do I fix this?')
    """
    lines = clean(text, MAX_TEXT).split("\n")
    if len(lines) > 1 and not question and asks(lines[-1]):
        question = lines.pop().strip()
    said = " ".join(" ".join(line for line in lines if not _LABEL.match(line)).split()) or " ".join(
        " ".join(lines).split()
    )
    if not expression and is_expression(said):
        said, expression = "", said
    return Query(said, clean(expression, MAX_TEXT), clean(question, MAX_TEXT))


def asks(text: str) -> bool:
    """Whether a text begins and ends like a question."""
    return bool(_ASKS.match(text)) and text.rstrip().endswith("?")


def is_expression(text: str) -> bool:
    """Whether a text is a formula over metrics and not a sentence.

    >>> is_expression('rate(http_errors_total{job="api"}[5m]) > 0.1'), is_expression("Error rate (5m) is above 10%")
    (True, False)
    """
    if not _CODE.search(text):
        return False
    rest = _GROUPING.sub(" + ", _SELECTOR.sub(" ", _TEMPLATE.sub(" ", text)))
    rest = _OPERATOR.sub("+", _NOISE.sub(" ", rest))
    return bool(_NAME.search(rest)) and not _PROSE.search(rest)


def names(expression: str) -> str:
    """The names of metrics and the telling label values in an expression, as plain words; a text without any, as it
    is.

    >>> names('sum by (pod) (rate(http_requests_total{code="500", job="api"}[5m])) > 0.1')
    'http requests total 500'
    """
    bare = _TEMPLATE.sub(" ", expression)
    values = [
        value
        for selector in _SELECTOR.findall(bare)
        for key, sign, value in _MATCHER.findall(selector)
        if sign in ("=", "=~") and key not in _WHERE and any(letter.isalnum() for letter in value)
    ]
    rest = _NOISE.sub(" ", _GROUPING.sub(" ", _SELECTOR.sub(" ", bare)))
    metrics = [name for name in _NAME.findall(_OPERATOR.sub(" ", rest)) if name.lower() not in _GRAMMAR]
    return " ".join(spaced(name) for name in dict.fromkeys([*metrics, *values])) or spaced(expression)
