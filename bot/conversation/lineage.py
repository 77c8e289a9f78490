"""`lineage`: what a model is made of and what it feeds, as a picture and in words."""

from __future__ import annotations

from typing import Any

from bot.blocks import code, escape, when
from bot.charts import drawn
from bot.commands import command
from bot.conversation import entities
from bot.conversation.answer import Answer, Asked
from bot.desk import Desk
from bot.lineage_chart import lineage as picture
from core.errors import Refused

LISTED = 12


@command("lineage <model>", "a picture of what feeds a model, dataset or job, and what it feeds", examples=(
    "where does the data come from", "draw the lineage", "which jobs feed this model", "what is upstream",
    "show me where its features come from",
))  # fmt: skip
async def lineage(desk: Desk, asked: Asked) -> Answer:
    incident = asked.incident
    wanted = asked.rest or (incident.model if incident else "")
    if not wanted:
        raise Refused("Say of what: a model, a dataset, a feature or a job.")
    view, name = await _found(desk, wanted, incident.tenant if incident else "")
    h = incident.hypothesis if incident else None
    cause = h.cause.node if h and h.cause and not h.abstained else ""
    png, alt = await drawn(picture, view, name, cause)
    above = view.upstream(name)
    lines = [f"• {code(n['name'])} {escape(n['kind'].replace('_', ' '), 30)}{_told(n)}" for n in above[:LISTED]]
    if len(above) > LISTED:
        lines.append(f"and {len(above) - LISTED} more")
    first = f"*Upstream of {code(name)}*: {len(above)} known" if above else f"Nothing is known to feed {code(name)}."
    return Answer.of("\n".join([first, *lines]), cites=_cites(view), picture=(png, alt))


async def _found(desk: Desk, wanted: str, tenant: str) -> tuple[Any, str]:
    """(graph, node): the incident's tenant first. Raises Unclear with the closest names, Refused without lineage."""
    names: dict[str, Any] = {}
    for one in dict.fromkeys([tenant, *(t for t, _ in await desk.telemetry.models())]):
        view = await desk.graph(one) if one else None
        if view is None:
            continue
        if view.node(wanted) is not None:
            return view, wanted
        names |= {end: view for edge in view.edges() for end in (edge["source"], edge["target"])}
    if not names:
        raise Refused("No lineage has arrived. Publish OpenLineage events to lineage.<tenant>, or write it by hand.")
    name = entities.closest(wanted, names, "node")
    return names[name], name


def _told(node: dict[str, Any]) -> str:
    parts = [escape(node[key], 40) for key in ("owner",) if node.get(key)]
    parts += [f"last run {when(node['last_run'])}"] if node.get("last_run") else []
    parts += ["*failed*"] if node.get("last_state") == "fail" else []
    return f" ({', '.join(parts)})" if parts else ""


def _cites(view: Any) -> str:
    knots = view.cycles() if hasattr(view, "cycles") else []
    said = "From OpenLineage events, the model registry and lineage written by hand, as received so far"
    if knots:
        said += f". {len(knots)} in a circle: " + "; ".join(code(" → ".join(knot[:4]), 90) for knot in knots[:2])
    return said
