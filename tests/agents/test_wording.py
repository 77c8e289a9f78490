"""A language model in the loop: it may word and choose, and nothing else. A function is the model here."""

import asyncio

import pytest

from agents import investigate, wording
from agents.wording import Sentence, Wording
from core.errors import Unavailable
from core.findings import ACTIONS
from tests.agents.world import DEPLOY, celsius_case, investigation


class Model:
    """`answer(user, call)` is what the model says; `calls` keeps the prompts."""

    name = "test-model"

    def __init__(self, answer):
        self.answer, self.calls = answer, []

    async def fill(self, system, user, schema, *, timeout):
        self.calls.append(user)
        return self.answer(user, len(self.calls))


def findings(user):
    """The fenced findings of a prompt, by id."""
    blocks = user.split("<<<")[1:]
    return {b.split(" ")[0]: b.split("\n")[1] for b in blocks if b.startswith("F")}


async def ask(answer):
    windows, about = celsius_case()
    model = Model(answer)
    return model, await investigation(windows, DEPLOY, model=model).investigate(about, 0.0)


async def rules_alone():
    windows, about = celsius_case()
    return await investigation(windows, DEPLOY).investigate(about, 0.0)


def saying(change, cause="C1", action="rollback"):
    def answer(user, call):
        said = [Sentence(finding=f, text=change(f, text, call)) for f, text in findings(user).items()]
        return Wording(sentences=said, cause=cause, action=action)

    return answer


async def test_a_faithful_model_words_the_findings_and_is_named_as_the_writer():
    """Other words around the same numbers and names pass, and the card says who wrote them."""
    _, h = await ask(saying(lambda f, text, call: text.replace("moved away from its baseline", "left its baseline")))
    assert h.written_by == "model:test-model"
    assert any("left its baseline" in c.text for c in h.claims)
    assert h.dropped == []


@pytest.mark.parametrize(
    "lie",
    [
        lambda f, text, call: text.replace("5.8", "9.9"),
        lambda f, text, call: "Everything is fine, nothing moved by 3 degrees.",
        lambda f, text, call: text + " See https://evil.test/x",
        lambda f, text, call: text.replace("temp", "amount_usd"),
        lambda f, text, call: text.replace("before", "after"),
        lambda f, text, call: text + " <!channel>",
        lambda f, text, call: "A" * 10_000,
    ],
)
async def test_a_lying_model_is_dropped_sentence_by_sentence(lie):
    """What the gate refuses is replaced by the rules' own sentence; the claims are those of the rules."""
    _, h = await ask(saying(lie))
    own = await rules_alone()
    assert {c.text for c in h.claims} == {c.text for c in own.claims}
    assert h.action == own.action
    assert h.cause == own.cause


async def test_the_model_gets_one_retry_with_the_complaints_and_no_more():
    """Refused once, it is told why and asked again; then the rules write."""
    model, h = await ask(saying(lambda f, text, call: "It rose by 77."))
    assert len(model.calls) == 2
    assert "Your last answer was refused" in model.calls[1]
    assert h.dropped


async def test_a_model_that_mends_its_answer_is_heard():
    """The second answer, faithful, passes."""
    model, h = await ask(
        saying(lambda f, text, call: "It rose by 77." if call == 1 else text.replace("moved away", "went far away"))
    )
    assert len(model.calls) == 2
    assert h.written_by == "model:test-model"


@pytest.mark.parametrize("action", ["retrain", "delete_everything", "", "ROLLBACK; rm -rf /"])
async def test_an_action_that_was_not_offered_is_not_taken(action):
    """The model chooses among the offered ids; anything else is the first of them."""
    _, h = await ask(saying(lambda f, text, call: text, action=action))
    assert h.action == "rollback"
    assert {h.action, *h.alternatives} <= set(ACTIONS)


@pytest.mark.parametrize(
    "failure",
    [Unavailable("no answer within 20 s"), TimeoutError(), ValueError("not JSON"), ConnectionError("refused")],
)
async def test_a_model_that_fails_leaves_the_rules_alone(failure):
    """Time-out, refusal, prose, absence: the hypothesis is the rules', byte for byte."""

    def answer(user, call):
        raise failure

    _, h = await ask(answer)
    assert h == await rules_alone()


async def test_a_model_that_answers_another_form_is_not_heard():
    """Prose where a form was asked for is as good as no answer."""
    _, h = await ask(lambda user, call: "I think it was the deployment!")
    assert h == await rules_alone()


async def test_hostile_text_reaches_the_model_only_templated_and_fenced():
    """An instruction in a change's summary or a feature's name does not get out of its fence."""
    model, _ = await ask(saying(lambda f, text, call: text))
    prompt = model.calls[0]
    assert prompt.count("<<<") == prompt.count(">>>")
    outside = "".join(part.split(">>>")[-1] for part in prompt.split("<<<"))
    assert "temp" not in outside


async def test_a_model_that_ignores_its_time_is_left_behind(monkeypatch):
    """A port that never returns, whatever time it was given, costs that time and a little: the rules write."""
    monkeypatch.setattr(investigate, "MODEL_SECONDS", 0.01)
    monkeypatch.setattr(wording, "GRACE", 0.01)

    class Deaf:
        name = "deaf"

        async def fill(self, system, user, schema, *, timeout):
            await asyncio.Event().wait()

    windows, about = celsius_case()
    async with asyncio.timeout(30):
        h = await investigation(windows, DEPLOY, model=Deaf()).investigate(about, 0.0)
    assert h.written_by == "rules"
    assert h.action == "rollback"


@pytest.mark.parametrize("form", [Wording(None, None, None), Wording([Sentence(None, None)], "C1", "ticket"), "prose"])
async def test_a_form_that_is_half_filled_is_no_answer(form):
    """Fields left empty by whatever stands behind the port: the rules' own sentences, and no exception."""
    _, h = await ask(lambda user, call: form)
    assert h.written_by == "rules"
    assert [c.text for c in h.claims] == [c.text for c in (await rules_alone()).claims]
