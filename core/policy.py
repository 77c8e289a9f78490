"""Policy: what is watched, who may approve what, where cards go. One TOML file, checked before anything starts."""

from __future__ import annotations

import hashlib
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from core.errors import PolicyError
from core.findings import ACTIONS

DEFAULT = Path(__file__).with_name("policy.toml")


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Detection(_Section, frozen=True, kw_only=True):
    """How hard to look. `arl_blocks` is the one dial of false alarms."""

    arl_blocks: float = 1e6
    min_effect: float = 0.05
    warn_effect: float = 0.2
    critical_effect: float = 0.25
    baseline_rows: int = 2_000
    window_rows: int = 200
    min_window_seconds: float = 60.0
    window_seconds: float = 3_600.0
    label_delay_days: float = 7.0
    silence_after: float = 8.0
    signals: dict[str, list[str]] = {}


class MaintenanceWindow(_Section, frozen=True, kw_only=True):
    """Event time in which nothing is told of these models; `model` may be a glob."""

    tenant: str
    model: str = "*"
    start: datetime
    end: datetime
    reason: str = ""

    @property
    def times(self) -> tuple[float, float]:
        """(start, end) in epoch seconds."""
        return _aware(self.start).timestamp(), _aware(self.end).timestamp()


class Alerting(_Section, frozen=True, kw_only=True):
    group_seconds: float = 0.0
    reopen_minutes: float = 30.0
    storm_cap: int = 20
    planned_change_minutes: float = 0.0
    mute_dead_upstream: bool = False
    maintenance: list[MaintenanceWindow] = []


class Routing(_Section, frozen=True, kw_only=True):
    channel: str = "#ml-oncall"
    by_owner: dict[str, str] = {}
    by_severity: dict[str, str] = {}


class Roles(_Section, frozen=True, kw_only=True):
    responder: list[str] = []
    approver: list[str] = []
    admin: list[str] = []


class ApprovalRules(_Section, frozen=True, kw_only=True):
    expires_minutes: float = 15.0
    recovery_hours: float = 24.0


class Forecast(_Section, frozen=True, kw_only=True):
    """What is to be foreseen, and how often it is looked at."""

    minutes: float = 60.0
    slos: dict[str, str] = {}
    """signal -> `<= 0.05` or `>= 0.7`, of every model; a model's own come on top."""


class Slo(_Section, frozen=True, kw_only=True):
    """A service level objective: the mean of `signal` over 24 hours stays on this side of `bound`."""

    signal: str
    floor: bool
    bound: float

    @property
    def text(self) -> str:
        return f"{'>=' if self.floor else '<='} {self.bound:g}"

    def scaled(self, value: float) -> float:
        """`value` so that 1 is the bound and more is worse.

        >>> Slo(signal="latency", floor=False, bound=200.0).scaled(250.0)
        1.25
        >>> Slo(signal="quality:auc", floor=True, bound=0.8).scaled(0.6)
        1.25
        """
        return 2.0 - value / self.bound if self.floor else value / self.bound

    @classmethod
    def parse(cls, signal: str, text: str) -> Slo:
        """Raises ValueError with the form it should have."""
        found = re.fullmatch(r"\s*(<=|>=)\s*([0-9.]+(?:[eE][+-]?\d+)?)\s*", text)
        try:
            bound = float(found[2]) if found else 0.0
        except ValueError:
            bound = 0.0
        if not found or bound <= 0:
            raise ValueError(f'{signal} = "{text[:40]}": write "<= 0.05" or ">= 0.7", a bound above 0')
        return cls(signal=signal, floor=found[1] == ">=", bound=bound)


class Investigation(_Section, frozen=True, kw_only=True):
    confidence: float = 0.6
    budget_seconds: float = 8.0
    history_days: float = 28.0


class ActionRule(_Section, frozen=True, kw_only=True):
    """What policy says of one action of the catalogue."""

    enabled: bool = True
    tier: str = "medium"
    approvals: int = 1
    four_eyes: bool = False
    """Who asked for it (investigated again, steered) does not count as approving; so from two approvals on."""
    per_hour: int = 10
    deployer: str = ""


class DeployerAddress(_Section, frozen=True, kw_only=True):
    """Where a deployer is, and of which kind; `name` and `alias` are for a model registry."""

    url: str = ""
    kind: Literal["webhook", "mlflow"] = "webhook"
    name: str = "{model}"
    alias: str = "champion"


class ModelRules(_Section, frozen=True, kw_only=True):
    """What policy knows of one model, `[models."tenant/model"]`; nothing here is required."""

    baseline: str = ""
    """Parquet, CSV or NDJSON of training data in event-time order, or an exported .baseline; `runs:/RUN/FILE` and
    `models:/NAME/VERSION/FILE` lie in MLflow. `{model}` and `{version}` stand for those of the events."""
    owner: str = ""
    tier: str = ""
    importance: dict[str, float] = {}
    task: str = ""
    """`binary`, `multiclass`, `regression`, `ranking`; guessed from scores and labels when empty."""
    rebaseline: list[str] = []
    """Versions whose change you approve ("*": every one): each learns its baseline anew from its own first rows."""
    segments: list[str] = []
    business: str = ""
    """Feature that is a business value (money lost, seconds saved): its mean is shown as `quality:business`, and can
    have an SLO of that name."""
    slos: dict[str, str] = {}
    """signal -> `<= 0.05` or `>= 0.7`, on top of [forecast]'s."""
    threshold: float = 0.5
    deployer: str = ""
    """Name under [deployers]; overrides the action's."""


class Receivers(_Section, frozen=True, kw_only=True):
    enabled: list[str] = []
    jira: dict[str, str] = {}
    pagerduty: dict[str, str] = {}


class Privacy(_Section, frozen=True, kw_only=True):
    masked: list[str] = []


class Links(_Section, frozen=True, kw_only=True):
    hosts: list[str] = []


class Policy(_Section, frozen=True, kw_only=True):
    """The whole policy. Every section has working defaults."""

    frozen: bool = False
    detection: Detection = Detection()
    alerting: Alerting = Alerting()
    routing: Routing = Routing()
    roles: Roles = Roles()
    approval: ApprovalRules = ApprovalRules()
    investigation: Investigation = Investigation()
    forecast: Forecast = Forecast()
    actions: dict[str, ActionRule] = {}
    deployers: dict[str, DeployerAddress] = {}
    models: dict[str, ModelRules] = {}
    receivers: Receivers = Receivers()
    privacy: Privacy = Privacy()
    links: Links = Links()
    version_digest: str = ""

    def rules(self, tenant: str, model: str) -> ModelRules:
        """What policy knows of this model; defaults when it was never named."""
        return self.models.get(f"{tenant}/{model}", ModelRules())

    def slos(self, tenant: str, model: str) -> list[Slo]:
        """The objectives of this model; those of [forecast] unless it has its own on the same signal."""
        written = {**self.forecast.slos, **self.rules(tenant, model).slos}
        return [Slo.parse(signal, text) for signal, text in sorted(written.items())]

    def channel(self, severity: str, owner: str) -> str:
        """Where a card of this severity and owner goes."""
        return self.routing.by_severity.get(severity) or self.routing.by_owner.get(owner) or self.routing.channel


def load(path: Path | None = None) -> Policy:
    """The policy at `path` laid over the shipped defaults.

    Sections and keys that the file leaves out keep their shipped values. Raises PolicyError, starting `file:line:`.
    """
    base = _parse(DEFAULT)
    text = DEFAULT.read_bytes()
    if path is not None:
        base = _overlay(base, _parse(path))
        text += path.read_bytes()
    source = path or DEFAULT
    try:
        policy = msgspec.convert(base, Policy, strict=True)
    except msgspec.ValidationError as error:
        raise PolicyError(_explain(source, str(error))) from None
    _check(policy, source)
    return msgspec.structs.replace(policy, version_digest=hashlib.sha256(text).hexdigest()[:16])


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PolicyError(f"{path}:1: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path}:1: is not UTF-8 text (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise PolicyError(f"{path}:{line[1] if line else 1}: is not TOML: {error}") from None


def _overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _overlay(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _explain(path: Path, message: str) -> str:
    """msgspec says `... - at `$.actions[...].tier``; people need file and line."""
    where = re.search(r"at `(?:key in )?\$\.?([^`]*)`", message)
    unknown = re.search(r"unknown field `([^`]+)`", message)
    keys = [k for k in re.split(r"[.\[\]]+", where[1] if where else "") if k and k != "..." and not k.isdigit()]
    if unknown:
        keys.append(unknown[1])
        message = f"unknown key {unknown[1]!r}: remove it or correct its spelling (core/policy.toml lists every key)"
    return f"{path}:{line_of(path, keys)}: {message}"


def line_of(path: Path, keys: list[str]) -> int:
    """Best guess of the line where `keys` (a path into the TOML) stands: 1 when it is nowhere to be found."""
    section, best, depth = "", 1, 0
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        bare = line.strip()
        header = re.match(r"\[+([^\]]+)\]+", bare)
        if header:
            section = header[1].replace('"', "").replace("'", "")
        name = re.match(r"[\"']?([\w@#/.\- ]+?)[\"']?\s*=", bare)
        here = (
            [*re.split(r"\.", section), name[1]]
            if name and section
            else [name[1]]
            if name
            else re.split(r"\.", section)
        )
        hit = sum(1 for key in keys if key in here)
        if hit > depth and keys and (keys[-1] in here):
            best, depth = number, hit
    return best


def _aware(moment: datetime) -> datetime:
    """TOML times without a zone are UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _check(policy: Policy, path: Path) -> None:
    for action, rule in policy.actions.items():
        if action not in ACTIONS:
            line = line_of(path, ["actions", action])
            raise PolicyError(f"{path}:{line}: unknown action {action!r}: the catalogue is {', '.join(ACTIONS)}")
        if rule.approvals < 1:
            line = line_of(path, ["actions", action, "approvals"])
            raise PolicyError(f"{path}:{line}: approvals = {rule.approvals}: at least one person must approve")
        if rule.deployer and rule.deployer not in policy.deployers:
            line = line_of(path, ["actions", action, "deployer"])
            raise PolicyError(f"{path}:{line}: deployer {rule.deployer!r} has no section [deployers.{rule.deployer}]")
    _check_slos(policy, path)
    for window in policy.alerting.maintenance:
        if _aware(window.end) <= _aware(window.start):
            line = line_of(path, ["alerting", "maintenance", "end"])
            raise PolicyError(f"{path}:{line}: maintenance of {window.tenant}/{window.model} ends before it starts")
    for name in policy.models:
        if name.count("/") != 1:
            line = line_of(path, ["models", name])
            raise PolicyError(f'{path}:{line}: model {name!r} must be written "tenant/model"')
    if not 0 < policy.investigation.confidence < 1:
        line = line_of(path, ["investigation", "confidence"])
        raise PolicyError(f"{path}:{line}: confidence = {policy.investigation.confidence} must lie between 0 and 1")


def _check_slos(policy: Policy, path: Path) -> None:
    if not policy.forecast.minutes > 0:
        line = line_of(path, ["forecast", "minutes"])
        raise PolicyError(f"{path}:{line}: forecast.minutes = {policy.forecast.minutes} must be above 0")
    written = [(["forecast", "slos", signal], signal, text) for signal, text in policy.forecast.slos.items()]
    for name, rules in policy.models.items():
        written += [(["models", name, "slos", signal], signal, text) for signal, text in rules.slos.items()]
    for keys, signal, text in written:
        try:
            Slo.parse(signal, text)
        except ValueError as error:
            line = max(line_of(path, keys), line_of(path, keys[:-1]))  # a line of its own, or of the whole table
            raise PolicyError(f"{path}:{line}: SLO {error}") from None
