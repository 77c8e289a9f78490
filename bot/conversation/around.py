"""`blast` and `runbook`: what else a thing touches, and what the runbooks say."""

from __future__ import annotations

from typing import Any

from bot.blocks import code, cut, escape
from bot.commands import command
from bot.conversation import entities
from bot.conversation.answer import Answer, Asked
from bot.desk import Desk
from core.errors import Refused


@command("blast <node>", "what lies downstream of a model, feature, dataset or job", examples=(
    "what else is affected", "what depends on the model", "blast radius", "who uses this feature",
    "what is downstream", "which services are affected by it", "what breaks if it fails",
))  # fmt: skip
async def blast(desk: Desk, asked: Asked) -> Answer:
    wanted = asked.rest or (asked.incident.model if asked.incident else "")
    if not wanted:
        raise Refused("Say which node: a model, a feature, a dataset or a job.")
    tenants = list(dict.fromkeys(t for t, _ in await desk.telemetry.models()))
    known: dict[str, Any] = {}
    for tenant in tenants:
        view = await desk.graph(tenant)
        if view is None:
            continue
        if view.node(wanted) is not None:
            return _reached(wanted, view)
        for edge in view.edges():
            known |= {edge[end]: view for end in ("source", "target")}
    if not known:
        raise Refused("No lineage has arrived. Publish OpenLineage events to lineage.<tenant>.")
    name = entities.closest(wanted, known, "node")
    return _reached(name, known[name])


def _reached(name: str, view: Any) -> Answer:
    nodes = view.downstream(name)
    lines = [f"• {code(_name(n))} {escape(n.get('kind', ''), 30)}{_owner(n)}" for n in nodes[:15]]
    if len(nodes) > 15:
        lines.append(f"and {len(nodes) - 15} more")
    first = (
        f"*Downstream of {code(name)}*: {len(nodes)} reached" if nodes else f"Nothing lies downstream of {code(name)}."
    )
    return Answer.of(
        first + ("\n" + "\n".join(lines) if lines else ""), cites="From OpenLineage events received so far"
    )


def _name(node: dict[str, Any]) -> str:
    return str(node.get("name") or node.get("node") or "?")


def _owner(node: dict[str, Any]) -> str:
    parts = [escape(node[k], 40) for k in ("owner", "tier") if node.get(k)]
    return f" ({', '.join(parts)})" if parts else ""


@command("runbook <words>", "search the runbooks", examples=(
    "how do I fix this", "what does the runbook say", "what should I check first", "steps to diagnose",
))  # fmt: skip
async def runbook(desk: Desk, asked: Asked) -> Answer:
    if desk.runbooks is None:
        raise Refused("No runbooks are loaded here. Point RUNBOOKS at a folder of Markdown files.")
    words = asked.rest or (f"{asked.incident.kind} {asked.incident.model}" if asked.incident else "")
    if not words:
        raise Refused("Say what to search for, as in `runbook temperatures in the wrong unit`.")
    found = await desk.runbooks.search(words, top=3, asked=True)
    if not found:
        return Answer.of(f"No runbook fits “{escape(words, 120)}”.", cites="Nothing was close enough to be shown")
    paragraphs = []
    for passage in found[:3]:
        c = passage.citation
        stale = " *stale*" if c.stale else ""
        text = "\n".join(escape(row, 600) for row in c.text.splitlines() if row.strip())
        paragraphs.append(f"*{escape(passage.title or c.file, 100)}*, {escape(c.heading, 80)}{stale}\n{cut(text, 900)}")
    cites = " · ".join(
        f"{code(f'{p.citation.file}#{p.citation.heading}@{p.citation.revision[:8]}', 140)} relevance {p.score:.2f}"
        for p in found[:3]
    )
    return Answer.of(*paragraphs, cites=cites)
