"""`python -m bot backtest`: what a person or a program gets from a file of the past."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from bot.__main__ import main

ROWS, CHANGE = 6_000, 4_000


@pytest.fixture(scope="module")
def data() -> dict[str, list]:
    """A change of unit from row 4,000 on; the model errs more from row 5,000 on."""
    rng = np.random.default_rng(1)
    at = 1_709_510_400 + 60 * np.arange(ROWS)
    truth = rng.random(ROWS) < 0.4
    wrong = rng.random(ROWS) < np.where(np.arange(ROWS) < 5_000, 0.1, 0.5)
    return {
        "timestamp": [f"{np.datetime64(int(t), 's')}Z" for t in at],
        "row_number": list(range(ROWS)),
        "amount": (rng.lognormal(3, 1, ROWS) * np.where(np.arange(ROWS) < CHANGE, 1, 100)).tolist(),
        "country": rng.choice(["de", "fr"], ROWS).tolist(),
        "proba": np.where(truth != wrong, 0.8, 0.2).tolist(),
        "y_true": truth.astype(int).tolist(),
    }


def write(data: dict[str, list], path: Path) -> Path:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pa.table(data), path)
        return path
    rows = [dict(zip(data, row, strict=True)) for row in zip(*data.values(), strict=True)]
    if path.suffix == ".csv":
        path.write_text("\n".join([",".join(data), *(",".join(map(str, r.values())) for r in rows)]))
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("name", ["march.csv", "march.parquet", "march.ndjson"])
def test_each_kind_of_file_gives_the_same_alerts(tmp_path: Path, data: dict[str, list], name: str, capsys):
    """With no option the columns are known by their names, and each alert is a line with eight keys."""
    assert main(["backtest", str(write(data, tmp_path / name)), "--json"]) == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    wanted = ["row", "at", "signal", "detector", "statistic", "threshold", "severity", "onset_row"]
    assert all(list(line) == wanted for line in lines)
    assert lines[0]["signal"] == "feature:amount"
    assert CHANGE <= lines[0]["row"] < CHANGE + 100
    assert abs(lines[0]["onset_row"] - CHANGE) <= 25
    assert lines[0]["at"] == 1_709_510_400 + 60 * lines[0]["row"]
    error = next(line for line in lines if line["signal"] == "error")
    assert 5_000 <= error["row"] < 5_300
    assert "'proba' is taken as the score" in err
    assert "feature:row_number only rises" in err


def test_people_read_a_table_and_a_page(tmp_path: Path, data: dict[str, list], capsys):
    """Without --json there is a table; --html is a page of its own with pictures."""
    page = tmp_path / "march.html"
    path = write(data, tmp_path / "march.parquet")
    assert main(["backtest", str(path), "--reference", "30%", "--html", str(page)]) == 0
    out = capsys.readouterr().out
    assert "4,200 rows watched against 1,800" in out
    assert "feature:amount" in out
    assert page.read_text().count("<svg") >= 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label", "lable"], "there is no column 'lable' (--label); it has timestamp, row_number"),
        (["--segment", "region"], "there is no column 'region' (--segment)"),
        (["--reference", "9000"], "leave nothing to watch"),
        (["--reference", "0%"], "--reference 0%: a share of the rows lies between 0% and 100%"),
        (["--reference", "train.csv"], "train.csv: cannot be read: there is no such file"),
        (["--time", "country"], "column 'country': at='"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(tmp_path: Path, data: dict[str, list], options: list, words: str, capsys):
    """One line on stderr, exit 2, nothing on stdout."""
    assert main(["backtest", str(write(data, tmp_path / "march.parquet")), *options]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert out == ""


def test_help_teaches(capsys):
    """Examples, what is guessed, and what each line of --json holds."""
    with pytest.raises(SystemExit):
        main(["backtest", "--help"])
    out = capsys.readouterr().out
    assert "--reference train.csv" in out
    assert "onset_row" in out
