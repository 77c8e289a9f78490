"""Episodes on the wire: what producers really send."""

import json

import msgspec
import pytest

from bot.simulator.catalogue import TYPES
from bot.simulator.episode import generate
from bot.simulator.wire import LIVE, wire
from core.events import ChangeRecorded, InferenceServed, LabelArrived


def told(kind: str, seed: int = 41, **more) -> list:
    """All messages of one live episode."""
    return list(wire(generate(seed, kind), **{"hours_before": 6, "hours_after": 4, "per_hour": 40} | more))


def rows(messages: list, family: str) -> list[dict]:
    """All rows of a subject family."""
    return [row for subject, payload, _ in messages if subject.startswith(family) for row in payload]


@pytest.mark.parametrize("kind", LIVE)
def test_messages_decode_as_the_product_decodes_them(kind):
    """Every live type gives events, labels, changes and lineage that the wire's own structs accept, in order."""
    messages = told(kind)
    assert [at for _, _, at in messages] == sorted(at for _, _, at in messages)
    json.dumps([payload for _, payload, _ in messages], allow_nan=False)
    for event in rows(messages, "inference.")[:50]:
        msgspec.convert(event, InferenceServed)
    for label in rows(messages, "label.")[:50]:
        msgspec.convert(label, LabelArrived)
    for subject, payload, _ in messages:
        if subject.startswith("change."):
            msgspec.convert(payload, ChangeRecorded)
    assert {subject.split(".")[0] for subject, _, _ in messages} >= {"inference", "label", "lineage"}


def test_what_events_cannot_show_is_refused():
    """A type that no inference event can show is refused with those that can."""
    with pytest.raises(ValueError, match="live types are"):
        wire(generate(41, "O1"))


def test_silence_is_silent():
    """After the onset of a silent source no inference event comes."""
    messages = told("X3", hours_after=6)
    times = [event["at"] for event in rows(messages, "inference.")]
    end = max(at for _, _, at in messages)
    assert end > 0
    assert len([at for at in times if at > max(times) - 3600]) > 0
    assert len(rows(messages, "inference.")) < len(rows(told("D1", hours_after=6), "inference.")) * 1.2


def test_a_dropped_column_is_null_in_the_events():
    """With a dropped column some feature is null after the onset and not before."""
    events = rows(told("D2"), "inference.")
    half = len(events) // 2
    early = sum(value is None for event in events[:half] for value in event["features"].values())
    late = sum(value is None for event in events[half:] for value in event["features"].values())
    assert early == 0
    assert late > 0


def test_a_promoted_model_has_another_version():
    """A bad promotion shows a second version, and a wrong artefact does not."""
    assert len({event["version"] for event in rows(told("M1"), "inference.")}) == 2
    assert len({event["version"] for event in rows(told("M2"), "inference.")}) == 1


def test_every_live_type_is_in_the_catalogue():
    """The live types are types."""
    assert set(LIVE) <= set(TYPES)


def test_jobs_report_every_run_and_a_stuck_one_no_good_one():
    """Each run of a job is told; of the stuck job none ends well after the fault began, of others some do."""
    episode = generate(4000, "F1")
    root = episode.truth.plain()["root"]
    name = episode.visible._world.graph.nodes[root["node"]].words
    messages = list(wire(episode, hours_before=60, hours_after=12, per_hour=20))
    ended = {}
    for subject, event, at in messages:
        if subject.startswith("lineage.") and event.get("job") and event["eventType"] == "COMPLETE":
            ended.setdefault(event["job"]["name"], []).append(at)
    assert max(ended[name]) <= root["onset_ts"]
    assert any(max(times) > root["onset_ts"] and len(times) > 3 for job, times in ended.items() if job != name)


def test_an_episode_that_touches_no_model_is_refused():
    """Where no model reads what a fault touches, there is nothing to serve: it says so."""
    with pytest.raises(ValueError, match="take another seed"):
        wire(generate(4012, "W4"))
