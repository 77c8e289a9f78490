"""Which version of a model serves, and the log of how it came to that: one JSON file, never half written.

`decide` is pure: state and request in, state and entry out. `save` writes the file beside itself, forces it to the
disk and renames it, so a kill at any moment leaves the state before or the state after, and nothing between. An
entry is in the file before it is announced and marked once the announcement is stored: a kill between the two
announces it again under the same id, which JetStream drops.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal


class Refused(Exception):
    """A deployment that must not happen; `code` is a word for programs, the message a sentence for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True)
class Request:
    """What is asked: serve `to`, if `expected` (unless None) serves now; `key` makes asking twice the same as once."""

    kind: Literal["deploy", "rollback"]
    to: str
    key: str
    at: float
    expected: str | None = None
    by: str = "unknown"
    summary: str = ""
    url: str = ""

    def digest(self) -> str:
        """Of what was asked, not of when: a retry has the same."""
        asked = [self.kind, self.to, self.expected, self.by, self.summary, self.url]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Entry:
    """One deployment that happened; `at` is event time in epoch seconds."""

    id: str
    key: str
    digest: str
    kind: str
    before: str
    to: str
    at: float
    by: str
    summary: str
    url: str
    announced: bool = False


@dataclass(frozen=True)
class State:
    model: str
    current: str
    log: tuple[Entry, ...] = field(default=())

    def find(self, key: str) -> Entry | None:
        return next((entry for entry in self.log if entry.key == key), None)


def decide(state: State, request: Request) -> tuple[State, Entry, bool]:
    """The state after the request, the entry that answers it, and whether it is new.

    Raises Refused: 409 `key_reused` for a known key with other content, 409 `not_current` if another version than
    the expected one serves, 409 `already_current` if the version asked for already serves.
    """
    known = state.find(request.key)
    if known:
        if known.digest != request.digest():
            raise Refused(
                409,
                "key_reused",
                f"Idempotency-Key {request.key!r} was used for another request: "
                f"{known.kind} to version {known.to}. Send a new key.",
            )
        return state, known, False
    if request.expected is not None and request.expected != state.current:
        raise Refused(
            409,
            "not_current",
            f"{state.model} serves version {state.current}, not {request.expected}. Look again before you deploy.",
        )
    if request.to == state.current:
        raise Refused(409, "already_current", f"{state.model} already serves version {request.to}.")
    name = hashlib.sha256(f"{state.model}\x1f{request.key}".encode()).hexdigest()[:16]
    entry = Entry(
        f"chg_{name}",
        request.key,
        request.digest(),
        request.kind,
        state.current,
        request.to,
        max([request.at, *(past.at for past in state.log[-1:])]),
        request.by,
        request.summary,
        request.url,
    )
    return replace(state, current=request.to, log=(*state.log, entry)), entry, True


def announced(state: State, entry: Entry) -> State:
    """The state in which this entry's announcement is known to be stored."""
    marked = (replace(past, announced=True) if past.id == entry.id else past for past in state.log)
    return replace(state, log=tuple(marked))


def change(state: State, entry: Entry) -> dict[str, Any]:
    """The `ChangeRecorded` that tells the world of a deployment."""
    return {
        "id": entry.id,
        "at": entry.at,
        "kind": "deployment",
        "target": state.model,
        "from": entry.before,
        "to": entry.to,
        "summary": entry.summary,
        "by": entry.by,
        "url": entry.url,
    }


def load(path: Path, model: str, first: str) -> State:
    """The state in the file, or the first one. Raises ValueError, naming the file, if it is not such a state."""
    if not path.exists():
        return State(model, first)
    try:
        found = json.loads(path.read_text())
        state = State(found["model"], found["current"], tuple(Entry(**entry) for entry in found["log"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a deployment log ({error}); restore it or move it away") from error
    if state.model != model:
        raise ValueError(f"{path} is the deployment log of {state.model}, not of {model}")
    return state


def save(path: Path, state: State) -> None:
    """Make the file say `state`, for good: written, forced to disk, renamed over the old one, folder forced too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        json.dump(asdict(state), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
