"""`rebaseline`: an approver says that a version moved on purpose, so that its own rows become what is usual."""

from __future__ import annotations

from bot.blocks import clean, code
from bot.commands import command
from bot.conversation import entities
from bot.conversation.answer import Answer, Asked
from bot.desk import Desk
from core.approval import require
from core.errors import Refused
from core.events import content_id
from core.ports import Rebaseline
from core.triage import rebaselined


@command(
    "rebaseline <model> <version> <reason>",
    "that version moved on purpose: its own next rows become its baseline",
    writes=True,
    examples=("accept the new version as normal", "learn the baseline again", "this drift is expected, relearn"),
)
async def rebaseline(desk: Desk, asked: Asked) -> Answer:
    require(asked.person, "approver", desk.policy, "approving a new baseline")
    words = [w for n, w in enumerate(asked.words) if n != 1 or w.lower() != "version"]
    if len(words) < 3:
        raise Refused("Say the model, the version and why, as in `rebaseline flight-delay 42 new weather source`.")
    if (await desk.rules()).frozen:
        raise Refused("Actions are frozen, and so are approvals: thaw them first.")
    wanted, version, *why = words
    tenant, model = await entities.model(desk, wanted)
    seen = {window.version for window in await desk.telemetry.windows(tenant, model)}
    reason, by, now = clean(" ".join(why), 300), f"{asked.person.team}/{asked.person.id}", desk.now()
    approved = Rebaseline(
        id=content_id("reb", tenant, model, version, now, by), tenant=tenant, model=model, version=version, at=now,
        by=by, reason=reason,
    )  # fmt: skip
    told = await rebaselined(desk.log, approved)
    await desk.rebaselines.put_rebaseline(approved)
    when = "its next rows become" if version in seen else "it has not served yet; when it comes its first rows become"
    rest = f" (seen so far: {', '.join(code(v) for v in sorted(seen)[:6])})" if seen and version not in seen else ""
    return Answer.of(
        f"Approved by <@{asked.person.id}>: {code(model)} version {code(version)} moved on purpose; {when} its "
        f"baseline{rest}. Until they are enough it is not held against anything.",
        cites=f"Reason: {reason}" + (f" · written into {', '.join(code(i) for i in told)}" if told else ""),
    )
