"""The investigation as a LangGraph: wiring and nothing else.

START -> telemetry | lineage | changes | history | runbooks -> rank -> follow -> hypothesise -> cite -> END
                                                                          ^___________________|  at most once
"""

from __future__ import annotations

import operator
from typing import Annotated, Any, Protocol, TypedDict

from core.findings import Evidence, Gap, Hypothesis
from core.incidents import Incident

GATHER = ("telemetry", "lineage", "changes", "history", "runbooks")


class State(TypedDict, total=False):
    """What travels through the graph. `found` is added to by the gathering nodes, in no particular order."""

    incident: Incident
    found: Annotated[list[tuple[str, Evidence | Gap]], operator.add]
    followed: list[tuple[str, Evidence | Gap]]
    causes: Any
    case: Any
    worded: Any
    complaints: list[str]
    tries: int
    hypothesis: Hypothesis


class Steps(Protocol):
    """The work of each node; each takes the state and returns what it adds to it."""

    async def gather(self, what: str, state: State) -> State: ...
    async def rank(self, state: State) -> State: ...
    async def follow(self, state: State) -> State: ...
    async def hypothesise(self, state: State) -> State: ...
    async def cite(self, state: State) -> State: ...


def build(steps: Steps) -> Any:
    """The compiled graph over these steps; `await graph.ainvoke({"incident": incident, "found": []})`."""
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(State)
    for what in GATHER:
        graph.add_node(what, _gatherer(steps, what))
        graph.add_edge(START, what)
    for name in ("rank", "follow", "hypothesise", "cite"):
        graph.add_node(name, getattr(steps, name))
    graph.add_edge(list(GATHER), "rank")
    graph.add_edge("rank", "follow")
    graph.add_edge("follow", "hypothesise")
    graph.add_edge("hypothesise", "cite")
    graph.add_conditional_edges("cite", _again, {"hypothesise": "hypothesise", END: END})
    return graph.compile()


def _gatherer(steps: Steps, what: str) -> Any:
    async def node(state: State) -> State:
        return await steps.gather(what, state)

    return node


def _again(state: State) -> str:
    """Once more with the gate's complaints, if a model wrote and has not been told yet."""
    return "hypothesise" if state.get("complaints") and state.get("tries", 0) < 2 else "__end__"
