"""Policy: everything has a default, and what is wrong is named by file and line."""

import re

import pytest

from core import policy as policies
from core.errors import PolicyError
from core.findings import ACTIONS


def test_the_shipped_policy_enables_the_whole_catalogue():
    """Every action of the catalogue has a rule, and the digest names this very policy."""
    policy = policies.load()
    assert set(policy.actions) == set(ACTIONS)
    assert len(policy.version_digest) == 16


def test_a_file_replaces_only_what_it_says(tmp_path):
    """Keys that a policy file leaves out keep their shipped values, and the digest changes."""
    path = tmp_path / "policy.toml"
    path.write_text('[actions.rollback]\napprovals = 2\n[models."acme/fraud"]\nowner = "@fraud"\n')
    policy = policies.load(path)
    assert policy.actions["rollback"].approvals == 2
    assert policy.actions["rollback"].per_hour == 2
    assert policy.rules("acme", "fraud").owner == "@fraud"
    assert policy.rules("acme", "other").owner == ""
    assert policy.version_digest != policies.load().version_digest


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[actions.rollback]\napprovalz = 3\n", 2, "unknown key 'approvalz'"),
        ("frozn = true\n", 1, "unknown key 'frozn'"),
        ('[detection]\n\narl_blocks = "many"\n', 3, "Expected `float`"),
        ("\n[actions.nuke]\ntier = 'x'\n", 2, "unknown action 'nuke'"),
        ("a = \n", 1, "is not TOML"),
        ('[roles]\n\n\napprover = ["U1", 3]\n', 4, "Expected `str`"),
        ("[actions.ticket]\napprovals = 0\n", 2, "at least one person"),
        ("[actions.retrain]\ndeployer = 'ghost'\n", 2, "no section [deployers.ghost]"),
        ("[models.fraud]\nowner = 'x'\n", 1, "tenant/model"),
        ("[investigation]\nconfidence = 7.0\n", 2, "between 0 and 1"),
        (b"\xff\xfe", 1, "not UTF-8"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(tmp_path, text, line, says):
    """Typos, wrong types, unknown actions and unreadable files stop the start with the place and the remedy."""
    path = tmp_path / "policy.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PolicyError, match=re.escape(says)) as caught:
        policies.load(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
