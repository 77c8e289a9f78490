"""The library of recorded cases is what it says: whole, of every type, and written by this code."""

import gzip
from pathlib import Path

import pytest

from bot.simulator.catalogue import CATALOGUE, OTHERS
from bot.simulator.episode import generate
from bot.simulator.library import PLAN, name, write_one
from bot.simulator.record import read_case, read_truth, record

CASES = Path(__file__).resolve().parents[1] / "agents" / "cases"


def unpacked(path: Path) -> bytes:
    """What a file says (packed bytes differ between versions of zlib)."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_every_case_of_the_plan_is_there_and_no_other():
    """At least 120 folders, each with its truth, of every type of the catalogue and every fault outside it."""
    folders = {p.name for p in CASES.iterdir() if p.is_dir()}
    assert folders == {name(kind, seed) for kind, seed in PLAN}
    assert len(folders) >= 120
    assert {kind for kind, _ in PLAN} >= {*CATALOGUE, *OTHERS}
    assert all((CASES / folder / "case.toml").exists() for folder in folders)


@pytest.mark.parametrize(("kind", "seed"), [("D3", 7001), ("W3", 7004)])
def test_a_case_written_again_is_the_case_recorded(kind, seed, tmp_path):
    """The same type and seed give the same bytes in every file."""
    again, kept = write_one(kind, seed, tmp_path / "again"), CASES / name(kind, seed)
    assert {p.name for p in again.iterdir()} == {p.name for p in kept.iterdir()}
    for path in again.iterdir():
        assert unpacked(path) == unpacked(kept / path.name), path.name


def test_a_packed_case_is_read_like_a_plain_one(tmp_path):
    """Packed or not, the same series, changes and lineage come out."""
    episode = generate(3, "S3")
    plain, packed = (read_case(record(episode, tmp_path / str(p), 40_000, packed=p)) for p in (False, True))
    assert [s.row_id for s in plain.series] == [s.row_id for s in packed.series]
    assert plain.changes == packed.changes
    assert plain.edges == packed.edges


def test_benign_cases_have_no_root():
    """The truth of a season names nobody."""
    assert read_truth(CASES / name("W3", 7000)).get("root") is None
