"""Serve the model's fallback (a simpler model or a rule) while the model cannot be trusted."""

from core.action.deployed import DeployedVerb

_VERB = DeployedVerb(
    action="fallback",
    verb="fallback",
    summary="Answer with the fallback of {model} until this is over",
    undone="Switch {model} back from its fallback",
    tested=False,
)
plan, precheck, run, undo = _VERB.plan, _VERB.precheck, _VERB.run, _VERB.undo
