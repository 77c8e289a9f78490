"""Faults on order: what the panel (or a test) asks the workspace to do wrong, a counted number of times."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .errors import PersonError

KINDS = {
    "rate_limit": "Answer 429 with Retry-After; nothing is done",
    "error": "Answer 500 in plain text; nothing is done",
    "lost_answer": "Do the work, then answer 500: the app cannot know",
    "delay": "Wait before doing the work",
    "duplicate": "Deliver events and interactions twice",
    "drop": "Do not deliver the first attempt of an event",
}


@dataclass
class Fault:
    """One order: `kind` for the next `times` calls of `method` (`*` is any); `seconds` for delay and Retry-After."""

    kind: str
    method: str = "*"
    times: int = 1
    seconds: float = 2.0


class Faults:
    """The standing orders, oldest first."""

    def __init__(self) -> None:
        self.orders: list[Fault] = []

    def order(self, kind: str, method: str = "*", times: int = 1, seconds: float = 2.0) -> Fault:
        """Add one. Raises PersonError naming what is wrong with it."""
        if kind not in KINDS:
            raise PersonError(f"fault {kind!r} is not one of {', '.join(KINDS)}", 400)
        if not 1 <= int(times) <= 1000 or not 0 <= float(seconds) <= 60:
            raise PersonError("a fault needs 1 <= times <= 1000 and 0 <= seconds <= 60", 400)
        fault = Fault(kind, method or "*", int(times), float(seconds))
        self.orders.append(fault)
        return fault

    def take(self, method: str, *kinds: str) -> Fault | None:
        """The first standing order of one of `kinds` for `method`, counted down; None when there is none."""
        for fault in self.orders:
            if fault.kind in kinds and fault.method in ("*", method):
                fault.times -= 1
                if fault.times == 0:
                    self.orders.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        self.orders.clear()

    def listed(self) -> list[dict]:
        return [asdict(fault) for fault in self.orders]
