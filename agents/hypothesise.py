"""One hypothesis out of evidence: rules always, a language model's words where there is one, the gate for both."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from agents import calibration, remedies, rules, verdict
from agents.cite import gate
from agents.picture import CALM, Picture
from agents.reason import EVERYTHING, Reasoned
from agents.steering import Steering
from agents.wording import Worded
from core.findings import Cause, Claim, DroppedClaim, Evidence, Gap, Hypothesis, Reached, RunbookCitation
from core.policy import Policy

NAMED = 5
"""How many downstream nodes the card names."""


class Case:
    """Everything known when the hypothesis is written; a pure function of evidence, gaps, steering and policy."""

    def __init__(
        self, evidence: Sequence[Evidence], gaps: Sequence[Gap], steering: Steering, policy: Policy, reasoned: Reasoned
    ):
        self.evidence, self.gaps, self.steering, self.policy = list(evidence), list(gaps), steering, policy
        self.picture = Picture(evidence)
        self.reasoned = reasoned
        self.claims = rules.write(self.picture, reasoned)
        self.runbook, allowed = _runbook(self.evidence, reasoned)
        harmed = _harmed(self.picture)
        kind = reasoned.causes[0].type if reasoned.causes else "unknown"
        self.actions = remedies.choose(kind, reasoned.with_version, policy, allowed, harmed=harmed)


def conclude(case: Case, worded: Worded | None = None, writer: str = "rules") -> Hypothesis:
    """The hypothesis: only claims that passed the gate; abstained when too little is left or too little is sure.

    With `worded`, a sentence of the model that fails the gate is replaced by the rules' own for the same finding.
    """
    r = case.reasoned
    causes = _chosen(r.causes, worded)
    on_path = _on_path(case, causes)
    own = gate(case.claims, case.evidence, on_path)
    passed, dropped, by_model = own.claims, list(own.dropped), False
    if worded is not None:
        passed, dropped, by_model = _mixed(case, worded, on_path)
    confidence = _confidence(case, causes)
    told = any(c.role == "cause" for c in passed)
    least = max(case.policy.investigation.confidence, calibration.load().threshold)
    sure = bool(causes) and told and confidence >= least
    action = case.actions[0]
    if worded is not None and worded.action in case.actions:
        action = worded.action
    return Hypothesis(
        written_by=writer if by_model else "rules",
        headline=verdict.headline(case.picture, r),
        claims=passed,
        causes=causes,
        confidence=confidence,
        abstained=not sure,
        missing="" if sure else verdict.missing(case.picture, r, [g.what for g in case.gaps]),
        gaps=case.gaps,
        evidence=case.evidence,
        dropped=dropped,
        runbook=case.runbook,
        **_blast(case.evidence),
        action=action if sure else "ticket",
        alternatives=[a for a in case.actions if a != action] if sure else [],
        evidence_digest=digest(case.evidence, case.steering),
        calibration=calibration.load().version,
    )


def complaints(case: Case, worded: Worded) -> list[str]:
    """What the gate holds against the model's sentences, for its one retry."""
    refused = gate(worded.claims, case.evidence, _on_path(case, _chosen(case.reasoned.causes, worded))).dropped
    return [f"{d.text[:120]}: it {d.why}" for d in refused]


def digest(evidence: Sequence[Evidence], steering: Steering) -> str:
    """One hash over all snapshots and what people asked for: what an approval is bound to."""
    parts = [*(f"{e.id}:{e.digest}" for e in evidence), *steering.said]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _mixed(case: Case, worded: Worded, on_path: set[str]) -> tuple[list[Claim], list[DroppedClaim], bool]:
    passed: list[Claim] = []
    dropped: list[DroppedClaim] = []
    by_model = False
    for own, said in zip(case.claims, worded.claims, strict=True):
        verdict = gate([said], case.evidence, on_path)
        if not verdict.claims and said.text != own.text:
            dropped += verdict.dropped
            verdict = gate([own], case.evidence, on_path)
        elif verdict.claims and said.text != own.text:
            by_model = True
        passed += verdict.claims
        if not verdict.claims:
            dropped += verdict.dropped
    return passed, dropped, by_model


def _chosen(causes: list[Cause], worded: Worded | None) -> list[Cause]:
    if worded is None:
        return causes
    return sorted(causes, key=lambda c: c.node != worded.cause)


def _confidence(case: Case, causes: list[Cause]) -> float:
    """The first cause's confidence; a model that prefers a less likely one does not borrow the likelier one's."""
    if not causes or not case.reasoned.causes:
        return 0.0
    best = case.reasoned.causes[0].posterior
    return round(case.reasoned.confidence * min(causes[0].posterior / best, 1.0), 3) if best else 0.0


def _on_path(case: Case, causes: list[Cause]) -> set[str]:
    """Names a claim about the cause may speak of."""
    if not causes:
        return set()
    first = causes[0]
    names = {first.node, *first.path, case.picture.model, *([first.change] if first.change else [])}
    if first.node == EVERYTHING or first.node not in case.picture.inputs:
        names |= {label for label in case.picture.moved_inputs if first.node == EVERYTHING or len(first.path) > 1}
    shown = first.node == case.picture.model or first.type == "concept_drift"  # labels alone show what the inputs mean
    names |= {s.label for s in case.picture.of("quality", "error", "score") if shown}
    return names


def _harmed(picture: Picture) -> bool | None:
    """Whether labels show that the model got worse, however slowly; None without labels."""
    quality = [s for s in picture.of("quality", "error") if s.detected or s.telemetry.get("swings") is not None]
    if not quality:
        return None
    return any(s.detected or abs(s.telemetry.get("swings") or 0.0) >= CALM for s in quality)


def _runbook(evidence: Sequence[Evidence], r: Reasoned) -> tuple[RunbookCitation | None, list[str]]:
    """The section to cite, and what its front matter allows when it was written for this cause."""
    found = next((e for e in evidence if e.source == "runbooks"), None)
    if found is None or not r.causes:
        return None, []
    kind = r.causes[0].type
    rows = found.result["passages"]
    row = next((p for p in rows if kind in p["causes"]), rows[0])
    fields: dict[str, Any] = {k: row[k] for k in ("file", "heading", "revision", "text", "relevance", "stale")}
    return RunbookCitation(**fields, last_verified=row.get("last_verified")), (
        row["actions"] if kind in row["causes"] else []
    )


def _blast(evidence: Sequence[Evidence]) -> dict[str, Any]:
    found = next((e for e in evidence if e.query == "reach"), None)
    if found is None:
        return {"blast": [], "blast_more": 0}
    reached = [
        Reached(
            node=row["id"],
            kind=row["kind"],
            owner=row.get("owner", ""),
            tier=row.get("tier", ""),
            distance=row["distance"],
        )
        for row in found.result["served"][:NAMED]
    ]
    return {"blast": reached, "blast_more": found.result["total"] - len(reached)}
