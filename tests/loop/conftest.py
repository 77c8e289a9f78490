"""Fixtures of the whole loop."""

from pathlib import Path

import pytest

from tests.servers import alone

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def prepared() -> Path:
    """The demo's flights and trained models, made once and kept (their content depends on nothing but the code)."""
    from bot.demo import flights, model

    folder = ROOT / "var" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        flights.load(folder, requests=False)
        model.prepare(folder)
    return folder
