"""Start a retraining on recent data; this action does not serve the candidate."""

from core.action.deployed import DeployedVerb

_VERB = DeployedVerb(
    action="retrain",
    verb="retrain",
    summary="Retrain {model} on recent data",
    undone="Keep serving the current version; discard the candidate",
    tested=False,
)
plan, precheck, run, undo = _VERB.plan, _VERB.precheck, _VERB.run, _VERB.undo
