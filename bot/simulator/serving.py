"""Healthy laws of services and feature stores (five-minute grid), and what faults do to them."""

import numpy as np

from bot.simulator.rng import smooth


def service(maker) -> np.ndarray:
    """Fill a service's series; returns the calls per step. `maker` is the telemetry maker of healthy.py."""
    tenant, white, move = maker.world.tenant, maker.white, maker.move
    calls = maker.traffic(tenant.peak * 0.5, move("season")) + 5
    common(maker, calls)
    base = maker.fixed.uniform(0, 0.005)
    maker.put(
        "fallback_rate", maker.rate(base * np.exp(0.3 * smooth(white(), 0.6)), calls, np.clip(move("fallback"), 0, 1))
    )
    cache = maker.fixed.uniform(0.6, 0.98)
    cached = np.clip(cache + (1 - cache) * np.clip(move("cache"), 0, 1) + 0.006 * smooth(white(), 0.7), 0, 1)
    maker.put("cache_hit", cached)
    copies = np.round(maker.level(4, 40))
    maker.put("replicas", np.maximum(1, np.round(copies * np.exp(0.3 * (maker.season() + 0.5)))))
    mix = np.clip(move("mix"), 0, 1) + np.where(maker.random.random(len(maker.t)) < 0.004, 0.2, 0.0)
    maker.put("version_mix", np.clip(np.round(mix * 20) / 20, 0, 1))
    gap = (
        0.03 * np.exp(0.2 * maker.random.standard_normal(len(maker.t)))
        + np.asarray(move("pool"))
        + 0.2 * np.asarray(move("routing"))
    )
    maker.put("pool_gap", gap)
    action = maker.fixed.uniform(-2.0, -0.8)
    rate = 1 / (1 + np.exp(-1.6 * (action + 0.05 * smooth(white(), 0.8) + np.asarray(move("action")))))
    maker.put("action_rate", maker.rate(rate, calls))
    loss = np.clip(maker.late("loss"), 0, 1)
    maker.put("served_quality", maker.loss_to_metric(loss, calls * tenant.sampled * 4))
    good = tenant.business in ("conversion", "approval_rate", "save_rate")
    level = maker.level(0.01, 0.08) * np.exp((-0.8 if good else 1.2) * loss + 0.04 * smooth(white(), 0.8))
    maker.put("business", maker.rate(level, calls * 0.5))
    return calls


def store(maker) -> np.ndarray:
    """Fill a feature store's series; returns the reads per step."""
    reads = maker.traffic(maker.world.tenant.peak * 4) + 10
    common(maker, reads)
    maker.put("online_misses", maker.rate(maker.fixed.uniform(0.001, 0.01), reads, np.clip(maker.move("miss"), 0, 1)))
    return reads


def common(maker, calls: np.ndarray) -> None:
    """What services and stores share: traffic, latency, errors, processor, memory."""
    white, move = maker.white, maker.move
    lat = np.asarray(move("lat")) + np.zeros(len(maker.t))
    load = maker.season()
    maker.put("qps", calls / 300)
    p50 = maker.level(0.004, 0.06)
    tail = maker.fixed.uniform(3, 8)
    fast = 1 - 0.3 * np.clip(move("cache"), 0, 1)
    maker.put("p50_ms", p50 * (1 + 0.4 * lat) * fast * np.exp(0.06 * white() + 0.05 * load))
    maker.put("p99_ms", p50 * tail * (1 + lat) * np.exp(0.06 * white() + 0.15 * load))
    errors = maker.level(1e-4, 3e-3) * np.exp(0.3 * smooth(white(), 0.6))
    maker.put("error_rate", maker.rate(errors, calls, np.clip(move("err"), 0, 1)))
    maker.put(
        "cpu", np.clip(maker.fixed.uniform(0.3, 0.6) * np.exp(0.5 * load + 0.05 * white()) * (1 + 0.3 * lat), 0, 1)
    )
    maker.put("mem", maker.level(4e8, 8e9) * np.exp(0.02 * smooth(white(), 0.9)))
