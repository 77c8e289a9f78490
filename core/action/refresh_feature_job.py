"""Run the feature job again whose output went stale or wrong."""

from core.action.deployed import DeployedVerb

_VERB = DeployedVerb(
    action="refresh_feature_job",
    verb="refresh",
    summary="Run the feature job behind {model} again",
    undone="Nothing to undo: the job writes the same rows again",
    tested=True,
)
plan, precheck, run, undo = _VERB.plan, _VERB.precheck, _VERB.run, _VERB.undo
