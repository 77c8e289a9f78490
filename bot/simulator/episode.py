"""`generate(seed, profile)`: one episode, in a visible and a sealed part."""

from dataclasses import dataclass

import numpy as np

from bot.simulator import aim, catalogue
from bot.simulator.changelog import write_log
from bot.simulator.decoys import bystanders
from bot.simulator.dialects import dialect as spelling
from bot.simulator.faults import draw
from bot.simulator.healthy import World
from bot.simulator.lineage import build
from bot.simulator.missing import withhold
from bot.simulator.rng import hex_id, stream, weighted
from bot.simulator.runbooks import runbook_of
from bot.simulator.tenants import DAY, TENANTS, Tenant
from bot.simulator.travel import spread
from bot.simulator.truth import Truth, tell
from bot.simulator.visible import Visible
from bot.simulator.vocabulary import KNOWN

PROFILES = ("standard", "triage")
EPOCH, SPAN = 1704067200, 3.85 * 365 * DAY
_ATTEMPTS = 12


@dataclass(frozen=True)
class Episode:
    """One episode. `visible` is all an investigator may see; `truth` is for scoring alone."""

    seed: int
    profile: str
    visible: Visible
    truth: Truth


def frequencies(profile: str) -> dict[str, float]:
    """Weights of the types; `triage` raises the benign ones to 22 % of all. A type's id or cause alone asks for it.

    Raises ValueError for an unknown profile, naming the ones there are.
    """
    weights = {key: kind.freq for key, kind in catalogue.TYPES.items()}
    if profile == "standard":
        return weights
    if profile == "triage":
        benign = sum(weights[key] for key in catalogue.BENIGN)
        rest = sum(weights.values()) - benign
        return {
            key: value * (0.22 / 0.78 * rest / benign if key in catalogue.BENIGN else 1)
            for key, value in weights.items()
        }
    wanted = {key: 1.0 for key, kind in catalogue.TYPES.items() if profile.lower() in (key.lower(), kind.cause)}
    if not wanted:
        raise ValueError(
            f"no profile or incident type {profile!r}; profiles are {', '.join(PROFILES)}, types are "
            f"{', '.join(catalogue.TYPES)} or their causes"
        )
    return wanted


def generate(seed: int, profile: str = "standard", dialect: int | None = None) -> Episode:
    """Draw an episode. Equal arguments give equal bytes; `dialect` changes the spelling and nothing else."""
    random = stream(seed, "episode", profile)
    kind = weighted(random, frequencies(profile))
    world, shot = _staged(seed, kind, random)
    tenant, graph, main = world.tenant, world.graph, shot.spread
    second, extra, planted = bystanders(seed, world, main, shot.aim.node, shot.at)
    world.spreads += [main, *extra]
    log = write_log(seed, graph, main, shot.at, shot.aim.node, shot.at - 14 * DAY, shot.at + 1800, planted)
    blind = withhold(seed, graph, shot)
    words = spelling(tenant, seed if dialect is None else dialect)
    truth = tell(
        world, main, shot.aim.node, log, blind, shot.difficulty, runbook_of(seed, catalogue.public_type(kind)), second
    )
    visible = Visible(world, words, log, blind, _alert(random, tenant, words, shot), shot.at)
    return Episode(seed, profile, visible, truth)


def _tenant(random: np.random.Generator, kind: str) -> Tenant:
    names = list(TENANTS)
    if kind == "W2":
        names = [name for name in names if TENANTS[name].label_delay[0] <= DAY]
    if kind in ("F2", "F3"):
        names = [name for name in names if not TENANTS[name].batch]
    return TENANTS[names[int(random.integers(len(names)))]]


def _staged(seed: int, kind: str, random: np.random.Generator) -> tuple[World, aim.Shot]:
    """A tenant in which a fault of this kind alerts inside the drawn band; hopeless tenants are drawn again."""
    band = aim.BANDS[weighted(random, aim.SHARES)]
    while True:
        tenant = _tenant(random, kind)
        anchor = EPOCH + float(int(random.uniform(0, SPAN)) // 300 * 300)
        world = World(seed, tenant, build(seed, tenant), anchor - 29 * DAY, anchor + 4.2 * DAY)
        for attempt in range(_ATTEMPTS):
            fault = draw(seed, attempt, kind, world.graph, tenant, anchor)
            for target in aim.aims(world, fault, spread(world.graph, fault), random, 2):
                shot = aim.shoot(world, fault, target, band if attempt < _ATTEMPTS // 2 else (2.5, 15.0))
                if shot is not None:
                    return world, shot


def _alert(random: np.random.Generator, tenant: Tenant, words, shot: aim.Shot) -> dict:
    metric, target = shot.aim.metric, shot.aim
    severity = words.severities[int(np.clip(random.integers(3) - (abs(shot.z) > 8), 0, 2))]
    alert = {
        "id": hex_id(random, 12),
        "ts": words.time(shot.at),
        "tenant": tenant.key,
        "node": target.node,
        "metric": words.metric(metric),
        "detector": shot.rule,
        "observed": float(f"{words.show(metric, shot.observed):.4g}"),
        "expected": float(f"{words.show(metric, shot.expected):.4g}"),
        "severity": severity,
    }
    if KNOWN[metric].per_feature:
        alert["feature"] = target.feature
    if target.segment is not None:
        alert["segment"] = tenant.segment_values[target.segment]
    return alert
