"""From an incident to one hypothesis: `Investigation` implements `core.ports.Investigator`.

It reads ports and writes nothing but progress lines. It is idempotent: cut short, it is simply started again from the
incident. The same evidence gives the same hypothesis, byte for byte, with rules (`replay`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agents import gather, hypothesise, sanitise, steering, verdict, wording
from agents.picture import Picture
from agents.reason import Reasoned, reason
from core.errors import MiddlewatchError
from core.findings import Evidence, Gap, Hypothesis
from core.incidents import Incident
from core.policy import Policy
from core.ports import Changes, History, LanguageModel, LineageView, Runbooks, Telemetry

Progress = Callable[[str, str], Awaitable[None]]

ORDER = ("alert", "telemetry", "lineage", "changes", "history", "reach", "runbooks", "forecast")
"""In this order evidence is numbered, whichever answer came first."""
MODEL_SECONDS = 20.0
"""What a language model may take for one answer."""


class Investigation:
    """Investigates incidents over ports. `model` None: rules write everything.

    `lineage(tenant)` gives the tenant's graph or None. `progress(incident id, text)` is told what is going on; its
    failures are ignored, because nobody's diagnosis should wait for a progress line.
    """

    def __init__(
        self,
        *,
        telemetry: Telemetry,
        changes: Changes,
        lineage: Callable[[str], Awaitable[LineageView | None]],
        runbooks: Runbooks,
        history: History,
        model: LanguageModel | None,
        policy: Policy,
        progress: Progress | None = None,
        forecast: gather.Forecast | None = None,
    ):
        self.telemetry, self.changes, self.lineage, self.runbooks = telemetry, changes, lineage, runbooks
        self.history, self.model, self.policy, self.progress = history, model, policy, progress
        self.forecast = forecast
        self._graph: Any = None

    def warm(self) -> None:
        """Build the graph now, so that the first incident does not pay for importing LangGraph (about a second)."""
        if self._graph is None:
            from agents.graph import build

            self._graph = build(_Steps(self))

    async def investigate(self, incident: Incident, now: float) -> Hypothesis:
        """The hypothesis for `incident`. `now` is wall clock; evidence speaks of event time. Never raises on bad data:
        what could not be read is named as a gap, and too little is an abstention."""
        self.warm()
        state = await self._graph.ainvoke({"incident": incident, "found": []})
        return state["hypothesis"]


def replay(hypothesis: Hypothesis, incident: Incident, policy: Policy) -> Hypothesis:
    """The hypothesis that the stored snapshots give today, by rules alone. Raises ValueError when one was altered."""
    for evidence in hypothesis.evidence:
        if evidence.digest != evidence.sealed().digest:
            raise ValueError(
                f"evidence {evidence.id} of incident {incident.id} does not match its digest: it was altered"
            )
    picture = Picture(hypothesis.evidence)
    words = _steering(picture, incident.steering)
    case = hypothesise.Case(hypothesis.evidence, hypothesis.gaps, words, policy, reason(picture, words))
    return hypothesise.conclude(case)


def _steering(picture: Picture, sentences: Sequence[str]) -> steering.Steering:
    nodes = [row["id"] for row in picture.lineage.result["nodes"]] if picture.lineage else []
    changes = picture.changes.result["changes"] if picture.changes else []
    return steering.read(sentences, [*nodes, *picture.inputs], changes)


class _Steps:
    """The work behind each node of the graph."""

    def __init__(self, tools: Investigation):
        self.tools = tools

    async def gather(self, what: str, state: Any) -> Any:
        incident: Incident = state["incident"]
        t = self.tools
        asks: dict[str, Callable[[], Awaitable[gather.Found]]] = {
            "telemetry": lambda: gather.telemetry(t.telemetry, incident, t.policy),
            "lineage": lambda: gather.lineage(t.lineage, incident),
            "changes": lambda: gather.changes(t.changes, incident),
            "history": lambda: gather.history(t.history, incident),
            "runbooks": lambda: gather.runbooks(
                t.runbooks,
                *gather.symptoms(incident),
                at=incident.opened,
            ),
        }
        found = await gather.within(t.policy.investigation.budget_seconds, what, asks[what])
        await self.say(incident, f"could not check {what}: {found.why}" if isinstance(found, Gap) else f"{what}: read")
        return {"found": [(what, found)]}

    async def rank(self, state: Any) -> Any:
        incident: Incident = state["incident"]
        picture, words = self.seen(incident, state["found"])
        reasoned = reason(picture, words)
        if reasoned.causes:
            top = reasoned.causes[0]
            await self.say(incident, f"likeliest so far: {top.type.replace('_', ' ')} at {top.node}")
        return {"causes": reasoned}

    async def follow(self, state: Any) -> Any:
        """What the likeliest cause asks for: all that is downstream of it, and the runbook written for it."""
        incident: Incident = state["incident"]
        reasoned: Reasoned = state["causes"]
        budget = self.tools.policy.investigation.budget_seconds
        found = dict(state["found"])
        picture, _ = self.seen(incident, state["found"])
        top = reasoned.causes[0] if reasoned.causes else None
        node = picture.lineage.result["model"] if picture.lineage else picture.model
        if (
            top is not None
            and picture.lineage is not None
            and top.node in {r["id"] for r in picture.lineage.result["nodes"]}
        ):
            node = top.node
        kind = top.type if top is not None else "unknown"
        words = verdict.type_words(kind)
        sla = gather.within(budget, "forecast", lambda: gather.forecast(self.tools.forecast, incident))
        ahead, reach, books = await asyncio.gather(
            sla,
            gather.within(
                budget, "blast radius", lambda: gather.reach(self.tools.lineage, incident.tenant, node, incident.onset)
            ),
            gather.within(
                budget,
                "runbooks",
                lambda: gather.runbooks(
                    self.tools.runbooks,
                    words["words"],
                    gather.expression_of(incident),
                    words["question"],
                    incident.opened,
                    kind,
                ),
            ),
        )
        unknown = isinstance(reach, Gap) and isinstance(found.get("lineage"), Gap)
        reached = [] if unknown else [("reach", reach)]
        foreseen = [] if ahead == gather.NO_FORECAST else [("forecast", ahead)]
        books = gather.best_runbooks(found.get("runbooks"), books, kind)
        return {"followed": [*reached, ("runbooks", books), *foreseen]}

    async def hypothesise(self, state: Any) -> Any:
        incident: Incident = state["incident"]
        case = state.get("case") or self.case(incident, [*state["found"], *state["followed"]])
        tries, worded = state.get("tries", 0), None
        if self.tools.model is not None and case.claims:
            try:
                worded = await wording.word(
                    self.tools.model,
                    case.claims,
                    case.reasoned.causes,
                    case.actions,
                    timeout=MODEL_SECONDS,
                    complaints=state.get("complaints") or (),
                )
            except (MiddlewatchError, *gather.PUBLIC) as error:
                await self.say(
                    incident, f"the language model gave no answer ({sanitise.template(error, 80)}); rules write"
                )
        return {"case": case, "worded": worded, "tries": tries + 1}

    async def cite(self, state: Any) -> Any:
        case, worded = state["case"], state.get("worded")
        held = hypothesise.complaints(case, worded) if worded is not None else []
        writer = f"model:{sanitise.name(self.tools.model.name)}" if self.tools.model is not None else "rules"
        return {"complaints": held, "hypothesis": hypothesise.conclude(case, worded, writer)}

    def seen(self, incident: Incident, found: Sequence[tuple[str, gather.Found]]) -> tuple[Picture, steering.Steering]:
        evidence, _ = _numbered(incident, found)
        picture = Picture(evidence)
        return picture, _steering(picture, incident.steering)

    def case(self, incident: Incident, found: Sequence[tuple[str, gather.Found]]) -> hypothesise.Case:
        evidence, gaps = _numbered(incident, found)
        picture = Picture(evidence)
        words = _steering(picture, incident.steering)
        return hypothesise.Case(evidence, gaps, words, self.tools.policy, reason(picture, words))

    async def say(self, incident: Incident, text: str) -> None:
        if self.tools.progress is None:
            return
        try:
            await self.tools.progress(incident.id, text)
        except gather.PUBLIC:
            self.tools.progress = None  # whoever listened is gone; the diagnosis goes on


def _numbered(incident: Incident, found: Sequence[tuple[str, gather.Found]]) -> tuple[list[Evidence], list[Gap]]:
    """Evidence numbered in ORDER, the alert first; the last answer to a question counts."""
    by_name = {"alert": gather.alert(incident), **dict(found)}
    return gather.numbered([by_name[name] for name in ORDER if name in by_name])
