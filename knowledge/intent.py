"""What a question wants of a runbook, and what a heading offers: the four parts that nearly every runbook has, whatever
its author calls them. An encoder alone takes "Prevention" for the answer to "How do I fix this?".
"""

from collections.abc import Sequence

from knowledge.words import words

_SAID = {
    "meaning": "meaning mean description describe summary overview about definition context background explanation",
    "impact": "impact consequence effect affect severity risk damage",
    "diagnosis": "diagnosis diagnose diagnostic troubleshoot investigate investigation debug verify verification "
    "symptom triage check analysis analyse analyze inspect cause identify",
    "mitigation": "mitigation mitigate resolution resolve remediation remediate remedy fix solution solve recovery "
    "recover repair action workaround procedure response restore",
    "aside": "prevention prevent related reference link escalation escalate contact note additional example dashboard",
}
_PART = {stem: part for part, said in _SAID.items() for stem in words(said)}


def part(text: str) -> str:
    """The part that a heading or a question speaks of: meaning, impact, diagnosis, mitigation, aside; '' for none of
    them, or for two at once.

    >>> part("Steps to remediate"), part("What is the impact of this alert?"), part("Causes and fixes")
    ('mitigation', 'impact', '')
    """
    found = {_PART[word] for word in words(text) if word in _PART}
    return found.pop() if len(found) == 1 else ""


def offered(path: Sequence[str]) -> str:
    """The part that a section belongs to: the innermost of its headings that says so.

    >>> offered(("Resolution", "For permission issues")), offered(("Permission issues",))
    ('mitigation', '')
    """
    return next((kind for heading in reversed(path) if (kind := part(heading))), "")
