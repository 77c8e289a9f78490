"""The sealed truth of an episode, by the rules of section 7 of the simulator's design."""

from dataclasses import asdict, dataclass, field

import numpy as np

from bot.simulator.catalogue import TYPES, public_type
from bot.simulator.changelog import Log
from bot.simulator.healthy import World
from bot.simulator.missing import Blindness
from bot.simulator.tenants import DAY
from bot.simulator.travel import NEGLIGIBLE, Spread


@dataclass(frozen=True)
class Truth:
    """What happened. `root` is None for benign episodes; `alike` nodes earn full credit, `visible_child` half."""

    type: str
    cause: str
    root: dict | None
    alike: list[str]
    visible_child: str | None
    path: list[list]
    path_edges: list[list[str]]
    affected: dict[str, float]
    degraded_models: dict[str, dict[str, float]]
    change: str
    decoys: list[str]
    remediation: dict
    runbook: str
    difficulty: str
    benign_kind: str | None
    missing: list[str]
    kind: str
    second: dict | None = None
    silent_root: bool = False
    notes: list[str] = field(default_factory=list)

    def plain(self) -> dict:
        """The truth as plain data."""
        return asdict(self)


def tell(
    world: World,
    main: Spread,
    target: str,
    log: Log,
    blind: Blindness,
    difficulty: str,
    runbook: str,
    second: Spread | None,
) -> Truth:
    """Write down the truth of an episode."""
    fault = main.fault
    spec = TYPES[fault.type]
    shown = {node: strength for node, strength in main.strength.items() if strength > NEGLIGIBLE}
    order = sorted(shown, key=lambda node: (main.onset(node), node != fault.node))
    path = [] if spec.benign else [[node, round(main.onset(node))] for node in order]
    edges = [] if spec.benign else [[src, dst] for src, dst in main.edges if src in shown and dst in shown]
    root = (
        None
        if spec.benign
        else {
            "node": fault.node,
            "fault": public_type(fault.type),
            "onset_ts": round(main.onset(fault.node)),
            "shape": fault.shape.kind,
            "params": {
                "size": round(fault.size, 4),
                "share": round(fault.share, 3),
                **{name: round(value, 4) for name, value in fault.params.items()},
            },
        }
    )
    benign = {"W3": "season", "W4": "mix_shift", "M4P": "planned_change"}.get(fault.type)
    return Truth(
        public_type(fault.type),
        spec.cause,
        root,
        ["world"] if fault.type in ("W1", "W2") else [],
        _first_visible(world, main, target, blind),
        path,
        edges,
        {} if spec.benign else {node: round(shown[node], 3) for node in order},
        {} if spec.benign else degraded(world, main),
        log.culprit,
        list(log.decoys),
        _remedy(fault.type, main, target, log),
        runbook,
        difficulty,
        benign,
        _missing(blind),
        fault.type,
        None
        if second is None
        else {
            "node": second.fault.node,
            "fault": public_type(second.fault.type),
            "onset_ts": round(second.onset(second.fault.node)),
        },
        fault.node in blind.dark,
    )


def degraded(world: World, main: Spread) -> dict[str, dict[str, float]]:
    """Models whose true quality falls by over 1 % (relative) within a day of the onset, and minutes until it does."""
    out = {}
    begin = main.onset(main.fault.node)
    if main.fault.shape.length > 10 * DAY:
        begin += 0.7 * main.fault.shape.length
    t = begin + np.arange(0, DAY, 600.0)
    _, healthy, floor, _ = world.tenant.quality
    for node in world.graph.of("model"):
        loss = np.zeros(len(t))
        for effect in main.effects.get(node.id, ()):
            if effect.key == "loss":
                loss += effect.size * main.amount(effect, t, 600)
        drop = np.clip(loss, 0, 1) * abs(healthy - floor) / healthy
        if drop.max() > 0.01:
            out[node.id] = {
                "dQ": round(float(drop.max()), 4),
                "minutes": float((t[np.argmax(drop > 0.01)] - begin) / 60),
            }
    return out


def _first_visible(world: World, main: Spread, target: str, blind: Blindness) -> str | None:
    """For a dark root: the first node on the path that can be seen."""
    if main.fault.node not in blind.dark:
        return None
    seen = [
        node
        for node in sorted(main.strength, key=main.onset)
        if node not in blind.dark and node != main.fault.node and node in main.effects
    ]
    return seen[0] if seen else target


def _remedy(kind: str, main: Spread, target: str, log: Log) -> dict:
    spec = TYPES[kind]
    return {
        "best": list(spec.best),
        "acceptable": list(spec.ok),
        "harmful": list(spec.harm),
        "object": log.culprit
        if spec.best[0].startswith("ROLLBACK") and log.culprit not in ("none", "unlogged")
        else main.fault.node,
        "target": target,
    }


def _missing(blind: Blindness) -> list[str]:
    out = [f"dark {node}" for node in sorted(blind.dark)]
    out += [f"gap {node} {round((end - begin) / 60)} min" for node, begin, end in blind.gaps if end > begin]
    return [*out, f"{len(blind.absent)} metrics absent"]
