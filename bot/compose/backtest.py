"""The backtest of the detectors room, with the options policy gives a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from core.policy import Policy


def run(data: Path, policy: Policy, progress: Callable[[int, int], None], **asked: Any) -> Any:
    """`detectors.backtest.Report` of the file. `asked` as the function of that name. Raises Unfit."""
    from detectors.backtest import backtest
    from detectors.warm import warm

    warm()
    return backtest(data, options=msgspec.to_builtins(policy.detection), progress=progress, **asked)


def page(report: Any) -> str:
    """The report as one HTML page."""
    from detectors.report import html

    return html(report)
