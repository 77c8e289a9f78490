"""The claim gate: a sentence is posted only if the evidence it cites says the same.

For every claim, whoever wrote it: each citation exists and is unaltered; every number is recomputed from the snapshot
and agrees within rounding; whose number it is, is named; every name in the sentence stands in the cited evidence; its
direction ("rose", "before") holds; a cause lies on the path to the alert. Anything else is dropped with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from agents.recompute import DURATIONS, SIGNED, Expression, NotFound, agrees, names_along
from agents.units import BY_ID
from core.findings import Claim, DroppedClaim, Evidence

MAX_LENGTH = 600

_NUMBER = re.compile(
    r"(?<![\w.])\d{4}-\d\d-\d\d(?![\w-])|(?<![\w.])\d\d:\d\dZ?|[+\-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
)
_NUMBER_WORD = re.compile(
    r"(?i)\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|"
    r"hundreds?|thousands?|millions?|dozens?|half|halved|quarter|twice|thrice|doubled?|tripled?|tenfold)\b"
)
_UP = re.compile(
    r"(?i)\b(?:rose|rises?|rising|risen|increas\w+|grew|grows?|grown|growing|climb\w*|jump\w*|surg\w+|higher|larger)\b"
)
_DOWN = re.compile(
    r"(?i)\b(?:fell|falls?|falling|fallen|decreas\w+|drop(?:s|ped|ping)?|declin\w+|lower|smaller|shrank|shr[iu]nk\w*)\b"
)
_BEFORE = re.compile(r"(?i)\b(?:before|earlier|preced\w+|prior)\b")
_AFTER = re.compile(r"(?i)\b(?:after|later|follow(?:ed|s|ing)|since then)\b")
_FROM_TO = re.compile(r"(?i)\bfrom\s+$")
_ABOVE = re.compile(r"(?i)^[^.;]*\b(?:above|exceed\w*)\b[^.;]*$")
_BELOW = re.compile(r"(?i)^[^.;]*\bbelow\b[^.;]*$")
_FORBIDDEN = re.compile(r"(?i)[a-z][a-z0-9+.\-]*://|\bwww\.|<[!@#]|@(?:here|channel|everyone)\b|[<>`\x00-\x1f\x7f]")
_IDENTIFIER = re.compile(r"[^\s,;:()\"'?!]*(?:[_/@=\\]|\w\.\w|[a-z][A-Z]|\w-\d|\d[A-Za-z]|[A-Za-z]\d)[^\s,;:()\"'?!]*")
_UNITS = re.compile(
    r"(?i)\b(?:"
    + "|".join(
        sorted(
            {
                re.escape(u)
                for c in BY_ID.values()
                if c.quantity in ("temperature", "speed", "pressure", "mass")
                for u in (c.old, c.new)
            },
            key=len,
            reverse=True,
        )
    )
    + r")\b"
)


class Verdict(NamedTuple):
    """What came through the gate and what did not."""

    claims: list[Claim]
    dropped: list[DroppedClaim]


def gate(claims: Iterable[Claim], evidence: Sequence[Evidence], on_path: Iterable[str] = ()) -> Verdict:
    """The claims that hold, in order, and the others with the reason.

    `on_path` are the names on the way from the ranked cause to the alert, the responsible change included: a claim of
    role `cause` must speak of one of them.
    """
    index = {e.id: e for e in evidence}
    known = {e.id: texts_in(e.result) for e in evidence}
    genuine = {e.id: e.digest == e.sealed().digest for e in evidence}
    path = set(on_path)
    passed, dropped = [], []
    for claim in claims:
        why = _fault(claim, index, known, genuine, path)
        if why:
            dropped.append(DroppedClaim(text=claim.text[:MAX_LENGTH], why=why))
        else:
            passed.append(claim)
    return Verdict(passed, dropped)


def texts_in(result: Any) -> frozenset[str]:
    """Every text that stands in a piece of evidence as a value of its own."""
    found: set[str] = set()
    stack = [result]
    while stack:
        match stack.pop():
            case str() as text:
                found.add(text)
            case dict() as mapping:
                stack.extend(mapping.values())
            case list() as items:
                stack.extend(items)
    return frozenset(found)


def _fault(
    claim: Claim,
    index: Mapping[str, Evidence],
    known: Mapping[str, frozenset[str]],
    genuine: Mapping[str, bool],
    path: set[str],
) -> str:
    """Why the claim may not be posted; empty when it may."""
    if not claim.text.strip() or len(claim.text) > MAX_LENGTH:
        return "is empty or too long"
    if _FORBIDDEN.search(claim.text):
        return "holds a link, a mention or mark-up"
    if not claim.citations:
        return "cites nothing"
    for cited in claim.citations:
        if cited not in index:
            return f"cites {cited[:12]}, which does not exist"
        if not genuine[cited]:
            return f"cites {cited}, whose content does not match its digest"
    if claim.role == "cause" and path and not path & set(claim.entities):
        return "names a cause that is not on the path to the alert"
    try:
        return _wrong_names(claim, known) or _wrong_numbers(claim, index) or _wrong_directions(claim, index)
    except NotFound as error:
        return str(error)


def _spans(claim: Claim) -> tuple[list[tuple[int, int]], str]:
    """Where the claim's entities stand in its text, and the first entity that does not stand there.

    A name that looks like a number (a version) counts only after the word "version" or "v".
    """
    taken: list[tuple[int, int]] = []
    for entity in sorted(set(claim.entities), key=len, reverse=True):
        before = r"(?:(?<=[Vv]ersion )|(?<=\bv))" if _numeric(entity) else r"(?<![\w.\-])"
        after = r"(?![\w%]|[.,]\d)" if _numeric(entity) else r"(?![\w\-]|\.\w)"
        hits = [m.span() for m in re.finditer(before + re.escape(entity) + after, claim.text)]
        hits = [h for h in hits if not any(a < h[1] and h[0] < b for a, b in taken)]
        if not hits:
            return taken, entity
        taken += hits
    return taken, ""


def _numeric(text: str) -> bool:
    return bool(re.fullmatch(r"[\d.,+\-]+", text))


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with the spans blanked out, positions kept."""
    chars = list(text)
    for start, end in spans:
        chars[start:end] = " " * (end - start)
    return "".join(chars)


def _wrong_names(claim: Claim, known: Mapping[str, frozenset[str]]) -> str:
    cited = frozenset().union(*(known[c] for c in claim.citations))
    spans, missing = _spans(claim)
    if missing:
        return f"lists {missing[:60]!r} but does not name it"
    for entity in claim.entities:
        if entity not in cited:
            return f"names {entity[:60]!r}, which the cited evidence does not hold"
    rest = _without(claim.text, spans)
    rest = _without(rest, [m.span() for m in _NUMBER.finditer(rest)])
    for word in re.findall(r"\w*[^\W\d_]\w*", rest):
        if not word.isascii():
            return f"names {word[:60]!r}, which the cited evidence does not hold"
    for match in _IDENTIFIER.finditer(rest):
        word = match[0].strip(".")
        if any(c.isalpha() for c in word):
            return f"names {word[:60]!r}, which the cited evidence does not hold"
    elsewhere = frozenset().union(*known.values()) - cited
    for word in set(re.findall(r"[\w.\-]{3,}", rest)):
        if word in elsewhere and not word.islower():
            return f"names {word[:60]!r}, which only evidence that is not cited holds"
    return ""


def _wrong_numbers(claim: Claim, index: Mapping[str, Evidence]) -> str:
    spans, _ = _spans(claim)
    rest = _without(claim.text, spans)
    shown = sorted([*_NUMBER.finditer(rest), *_NUMBER_WORD.finditer(rest)], key=lambda m: m.start())
    stray = re.search(r"\d", _without(rest, [m.span() for m in shown]))
    if stray or len(shown) != len(claim.numbers):
        return f"shows {len(shown)} numbers, of which {len(claim.numbers)} say where they come from"
    for match, ref in zip(shown, claim.numbers, strict=True):
        if match[0] != ref.text:
            return f"shows {match[0]} where its source is given for {ref.text[:20]}"
        expression = Expression(ref.path, ref.evidence)
        uncited = {e for e, _ in expression.paths} - set(claim.citations)
        if uncited or not expression.paths:
            return f"{ref.text} comes from {', '.join(sorted(uncited)) or 'nowhere'}, which is not cited"
        value = expression.value(index)
        signed = not (
            expression.functions[:1] and expression.functions[0] in (*DURATIONS, *SIGNED) and ref.text[0] not in "+-−"
        )
        if not agrees(ref.text, value, signed=signed):
            return f"says {ref.text}, but the evidence gives {_brief(value)}"
        for source, path in expression.paths:
            for whose in names_along(index[source].result, path):
                if whose not in claim.entities:
                    return f"{ref.text} belongs to {whose[:60]!r}, which the sentence does not name"
    return ""


def _brief(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _wrong_directions(claim: Claim, index: Mapping[str, Evidence]) -> str:
    spans, _ = _spans(claim)
    rest = _without(claim.text, spans)
    values = [(ref, Expression(ref.path, ref.evidence)) for ref in claim.numbers]
    known = [(e.functions[0] if e.functions else "", e.value(index), e.texts) for _, e in values]
    places = [
        m.span() for m in sorted([*_NUMBER.finditer(rest), *_NUMBER_WORD.finditer(rest)], key=lambda m: m.start())
    ]
    return (
        _wrong_rise(rest, known, places)
        or _wrong_order(rest, known)
        or _wrong_comparison(rest, known, places)
        or _wrong_units(rest, known)
    )


def _wrong_rise(rest: str, known: list[tuple[str, Any, list[str]]], places: list[tuple[int, int]]) -> str:
    moves = [v for f, v, _ in known if f in SIGNED] + [v - 1 for f, v, _ in known if f == "ratio"]
    for at, (start, _) in enumerate(places[:-1]):
        if _FROM_TO.search(rest[:start]) and re.match(r"\W*(?:per cent|%)?\s*to\b", rest[places[at][1] :]):
            moves.append(known[at + 1][1] - known[at][1])
    up, down = _UP.search(rest), _DOWN.search(rest)
    if up and not any(m > 0 for m in moves):
        return f"says {up[0]!r}, which no cited number shows"
    if down and not any(m < 0 for m in moves):
        return f"says {down[0]!r}, which no cited number shows"
    if bool(up) != bool(down) and any((m < 0) if up else (m > 0) for m in moves):
        return f"says {(up or down)[0]!r}, but the cited numbers go the other way"  # type: ignore[index]
    return ""


def _wrong_order(rest: str, known: list[tuple[str, Any, list[str]]]) -> str:
    """`minutes(a, b)` stands for "a ... before b" when positive and "a ... after b" when negative."""
    spans = [v for f, v, _ in known if f in DURATIONS]
    before, after = _BEFORE.search(rest), _AFTER.search(rest)
    if before and not any(v >= 0 for v in spans):
        return f"says {before[0]!r}, which no cited time shows"
    if after and not any(v <= 0 for v in spans):
        return f"says {after[0]!r}, which no cited time shows"
    if bool(before) != bool(after) and any((v < 0) if before else (v > 0) for v in spans):
        return f"says {(before or after)[0]!r}, but the cited times are the other way round"  # type: ignore[index]
    return ""


def _wrong_comparison(rest: str, known: list[tuple[str, Any, list[str]]], places: list[tuple[int, int]]) -> str:
    for at in range(len(places) - 1):
        between = rest[places[at][1] : places[at + 1][0]]
        left, right = known[at][1], known[at + 1][1]
        if isinstance(left, str) or isinstance(right, str):
            continue
        if (_ABOVE.match(between) and not left > right) or (_BELOW.match(between) and not left < right):
            return f"compares {_brief(left)} with {_brief(right)} the wrong way round"
    return ""


def _wrong_units(rest: str, known: list[tuple[str, Any, list[str]]]) -> str:
    """A conversion may be named only by a sentence that shows how well it fits."""
    shown = [BY_ID[t] for f, _, texts in known if f in ("unit_gap", "unit_error") for t in texts if t in BY_ID]
    named = [m[0] for m in _UNITS.finditer(rest)]
    for unit in named:
        if not any(unit.lower() in (c.old.lower(), c.new.lower()) for c in shown):
            return f"names the unit {unit!r} without a fit that shows it"
    for conversion in shown:
        old, new = rest.find(conversion.old), rest.find(conversion.new)
        if 0 <= new < old and re.search(r"\bto\b", rest[new:old]):
            return "names the conversion the wrong way round"
    return ""
