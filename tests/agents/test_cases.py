"""Recorded cases: read from their folders, answered from what is visible alone."""

import json

import numpy as np
import pytest

from agents.answers import investigate_case
from agents.faults import CODES, FAULTS, PLANNED
from agents.metrics import role_described
from core.findings import ACTIONS, CAUSES

DAY, HOUR = 86_400.0, 3600.0
ALERT = 1_760_000_000.0
CHAIN = [
    ("feed", "source"),
    ("load", "ingest_job"),
    ("rows", "table"),
    ("make", "feature_job"),
    ("view", "feature_view"),
    ("model", "model"),
    ("app", "service"),
]


def facet(name, kind):
    return {"node": {"id": f"id-{name}", "kind": kind, "owner": "me", "cadence_s": 3600}}


def events(extra=()):
    kinds = dict(CHAIN)
    links = [
        ("load", ["feed"], ["rows"]),
        ("make", ["rows"], ["view"]),
        ("model", ["view"], []),
        ("app", ["model"], []),
    ]
    for job, inputs, outputs in [*links, *extra]:
        yield {
            "eventType": "COMPLETE",
            "job": {"namespace": "t", "name": job, "facets": facet(job, kinds[job])},
            "inputs": [{"namespace": "t", "name": n, "facets": facet(n, kinds[n])} for n in inputs],
            "outputs": [{"namespace": "t", "name": n, "facets": facet(n, kinds[n])} for n in outputs],
        }


METRICS = [
    ("nulls", "share of rows without a value", "up", "ratio"),
    ("dups", "share of rows whose key was seen before", "up", "ratio"),
    ("avg", "mean of the feature, offline", "either", "score"),
    ("vol", "rows that arrived in the interval", "either", "count"),
    ("age", "age of the served values", "up", "s"),
    ("score", "average prediction", "either", "score"),
    ("lat", "99th percentile of latency", "up", "ms"),
    ("fall", "share answered by the fallback", "up", "ratio"),
    ("out", "rows written by the run", "either", "count"),
    ("fp", "hash of the declared schema", "none", "hash"),
]
SEEN = {
    "feed": ("nulls", "vol", "fp"),
    "load": ("out",),
    "rows": ("nulls", "dups", "vol"),
    "make": ("out",),
    "view": ("nulls", "avg", "age"),
    "model": ("score",),
    "app": ("lat", "fall"),
}


@pytest.fixture
def case(tmp_path):
    """Writes a case folder; `moved` is (node, metric) -> how many scales it moves two hours before the alert."""

    def write(moved, node="model", metric="score", changes=(), onset=2 * HOUR, **files):
        random = np.random.default_rng(7)
        at = [*np.arange(ALERT - 28 * DAY, ALERT - 2 * DAY, DAY), *np.arange(ALERT - 2 * DAY, ALERT + 1, HOUR)]
        rows = [{"grid": "g", "at": at, "n": [10_000] * len(at)}]
        for name, metrics in SEEN.items():
            for m in metrics:
                value = np.full(len(at), 3.0) if m == "fp" else 10 + random.normal(0, 0.1, len(at))
                late = np.array(at) > ALERT - onset - 1
                value = value + np.where(late, moved.get((name, m), 0.0) * (1.0 if m == "fp" else 0.1), 0.0)
                rows.append(
                    {"row_id": f"{name}-{m}", "node": f"id-{name}", "metric": m, "grid": "g", "value": value.tolist()}
                )
        write_lines = lambda lines: "".join(json.dumps(line) + "\n" for line in lines)  # noqa: E731
        texts = {
            "alert.json": json.dumps({"id": "a", "ts": ALERT, "tenant": "t", "node": f"id-{node}", "metric": metric}),
            "telemetry.jsonl": write_lines(rows),
            "lineage.jsonl": write_lines(events()),
            "changes.jsonl": write_lines(changes),
            "schema.json": json.dumps(
                {"metrics": [{"name": n, "description": d, "worse": w, "unit": u} for n, d, w, u in METRICS]}
            ),
            "case.toml": "this is the sealed truth and no TOML at all [[[",
        }
        for name, text in (texts | files).items():
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


def first(answer):
    return answer["causes"][0]["name"], answer["causes"][0]["type"]


def test_rows_that_arrive_twice_lead_to_the_job_that_loads_them(case):
    """Duplicates in the table, more rows written, and the score moved: the ingest job, duplicate events."""
    folder = case(
        {("load", "out"): 30, ("rows", "dups"): 60, ("rows", "vol"): 30, ("view", "avg"): 9, ("model", "score"): 8}
    )
    answer = investigate_case(folder)
    assert first(answer) == ("load", "duplicate_events")
    assert ["id-load", "id-rows"] in answer["path"]


def test_a_column_that_empties_with_its_schema_leads_to_the_source(case):
    """The schema's hash and nulls move from the source on: schema change at the source."""
    moved = {
        ("feed", "fp"): 5,
        ("feed", "nulls"): 80,
        ("rows", "nulls"): 80,
        ("view", "nulls"): 60,
        ("model", "score"): 8,
    }
    assert first(investigate_case(case(moved))) == ("feed", "schema_change")


def test_slow_answers_stay_at_the_service(case):
    """Latency and fallback up, all data calm: the service, and nothing upstream is accused."""
    folder = case({("app", "lat"): 40, ("app", "fall"): 30}, node="app", metric="lat")
    assert first(investigate_case(folder)) == ("app", "latency_fallback")


def test_a_change_on_the_culprit_just_before_is_named(case):
    """The change that fits node and time is the answer; one elsewhere is not."""
    when = ALERT - 2.6 * HOUR
    changes = [
        {"id": "chg-1", "at": when, "kind": "deployment", "target": "id-load", "summary": "loader"},
        {"id": "chg-2", "at": when + 600, "kind": "deployment", "target": "id-app", "summary": "page"},
    ]
    moved = {("load", "out"): 30, ("rows", "dups"): 60, ("rows", "vol"): 30, ("model", "score"): 8}
    answer = investigate_case(case(moved, changes=changes))
    assert answer["change"] == "chg-1"
    assert answer["change_confidence"] > 0.5


def test_every_claim_cites_a_stored_value_exactly(case):
    """Each cited row exists in the telemetry, and the number beside it is the stored one."""
    moved = {("load", "out"): 30, ("rows", "dups"): 60, ("model", "score"): 8}
    folder = case(moved)
    grid, stored = {}, {}
    for line in (folder / "telemetry.jsonl").read_text().splitlines():
        row = json.loads(line)
        if "value" in row:
            stored |= {f"{row['row_id']}@{round(t)}": v for t, v in zip(grid["at"], row["value"], strict=True)}
        else:
            grid = row
    answer = investigate_case(folder)
    cited = [c for claim in answer["claims"] for c in claim["citations"]]
    assert cited
    assert all(stored[c["row_id"]] == pytest.approx(c["value"]) for c in cited)


def test_the_sealed_truth_is_never_read(case):
    """A `case.toml` that nobody could parse changes nothing, nor does its absence."""
    folder = case({("load", "out"): 30, ("rows", "dups"): 60, ("model", "score"): 8})
    with_truth = investigate_case(folder)
    (folder / "case.toml").unlink()
    without = investigate_case(folder)
    assert {**with_truth, "cost": 0} == {**without, "cost": 0}


def test_the_answer_is_plain_data_within_the_catalogues(case):
    """It encodes as JSON; causes and actions come from the closed lists; posteriors are probabilities."""
    answer = investigate_case(case({("rows", "dups"): 60, ("model", "score"): 8}))
    json.dumps(answer, allow_nan=False)
    assert {c["type"] for c in answer["causes"]} <= set(CAUSES)
    assert {answer["action"], *answer["alternatives"]} <= set(ACTIONS)
    assert 0 < sum(c["posterior"] for c in answer["causes"]) <= 1.001
    for cause in answer["causes"]:
        assert all(np.isfinite(p["nats"]) for p in cause["contributions"])


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("alert.json", "{", "alert.json is not JSON"),
        ("alert.json", "[]", "must be one JSON object"),
        ("alert.json", '{"ts": 1}', "has no 'node'"),
        ("alert.json", '{"node": "x", "ts": "yesterday"}', "is not a time"),
        (
            "telemetry.jsonl",
            '{"row_id": "r", "node": "n", "metric": "m", "grid": "g", "value": [1]}',
            "telemetry.jsonl:1",
        ),
        ("changes.jsonl", "{}\n{", "changes.jsonl"),
        ("lineage.jsonl", "nope", "lineage.jsonl:1: not JSON"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(case, file, text, message):
    """Bad input ends in a ValueError that says where."""
    with pytest.raises(ValueError, match=message):
        investigate_case(case({}, **{file: text}))


def test_a_case_without_lineage_changes_or_schema_still_gets_an_answer(case):
    """What is missing is a gap, not an error."""
    folder = case({("model", "score"): 9})
    for name in ("lineage.jsonl", "changes.jsonl", "schema.json"):
        (folder / name).unlink()
    answer = investigate_case(folder)
    assert answer["causes"]
    assert any(g["what"] == "changes" for g in answer["gaps"])


def test_cyclic_lineage_is_survived(case):
    """A table that feeds its own source is bad input, not an endless loop."""
    lines = [*events([("load", ["view"], ["feed"])])]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    moved = {("load", "out"): 30, ("rows", "dups"): 60, ("model", "score"): 8}
    assert investigate_case(case(moved, **{"lineage.jsonl": text}))["causes"]


def test_every_kind_of_fault_is_in_the_closed_list():
    """Fault rows, their codes and the product's causes agree; what is planned has the name of what it looks like."""
    causes = [PLANNED.get(f.cause, f.cause) for f in FAULTS]
    assert set(causes) <= set(CAUSES)
    assert {f.cause for f in FAULTS} <= set(CODES)
    assert len({(CODES[f.cause], f.benign) for f in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize(
    ("description", "role"),
    [
        ("share of rows whose key was seen before", "duplicates"),
        ("empty cells of the column", "nulls"),
        ("mean of the column", "mean"),
        ("average prediction", "score_mean"),
        ("mean of the model's output", "score_mean"),
        ("time since the view was built", "staleness"),
        ("labels received over labels expected by now", "label_count"),
        ("predicted over observed", "calibration"),
        ("minority build share", "version_mix"),
        ("weight of the mode", "top_share"),
        ("backlog behind the stream's head", "lag"),
        ("auc of the model on outcomes known so far", "quality"),
        ("age of the reference", "reference_age"),
        ("serving against offline, in sd", "skew"),
    ],
)
def test_a_documented_metric_is_known_by_what_its_owner_says(description, role):
    """Whatever a tenant calls its metrics, their documentation tells what they are."""
    assert role_described("x1", description, "either", "score").name == role
