"""Rubbish as producers really send it: what is put on the wire, how many good events are in it, what must be said."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from bot.demo.model import MODEL

WATCHED = f"inference.acme.{MODEL}"
LABELS = f"label.acme.{MODEL}"


@dataclass
class Case:
    """One message. `reasons`: for each dead letter that must come of it, words that its reason must hold."""

    name: str
    subject: str
    payload: bytes
    good: int = 0
    labels: int = 0
    reasons: list[list[str]] = field(default_factory=list)


def event(number: int, at: float, **changes: Any) -> dict[str, Any]:
    """A healthy event of the watched model, but for `changes`."""
    healthy = {"distance": 1000.0, "temp": 50.0, "carrier": "AA"}
    return {
        "id": f"odd-{number}",
        "at": at,
        "version": "1",
        "features": healthy,
        "score": 0.2,
        "latency_ms": 20,
    } | changes


def told(said: Any) -> bytes:
    return json.dumps(said).encode()


def unreadable(at: float) -> list[Case]:
    """Messages that hold nothing good, around event time `at`."""
    good, schema = event(0, at), "python -m bot schema InferenceServed"
    return [
        Case("bytes", WATCHED, b"\xff\xfe\x00\x01", reasons=[["malformed", schema]]),
        Case("truncated", WATCHED, told(good)[:40], reasons=[["truncated", schema]]),
        Case("empty", WATCHED, b"", reasons=[["empty", "NDJSON"]]),
        Case("null", WATCHED, b"null", reasons=[["Expected `object`, got `null`", schema]]),
        Case("text", WATCHED, b"hello?", reasons=[["malformed", schema]]),
        Case("deep", WATCHED, b"[" * 200_000, reasons=[["nested too deeply"]]),
        Case("score text", WATCHED, told(event(1, at, score="high")), reasons=[["$.score", '"high"', schema]]),
        Case("score huge", WATCHED, told(event(2, at)).replace(b"0.2", b"9" * 400), reasons=[["$.score", schema]]),
        Case("score true", WATCHED, told(event(3, at, score=True)), reasons=[["$.score", "= true", schema]]),
        Case("id number", WATCHED, told(event(4, at, id=7)), reasons=[["$.id", "= 7", schema]]),
        Case("features null", WATCHED, told(event(5, at, features=None)), reasons=[["$.features", "= null", schema]]),
        Case("latency text", WATCHED, told(event(6, at, latency_ms="12")), reasons=[["$.latency_ms", '"12"', schema]]),
        Case("milliseconds", WATCHED, told(event(7, at * 1000)), reasons=[[str(int(at)), "seconds, not milliseconds"]]),
        Case("no time", WATCHED, told({"id": "x", "score": 1}), reasons=[["required field `at`", schema]]),
        Case("nonsense time", WATCHED, told(event(8, "half past nine")), reasons=[["half past nine", "RFC 3339"]]),
        Case("null time", WATCHED, told(event(9, None)), reasons=[["$.at", "= null", schema]]),
        Case("negative time", WATCHED, told(event(10, -5)), reasons=[["at='-5'", "outside 1970"]]),
        Case("oversized", WATCHED, told(event(11, at, features={"x": "y" * 1_100_000})),
             reasons=[["1100", "at most 1000000", "send what the model reads"]]),
        Case("surrogate", WATCHED, told(event(12, at, features={"x": "\ud800"})), reasons=[["surrogate", "UTF-8"]]),
        Case("no model", "inference.acme", told(good), reasons=[["'inference.acme'", "inference.<tenant>.<model>"]]),
        Case("long subject", "inference.acme.a.b", told(good), reasons=[["acme.a.b", "inference.<tenant>.<model>"]]),
        Case("weird tenant", "inference.ac$me.m", told(good), reasons=[["'ac$me'", "letters, digits"]]),
        Case("weird model", "inference.acme.möd€l", told(good), reasons=[["möd€l", "letters, digits"]]),
        Case("label list", LABELS, told({"id": "r1", "at": at, "label": [1]}),
             reasons=[["$.label", "= [1]", "schema LabelArrived"]]),
        Case("change kind", "change.acme", told({"id": "c", "at": at, "kind": "deploy", "target": MODEL}),
             reasons=[["'deploy'", "$.kind", "schema ChangeRecorded"]]),
        Case("change target", "change.acme", told({"id": "c", "at": at, "kind": "data"}),
             reasons=[["`target`", "schema ChangeRecorded"]]),
        Case("lineage text", "lineage.acme", b'"COMPLETE"', reasons=[["got `str`", "openlineage.io"]]),
        Case("lineage without job", "lineage.acme", told({"eventType": "COMPLETE", "eventTime": "2026-01-01"}),
             reasons=[["job"]]),
    ]  # fmt: skip


def mixed(at: float) -> list[Case]:
    """Messages around `at` in which something is good: it must be counted."""
    schema = "python -m bot schema"
    array = [event(20, at), {"id": "b", "at": at, "score": "no"}, event(21, at), event(22, 1e12), event(23, at)]
    lines = b"\n".join([told(event(24, at)), b'{"id": "x", "at', told(event(25, at))])
    late = [event(50, at - 86_400), event(51, at - 300), event(52, at - 100), event(53, at - 3_600)]
    return [
        Case("array", WATCHED, told(array), good=3, reasons=[["$.score", '"no"', schema], ["milliseconds"]]),
        Case("lines", WATCHED, lines, good=2, reasons=[["truncated", schema]]),
        Case("late", WATCHED, told(late), good=len(late)),
        Case("twice in one", WATCHED, told([event(60, at), event(60, at)]), good=2),
        Case("twice", WATCHED, told(event(61, at)), good=1),
        Case("twice again", WATCHED, told(event(61, at, score=0.3)), good=1),
        Case("empty batch", WATCHED, b"[]"),
        Case("unknown model", "inference.other.never-seen", told({"id": "u", "at": at}), good=1),
        Case("year 2100", WATCHED, told(event(62, 4_102_444_800)), good=1),
        Case("year 2100 elsewhere", "inference.other.future", told({"id": "u", "at": 4_102_444_800}), good=1),
        Case("unknown labels", LABELS, told([{"id": f"no-{n}", "at": at, "label": 1} for n in range(50)]), labels=50),
        Case("change with more", "change.acme", told({"id": "c1", "at": at, "kind": "flag", "target": "x", "hue": 7})),
    ]  # fmt: skip


def odd(at: float, step: float) -> list[Case]:
    """Good events with values that nobody expects, one every `step` seconds from `at` on: each must be counted."""
    events = [
        event(30, 0.0, score=float("nan")),
        event(31, 0.0, features={"distance": float("inf"), "temp": float("-inf"), "carrier": "AA"}),
        event(32, 0.0, features={"distance": None, "temp": None, "carrier": None}, score=None),
        event(33, 0.0, features={"distance": 2**70, "temp": -(10**40), "carrier": 2**64}),
        event(34, 0.0, features={"distance": "1000", "temp": "fifty", "carrier": 3}),
        event(35, 0.0, features={"distance": True, "temp": "false", "carrier": False}),
        event(36, 0.0, features={}),
        event(37, 0.0, features={"distance": 900, "temp": [1, {"a": 2}], "carrier": {"b": None}, "new one": 5}),
        event(38, 0.0, latency_ms=None, version=""),
        event(39, 0.0, id=""),
        event(40, 0.0, surprise={"unknown": ["fields", 1]}),
        event(41, 0.0, features={"": 1, "a`|<b>\n": 2, "distance": 1000, "temp": 50, "carrier": "A" * 5_000}),
        event(42, 0.0, error="timeout"),
        event(43, 0.0, prediction={"not": "a class"}),
    ]
    return [Case(f"odd {i}", WATCHED, told(event | {"at": at + i * step}), good=1) for i, event in enumerate(events, 1)]


def shapes(until: float) -> list[Case]:
    """Models nobody configured, of shapes that hurt, a row every ten seconds `until` then: all good, all counted."""
    rows = {
        "wide": [{"score": 0.1, "features": {f"f{i}": (n * i) % 17 for i in range(500)}} for n in range(250)],
        "crowd": [{"score": (n % 10) / 10, "features": {"who": f"person {n}", "n": n % 7}} for n in range(10_000)],
        "fickle": [
            {"score": {"a": 0.5, "b": 0.5}, "version": str(n % 40),
             "features": {f"x{n % 9}": (n if n // 40 % 2 else str(n)), "same": [None, 1, "1", True][n // 40 % 4]}}
            for n in range(2_500)
        ],
    }  # fmt: skip
    cases = []
    for model, said in rows.items():
        events = [{"id": f"{model}-{n}", "at": until - 10 * (len(said) - n), **row} for n, row in enumerate(said)]
        step = 50 if model == "wide" else 500
        for first in range(0, len(events), step):
            part = events[first : first + step]
            cases.append(Case(f"{model} {first}", f"inference.shapes.{model}", told(part), good=len(part)))
    return cases
