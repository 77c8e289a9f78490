"""Service level objectives in the policy."""

from __future__ import annotations

import pytest

from core import policy
from core.errors import PolicyError


def written(tmp_path, text: str):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return policy.load(path)


def test_a_models_own_slo_overrides_the_one_of_all_models(tmp_path):
    """[forecast] holds for all; a model adds its own."""
    mine = written(
        tmp_path,
        '[forecast]\nslos = { error = "<= 0.05" }\n\n[models."acme/fraud"]\n'
        'slos = { error = "<=0.01", "quality:auc" = ">= 0.7" }\n',
    )
    assert [(s.signal, s.text) for s in mine.slos("acme", "fraud")] == [("error", "<= 0.01"), ("quality:auc", ">= 0.7")]
    assert [(s.signal, s.bound) for s in mine.slos("acme", "other")] == [("error", 0.05)]


@pytest.mark.parametrize("text", ["0.05", "< 0.05", "<= -1", "<= 0", ">= x", "<= 1.2.3"])
def test_an_slo_that_cannot_be_read_stops_the_start(tmp_path, text):
    """The error names file, line, signal and the form."""
    with pytest.raises(PolicyError, match=r'mine\.toml:2: SLO error = ".*write "<= 0\.05"'):
        written(tmp_path, f'[forecast]\nslos = {{ error = "{text}" }}\n')


def test_looking_every_zero_minutes_is_refused(tmp_path):
    """A period must be one."""
    with pytest.raises(PolicyError, match=r"mine\.toml:2: forecast\.minutes = 0\.0 must be above 0"):
        written(tmp_path, "[forecast]\nminutes = 0.0\n")
