"""Settings: addresses and secrets from the environment, and secrets that never print."""

import pytest

from core import settings
from core.errors import SettingsError


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"NATS_URL": "localhost:4222"}, "NATS_URL"),
        ({"REDIS_URL": "http://x"}, "REDIS_URL"),
        ({"SLACK_BOT_TOKEN": "hunter2"}, "SLACK_BOT_TOKEN"),
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN is missing"),
        ({"POLICY": "/nowhere/policy.toml"}, "POLICY=/nowhere/policy.toml is not a file"),
        ({"RUNBOOKS": "/nowhere"}, "RUNBOOKS=/nowhere is not a folder"),
    ],
)
def test_a_wrong_variable_is_named_with_its_remedy(env, says):
    """The error names the variable, and never shows a secret's value."""
    with pytest.raises(SettingsError, match=says) as caught:
        settings.load(env)
    assert "hunter2" not in str(caught.value)


def test_a_secret_prints_as_stars_everywhere():
    """str, repr, format and the settings' own repr all hide it; only reveal() gives it."""
    loaded = settings.load({"SLACK_BOT_TOKEN": "xoxb-hunter2", "SLACK_APP_TOKEN": "xapp-hunter2"})
    shown = f"{loaded} {loaded.slack_bot_token!r} {loaded.slack_bot_token} {loaded.slack_bot_token:>20}"
    assert "hunter2" not in shown
    assert loaded.slack_bot_token.reveal() == "xoxb-hunter2"


def test_nothing_set_means_everything_local():
    """An empty environment is a working configuration."""
    loaded = settings.load({})
    assert not loaded.real_slack
    assert loaded.nats_url == ""
    assert loaded.runbooks.is_dir()
