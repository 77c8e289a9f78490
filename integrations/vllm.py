"""A language model behind any OpenAI-compatible address (vLLM, llama.cpp, a hosted one). The only home of the LLM.

It fills forms and chooses among read-only questions. It holds no tool that changes anything: what it answers is checked
by others before anybody sees it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from core.errors import Refused, Unavailable
from core.settings import NO_SECRET, Secret
from integrations.http import ask
from integrations.plain import cleaned

_REMEDY = "look at LLM_URL and LLM_MODEL; without LLM_URL the rules write"
_FENCE = re.compile(r"^\s*```(?:json)?\s*(.*?)\s*```\s*$", re.S)
ROUNDS = 6
"""Tool calls answered, at most, before the model must speak."""
_LONGEST_RESULT = 8_000


class Tool(Struct, frozen=True, kw_only=True):
    """A read-only question the model may ask. `parameters`: a msgspec Struct; `call` gets an instance, gives JSON."""

    name: str
    description: str
    parameters: type[Any]
    call: Callable[[Any], Awaitable[Any]]


class VLLM:
    """`core.ports.LanguageModel`. Without `model` the first that the server names is used. Key: LLM_KEY, if any."""

    def __init__(self, url: str, model: str = "", *, key: Secret = NO_SECRET, tokens: int = 1_500):
        self._url, self.name, self._tokens = url.rstrip("/"), model, tokens
        key = key or Secret(os.environ.get("LLM_KEY", ""))
        self._headers = {"Authorization": f"Bearer {key.reveal()}"} if key else {}

    async def fill(self, system: str, user: str, schema: type[Any], *, timeout: float) -> Any:
        """An instance of `schema`. Raises Unavailable on time-out, refusal, or anything but a filled form."""
        form = {"name": schema.__name__, "schema": _json_schema(schema), "strict": True}
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        extra = {"response_format": {"type": "json_schema", "json_schema": form}, "temperature": 0}
        said = await self._within(timeout, self._say(messages, extra))
        text = str(said.get("content") or "")
        fenced = _FENCE.match(text)
        try:
            return msgspec.json.decode(fenced.group(1) if fenced else text, type=schema)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise Unavailable(f"the language model did not fill the form {schema.__name__}: {error}") from None

    async def answer(self, system: str, user: str, tools: Sequence[Tool], *, timeout: float) -> str:
        """A text, once the model has asked `tools` what it wants to know, in ROUNDS rounds. Raises Unavailable."""
        messages: list[dict[str, Any]] = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        return str(await self._within(timeout, self._converse(messages, {tool.name: tool for tool in tools})))

    async def _converse(self, messages: list[dict[str, Any]], tools: dict[str, Tool]) -> str:
        offered = {"tools": [_offer(tool) for tool in tools.values()], "temperature": 0}
        for turn in range(ROUNDS + 1):
            said = await self._say(messages, offered if turn < ROUNDS and tools else {"temperature": 0})
            calls = said.get("tool_calls") or []
            if not calls:
                if text := str(said.get("content") or "").strip():
                    return text
                break
            messages.append({"role": "assistant", "content": said.get("content") or "", "tool_calls": calls})
            for call in calls:
                result = await _asked(call, tools)
                messages.append({"role": "tool", "tool_call_id": str(call.get("id", "")), "content": result})
        raise Unavailable("the language model did not come to an answer")

    async def _say(self, messages: list[dict[str, Any]], extra: dict[str, Any]) -> dict[str, Any]:
        body = {"model": await self._model(), "messages": messages, "max_tokens": self._tokens, **extra}
        found = await self._ask("POST", "/chat/completions", body)
        try:
            choice = found["choices"][0]
            if choice.get("finish_reason") == "length":
                raise Unavailable(f"the language model needed more than {self._tokens} tokens")
            if choice["message"].get("refusal"):
                raise Unavailable(f"the language model refused: {cleaned(str(choice['message']['refusal']))}")
            message: dict[str, Any] = choice["message"]
            return message
        except (KeyError, IndexError, TypeError, AttributeError):
            raise Unavailable(f"the answer of the language model has no message; {_REMEDY}") from None

    async def _model(self) -> str:
        if not self.name:
            found = await self._ask("GET", "/models", None)
            try:
                self.name = str(found["data"][0]["id"])
            except (KeyError, IndexError, TypeError):
                raise Unavailable(f"the language model's server names no model; {_REMEDY}") from None
        return self.name

    async def _ask(self, method: str, path: str, body: Any) -> Any:
        try:
            return await ask(
                method, self._url + path, what="the language model", remedy=_REMEDY, body=body,
                headers=self._headers, timeout=120.0, attempts=2,
            )  # fmt: skip
        except Refused as refused:
            raise Unavailable(f"{refused}; {_REMEDY}") from None

    async def _within(self, timeout: float, work: Awaitable[Any]) -> Any:
        try:
            return await asyncio.wait_for(work, timeout)
        except TimeoutError:
            raise Unavailable(f"the language model took longer than {timeout:g} s") from None


async def _asked(call: dict[str, Any], tools: dict[str, Tool]) -> str:
    """The tool's answer as JSON, or what was wrong with the call: the model may do better next time."""
    wanted = call.get("function") or {}
    tool = tools.get(str(wanted.get("name")))
    if tool is None:
        return json.dumps({"error": f"there is no such tool; there are {', '.join(tools)}"})
    try:
        parameters = msgspec.json.decode(wanted.get("arguments") or "{}", type=tool.parameters)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return json.dumps({"error": str(error)})
    return msgspec.json.encode(await tool.call(parameters)).decode()[:_LONGEST_RESULT]


def _offer(tool: Tool) -> dict[str, Any]:
    schema = _json_schema(tool.parameters)
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": schema},
    }


def _json_schema(kind: type[Any]) -> dict[str, Any]:
    """JSON Schema of a Struct, closed: a form has the fields it has, and all of them are to be filled."""
    [schema], definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for part in definitions.values():
        if part.get("type") == "object" and "properties" in part:
            part["additionalProperties"] = False
            part["required"] = list(part["properties"])
    return {**definitions.pop(kind.__name__, schema), **({"$defs": definitions} if definitions else {})}
