"""Sentences that carry their sources: every number is taken from the evidence while the sentence is written."""

from __future__ import annotations

from collections.abc import Mapping

from agents.recompute import Expression, NotFound
from core.findings import Claim, Evidence, NumberRef


class Draft:
    """One sentence being written.

    >>> e = Evidence(id="E1", source="alert", title="", query="", result={"rows": 1200.0, "f": "temp"}, at=0.0)
    >>> d = Draft({"E1": e})
    >>> d.claim(f"{d.name('temp')} over {d.number('E1', 'rows', ',.0f')} rows").text
    'temp over 1,200 rows'
    """

    def __init__(self, evidence: Mapping[str, Evidence], *cites: str):
        self._evidence = evidence
        self._cites = list(cites)
        self._numbers: list[NumberRef] = []
        self._names: list[str] = []

    def number(self, evidence: str, path: str, form: str = "", absolute: bool = False) -> str:
        """The number at `path`, formatted; without a form, to about three digits. Raises NotFound."""
        expression = Expression(path, evidence)
        value = expression.value(self._evidence)
        for source in (evidence, *(e for e, _ in expression.paths)):
            if source not in self._cites and any(e == source for e, _ in expression.paths):
                self._cites.append(source)
        if isinstance(value, str):
            text = value
        else:
            value = abs(value) if absolute else value
            text = format(value, form) if form else short(value)
        self._numbers.append(NumberRef(text=text, evidence=evidence, path=path))
        return text

    def name(self, name: str) -> str:
        """A name that must stand in the cited evidence."""
        if name not in self._names:
            self._names.append(name)
        return name

    def cite(self, evidence: str) -> None:
        """Cite a piece of evidence that gives the sentence no number."""
        self._cites.append(evidence)

    def claim(self, text: str, role: str = "fact") -> Claim:
        """The finished sentence. Numbers must have been asked for in the order in which they stand in it."""
        order = sorted(set(self._cites), key=lambda e: int(e[1:]))
        return Claim(text=text, citations=order, numbers=list(self._numbers), role=role, entities=list(self._names))  # type: ignore[arg-type]


def short(value: float) -> str:
    """A number as people write it: three digits or so, never in powers of ten.

    >>> short(4.4444), short(41.02), short(0.0312), short(15234.2), short(0.0)
    ('4.4', '41.0', '0.031', '15,234', '0.0')
    """
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 1 or size == 0:
        return f"{value:.1f}"
    if size >= 0.1:
        return f"{value:.2f}"
    return f"{value:.3f}" if size >= 0.001 else f"{value:.6f}"


__all__ = ["Draft", "NotFound", "short"]
