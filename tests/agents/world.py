"""A small world for the tests: a flight-delay model whose inputs are weather and routes, as windows and detections.

The fakes below are fakes of *ports*, backed by dicts and lists; everything else is the product.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from agents.investigate import Investigation
from core.errors import Unavailable
from core.events import AlertFired, ChangeRecorded, SignalWindow, WindowClosed
from core.findings import Detection, Histogram, RunbookCitation, Summary
from core.incidents import Incident, opened
from core.policy import Policy, load
from core.ports import Passage
from core.statistics import corrected_psi

HOUR = 3600.0
T0 = 1_362_571_200.0
"""2013-03-06T12:00Z: when version 2 is deployed."""
WEATHER = ("temp", "dewp", "humid", "wind_speed", "pressure")
ROUTE = ("distance", "hour", "plane_age")
LEVEL = {
    "temp": (40, 9),
    "dewp": (25, 8),
    "humid": (60, 15),
    "wind_speed": (11, 5),
    "pressure": (1017, 7),
    "distance": (1000, 700),
    "hour": (13, 5),
    "plane_age": (10, 5),
}


def celsius(value: Any) -> Any:
    return (value - 32) / 1.8


def summary(x: Any, nulls: int = 0) -> Summary:
    q = [float(v) for v in np.quantile(x, (0.05, 0.25, 0.5, 0.75, 0.95))]
    return Summary(
        rows=len(x) + nulls,
        nulls=nulls,
        mean=float(x.mean()),
        std=float(x.std()),
        minimum=float(x.min()),
        p05=q[0],
        p25=q[1],
        p50=q[2],
        p75=q[3],
        p95=q[4],
        maximum=float(x.max()),
        distinct=len(set(x.tolist())),
    )


class World:
    """Windows of 200 rows every four hours. `shift` and `twist` say what happens to a feature from when on."""

    def __init__(self, seed: int = 0):
        self.random = np.random.default_rng(seed)
        self.reference = {f: self.random.normal(m, s, 4_000) for f, (m, s) in LEVEL.items()}
        self.cuts = {f: [float(c) for c in np.quantile(x, np.arange(0.1, 1, 0.1))] for f, x in self.reference.items()}

    def histogram(self, feature: str, x: Any, nulls: int = 0) -> Histogram:
        places = np.searchsorted(self.cuts[feature], x, side="left")
        counts = np.bincount(places, minlength=len(self.cuts[feature]) + 1).tolist()
        return Histogram(counts=[*map(float, counts), float(nulls), 0.0], cuts=self.cuts[feature])

    def windows(
        self, start: float, end: float, version: str, change: Any = None, error: Any = None
    ) -> list[WindowClosed]:
        """`change(feature, x, at)` gives (values, nulls); `error(at)` a mean error of the labelled rows."""
        found, mood = [], dict.fromkeys(LEVEL, 0.0)
        for place, at in enumerate(np.arange(start, end, 4 * HOUR)):
            signals = {}
            for feature, (mean, spread) in LEVEL.items():
                mood[feature] = 0.7 * mood[feature] + 0.3 * self.random.normal()
                x, nulls = self.random.normal(mean + 0.6 * spread * mood[feature], 0.8 * spread, 200), 0
                if change is not None:
                    x, nulls = change(feature, x, at)
                signals[f"feature:{feature}"] = self.signal(feature, x, nulls)
            if error is not None:
                e = self.random.normal(error(at), 0.05, 200)
                signals["error"] = SignalWindow(summary=summary(e), value=float(e.mean()))
            stop = float(at) + 4 * HOUR - 1
            found.append(
                WindowClosed(
                    id=f"w{version}-{start:.0f}-{place}",
                    cause="i",
                    actor="detect",
                    at=stop,
                    tenant="acme",
                    model="flight-delay",
                    version=version,
                    baseline="b",
                    start=float(at),
                    end=stop,
                    rows=200,
                    signals=signals,
                )
            )
        return found

    def signal(self, feature: str, x: Any, nulls: int = 0) -> SignalWindow:
        h = self.histogram(feature, x, nulls)
        psi = corrected_psi(self.histogram(feature, self.reference[feature]).counts, h.counts, 5.0)
        return SignalWindow(summary=summary(x, nulls), histogram=h, psi=psi)

    def detection(self, feature: str, current: list[WindowClosed], onset: float, family: str = "feature") -> Detection:
        own = [w.signals[f"feature:{feature}"] for w in current]
        counts = [float(sum(c)) for c in zip(*[s.histogram.counts for s in own], strict=True)]
        reference = self.histogram(feature, self.reference[feature])
        return Detection(
            detector="psi",
            signal=f"{family}:{feature}",
            kind="data_drift",
            at=current[-1].end,
            onset=onset,
            statistic=14.2,
            threshold=9.1,
            effect=corrected_psi(reference.counts, counts, 5.0),
            direction="down",
            reference=summary(self.reference[feature]),
            current=own[-1].summary,
            reference_histogram=reference,
            current_histogram=Histogram(counts=counts, cuts=self.cuts[feature]),
            false_alarms_per_week=0.01,
        )


def alert(
    detections: list[Detection], version: str, onset: float, at: float, kind: str = "data_drift", **more: Any
) -> AlertFired:
    return AlertFired(
        id="alr_1",
        cause="w",
        actor="detect",
        at=at,
        tenant="acme",
        model="flight-delay",
        version=version,
        fingerprint="fp",
        group="g",
        kind=kind,
        severity="SEV2",
        onset=onset,
        detections=detections,
        reason="new",
        **more,
    )


def incident(*alerts: AlertFired, steering: tuple[str, ...] = ()) -> Incident:
    import msgspec

    first = opened(alerts[0], "INC-7", 1_700_000_000.0)
    return msgspec.structs.replace(first, alerts=list(alerts), steering=list(steering))


DEPLOY = ChangeRecorded(
    id="chg_9f31", at=T0, kind="deployment", target="flight-delay", from_="1", to="2", summary="v2", by="ci"
)


class Telemetry:
    def __init__(self, windows: list[WindowClosed]):
        self.rows = windows

    async def windows(
        self,
        tenant: str,
        model: str,
        *,
        since: float = 0.0,
        until: float = float("inf"),
        version: str | None = None,
        limit: int = 2_000,
    ) -> list[WindowClosed]:
        return [w for w in self.rows if since <= w.end <= until and version in (None, w.version)][-limit:]


class Down:
    """A port whose server is away: every question ends in Unavailable."""

    def __getattr__(self, name: str) -> Any:
        async def ask(*args: Any, **kwargs: Any) -> Any:
            raise Unavailable("the store does not answer; is it running?")

        return ask


class Changes:
    def __init__(self, *changes: ChangeRecorded):
        self.rows = changes

    async def changes(self, tenant: str, *, since: float, until: float) -> list[ChangeRecorded]:
        return sorted((c for c in self.rows if since <= c.at <= until), key=lambda c: c.at)


class Runbooks:
    def __init__(self, *causes: str):
        self.causes = causes

    async def search(self, words: str, *, expression: str = "", question: str = "", top: int = 5) -> list[Passage]:
        return [
            Passage(
                citation=RunbookCitation(
                    file=f"runbooks/{c}.md", heading="Mitigation", revision="abc", text="Roll back.", relevance=0.8
                ),
                score=0.8,
                causes=[c],
                actions=["rollback", "fallback", "retrain", "refresh_feature_job", "ticket"],
            )
            for c in self.causes
        ]


class History:
    async def similar(self, incident: Incident, top: int = 3) -> list[dict[str, Any]]:
        return []


class Graph:
    """A LineageView over edges; `kinds` says what each node is."""

    def __init__(self, edges: list[tuple[str, str]], kinds: dict[str, str]):
        self.pairs, self.kinds = edges, kinds
        self.nodes = sorted({n for e in edges for n in e})

    def node(self, name: str) -> dict[str, Any] | None:
        return {"id": name, "kind": self.kinds.get(name, "dataset")} if name in self.nodes else None

    def _walk(self, name: str, step: int) -> list[dict[str, Any]]:
        seen, front, found = {name}, [name], []
        for distance in range(1, 50):
            front = sorted({e[step] for e in self.pairs if e[1 - step] in front} - seen)
            seen.update(front)
            found += [{**self.node(n), "distance": distance} for n in front]  # type: ignore[dict-item]
        return found

    def upstream(self, name: str, depth: int = 20) -> list[dict[str, Any]]:
        return self._walk(name, 0)

    def downstream(self, name: str, depth: int = 20) -> list[dict[str, Any]]:
        return self._walk(name, 1)

    def paths(self, start: str, end: str) -> list[list[str]]:
        return []

    def edges(self) -> list[dict[str, Any]]:
        return [{"source": a, "target": b, "importance": None, "columns": ()} for a, b in self.pairs]


def lineage() -> Graph:
    edges = [
        ("noaa", "weather_features"),
        ("planes", "route_features"),
        ("flight-delay", "rebooking"),
        ("temp", "gate-planner"),
    ]
    edges += [("weather_features", f) for f in WEATHER] + [("route_features", f) for f in ROUTE]
    edges += [(f, "flight-delay") for f in LEVEL]
    kinds = {
        "noaa": "source",
        "planes": "source",
        "weather_features": "job",
        "route_features": "job",
        "flight-delay": "model",
        "gate-planner": "model",
        "rebooking": "service",
    } | dict.fromkeys(LEVEL, "feature")
    return Graph(edges, kinds)


def investigation(
    windows: list[WindowClosed] | None = None,
    *changes: ChangeRecorded,
    graph: Graph | str | None = "demo",
    causes: tuple[str, ...] = ("unit_change",),
    model: Any = None,
    policy: Policy | None = None,
    **ports: Any,
) -> Investigation:
    view = lineage() if graph == "demo" else graph

    async def load_lineage(tenant: str) -> Any:
        return view

    tools = {
        "telemetry": Telemetry(windows or []),
        "changes": Changes(*changes),
        "lineage": load_lineage,
        "runbooks": Runbooks(*causes),
        "history": History(),
        "model": model,
        "policy": policy or load(),
    }
    return Investigation(**(tools | ports))


@lru_cache
def celsius_case(seed: int = 0, hours: float = 8.0) -> tuple[list[WindowClosed], Incident]:
    """Version 2 takes over at T0 and its feature job delivers temp in Celsius."""
    world = World(seed)
    before = world.windows(T0 - 120 * HOUR, T0, "1")
    after = world.windows(T0, T0 + hours * HOUR, "2", lambda f, x, at: (celsius(x) if f == "temp" else x, 0))
    found = world.detection("temp", after, T0 + 120)
    return before + after, incident(alert([found], "2", T0 + 120, after[-1].end))


@lru_cache
def spring_case(seed: int = 0) -> tuple[list[WindowClosed], Incident]:
    """All weather drifts for weeks, slowly, and the error rises with it; nothing was changed."""
    world, start = World(seed), T0

    def warmer(feature: str, x: Any, at: float) -> tuple[Any, int]:
        weeks = max(at - start, 0.0) / (7 * 24 * HOUR)
        return (x + 0.45 * weeks * LEVEL[feature][1] if feature in WEATHER else x), 0

    windows = world.windows(
        T0 - 120 * HOUR, T0 + 35 * 24 * HOUR, "1", warmer, lambda at: 0.2 + max(at - start, 0) / 4e7
    )
    onset = T0 + 20 * 24 * HOUR
    current = [w for w in windows if w.start > onset]
    found = [world.detection(f, current, onset) for f in WEATHER]
    return windows, incident(alert(found, "1", onset, windows[-1].end))
