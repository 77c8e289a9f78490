"""What happens when nobody answers, when something is silenced, and what free text means without a model."""

from __future__ import annotations

import msgspec
import pytest

from bot.conversation import entities, freetext, silence
from bot.conversation.freetext import understand
from bot.reminders import AFTER, MOST, Reminders, due
from bot.workspace.people import text_of
from core.incidents import mark
from tests.bot import examples as x
from tests.bot.conftest import told
from tests.bot.ports import Views


def test_reminders_are_capped_then_one_page():
    """Three reminders, each after twice the wait, then one page, and never anything again."""
    incident, wait = x.first(), AFTER["SEV2"]
    times = [wait, wait * 3, wait * 7, wait * 15]
    assert [due(incident, x.NOW + t) for t in times] == [1, 2, 3, MOST + 1]
    assert due(incident, x.NOW + 1e9) == MOST + 1
    owned = mark(incident, now=x.NOW, actor="T/U", what="acknowledged", acknowledged_by="T/U")
    assert due(owned, x.NOW + 1e9) == 0
    assert due(x.resolved(), x.NOW + 1e9) == 0


@pytest.mark.servers
async def test_nobody_answers(tmp_path):
    """Reminders go to the thread, the page goes out once and is recorded."""
    paged: list[str] = []

    async def page(incident, why: str) -> None:
        paged.append(f"{incident.id}: {why}")

    async with told(tmp_path, page=page) as story:
        card = await story.show(x.first())
        reminders = Reminders(story.converse.desk)
        for leap in (700, 1_300, 2_500, 5_000, 5_000, 50_000):
            story.clock.leap(leap)
            await reminders.tick()
            await reminders.tick()
        thread = await story.people.as_user("ben").messages("ml-oncall", thread_ts=card["ts"])
        assert sum("Nobody has acknowledged" in text_of(m) for m in thread) == MOST
        assert paged == ["inc_1f0c: nobody acknowledged it"]
        assert story.views.rows["inc_1f0c"].timeline[-1].what.startswith("paged")


@pytest.mark.servers
async def test_an_expired_proposal_shows_itself(story):
    """When the fifteen minutes are over the card loses its button without anybody touching it."""
    await story.show(x.diagnosed(p=x.plan(created=story.clock())))
    story.clock.leap(16 * 60)
    await Reminders(story.converse.desk).tick()
    await story.card(lambda m: "Proposal expired" in text_of(m))


def test_lengths_of_time():
    """Lengths are read with their unit; the words around them are not part of a name."""
    assert entities.seconds("since 6h") == 21_600
    assert entities.seconds("for the last 2 days") == 172_800
    assert entities.seconds("v2") is None
    assert entities.without_span("temp of flight-delay since 6h") == "temp of flight-delay"
    assert entities.without_span("flight-delay over the last 2 days") == "flight-delay"


def test_names_are_found_or_asked_for():
    """A name is taken when exact, nearly exact or uniquely part of one; otherwise the closest are offered."""
    names = ["flight-delay", "fraud-scorer", "fraud-rules"]
    assert entities.closest("Flight_Delay", names, "model") == "flight-delay"
    assert entities.closest("flight", names, "model") == "flight-delay"
    assert entities.closest("flight-dealy", names, "model") == "flight-delay"
    with pytest.raises(entities.Unclear) as unclear:
        entities.closest("fraud", names, "model")
    assert unclear.value.options == ["fraud-scorer", "fraud-rules"]
    with pytest.raises(entities.Unclear):
        entities.closest("", names, "model")


def test_silence_hides_only_what_it_covers_whole():
    """An incident with a second signal outside the silence would still have come."""
    two = x.first(detections=[x.detection(), x.detection("feature:wind")])
    assert silence.hidden(x.first(), "acme", "flight-delay", "feature:temp")
    assert not silence.hidden(two, "acme", "flight-delay", "feature:temp")
    assert silence.hidden(two, "acme", "*", "feature:*")
    assert not silence.hidden(two, "other", "*", "*")
    odd = x.first(detections=[x.detection("feature:a[b]*")])
    assert silence.hidden(odd, "acme", "flight-delay", silence.signal_of(odd, "0"))
    assert silence.seconds_of("99999999") == silence.LONGEST
    assert silence.seconds_of("<script>") == 7_200


class Desk:
    """What understanding needs and nothing else."""

    def __init__(self, embed=None, llm=None) -> None:
        self.telemetry, self.embed, self.llm, self.intents = Views(), embed, llm, []


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("what changed around flight-delay lately?", "changes flight-delay"),
        ("please plot the temp of flight-delay over the last 12 hours", "show temp of flight-delay since 12hours"),
        ("is everything ok", "status"),
        ("what should the next person know about my shift", "handoff"),
        ("why is flight-delay failing", "why flight-delay"),
    ],
)
async def test_free_text_by_words(question: str, meant: str):
    """Without a model or embeddings, plain questions find their command and its names."""
    found = await understand(Desk(), question, None)
    assert meant in (found.text, *found.options[:1])


async def test_free_text_never_writes():
    """What would change something is only offered, however sure the understanding is."""
    for question in ("mute flight-delay", "stop all actions", "acknowledge", "kill switch", "learn the baseline again"):
        found = await understand(Desk(), question, x.first())
        assert found.text.split()[:1] not in (["silence"], ["freeze"], ["ack"], ["thaw"], ["rebaseline"])


async def test_a_model_that_is_away_is_replaced_by_intent():
    """When the language model does not answer, the question is understood without it."""
    from core.errors import Unavailable

    class Away:
        name = "away"

        async def choose(self, system, user, tools, *, timeout):
            raise Unavailable("no")

    assert (await understand(Desk(llm=Away()), "what changed around flight-delay", None)).text == "changes flight-delay"


async def test_free_text_with_embeddings():
    """With vectors, the nearest example decides; a tie is asked back."""

    def embed(texts):
        return [[1.0, 0.0] if "changed" in t or "deployed" in t else [0.0, 1.0] for t in texts]

    found = await freetext.by_intent(Desk(embed=embed), "what changed with flight-delay", None)
    assert found.text == "changes flight-delay"
    unsure = await freetext.by_intent(Desk(embed=lambda texts: [[1.0, 1.0]] * len(texts)), "hm flight-delay", None)
    assert not unsure.text
    assert unsure.options


def test_feedback_case_is_replayable():
    """An evaluation case holds what was seen, what was said, and what was true, as plain JSON."""
    from bot.conversation.feedback import case
    from core.incidents import Feedback

    told_ = msgspec.structs.replace(
        x.resolved(), feedback=[Feedback(by="T/U", at=1.0, verdict="wrong", true_cause="bug")]
    )
    again = msgspec.json.decode(msgspec.json.encode(case(told_)))
    assert again["named"] == "unit_change"
    assert again["verdicts"][0]["true_cause"] == "bug"
    assert again["incident"]["alerts"][0]["detections"]
