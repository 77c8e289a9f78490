"""Actions: what may be done to the world, one file each, and the executor that does it once.

An action is a module of this package named as in `core.findings.ACTIONS`, with four functions:

- `plan(incident, hypothesis, facts, policy, now) -> Plan | None`  pure; None when it makes no sense here
- `async precheck(plan, incident, tools) -> None`                  raises Refused: what was approved no longer fits
- `async run(plan, incident, tools, key) -> str`                   idempotent under `key`; one line saying what happened
- `undo(plan, incident, policy, now) -> Plan | None`               the plan that takes it back

Nothing that thinks may import this package: `agents/` proposes an id, code fills in the rest.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from msgspec import Struct

from core.errors import Refused
from core.findings import ACTIONS
from core.policy import Policy
from core.ports import Changes, Deployer, Telemetry, Ticketing


class Facts(Struct, frozen=True, kw_only=True):
    """What plans are made from: measured or recorded, never text."""

    faulty: str
    """The version that alerted."""
    healthy: str = ""
    """The last other version seen serving this model before the onset; empty when there is none."""
    blast: str = ""


class Tools(Struct, frozen=True, kw_only=True):
    """What actions act with; only the `act` process holds these."""

    deployers: dict[str, Deployer]
    tickets: Ticketing
    telemetry: Telemetry
    changes: Changes


def action(name: str) -> ModuleType:
    """The action's module. Raises Refused for a name outside the catalogue."""
    if name not in ACTIONS:
        raise Refused(f"{name!r} is not in the action catalogue ({', '.join(ACTIONS)})")
    return importlib.import_module(f"core.action.{name}")


def deployer_name(policy: Policy, tenant: str, model: str, action_id: str) -> str:
    """Which deployer acts for this model: the model's own, else the action's."""
    rule = policy.actions.get(action_id)
    return policy.rules(tenant, model).deployer or (rule.deployer if rule else "")


def deployer(plan_parameters: dict[str, str], tools: Tools) -> Deployer:
    """The deployer the plan names. Raises Refused when this process has none of that name."""
    name = plan_parameters.get("deployer", "")
    if name not in tools.deployers:
        raise Refused(f"no deployer {name!r} is configured: give [deployers.{name or 'webhook'}] a url in the policy")
    return tools.deployers[name]
