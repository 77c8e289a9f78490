"""The forecast target: windows in the views become outlooks that cards and Home read, and proven warnings alerts."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bot.compose import forecast
from bot.compose.ground import ROOT, ground
from core import policy
from core.alerting import Context, Pipeline, Rules
from core.events import SignalWindow, WindowClosed
from core.findings import Summary
from core.settings import Secret, Settings

SAID = {
    "model": "fraud", "signal": "error", "threshold": "<= 0.1", "level": "warning", "chance": 0.9, "by": "the ensemble",
    "at": 3600.0 * 400_480, "text": "warning: error <= 0.1", "seconds_to_breach": 9000.0, "low": 7200.0,
    "high": 14400.0, "right": 19, "spoken": 20, "precision": 0.95, "recall": 0.4,
    "lead_hours": 3.1, "own": True, "proven_from": 0.8,
}  # fmt: skip
KEY = ("acme", "fraud", "1")


def windows(count: int = 240) -> list[WindowClosed]:
    """Ten days of hourly windows whose error rate has a daily wave."""
    made = []
    for h in range(count):
        start, error = 3600.0 * (400_000 + h), 0.04 + 0.02 * float(np.sin(2 * np.pi * h / 24))
        made.append(WindowClosed(
            id=f"w{h}", cause="", actor="detect", at=start + 3600, tenant="acme", model="fraud", version="1",
            baseline="b", start=start, end=start + 3599, rows=100,
            signals={"error": SignalWindow(summary=Summary(rows=100), value=error)},
        ))  # fmt: skip
    return made


def cli(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bot", "forecast", *words], cwd=ROOT, env={**os.environ, **env}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.mark.servers
async def test_a_look_in_a_process_of_its_own_leaves_outlooks_for_cards(nats_url, redis_url, tmp_path, monkeypatch):
    """`forecast run` reads the windows, writes what cards and Home read, and remembers the hours; `show` draws them."""
    rules = tmp_path / "mine.toml"
    rules.write_text('[models."acme/fraud"]\nslos = { error = "<= 0.1", "quality:auc" = ">= 0.7" }\n')
    env = {"NATS_URL": nats_url, "REDIS_URL": redis_url, "POLICY": str(rules), "MIDDLEWATCH_VAR": str(tmp_path)}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    settings = Settings(nats_url=nats_url, redis_url=Secret(redis_url), var=tmp_path)
    async with ground(settings, policy.load(rules), "test") as house:
        await asyncio.gather(*(house.views.telemetry.add_window(w) for w in windows()))
        assert await forecast.outlook_of(house, "acme", "fraud") is None
        assert await forecast._look_apart() == ""
        said = await forecast.outlook_of(house, "acme", "fraud")
        kept = json.loads(await house.views.flags.get_flag("forecast-hours:acme/fraud"))
    assert (said["level"], said["signal"], said["threshold"]) == ("calm", "error", "<= 0.1")
    assert said["at"] == 3600.0 * 400_240
    assert len(kept["error"]) == 240
    out = tmp_path / "out.png"
    shown = await asyncio.to_thread(cli, "show", "fraud", "--picture", str(out), **env)
    assert shown.stdout.startswith("acme/fraud  no breach of error <= 0.1 over 24 h expected")
    assert out.read_bytes().startswith(b"\x89PNG")
    unknown = await asyncio.to_thread(cli, "show", "nobody", **env)
    assert unknown.returncode == 2
    assert "no forecast of 'nobody'" in unknown.stderr
    assert "acme/fraud" in unknown.stderr


async def test_a_look_that_fails_is_one_line_and_nothing_more(monkeypatch):
    """The target says why and goes on; what was forecast before stays."""
    monkeypatch.setenv("POLICY", "/nowhere.toml")
    assert "POLICY=/nowhere.toml is not a file" in await forecast._look_apart()


def test_a_proven_warning_becomes_one_alert_and_its_end_resolves_it():
    """The alert pipeline takes it as it takes any detection: SEV3, told once, resolved when the warning is over."""
    pipeline = Pipeline(Rules())
    first = forecast.spoken(KEY, SAID, "")
    [alert] = pipeline.push(KEY, first.detections, Context(), 0.0, calms=first.calms, cause=first.id)
    assert (alert.kind, alert.severity, alert.detections[0].statistic) == ("forecast", "SEV3", 0.9)
    later = forecast.spoken(KEY, SAID | {"at": SAID["at"] + 3600}, "warning")
    assert pipeline.push(KEY, later.detections, Context(), 0.0, calms=[], cause=later.id) == []
    over = forecast.spoken(KEY, SAID | {"at": SAID["at"] + 7200, "level": "calm"}, "warning")
    assert [type(e).__name__ for e in pipeline.push(KEY, [], Context(), 0.0, calms=over.calms, cause=over.id)] == [
        "AlertResolved"
    ]


@pytest.mark.parametrize("level", ["watch", "calm", "unreliable", "breached"])
def test_only_a_warning_is_told_to_people_unasked(level):
    """What is not proven to .95, or is over already, stays on cards and Home."""
    assert forecast.spoken(KEY, SAID | {"level": level}, "") is None


def test_the_command_line_says_what_is_wrong(tmp_path):
    """A file that is no panel, a picture of nothing, an empty panel: one line with the remedy each."""
    wrong = tmp_path / "x.npz"
    wrong.write_bytes(b"no")
    assert "is not a panel" in cli("train", "--panel", str(wrong)).stderr
    assert "forecast show MODEL --picture FILE" in cli("show", "--picture", "a.png").stderr
    short = {"id": ["a"], "seg": ["s"], "hour0": [0], "n": [200], "y": np.ones(200), "psi": np.zeros(200)}
    np.savez(Path(wrong), **short)
    assert "no series has 601 hours" in cli("train", "--panel", str(wrong), "--out", str(tmp_path)).stderr
    assert "two weeks of hours" in cli("backtest", "--panel", str(wrong)).stderr
