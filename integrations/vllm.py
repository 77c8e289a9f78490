"""A language model behind any OpenAI-compatible address (vLLM, llama.cpp, a hosted one). The only home of the LLM.

It fills forms and chooses among read-only questions. It holds no tool that changes anything: what it answers is checked
by others before anybody sees it.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Mapping
from typing import Any

import msgspec

from core.errors import Refused, Unavailable
from core.settings import NO_SECRET, Secret
from integrations.http import ask
from integrations.plain import cleaned

_REMEDY = "look at LLM_URL and LLM_MODEL; without LLM_URL the rules write"
_FENCE = re.compile(r"^\s*```(?:json)?\s*(.*?)\s*```\s*$", re.S)


class VLLM:
    """`core.ports.LanguageModel`. Without `model` the first that the server names is used. Key: LLM_KEY, if any."""

    def __init__(self, url: str, model: str = "", *, key: Secret = NO_SECRET, tokens: int = 1_500):
        self._url, self.name, self._tokens = url.rstrip("/"), model, tokens
        key = key or Secret(os.environ.get("LLM_KEY", ""))
        self._headers = {"Authorization": f"Bearer {key.reveal()}"} if key else {}

    async def ready(self) -> str:
        """The model that will be asked, of those the server names. Raises Unavailable when it serves no such model."""
        found = await self._ask("GET", "/models", None)
        try:
            served = [str(entry["id"]) for entry in found["data"]]
        except (KeyError, TypeError):
            raise Unavailable(f"the language model's server names no model; {_REMEDY}") from None
        if not served or (self.name and self.name not in served):
            said = cleaned(", ".join(served)) or "none"
            raise Unavailable(f"the server of the language model serves {said}, not {self.name or 'any'}; {_REMEDY}")
        return self.name or served[0]

    async def fill(self, system: str, user: str, schema: type[Any], *, timeout: float) -> Any:
        """An instance of `schema`. Raises Unavailable on time-out, refusal, or anything but a filled form."""
        form = {"name": schema.__name__, "schema": _json_schema(schema), "strict": True}
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        extra = {"response_format": {"type": "json_schema", "json_schema": form}, "temperature": 0}
        said = await self._within(timeout, self._say(messages, extra))
        return _read(said.get("content") or "", schema, f"form {schema.__name__}")

    async def choose(
        self, system: str, user: str, tools: Mapping[str, tuple[str, type[Any]]], *, timeout: float
    ) -> tuple[str, Any]:
        """The tool the model calls for a question, and what with: a name of `tools` (name -> (what it answers, Struct
        of its parameters)) and an instance of that Struct. Nothing is run here. Raises Unavailable on time-out,
        refusal, prose, or a call of what does not exist or with what does not fit.
        """
        offered = [_offer(name, said, parameters) for name, (said, parameters) in tools.items()]
        extra = {"tools": offered, "tool_choice": "required", "parallel_tool_calls": False, "temperature": 0}
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        said = await self._within(timeout, self._say(messages, extra))
        try:
            wanted = said["tool_calls"][0]["function"]
            name, arguments = str(wanted["name"]), wanted.get("arguments") or "{}"
        except (KeyError, IndexError, TypeError, AttributeError):
            raise Unavailable("the language model called no tool") from None
        if name not in tools:
            raise Unavailable(f"the language model called {cleaned(name)}, which is none of {', '.join(tools)}")
        return name, _read(arguments, tools[name][1], f"call of {name}")

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
            self.name = await self.ready()
        return self.name

    async def _ask(self, method: str, path: str, body: Any) -> Any:
        try:
            return await ask(
                method, self._url + path, what="the language model", remedy=_REMEDY, body=body,
                headers=self._headers, timeout=120.0, attempts=2,
            )  # fmt: skip
        except Refused as refused:
            raise Unavailable(f"{refused}; {_REMEDY}") from None

    async def _within(self, timeout: float, work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        try:
            return await asyncio.wait_for(work, timeout)
        except TimeoutError:
            raise Unavailable(f"the language model took longer than {timeout:g} s") from None


def _read(text: Any, kind: type[Any], what: str) -> Any:
    """An instance of `kind` from the model's JSON, in a code fence or not. Raises Unavailable."""
    fenced = _FENCE.match(str(text))
    try:
        return msgspec.json.decode(fenced.group(1) if fenced else str(text), type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unavailable(f"the language model did not fill the {what}: {error}") from None


def _offer(name: str, said: str, parameters: type[Any]) -> dict[str, Any]:
    function = {"name": name, "description": said, "parameters": _json_schema(parameters)}
    return {"type": "function", "function": function}


def _json_schema(kind: type[Any]) -> dict[str, Any]:
    """JSON Schema of a Struct, closed: a form has the fields it has, and all of them are to be filled."""
    [schema], definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for part in definitions.values():
        if part.get("type") == "object" and "properties" in part:
            part["additionalProperties"] = False
            part["required"] = list(part["properties"])
    return {**definitions.pop(kind.__name__, schema), **({"$defs": definitions} if definitions else {})}
