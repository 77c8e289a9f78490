"""A language model over real HTTP: forms, tool calls, and everything it may do instead of answering."""

from __future__ import annotations

import asyncio
import json
import re

import msgspec
import pytest
from aiohttp import web

from agents import investigate
from core.errors import Unavailable
from core.settings import Secret
from integrations import http
from integrations.vllm import VLLM
from tests.agents.world import DEPLOY, celsius_case, investigation
from tests.integrations.outside import Model

pytestmark = pytest.mark.servers


class Cause(msgspec.Struct, frozen=True):
    node: str
    weight: float = 0.0


class Form(msgspec.Struct, frozen=True):
    headline: str
    causes: list[Cause] = []


TOOLS = {"why": ("why <model>: what is wrong with it", Cause), "status": ("status: all models", Form)}


@pytest.fixture(autouse=True)
def _brief_pauses(monkeypatch):
    monkeypatch.setattr(http.ask, "__kwdefaults__", http.ask.__kwdefaults__ | {"pause": 0.01})


def call(name: object, arguments: object = '{"node": "temp"}') -> dict:
    return {"content": None, "tool_calls": [{"id": "c", "function": {"name": name, "arguments": arguments}}]}


async def test_it_fills_a_form(opened):
    """The answer is an instance of the schema; the server was given the schema, closed, and the model it named."""
    model = Model('{"headline": "h", "causes": [{"node": "n", "weight": 1}]}')
    llm = VLLM(f"{await opened(model.app)}/v1", key=Secret("k"))
    filled = await llm.fill("system", "user", Form, timeout=5)
    assert filled == Form("h", [Cause("n", 1.0)])
    assert llm.name == "small"
    schema = model.asked[0]["response_format"]["json_schema"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["headline", "causes"]
    assert [m["role"] for m in model.asked[0]["messages"]] == ["system", "user"]


async def test_it_says_which_model_answers(opened):
    """The first model served, or the one that was named; a name that is not served is an error with the remedy."""
    url = f"{await opened(Model().app)}/v1"
    assert (await VLLM(url).ready(), await VLLM(url, "small").ready()) == ("small", "small")
    with pytest.raises(Unavailable, match="serves small, not large; look at LLM_URL and LLM_MODEL"):
        await VLLM(url, "large").ready()


async def test_a_form_in_a_fence_is_read(opened):
    """Weak models put their JSON in a code fence; that is no reason to refuse it."""
    model = Model('```json\n{"headline": "h"}\n```')
    llm = VLLM(f"{await opened(model.app)}/v1", "m")
    assert await llm.fill("s", "u", Form, timeout=5) == Form("h")


async def test_it_calls_a_tool(opened):
    """The tool and typed arguments come back; the server was given the tools and had to call one of them, once."""
    model = Model(call("why"))
    llm = VLLM(f"{await opened(model.app)}/v1", "m")
    assert await llm.choose("s", "u", TOOLS, timeout=5) == ("why", Cause("temp"))
    asked = model.asked[0]
    assert (asked["tool_choice"], asked["parallel_tool_calls"]) == ("required", False)
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["why", "status"]
    assert asked["tools"][0]["function"]["parameters"]["required"] == ["node", "weight"]


REFUSALS = [
    "I am sorry",
    "",
    {"content": None},
    {"content": None, "refusal": "no"},
    {"content": '{"headline": 3}'},
    web.json_response({"choices": []}),
    web.json_response({"error": {"message": "context too long"}}, status=400),
    web.json_response({"choices": [{"finish_reason": "length", "message": {"content": "and and and"}}]}),
    web.Response(text="gateway"),
]


@pytest.mark.parametrize("answer", REFUSALS)
async def test_what_is_no_form_is_unavailable(opened, answer):
    """Prose, wrong types, refusals, loops, errors: all are Unavailable, so that the rules take over."""
    llm = VLLM(f"{await opened(Model(answer).app)}/v1", "m")
    with pytest.raises(Unavailable):
        await llm.fill("s", "u", Form, timeout=5)


@pytest.mark.parametrize(
    "answer",
    [
        *REFUSALS[:5],
        call("drop_tables"),
        call(None),
        call("why", "{"),
        call("why", '"temp"'),
        call("why", "[" * 5_000),
        call("status", '{"headline": 7}'),
        {"content": "x", "tool_calls": "why"},
        {"content": "x", "tool_calls": [{"function": None}]},
    ],
)
async def test_a_call_of_what_does_not_exist_is_unavailable(opened, answer):
    """Prose, an unknown tool, arguments that do not fit: nothing is run and the intents decide."""
    llm = VLLM(f"{await opened(Model(answer).app)}/v1", "m")
    with pytest.raises(Unavailable):
        await llm.choose("s", "u", TOOLS, timeout=5)


def silent(gate: asyncio.Event) -> web.Application:
    async def never(_: web.Request) -> web.Response:
        await gate.wait()
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", never)
    return app


async def test_a_slow_model_is_unavailable_in_time(opened):
    """The time given is the time taken, whatever the server does."""
    gate = asyncio.Event()
    llm = VLLM(f"{await opened(silent(gate))}/v1", "m")
    with pytest.raises(Unavailable, match=r"0\.1 s"):
        await llm.fill("s", "u", Form, timeout=0.1)
    gate.set()


def said(prompt: str, change=lambda text: text, finding: str = "", cause: str = "C1") -> str:
    """A filled `Wording` that repeats the findings of a prompt, changed."""
    blocks = re.findall(r"<<<(F\d+) [^\n]*\n([^\n]*)", prompt)
    rows = [{"finding": finding or name, "text": change(text)} for name, text in blocks]
    return json.dumps({"sentences": rows, "cause": cause, "action": "rollback"})


class Answering(Model):
    """Answers by a function of the prompt instead of a list."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    async def on_chat(self, request: web.Request) -> web.Response:
        self.answers = [self.answer((await request.json())["messages"][1]["content"])]
        return await super().on_chat(request)


BAD = {
    "prose": lambda prompt: "The root cause is obviously the deployment!",
    "lies": lambda prompt: said(prompt, lambda text: re.sub(r"\d+(\.\d+)?", "77", text) + " It rose by 77."),
    "cites what is not there": lambda prompt: said(prompt, finding="F99", cause="C9"),
    "accuses another": lambda prompt: said(prompt, lambda text: f"Broken by payments-db, see [E77]. {text}"),
    "loops": lambda prompt: web.json_response(
        {"choices": [{"finish_reason": "length", "message": {"content": "and " * 999}}]}
    ),
    "obeys": lambda prompt: said(prompt, lambda text: "Approve the rollback now, <!channel>."),
}


async def hypothesis(model):
    windows, about = celsius_case()
    return await investigation(windows, DEPLOY, model=model).investigate(about, 0.0)


@pytest.mark.parametrize("kind", BAD)
async def test_whatever_a_model_does_the_claims_are_those_of_the_rules(opened, kind):
    """Prose, lies, loops, invented citations and commands leave the rules' own claims, cause and action."""
    found = await hypothesis(VLLM(f"{await opened(Answering(BAD[kind]).app)}/v1", "m"))
    rules = await hypothesis(None)
    assert [c.text for c in found.claims] == [c.text for c in rules.claims]
    assert (found.written_by, found.cause, found.action) == ("rules", rules.cause, rules.action)


async def test_a_model_that_never_answers_costs_its_time_and_nothing_else(opened, monkeypatch):
    """After its time the hypothesis is the rules'."""
    monkeypatch.setattr(investigate, "MODEL_SECONDS", 0.1)
    gate = asyncio.Event()
    found = await hypothesis(VLLM(f"{await opened(silent(gate))}/v1", "m"))
    gate.set()
    assert found.written_by == "rules"
    assert [c.text for c in found.claims] == [c.text for c in (await hypothesis(None)).claims]


async def test_a_faithful_model_is_named_on_the_hypothesis(opened):
    """Other words around the same numbers pass the gate, and the card can say who wrote them."""
    change = {"moved away from its baseline": "left its baseline"}
    words = Answering(lambda prompt: said(prompt, lambda text: re.sub("|".join(change), lambda m: change[m[0]], text)))
    found = await hypothesis(VLLM(f"{await opened(words.app)}/v1"))
    assert found.written_by == "model:small"
    assert any("left its baseline" in c.text for c in found.claims)


async def test_an_answer_that_comes_in_pieces_is_read_whole_and_an_endless_one_is_not(opened, monkeypatch):
    """A body in several pieces is one answer; one that does not end within the bound is refused, not cut."""
    whole = json.dumps({"choices": [{"message": {"content": '{"headline": "%s"}' % ("h" * 200_000)}}]}).encode()

    async def dribble(request):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for at in range(0, len(whole), 20_000):
            await response.write(whole[at : at + 20_000])
            await asyncio.sleep(0)
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", dribble)
    llm = VLLM(f"{await opened(app)}/v1", "m")
    assert (await llm.fill("s", "u", Form, timeout=5)).headline == "h" * 200_000
    monkeypatch.setattr(http, "LONGEST_ANSWER", 100_000)
    with pytest.raises(Unavailable, match="more than 100,000 bytes"):
        await llm.fill("s", "u", Form, timeout=5)
