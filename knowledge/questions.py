"""From past incidents to questions with known answers: what was asked then, and which runbook was right."""

from collections.abc import Iterable

import msgspec

from core.incidents import Incident
from knowledge.history import remembered
from knowledge.query import Query
from knowledge.runbooks import Runbook


class Question(msgspec.Struct, frozen=True):
    """A recorded question. `answer` is the file of the runbook that was right, empty when nobody knows."""

    id: str
    query: Query
    answer: str = ""
    cause: str = ""


def questions(incidents: Iterable[Incident], books: Iterable[Runbook] = ()) -> list[Question]:
    """One question an incident. The answer is the runbook that was shown, if people called the hypothesis right or
    the action confirmed it; else the only runbook for the cause that people named.
    """
    by_cause: dict[str, list[str]] = {}
    for book in books:
        for cause in book.front.causes:
            by_cause.setdefault(cause, []).append(book.file)
    out = []
    for incident in incidents:
        facts = remembered(incident)
        words = " ".join(
            [
                facts["kind"].replace("_", " "),
                *(signal.replace(":", " ") for signal in facts["signals"]),
                facts["headline"],
            ]
        )
        query = Query(words, " ".join([facts["model"], *facts["signals"]]))
        out.append(Question(incident.id, query, _answer(incident, facts, by_cause), facts["cause"]))
    return out


def _answer(incident: Incident, facts: dict, by_cause: dict[str, list[str]]) -> str:
    shown = incident.hypothesis.runbook.file if incident.hypothesis and incident.hypothesis.runbook else ""
    trusted = facts["feedback"] == "right" or (facts["verdict"] == "confirmed" and facts["feedback"] != "wrong")
    if shown and trusted:
        return shown
    fitting = by_cause.get(facts["cause"], []) if facts["feedback"] and facts["cause"] else []
    return fitting[0] if len(fitting) == 1 else ""
