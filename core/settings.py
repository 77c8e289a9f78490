"""Addresses and secrets, from the environment. Everything else is policy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import SettingsError


class Secret(str):
    """A text that prints as `***` wherever it is shown; `.reveal()` gives the value to the one client that needs it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def reveal(self) -> str:
        return str.__str__(self)


NO_SECRET = Secret("")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run's surroundings. Empty means absent: local servers, the local workspace, rules instead of a model."""

    nats_url: str = ""
    redis_url: Secret = NO_SECRET
    slack_api_url: str = ""
    slack_bot_token: Secret = NO_SECRET
    slack_app_token: Secret = NO_SECRET
    slack_signing_secret: Secret = NO_SECRET
    slack_http: str = "127.0.0.1:3000"
    """host:port where Slack's requests are awaited when there is a signing secret and no app-level token."""
    llm_url: str = ""
    llm_model: str = ""
    chroma_url: str = ""
    policy: Path | None = None
    runbooks: Path = Path("runbooks")
    lineage: Path | None = None
    """Folder of lineage written by hand, one TOML or YAML file a tenant."""
    mlflow_url: str = ""
    mlflow_token: Secret = NO_SECRET
    var: Path = Path("var")
    deploy_token: Secret = NO_SECRET
    jira_token: Secret = NO_SECRET
    pagerduty_key: Secret = NO_SECRET
    llm_key: Secret = NO_SECRET
    metrics_port: int = 0
    """Port of Prometheus' /metrics on loopback; 0: none."""

    @property
    def real_slack(self) -> bool:
        """Whether a Slack (or a workspace somebody else runs) is given by token."""
        return bool(self.slack_bot_token)


_URLS = {
    "NATS_URL": ("nats", "tls", "ws", "wss"),
    "REDIS_URL": ("redis", "rediss", "unix"),
    "SLACK_API_URL": ("http", "https"),
    "LLM_URL": ("http", "https"),
    "CHROMA_URL": ("http", "https"),
    "MLFLOW_TRACKING_URI": ("http", "https"),
}
_EXAMPLE = {
    "NATS_URL": "nats://127.0.0.1:4222",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "SLACK_API_URL": "https://slack.com/api/",
    "LLM_URL": "http://127.0.0.1:8000/v1",
    "CHROMA_URL": "http://127.0.0.1:8001",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
}


def _url(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        return ""
    for part in value.split(",") if name == "NATS_URL" else [value]:
        scheme = urlsplit(part).scheme
        if scheme not in _URLS[name]:
            kinds = ", ".join(f"{s}://" for s in _URLS[name])
            found = scheme or "no scheme"
            raise SettingsError(f"{name} starts with {found!r}: it needs {kinds}, as in {_EXAMPLE[name]}")
    return value


def _token(env: Mapping[str, str], name: str, prefix: str) -> Secret:
    value = env.get(name, "").strip()
    if value and not value.startswith(prefix):
        raise SettingsError(f"{name} does not look right: it should start with {prefix!r} (its value is not shown)")
    return Secret(value)


def _listen(env: Mapping[str, str], name: str, default: str) -> str:
    value = env.get(name, "").strip() or default
    host, colon, port = value.rpartition(":")
    if not (host and colon and port.isdigit() and int(port) <= 65_535):
        raise SettingsError(f"{name}={value!r} is not host:port: give it as in {default}, or 0.0.0.0:3000")
    return value


def _port(env: Mapping[str, str], name: str) -> int:
    value = env.get(name, "").strip() or "0"
    if not value.isdigit() or int(value) > 65_535:
        raise SettingsError(f"{name}={value!r} is not a port: give a number from 1 to 65535, as in 9464")
    return int(value)


def load(env: Mapping[str, str] | None = None) -> Settings:
    """Settings from `env` (the process environment by default). Raises SettingsError naming the variable."""
    env = os.environ if env is None else env
    bot, app = _token(env, "SLACK_BOT_TOKEN", "xoxb-"), _token(env, "SLACK_APP_TOKEN", "xapp-")
    if bool(bot) != bool(app) and not env.get("SLACK_SIGNING_SECRET"):
        missing = "SLACK_APP_TOKEN" if bot else "SLACK_BOT_TOKEN"
        raise SettingsError(
            f"{missing} is missing: Socket Mode needs both tokens; bot/manifest.yaml says how to get them"
        )
    policy = Path(env["POLICY"]) if env.get("POLICY") else None
    if policy and not policy.is_file():
        raise SettingsError(f"POLICY={policy} is not a file: point it at a TOML file like core/policy.toml")
    runbooks = Path(env.get("RUNBOOKS") or Path(__file__).resolve().parent.parent / "runbooks")
    if not runbooks.is_dir():
        raise SettingsError(f"RUNBOOKS={runbooks} is not a folder: point it at a folder of Markdown files")
    lineage = Path(env["LINEAGE"]) if env.get("LINEAGE") else None
    if lineage and not lineage.is_dir():
        raise SettingsError(f"LINEAGE={lineage} is not a folder: point it at one TOML or YAML file a tenant")
    return Settings(
        nats_url=_url(env, "NATS_URL"),
        redis_url=Secret(_url(env, "REDIS_URL")),
        slack_api_url=_url(env, "SLACK_API_URL"),
        slack_bot_token=bot,
        slack_app_token=app,
        slack_signing_secret=Secret(env.get("SLACK_SIGNING_SECRET", "")),
        slack_http=_listen(env, "SLACK_HTTP", "127.0.0.1:3000"),
        llm_url=_url(env, "LLM_URL"),
        llm_model=env.get("LLM_MODEL", ""),
        chroma_url=_url(env, "CHROMA_URL"),
        policy=policy,
        runbooks=runbooks,
        lineage=lineage,
        mlflow_url=_url(env, "MLFLOW_TRACKING_URI"),
        mlflow_token=Secret(env.get("MLFLOW_TRACKING_TOKEN", "")),
        var=Path(env.get("MIDDLEWATCH_VAR") or "var"),
        deploy_token=Secret(env.get("DEPLOY_TOKEN", "")),
        jira_token=Secret(env.get("JIRA_TOKEN", "")),
        pagerduty_key=Secret(env.get("PAGERDUTY_KEY", "")),
        llm_key=Secret(env.get("LLM_KEY", "")),
        metrics_port=_port(env, "METRICS_PORT"),
    )
