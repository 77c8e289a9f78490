"""The conversation's listeners: slash command, mention, direct message and panel bring the same words to one place."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from bot import commands
from bot.blocks import Block, actions, button, clean, context, cut, escape, mrkdwn, numbered, picture, plain
from bot.clicks import clicked
from bot.conversation.answer import Answer, Asked
from bot.conversation.freetext import STEER, understand
from bot.conversation.steer import steer
from bot.desk import Desk, log
from bot.outbox import Allowance
from bot.wire import SlackFailure, calling, tolerated
from core.approval import Person
from core.errors import MiddlewatchError, Refused
from core.incidents import Incident

OPTION_TTL = 86_400.0

_PLAN = {"type": "plan_update", "title": "How this was answered"}
_UNDERSTANDING = {"type": "task_update", "id": "understand", "title": "Understanding the question"}
_READING = {"type": "task_update", "id": "read", "title": "Reading incidents, windows and changes"}


class Talk:
    """Bolt listeners for words."""

    def __init__(self, desk: Desk, session: Any):
        self.desk, self.session = desk, session
        self.streams = Allowance(15, 0.3)
        """Slack starts some twenty streams a minute; beyond that an answer is posted whole."""

    def register(self, app: Any) -> None:
        app.command("/mw")(self.on_command)
        app.event("app_mention")(self.on_mention)
        app.event("message")(self.on_message)
        app.action(re.compile(r"ask_\d"))(self.on_option)
        app.action("answer_feedback")(self.on_answer_feedback)

    # ways in

    async def on_command(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        team, user, channel = body.get("team_id", ""), body.get("user_id", ""), body.get("channel_id", "")
        text = str(body.get("text") or "")
        private = not channel.startswith(("C", "G"))
        answer, wrote = await self.answer(text, team, user, channel, "", read_only=private)
        blocks = await self._blocks(answer)
        await self._respond(
            str(body.get("response_url") or ""), answer.text, blocks, "in_channel" if wrote else "ephemeral"
        )

    async def on_mention(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        await self._converse(event, body, read_only=False)

    async def on_message(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        """Direct messages and the panel are conversation; in channels only words that steer a running investigation."""
        if event.get("subtype") or event.get("bot_id") or not event.get("user"):
            return
        if event.get("channel_type") == "im":
            await self._converse(event, body, read_only=True)
            return
        text, thread = str(event.get("text") or ""), event.get("thread_ts")
        if not thread or f"<@{self.desk.bot_user}>" in text or not STEER.match(text):
            return
        incident = await self._incident(event["channel"], thread)
        if incident is not None and incident.state == "opened":
            await self._reply(event, await self._steered(incident, event, body, text))

    async def on_option(self, ack: Any, body: dict[str, Any]) -> None:
        """A "did you mean" button: the row behind it holds the words; the person who clicked asks them."""
        await ack()
        click = clicked(body)
        row = await self.desk.nonces.look(click.value)
        if row is None or row.get("purpose") != "ask":
            answer = Answer.of("This suggestion is too old; ask again.")
        else:
            answer, _ = await self.answer(
                row["text"], click.team, click.user, click.channel, click.thread, read_only=True
            )
        await self._whisper(click.channel, click.user, answer, click.thread)

    async def on_answer_feedback(self, ack: Any, body: dict[str, Any]) -> None:
        """Thumbs under an answer become an evaluation case."""
        await ack()
        click = clicked(body)
        row = await self.desk.nonces.look(click.value)
        if row is None or row.get("purpose") != "answer":
            return
        if await self.desk.cards.once(f"answer:{row['key']}:{click.user}", OPTION_TTL):
            await self.desk.flags.count(f"answers:{row['verdict']}")
            if row["verdict"] == "unhelpful":
                await self.desk.flags.set_flag(f"question:{row['key']}", str(row["text"]).encode(), ttl=400 * 86_400.0)
        await self._whisper(click.channel, click.user, Answer.of("Thank you."), click.thread)

    # one place

    async def answer(
        self, text: str, team: str, user: str, channel: str, thread: str, *, read_only: bool,
        heard: asyncio.Future[str] | None = None,
    ) -> tuple[Answer, bool]:  # fmt: skip
        """(the answer, whether it wrote). Never raises: what went wrong is the answer. `heard`: what was understood."""
        heard = heard or asyncio.get_running_loop().create_future()
        try:
            incident = await self._incident(channel, thread) if thread else None
            found, words = commands.parse(text)
            person = await self.desk.people.person(team, user, fresh=bool(found and found.writes))
            if person.bot or person.guest:
                raise Refused("Guests, bots and people of other workspaces cannot ask here.")
            if found is None:
                return await self._free(text, person, channel, thread, incident, heard), False
            heard.set_result(" ".join([found.name, *words]))
            asked = Asked(words, person, channel, thread, read_only, incident)
            return await commands.run(self.desk, found, asked), found.writes and not read_only
        except MiddlewatchError as error:
            return Answer.of(escape(str(error), 600)), False

    async def _free(
        self, text: str, person: Person, channel: str, thread: str, incident: Incident | None,
        heard: asyncio.Future[str],
    ) -> Answer:  # fmt: skip
        words = text.split()
        spelt = commands.guess(words[0]) if len(words) <= 4 else []
        if spelt:
            lines = [" ".join([s, *words[1:]]) for s in spelt]
            return Answer.of(
                f"I know no command `{escape(words[0], 40)}`. Did you mean:".replace("''", "'"), options=lines
            )
        understood = await understand(self.desk, text, incident)
        if understood.text:
            heard.set_result(understood.text)
            found, rest = commands.parse(understood.text)
            if found is not None and not found.writes:
                answer = await commands.run(self.desk, found, Asked(rest, person, channel, thread, True, incident))
                answer.blocks.append(context(f"Understood as `{escape(understood.text, 120)}`"))
                return answer
        if understood.writes:
            usage = commands.commands()[understood.writes].usage
            return Answer.of(f"That would change something, so it must be said: `/mw {escape(usage)}`.")
        if understood.options:
            return Answer.of("I am not sure what you mean. Did you mean:", options=understood.options)
        return Answer.of("I did not understand that. `help` lists what can be asked.", options=["help", "status"])

    async def _converse(self, event: dict[str, Any], body: dict[str, Any], *, read_only: bool) -> None:
        text = re.sub(rf"<@{self.desk.bot_user}(?:\|[^>]*)?>", "", str(event.get("text") or "")).strip()
        thread = event.get("thread_ts") or ""
        if thread and STEER.match(text) and not read_only:
            incident = await self._incident(event["channel"], thread)
            if incident is not None and commands.parse(text)[0] is None:
                await self._reply(event, await self._steered(incident, event, body, text))
                return
        team = event.get("user_team") or event.get("team") or body.get("team_id", "")
        await self._stream(event, team, text, read_only)

    async def _steered(self, incident: Incident, event: dict[str, Any], body: dict[str, Any], text: str) -> Answer:
        team = event.get("user_team") or event.get("team") or body.get("team_id", "")
        try:
            return Answer.of(await steer(self.desk, incident, await self.desk.people.person(team, event["user"]), text))
        except MiddlewatchError as error:
            return Answer.of(escape(str(error), 600))

    async def _incident(self, channel: str, thread: str) -> Incident | None:
        """The incident whose card the thread hangs from."""
        row = await self.desk.cards.card(f"thread:{channel}:{thread}") if thread else None
        return await self.desk.incidents.get(row["incident"]) if row else None

    # ways out

    async def _stream(self, event: dict[str, Any], team: str, text: str, read_only: bool) -> None:
        """Answer a person by a stream: a plan of what is being done, then the answer and feedback buttons."""
        loop = asyncio.get_running_loop()
        channel, thread, heard = event["channel"], event.get("thread_ts") or event["ts"], loop.create_future()
        about = (event["user"], channel, event.get("thread_ts") or "")
        asking = asyncio.create_task(self.answer(text, team, *about, read_only=read_only, heard=heard))
        if self.streams.wait(loop.time()) > 0:
            await self._reply(event, (await asking)[0], text)
            return
        self.streams.take()
        try:
            with calling("chat.startStream"):
                stream = await self.desk.slack.chat_stream(
                    channel=channel, thread_ts=thread, recipient_team_id=team or self.desk.team,
                    recipient_user_id=event["user"], task_display_mode="plan",
                )  # fmt: skip
                await stream.append(chunks=[_PLAN, _UNDERSTANDING | {"status": "in_progress"}])
                await asyncio.wait({heard, asking}, return_when=asyncio.FIRST_COMPLETED)
                steps = [_UNDERSTANDING | {"status": "complete"}]
                if heard.done():
                    steps[0]["output"] = f"`{clean(heard.result(), 120).replace('`', '')}`"
                if not asking.done():
                    await stream.append(chunks=[*steps, _READING | {"status": "in_progress"}])
                    steps = []
                answer, _ = await asking
                blocks = await self._blocks(answer, text)
                await stream.stop(chunks=[*steps, _READING | {"status": "complete"}], blocks=blocks)
        except SlackFailure as failure:  # the answer is posted plainly
            log.warning("stream: %s", failure)
            answer, _ = await asking
            await self._reply(event, answer, text)

    async def _reply(self, event: dict[str, Any], answer: Answer, question: str | None = None) -> None:
        with tolerated("chat.postMessage of an answer"):
            await self.desk.slack.chat_postMessage(
                channel=event["channel"], thread_ts=event.get("thread_ts") or event["ts"], text=answer.text,
                blocks=await self._blocks(answer, question), unfurl_links=False, unfurl_media=False, parse="none",
            )  # fmt: skip

    async def _whisper(self, channel: str, user: str, answer: Answer, thread: str) -> None:
        with tolerated("chat.postEphemeral of an answer"):
            await self.desk.slack.chat_postEphemeral(
                channel=channel, user=user, text=answer.text, blocks=await self._blocks(answer),
                thread_ts=thread or None, parse="none",
            )  # fmt: skip

    async def _respond(self, url: str, text: str, blocks: list[Block], kind: str) -> None:
        """To the command's response_url (five uses in half an hour; we use one)."""
        body = {"response_type": kind, "text": text, "blocks": blocks, "unfurl_links": False}
        with tolerated("the response_url of a command"):
            async with self.session.post(url, json=body) as response:
                if response.status >= 400:
                    log.warning("response_url answered %s: %s", response.status, (await response.text())[:200])

    async def _blocks(self, answer: Answer, question: str | None = None) -> list[Block]:
        """The answer's blocks with its picture uploaded, its options as buttons, thumbs when a question is given."""
        blocks = list(answer.blocks)
        if answer.picture:
            file_id = await self._upload(*answer.picture)
            if file_id:
                blocks.insert(1, picture(file_id, answer.picture[1]))
        if answer.options:
            buttons = []
            for n, line in enumerate(answer.options[:5]):
                nonce = await self.desk.nonces.issue({"purpose": "ask", "text": line}, ttl=OPTION_TTL)
                buttons.append(button(cut(line, 70), f"ask_{n}", nonce, label=f"Ask {line}"))
            blocks.append(actions(*buttons))
        if question and not answer.options:
            blocks.append(await self._thumbs(question))
        return numbered(blocks[:48]) or numbered([{"type": "section", "text": mrkdwn(answer.text)}])

    async def _thumbs(self, question: str) -> Block:
        row = {"purpose": "answer", "text": cut(question, 300), "key": await self._key(question)}
        values = [await self.desk.nonces.issue(row | {"verdict": v}, ttl=OPTION_TTL) for v in ("helpful", "unhelpful")]
        up, down = (
            {"text": plain(t), "value": v, "accessibility_label": a}
            for t, v, a in zip(("Helpful", "Not helpful"), values, ("Helpful", "Not helpful"), strict=True)
        )
        buttons = {
            "type": "feedback_buttons",
            "action_id": "answer_feedback",
            "positive_button": up,
            "negative_button": down,
        }
        return {"type": "context_actions", "elements": [buttons]}

    async def _key(self, question: str) -> str:
        return f"{await self.desk.flags.count('questions')}-{len(question)}"

    async def _upload(self, png: bytes, alt: str) -> str:
        """Slack's id of the uploaded picture, or '' (the answer's words stand alone then)."""
        with tolerated("files.upload"):
            sent = await self.desk.slack.files_upload_v2(
                content=png, filename="chart.png", title="Chart", alt_txt=cut(alt, 900)
            )
            return str(sent["file"]["id"])
        return ""
