"""The app's manifest: which scopes, slash commands and events Slack would grant it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .errors import WorkspaceError

DEFAULT_EVENTS = (
    "app_home_opened",
    "app_mention",
    "member_joined_channel",
    "message.channels",
    "message.im",
    "reaction_added",
    "reaction_removed",
)
EVENT_SCOPES = {
    "app_mention": "app_mentions:read",
    "message.channels": "channels:history",
    "message.im": "im:history",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "member_joined_channel": "channels:read",
}
DEFAULT_COMMAND = {
    "command": "/mw",
    "description": "Ask or tell Middlewatch",
    "usage_hint": "status | why <model> | incidents | help",
}


class ManifestError(WorkspaceError):
    """The manifest file exists but cannot be used; the message names file, place and remedy."""


@dataclass(frozen=True)
class Manifest:
    """What was granted. `scopes` None means no manifest was given: everything is granted."""

    app_name: str = "Middlewatch"
    bot_name: str = "middlewatch"
    description: str = "Keeps the night watch over models in production"
    scopes: frozenset[str] | None = None
    events: frozenset[str] = frozenset(DEFAULT_EVENTS)
    commands: tuple[dict, ...] = (DEFAULT_COMMAND,)
    shortcuts: tuple[dict, ...] = ()
    prompts: tuple[dict, ...] = ()
    agent: bool = False
    home_tab: bool = True
    messages_tab: bool = True
    source: str = field(default="(none)", compare=False)

    def lacks(self, wanted: tuple[str, ...]) -> bool:
        """True when none of the `wanted` scopes (any one suffices; () needs none) was granted."""
        return bool(wanted) and self.scopes is not None and not self.scopes.intersection(wanted)

    def hears(self, event: str) -> bool:
        """True when the app subscribed to `event` (such as `message.im`) and holds the scope it needs."""
        needed = EVENT_SCOPES.get(event)
        return event in self.events and not self.lacks((needed,) if needed else ())


def read_manifest(path: Path | None) -> Manifest:
    """The manifest at `path`, or a permissive one when there is none.

    Raises `ManifestError` when the file is not YAML, is not a mapping, or a part has the wrong type.
    """
    if path is None or not path.exists():
        return Manifest()
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ManifestError(f"{path}: not YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ManifestError(f"{path}: expected a mapping with display_information, features, oauth_config, settings")
    features = _mapping(path, raw, "features")
    settings = _mapping(path, raw, "settings")
    scopes = _mapping(path, _mapping(path, raw, "oauth_config"), "scopes")
    home = _mapping(path, features, "app_home")
    agent = features.get("agent_view") or features.get("assistant_view") or {}
    about = _mapping(path, raw, "display_information")
    return Manifest(
        app_name=about.get("name", "Middlewatch"),
        bot_name=_mapping(path, features, "bot_user").get("display_name", "middlewatch"),
        description=about.get("description", ""),
        scopes=frozenset(scopes.get("bot") or ()),
        events=frozenset(_mapping(path, settings, "event_subscriptions").get("bot_events") or ()),
        commands=tuple(features.get("slash_commands") or ()),
        shortcuts=tuple(features.get("shortcuts") or ()),
        prompts=tuple(agent.get("suggested_prompts") or ()),
        agent=bool(agent),
        home_tab=bool(home.get("home_tab_enabled", True)),
        messages_tab=bool(home.get("messages_tab_enabled", True)),
        source=str(path),
    )


def _mapping(path: Path, parent: dict, key: str) -> dict:
    value = parent.get(key) or {}
    if not isinstance(value, dict):
        raise ManifestError(f"{path}: {key} is {type(value).__name__}, expected a mapping")
    return value
