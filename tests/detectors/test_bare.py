"""Models of which nothing can be watched: nobody else may be hurt by them."""

import numpy as np
import pytest

from core.events import InferenceServed
from detectors.monitor import Monitor
from tests.detectors.streams import START


@pytest.mark.parametrize("sent", [{}, {"n": "count"}])
@pytest.mark.parametrize("learnt", ["", "score\n", "n\n"])
def test_a_model_with_nothing_to_watch_is_no_trouble(tmp_path, sent: dict, learnt: str):
    """Events without a feature, or with nothing but a counter, and baselines of nothing that is sent: nobody else is
    hurt, and failures are told as ever, also after a restart."""
    path = tmp_path / "train.csv"
    path.write_text(learnt + "\n".join(str(n if learnt == "n\n" else n % 9 / 9) for n in range(500)))
    monitor = Monitor({"baseline_rows": 500, "error_rows": 500}, lambda *_: path if learnt else None)

    def serve(first: int, wrong: float) -> list[str]:
        rng = np.random.default_rng(first)
        made = [
            InferenceServed(id=f"r{i}", at=START + 60 * i, version="1", features=dict.fromkeys(sent, i),
                            error=bool(rng.random() < wrong))
            for i in range(first, first + 50)
        ]  # fmt: skip
        told = [monitor.on_inference("acme", "m", made), monitor.on_tick(START + 60 * (first + 50))]
        return [d.signal for r in told for _, d in r.detections]

    assert [signal for first in range(0, 2_500, 50) for signal in serve(first, 0.1)] == []
    kept = monitor.snapshot()
    monitor = Monitor({"baseline_rows": 500, "error_rows": 500}, monitor.baselines)
    monitor.restore(kept)
    assert [signal for first in range(2_500, 2_700, 50) for signal in serve(first, 0.7)] == ["failures"]
    assert monitor.health()["rows"] == 2_700
