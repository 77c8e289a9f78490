"""Backtest: the detectors of production over a file, told in rows of that file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from bot.compose.backtest import rules
from core.events import iso
from core.policy import ModelRules, Policy
from detectors.backtest import backtest
from detectors.baseline import Unfit
from detectors.report import html


@pytest.fixture
def march(tmp_path: Path) -> Path:
    """Twelve thousand rows a minute apart; from row 8,000 on one feature is doubled; labels and scores beside it."""
    rng = np.random.default_rng(1)
    path = tmp_path / "march.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["when", "amount", "country", "p", "truth"])
        for i in range(12_000):
            amount = float(rng.lognormal(3, 1)) * (3 if i >= 8_000 else 1)
            truth = rng.random() < 0.3
            wrong = rng.random() < (0.4 if i >= 9_000 else 0.1)
            when = f"2024-03-{1 + i // 1440:02d}T{i // 60 % 24:02d}:{i % 60:02d}:00Z"
            out.writerow([when, f"{amount:.4f}", rng.choice(["de", "fr"]), 0.8 if truth != wrong else 0.2, int(truth)])
    return path


def test_a_change_is_told_in_rows_of_the_file(march: Path):
    """The doubled feature is found soon after row 8,000 and dated there, the error soon after row 9,000."""
    steps: list[tuple[int, int]] = []
    report = backtest(
        march, time="when", label="truth", score="p", reference=4_000, progress=lambda *s: steps.append(s)
    )
    first = report.alarms[0]
    assert first.signal == "feature:amount"
    assert 8_000 <= first.row < 8_200
    assert abs(first.onset_row - 8_000) < 60
    errors = [a for a in report.alarms if a.signal == "error"]
    assert errors
    assert 9_000 <= errors[0].row < 9_600
    assert steps[-1] == (8_000, 8_000)


def test_json_is_one_object_a_line(march: Path):
    """Every line holds what a program needs to judge the detectors, and nothing else."""
    report = backtest(march, time="when", reference=4_000)
    lines = [json.loads(line) for line in report.lines().splitlines()]
    wanted = {"row", "at", "signal", "detector", "statistic", "threshold", "severity", "onset_row"}
    assert lines
    assert all(set(line) == wanted for line in lines)


def test_the_page_stands_alone(march: Path):
    """The HTML report needs no other file, shows a picture per alerted signal, and escapes what the data says."""
    report = backtest(march, model="<script>alert(1)</script>", time="when", reference=4_000)
    page = html(report)
    assert "<script>" not in page
    assert page.count("<svg") >= 3
    assert "http" not in page.replace("http-equiv", "")


def test_calm_data_raises_nothing(tmp_path: Path):
    """A file in which nothing changes says so."""
    rng = np.random.default_rng(2)
    path = tmp_path / "calm.ndjson"
    path.write_text("\n".join(json.dumps({"at": 1.7e9 + i, "x": float(rng.normal())}) for i in range(6_000)))
    report = backtest(path)
    assert report.alarms == []
    assert "nothing in these rows differs" in html(report)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "x,y\n", "holds no rows"),
        ("a.csv", "", "cannot be read as csv"),
        ("a.txt", "x", "unknown kind of file"),
        ("a.csv", "at,x\n" + "\n".join(f"{i},1" for i in range(300)), "leave nothing to watch"),
        ("a.csv", "at,x\n" + "\n".join(f"yesterday,{i}" for i in range(3_000)), "is not a time"),
        ("a.ndjson", "{not json", "cannot be read as json"),
    ],
)
def test_bad_files_are_refused_with_the_reason(tmp_path: Path, name: str, text: str, words: str):
    """Empty, unreadable, untimed or too short: the message says which, and names the file."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(Unfit, match=words) as error:
        backtest(path)
    assert name in str(error.value)


def test_a_named_column_that_is_not_there_is_named(march: Path):
    """A typo in an option says which columns there are."""
    with pytest.raises(Unfit, match=r"no column 'lable' \(--label\); it has when, amount"):
        backtest(march, label="lable")


def test_versions_are_followed(tmp_path: Path):
    """Where the file has versions, a bad one is caught within its first hundred rows."""
    rng = np.random.default_rng(3)
    path = tmp_path / "versions.csv"
    rows = ["at,version,x"]
    for i in range(6_000):
        rows.append(f"{1.7e9 + 60 * i},{2 if i >= 5_000 else 1},{rng.normal() * (50 if i >= 5_000 else 1)}")
    path.write_text("\n".join(rows))
    report = backtest(path, reference=3_000)
    assert report.alarms[0].version == "2"
    assert 5_000 <= report.alarms[0].row < 5_100
    assert report.alarms[0].onset_row == 5_000


def frame(path: Path, **columns: list) -> Path:
    """A CSV of these columns, a row a minute."""
    rows = len(next(iter(columns.values())))
    at = [iso(1_772_323_200.0 + 60 * i) for i in range(rows)]
    lines = [",".join(["at", *columns])] + [",".join(map(str, row)) for row in zip(at, *columns.values(), strict=True)]
    path.write_text("\n".join(lines))
    return path


def test_ids_that_come_in_runs_are_no_categories(tmp_path: Path):
    """A session that lasts ten rows and never comes back is new by nature; a browser that is new is a change."""
    rng = np.random.default_rng(5)
    x, sessions = rng.normal(size=6_000).tolist(), [f"q{i // 10}" for i in range(6_000)]
    assert backtest(frame(tmp_path / "a.csv", x=x, session=sessions)).alarms == []
    browsers = rng.choice([f"b{n}" for n in range(25)], 6_000).astype(object)
    browsers[4_000:] = "new"
    assert backtest(frame(tmp_path / "b.csv", x=x, browser=browsers.tolist())).alarms[0].signal == "unseen:browser"


def test_a_doubtful_reference_is_used_but_said(tmp_path: Path):
    """First rows of which every seventh is infinite are no healthy period: it is noted, and nothing breaks."""
    x = np.random.default_rng(6).normal(size=3_000)
    x[::7] = np.inf
    report = backtest(frame(tmp_path / "a.csv", x=x.tolist()))
    assert report.alarms == []
    assert any("the reference is doubtful" in note and "x is infinite in 14%" in note for note in report.notes)


def test_a_clock_that_leaps_is_said(tmp_path: Path):
    """Rows whose times go ten years ahead at once are judged as ever; the leap is noted."""
    path = frame(tmp_path / "a.csv", x=np.random.default_rng(7).normal(size=3_000).tolist())
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *lines[:2_000], *(line.replace("2026-", "2036-") for line in lines[2_000:])]))
    report = backtest(path)
    assert report.alarms == []
    assert any(note.startswith("event time went from 2026-") and "to 2036-" in note for note in report.notes)


def test_what_policy_says_of_the_model_counts():
    """A backtest of a model that the policy names is made with that model's rules, as production would."""
    named = Policy(models={"acme/fraud": ModelRules(threshold=0.9, task="ranking")})
    assert rules(named, "fraud") == rules(named, "acme/fraud")
    assert rules(named, "acme/fraud") == {"threshold": 0.9, "task": "ranking"}
    assert rules(named, "other") == {}


def test_a_metric_is_drawn_as_what_it_is(tmp_path: Path):
    """In the report accuracy is called accuracy, with its own limit, and a feature's PSI is called PSI."""
    rng = np.random.default_rng(8)
    score, x = rng.beta(2, 5, 6_000), rng.normal(size=6_000)
    label = (rng.random(6_000) < score).astype(int)
    label[4_000:] = (rng.random(2_000) < 1 - score[4_000:]).astype(int)
    x[4_000:] += 3
    report = backtest(frame(tmp_path / "a.csv", x=x.tolist(), score=score.tolist(), label=label.tolist()))
    page = html(report)
    sections = {part.partition("</h2>")[0]: part for part in page.split("<h2>")}
    assert "<figcaption>accuracy per window; red: detected</figcaption>" in sections["quality:accuracy"]
    assert sections["quality:accuracy"].count("stroke-dasharray") == 1
    assert "<figcaption>Corrected PSI per window" in sections["feature:x"]
    assert sections["feature:x"].count("stroke-dasharray") == 2
