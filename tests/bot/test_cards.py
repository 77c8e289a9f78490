"""The card, pure: golden JSON for every kind and state, Block Kit's limits, and hostile text."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import wording as say
from bot.blocks import escape, link, name, number, numbered, span, whole
from bot.cards import Picture, card, notification, purposes, visible
from bot.message import smaller
from bot.modals import dismiss, review, runbook, snooze, wrong
from bot.thread import broadcast, note
from bot.workspace.limits import check_blocks, check_view
from core.findings import Claim, Evidence, Gap, RunbookCitation
from core.incidents import Incident, mark
from core.looks import LOOKS
from core.triage import STOPPED, UNSURE
from tests.bot import examples as x

GOLDEN = Path(__file__).with_name("golden")
GALLERY = x.gallery()
LATER = x.NOW + 100
SHOWN = Picture(file="F0PICTURE", alt="temp since 2013-03-10 05:00 UTC, PSI 1.31.")


def drawn(incident: Incident, now: float = LATER):
    policy = x.policy()
    return card(incident, policy, now, {p: f"nonce-{p}" for p in purposes(incident, policy, now)}, SHOWN)


@pytest.mark.parametrize("which", GALLERY)
def test_golden(which: str):
    """Each kind and state renders exactly the stored card (GOLDEN=write stores what is rendered now)."""
    shown = drawn(GALLERY[which])
    blocks = [{k: v for k, v in b.items() if k != "block_id"} for b in shown.blocks]
    found = json.dumps({"text": shown.text, "blocks": blocks}, indent=1, ensure_ascii=False) + "\n"
    path = GOLDEN / f"{which}.json"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(found, "utf-8")
    assert path.read_text("utf-8") == found


@pytest.mark.parametrize("which", GALLERY)
def test_rules_of_the_card(which: str):
    """Every card keeps Slack's limits, at most four buttons and one primary, labels for all, a verdict in 300."""
    shown = drawn(GALLERY[which])
    assert check_blocks(shown.blocks) == []
    assert len(shown.text) <= 300
    elements = [e for b in shown.blocks if b["type"] == "actions" for e in b["elements"]]
    buttons = [e for e in elements if e["type"] == "button"]
    assert len(buttons) <= 4
    assert [b.get("style") for b in buttons].count("primary") <= 1
    assert all(b["accessibility_label"] for b in buttons)
    assert all(b.get("style") != "danger" for b in buttons)


def test_a_fresh_block_id_on_every_edit():
    """Two renderings of one incident share no block id, and have one hash."""
    one, two = drawn(x.diagnosed()), drawn(x.diagnosed())
    assert not {b["block_id"] for b in one.blocks} & {b["block_id"] for b in two.blocks}
    assert one.hash == two.hash


def test_the_hash_sees_words_and_not_nonces():
    """New nonces leave the hash alone; a new state, a picture or an acknowledgement change it."""
    policy, incident = x.policy(), x.diagnosed()
    plain = card(incident, policy, LATER, {p: f"a-{p}" for p in purposes(incident, policy, LATER)})
    again = card(incident, policy, LATER, {p: f"b-{p}" for p in purposes(incident, policy, LATER)})
    assert plain.hash == again.hash
    others = [drawn(incident), drawn(x.approved()), drawn(GALLERY["acknowledged"])]
    assert len({plain.hash, *(o.hash for o in others)}) == 4


def test_an_unsure_card_says_when_it_is_looked_at_again():
    """The next look is named while there is one: not after the last, and not after a person's stop."""
    unsure = x.abstention()
    says = lambda i: "Will be looked at again at" in json.dumps(drawn(i).blocks)  # noqa: E731
    last = mark(unsure, now=unsure.opened_at + LOOKS[-1], actor="investigate", what=UNSURE)
    stopped = mark(unsure, now=unsure.opened_at + 60, actor="T1/UBEN", what=STOPPED)
    assert [says(unsure), says(last), says(stopped)] == [True, False, False]


def test_abstention_offers_no_approval():
    """Below the threshold the card says "Not sure. Needs a person" with what is missing, and nothing to approve."""
    shown = drawn(x.abstention())
    text = json.dumps(shown.blocks)
    assert "Not sure. Needs a person:" in text
    assert "booking service" in text
    assert "Could not check: feature store (timeout)" in text
    assert all(b.purpose != "review" for b in visible(x.abstention(), x.policy(), LATER))


def test_what_could_not_be_checked_is_said_beside_the_cause():
    """A partial failure names each gap with its reason, and the cause still stands with its proposal."""
    text = json.dumps(drawn(x.partial()).blocks)
    assert "Could not check: feature store (timeout after 8 s), runbooks (index is being built)" in text
    assert "What caused it?* (0.86)" in text
    assert '"review"' in text


def test_an_expired_proposal_cannot_be_reviewed():
    """After fifteen minutes the button is gone and the card says why."""
    shown = drawn(x.diagnosed(), now=x.NOW + 5 + 15 * 60 + 1)
    assert "Proposal expired" in json.dumps(shown.blocks)
    assert '"review"' not in json.dumps(shown.blocks)
    assert "expired" in shown.text


def test_states_by_word():
    """Each state of the executor is said in words on the card, never the click."""
    words = {
        "diagnosed": "Waiting for approval (0/1)", "half-approved": "Approved 1/2", "approved": "waiting to run",
        "executing": "Executing", "verifying": "verifying recovery", "resolved": "Confirmed",
        "failed": "undo offered", "dismissed": "Dismissed",
    }  # fmt: skip
    for which, word in words.items():
        assert word in json.dumps(drawn(GALLERY[which]).blocks), which


def test_every_fact_is_cited():
    """Each line of "What's going on?" ends with a citation of evidence that the card lists."""
    for which, incident in GALLERY.items():
        shown = drawn(incident)
        lines = shown.blocks[1]["text"]["text"].splitlines()[1:]
        listed = json.dumps(shown.blocks[-3:])
        for line in (one for one in lines if not one.startswith("• Models")):
            cited = re.findall(r"\[([EA]\d+)\]", line)
            assert cited, (which, line)
            assert all(c in listed for c in cited)


def test_forecast_shows_time_to_breach():
    """With a forecast the card says the time to breach with its interval and citation."""
    assert "5h10m to breach (80% interval 3h40m-7h) [E7]" in json.dumps(drawn(x.forecast()).blocks)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"level": "watch", "seconds_to_breach": 18_600, "low": 13_200, "high": 25_200, "by": "MLP", "right": 19,
          "spoken": 20}, "5h10m to breach (80% interval 3h40m-7h) [E7], by MLP; right 19 of 20 times"),
        ({"level": "calm"}, "no breach expected within 24 h [E7]"),
        ({"level": "unreliable"}, "no reliable forecast [E7]"),
        ({"level": "breached"}, "SLO missed now [E7]"),
    ],
)  # fmt: skip
def test_the_sla_line_shows_who_says_so_and_how_often_it_was_right(said, line):
    """A level that names an hour shows its record; the others say what they are."""
    told = x.Evidence(id="E7", source="forecast", title="t", query="q", at=x.ONSET, result=said).sealed()
    assert say.sla(x.hypothesis(evidence=[told])) == line


def test_links_only_to_allowed_hosts():
    """A change's URL is a link only when policy lists its host; credentials and odd schemes never are."""
    import msgspec.structs

    from core.policy import Links

    incident = x.diagnosed()
    assert "https://ci.example.com" not in json.dumps(drawn(incident).blocks)
    policy = msgspec.structs.replace(x.policy(), links=Links(hosts=["ci.example.com"]))
    values = dict.fromkeys(purposes(incident, policy, LATER), "n")
    assert "<https://ci.example.com/run/41|E3" in json.dumps(card(incident, policy, LATER, values).blocks)
    for url in (
        "https://user:pw@ci.example.com/", "javascript://ci.example.com/%0aalert(1)", "https://ci.example.com.evil.example/",
        "https://ci.example.com/a|b>", "https://evil.example/?ci.example.com", "http://[::1", "https://ci.example.com\\@evil.example",
    ):  # fmt: skip
        assert link(url, "text", ["ci.example.com"]) == "text" or "evil" not in link(url, "text", ["ci.example.com"])


# what no text may do

NASTY = st.text(max_size=400) | st.sampled_from([
    "<!channel> <!here> <@U0ANA> <#C1|x> <https://evil.example|click>", "@here @channel @everyone",
    "*bold* _it_ ~gone~ `code` ```block```", "\u202eevil\u202c\u200b\ufeff", "&amp;&lt;!channel&gt;",
    "https://evil.example/x?y=z www.evil.example", "a" * 20_000, "\x00\x1b[31m", "> quote\n\n*SEV1 resolved*",
    "\ud800", "xoxb-123456789012-abcdefghij",
])  # fmt: skip


@given(NASTY)
@settings(max_examples=300, deadline=None)
def test_escaped_text_cannot_mention_link_or_break_lines(text: str):
    """After `escape` nothing is left that Slack would read as a mention, a link, a broadcast or a new line."""
    safe = escape(text, 300)
    assert not re.search(r"<[^>]*>|[<>]", safe)
    assert not re.search(r"&(?!amp;|lt;|gt;)", safe)
    assert not re.search(r"@(here|channel|everyone)\b", safe)
    assert not re.search(r"[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff`]", safe)
    assert "://" not in safe.replace("hdfs://", "") or not re.search(r"\b(https?|javascript|data):\S", safe)
    assert "xoxb-1234" not in safe


@given(st.lists(NASTY, min_size=6, max_size=6), st.sampled_from(sorted(GALLERY)))
@settings(max_examples=120, deadline=None)
def test_hostile_text_everywhere_keeps_the_limits(texts: list[str], which: str):
    """Whatever stands in names, details, claims, gaps and plans: the card and its dialogs stay within every limit."""
    incident = poisoned(GALLERY[which], texts)
    shown = drawn(incident)
    assert check_blocks(shown.blocks) == []
    assert len(shown.text) <= 300
    blob = json.dumps(shown.blocks, ensure_ascii=False)
    for bad in ("<!channel", "<!here", "<@U0ANA> <#C1", "<https://evil", "https://evil", "\u202e"):
        assert bad not in blob
        assert bad not in shown.text
    policy = x.policy()
    for view in dialogs(incident, policy):
        assert check_view(view) == []
    for blocks in smaller(shown):
        assert check_blocks(numbered(blocks)) == []
    text, lines = note(incident, 0)
    assert check_blocks(numbered(lines)) == []
    assert len(text) <= 300


def dialogs(incident: Incident, policy):
    if incident.plan:
        yield review(incident, incident.plan, policy, "n" * 32, "viewer", "a problem")
    yield dismiss(incident, "n" * 32)
    yield snooze(incident, "n" * 32, "In the last 7 days: nothing.")
    yield wrong(incident, "n" * 32, "wrong")
    if incident.hypothesis and incident.hypothesis.runbook:
        yield runbook(incident.hypothesis.runbook)


def poisoned(incident: Incident, t: list[str]) -> Incident:
    """The incident with untrusted text in every place that can hold some."""
    t = [s.encode("utf-8", "replace").decode() for s in t]
    replace = msgspec.structs.replace
    found = [
        replace(d, signal=f"feature:{t[0]}", detail=t[1], segment=t[2][:50], detector=t[3][:60])
        for d in incident.alerts[0].detections
    ]
    alerts = [replace(incident.alerts[0], detections=found, reason=t[1])]
    incident = replace(incident, model=t[4], version=t[5][:300], tenant=t[3], alerts=alerts, models=[t[4], t[0], t[1]])
    h, p = incident.hypothesis, incident.plan
    if h:
        book = RunbookCitation(file=t[0], heading=t[1], revision=t[2], text=t[3], relevance=0.5, last_verified=t[4])
        claims = [
            Claim(text=s, citations=["E1", "E99"], role=r)
            for s, r in zip(t, ("fact", "cause", "ruled_out"), strict=False)
        ]
        h = replace(h, headline=t[0], missing=t[1], claims=claims, gaps=[Gap(what=t[2], why=t[3])], runbook=book,
                    written_by=f"model:{t[4]}", evidence=[replace(e, title=t[5]) for e in h.evidence])  # fmt: skip
    if p:
        p = replace(p, summary=t[0], undo=t[1], blast=t[2], parameters={"from": t[3], "to": t[4], t[5]: t[0]})
    entries = [replace(e, what=t[2], reason=t[3]) for e in incident.timeline]
    return replace(incident, hypothesis=h, plan=p, timeline=entries)


def test_notification_of_long_names_keeps_the_ending():
    """However long the cause, the fallback text still ends with what is asked of the reader."""
    h = x.hypothesis(headline="x" * 5_000)
    text = notification(x.diagnosed(h=h), x.policy(), LATER)
    assert text.endswith("Rollback to v1 awaits approval.")


def test_lookalike_names_are_spelt_out():
    """A Cyrillic letter in a Latin name is shown as its code point."""
    assert name("flight-del\u0430y") == "flight-del\\u0430y"


def test_thread_is_loud_only_for_severity_and_long_incidents():
    """The channel hears a severity that rose and the end of what lasted more than a day, nothing else."""
    assert broadcast(x.diagnosed(), "SEV2", "") == ""
    assert broadcast(x.resolved(), "SEV2", "") == ""
    worse = msgspec.structs.replace(x.diagnosed(), severity="SEV1")
    assert "rose from SEV2" in broadcast(worse, "SEV2", "")
    assert broadcast(worse, "SEV2", "SEV1") == ""
    long = msgspec.structs.replace(x.resolved(), opened_at=x.NOW - 90_000)
    assert "Confirmed" in broadcast(long, "SEV2", "")


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_any_number_has_words(value: float):
    """NaN, infinities and huge numbers are written, not raised."""
    assert number(value)


@given(st.floats(min_value=0, max_value=1e12))
def test_any_span_has_words(value: float):
    """Every length of time has at most two units."""
    assert re.fullmatch(r"(\d+[dhms]){1,2}", span(value))


@given(st.text(alphabet="<>&;`ab|!@ ", max_size=200), st.integers(min_value=5, max_value=60))
def test_cutting_never_splits_an_entity(text: str, most: int):
    """A cut mrkdwn text ends outside of `<...>` and `&...;`."""
    short = whole(escape(text, 300), most)
    assert len(short) <= most
    assert not re.search(r"&[a-z]*…?$", short.rstrip("…"))


@pytest.mark.parametrize(("cause", "shown"), [("unit_change", True), ("late_labels", False)])
def test_a_past_incident_of_the_named_cause_is_recalled(cause: str, shown: bool):
    """How the last one like it ended stands under the cause, cited; a past incident of another cause does not."""
    past = {"incident": "inc_0a11", "cause": cause, "line": "Seen before on 12 Sep 2026 (inc_0a11): <!channel>"}
    found = Evidence(id="E9", source="history", title="Similar", query="similar", result={"incidents": [past]}, at=0.0)
    about = x.hypothesis(evidence=[*x.evidence(), found])
    incident = msgspec.structs.replace(x.diagnosed(), hypothesis=about)
    text = str(drawn(incident).blocks)
    assert ("Seen before on 12 Sep 2026 (inc_0a11): &lt;!channel&gt; [E9]" in text) is shown
