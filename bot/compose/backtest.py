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
    options = msgspec.to_builtins(policy.detection) | rules(policy, str(asked.get("model", "")))
    return backtest(data, options=options, progress=progress, **asked)


def rules(policy: Policy, model: str) -> dict[str, Any]:
    """What policy says of the model of that name (`model` or `tenant/model`), as far as it says anything."""
    named = next((rules for name, rules in policy.models.items() if model in (name, name.partition("/")[2])), None)
    told = msgspec.to_builtins(named) if named is not None else {}
    return {key: value for key, value in told.items() if value not in ("", [], {})}


def page(report: Any) -> str:
    """The report as one HTML page."""
    from detectors.report import html

    return html(report)
