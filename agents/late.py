"""Which jobs of the lineage are late or failed, by their own run history: what a scheduler would tell. Pure."""

from __future__ import annotations

from agents.picture import Picture

OVERDUE = 1.5
"""A job whose last good run lies this many of its usual gaps back has missed one."""
FAILED = ("fail", "abort")


def jobs(p: Picture) -> dict[str, tuple[str, int]]:
    """node -> (its kind, its place in the lineage evidence) of the jobs that missed a run or failed by the alert."""
    if p.lineage is None or p.alert is None:
        return {}
    now, found = p.alert.result["at"], {}
    for place, row in enumerate(p.lineage.result["nodes"]):
        if "job" not in row["kind"]:
            continue
        failed = row.get("last_state") in FAILED
        last, gap = row.get("last_run"), row.get("cadence")
        if failed or (last and gap and now - last > OVERDUE * gap):
            found[row["id"]] = (row["kind"], place)
    return found
