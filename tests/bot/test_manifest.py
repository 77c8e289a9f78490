"""The manifest grants what the code calls, no more and no less."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.parse import quote

import yaml

from bot.app import SUBSCRIBED
from bot.commands import commands

BOT = Path(__file__).resolve().parents[2] / "bot"
MANIFEST = yaml.safe_load((BOT / "manifest.yaml").read_text("utf-8"))
OURS = [
    p for p in [*BOT.glob("*.py"), *(BOT / "conversation").glob("*.py")] if p.name not in ("__main__.py", "compose.py")
]

METHODS = {
    "chat_postMessage": "chat:write", "chat_update": "chat:write", "chat_postEphemeral": "chat:write",
    "chat_stream": "chat:write", "chat_getPermalink": "", "conversations_list": "channels:read groups:read",
    "conversations_join": "channels:join", "conversations_history": "channels:history groups:history",
    "users_info": "users:read",
    "usergroups_list": "usergroups:read", "files_upload_v2": "files:write", "views_open": "", "views_update": "",
    "views_publish": "", "auth_test": "", "apps_connections_open": "",
}  # fmt: skip
"""Every Web API method the code may call, with the bot scopes it needs. Source: docs.slack.dev/reference/methods."""
EVENTS = {
    "app_mention": "app_mentions:read", "message.im": "im:history", "message.channels": "channels:history",
    "message.groups": "groups:history",
    "app_home_opened": "", "app_context_changed": "",
}  # fmt: skip
FEATURES = {"commands": "slash_commands", "assistant:write": "agent_view"}


def called() -> set[str]:
    code = "\n".join(p.read_text("utf-8") for p in OURS)
    return set(re.findall(r"slack\.([a-z]+_\w+)", code))


def test_scopes_are_exactly_those_the_code_calls():
    """The scopes of the manifest equal those of the called methods, the subscribed events and the features."""
    assert called() <= set(METHODS), f"give their scopes here: {called() - set(METHODS)}"
    assert set(METHODS) <= called(), f"no longer called: {set(METHODS) - called()}"
    events = MANIFEST["settings"]["event_subscriptions"]["bot_events"]
    needed = {scope for m in called() for scope in METHODS[m].split()} | {EVENTS[e] for e in events}
    needed |= {scope for scope, feature in FEATURES.items() if MANIFEST["features"].get(feature)}
    needed |= {"files:read"}  # image blocks with slack_file read the file for everyone who sees the message
    assert set(MANIFEST["oauth_config"]["scopes"]["bot"]) == needed - {""}


def test_the_hint_of_the_slash_command_lists_every_command():
    """Whoever types /mw is offered what there is, with its words."""
    (mw,) = MANIFEST["features"]["slash_commands"]
    assert mw["usage_hint"] == " | ".join(c.usage for c in commands().values())


def test_every_subscribed_event_is_listened_for():
    """An event without a listener would never be acked and come four times."""
    events = MANIFEST["settings"]["event_subscriptions"]["bot_events"]
    assert {e.split(".")[0] for e in events} <= set(SUBSCRIBED)


def test_manifest_keeps_slacks_limits():
    """Names and descriptions fit the manifest schema."""
    about = MANIFEST["display_information"]
    assert len(about["name"]) <= 35
    assert len(about["description"]) <= 140
    assert 174 <= len(about["long_description"]) <= 4_000
    for command in MANIFEST["features"]["slash_commands"]:
        assert len(command["usage_hint"]) <= 1_000
        assert len(command["description"]) <= 2_000
    assert MANIFEST["settings"]["socket_mode_enabled"]
    assert len(MANIFEST["features"]["agent_view"]["suggested_prompts"]) <= 10


def test_the_guides_link_creates_the_app_of_the_manifest():
    """The create-from-manifest link in the guide carries exactly the shipped manifest (LINK=write renews it)."""
    packed = quote(json.dumps(MANIFEST, separators=(",", ":")), safe="")
    link = f"[create]: https://api.slack.com/apps?new_app=1&manifest_json={packed}"
    guide = BOT / "SLACK.md"
    text = guide.read_text("utf-8")
    if os.environ.get("LINK") == "write":
        text = re.sub(r"\n*(\[create\]: .*\n)?\Z", "", text) + f"\n\n{link}\n"
        guide.write_text(text, "utf-8")
    assert text.endswith(f"\n{link}\n")
