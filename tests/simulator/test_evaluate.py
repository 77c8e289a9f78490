"""Scoring over many cases, and the verbs that simulate, investigate and evaluate."""

import json

import pytest

from bot.__main__ import main
from bot.simulator.episode import generate
from bot.simulator.evaluate import GOALS, evaluate, folders, report, seeds
from bot.simulator.record import read_truth, record


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """A fault and a benign event, recorded small."""
    place = tmp_path_factory.mktemp("cases")
    for seed, kind in ((1, "S3"), (2, "W3")):
        record(generate(seed, kind), place / f"{kind}-{seed}", budget=40_000)
    return place


def oracle(folder):
    """The truth itself, said as an answer."""
    truth = read_truth(folder)
    root = truth.get("root")
    said = {"benign": 0.0 if root else 1.0, "confidence": 1.0, "claims": [], "change": truth["change"]}
    if root:
        said |= {
            "causes": [{"node": root["node"], "posterior": 1.0}],
            "type": truth["type"],
            "path": truth["path_edges"],
        }
    return said | {"remediation": {"action": truth["best"][0] if "best" in truth else truth["remediation"]["best"][0]}}


def test_an_answer_that_is_the_truth_meets_every_goal(cases):
    """What the sealed file says, said back, is right in node, type, path, change and benignity."""
    found = evaluate(folders([cases]), oracle)
    assert found["cases"] == 2
    for name in ("ac1", "ac3", "type", "sensitivity", "specificity", "shown_precision", "change"):
        assert found["measures"][name]["mean"] == 1.0, name
    assert all(goal["met"] in (True, None) for goal in found["goals"].values())
    assert set(found["goals"]) == set(GOALS)


def test_an_answer_that_accuses_nobody_is_scored_as_wrong(cases):
    """Saying nothing is no way to a good figure: AC@1 is 0, and the benign case alone is right."""
    found = evaluate(folders([cases]), lambda folder: {"causes": [], "confidence": 0.9, "abstained": True})
    assert found["measures"]["ac1"]["mean"] == 0.0
    assert found["measures"]["specificity"]["mean"] == 1.0
    assert found["measures"]["sensitivity"]["mean"] == 0.0
    assert found["measures"]["ece"]["mean"] > 0.3


def test_nothing_evaluated_is_a_failure(tmp_path):
    """No case is no result: both the empty report and an empty folder are refused."""
    with pytest.raises(ValueError, match="no case was evaluated"):
        report([])
    with pytest.raises(ValueError, match="is no case"):
        folders([tmp_path])


@pytest.mark.parametrize("text", ["", "a..b", "9..1", "-3", "1..2..3"])
def test_a_range_of_seeds_that_is_none_is_refused(text):
    """The message shows what to write."""
    with pytest.raises(ValueError, match=r"write 7, or 100\.\.199"):
        seeds(text)


def test_an_incident_is_drawn_written_and_answered_from_the_command_line(tmp_path, capsys):
    """`simulate` writes a folder, `investigate` answers it as text and as data, `eval` scores it."""
    folder = tmp_path / "case"
    assert main(["simulate", "latency_fallback", "--out", str(folder)]) == 2  # the simulator's own word is another
    assert main(["simulate", "S3", "--seed", "1", "--out", str(folder)]) == 0
    capsys.readouterr()
    assert main(["investigate", "--case", str(folder), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["causes"][0]["posterior"] > 0
    assert main(["investigate", "--case", str(folder)]) == 0
    assert answer["headline"] in capsys.readouterr().out
    assert main(["eval", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cases"] == 1
    assert main(["eval", str(folder), "--figure", str(tmp_path / "figure.svg")]) == 0
    assert "<circle" in (tmp_path / "figure.svg").read_text()
    assert "too few to mean anything" in capsys.readouterr().out


def test_an_unknown_type_names_those_there_are(capsys):
    """The error lists every type, and where to read about them."""
    assert main(["simulate", "D99"]) == 2
    said = capsys.readouterr().err
    assert "D99" in said
    assert all(kind in said for kind in ("D1", "W4", "O1", "--list"))


def test_the_list_of_types_tells_which_can_be_played_live(capsys):
    """`--list` shows each id with its cause, its origin and whether it can go through the whole product."""
    assert main(["simulate", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 25
    assert any(line.startswith("D3") and line.endswith("yes") for line in lines)


def test_a_case_that_cannot_be_read_is_named(tmp_path, capsys):
    """A missing folder and a broken line end in one line on stderr that names the file."""
    assert main(["investigate", "--case", str(tmp_path / "nowhere")]) == 2
    assert "nowhere/alert.json is missing" in capsys.readouterr().err
    folder = record(generate(1, "S3"), tmp_path / "broken", budget=40_000)
    lines = (folder / "telemetry.jsonl").read_text().splitlines()
    (folder / "telemetry.jsonl").write_text("\n".join([*lines[:3], '{"row_id": "x", "value": ["high"]}']))
    assert main(["investigate", "--case", str(folder)]) == 2
    assert "broken/telemetry.jsonl:4" in capsys.readouterr().err
