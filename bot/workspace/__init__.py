"""The local workspace: a chat app on loopback that speaks Slack's protocols to an unmodified Bolt app.

It is not Slack. Point an app at it with `SLACK_API_URL=<url>/api/`, `SLACK_BOT_TOKEN=xoxb-local-workspace`,
`SLACK_APP_TOKEN=xapp-local-workspace`; open `<url>/` in a browser to be any of its people.

    workspace = await serve(data_dir=Path("var/workspace"))     # or run(...), which blocks
    workspace.url, workspace.api_url
    await workspace.close()

**The people interface** is what the page itself uses, so a script can do what a person does
(`bot.workspace.people.People` wraps it). All bodies are JSON; `as` names a person (name or id);
`channel` is a name, an id, or `dm`. A refusal is `{"ok": false, "error": "<sentence>"}` with status >= 400.

    GET  /people/list                                      who can be acted as
    GET  /people/channels   ?as                            their channels
    GET  /people/messages   ?as [channel] [thread_ts] [limit]   oldest first, ephemerals among them; each with
                                                           `blocks`, `actions` (what can be operated), `edits`
    GET  /people/ephemerals ?as                            what only they were told
    GET  /people/views      ?as                            open modals, bottom first
    GET  /people/home       ?as                            their App Home
    GET  /people/wait       ?since=<seq> [timeout]         long poll: {"changes": [...], "seq"}
    POST /people/say        {as, channel, text, [thread_ts]}
    POST /people/command    {as, channel, text: "/mw status"}
    POST /people/click      {as, channel, ts | view_id, action_id, [block_id], [value], [confirmed], [state]}
    POST /people/submit     {as, view_id, values: {action_id: value}}  -> {"ok": false, "errors": {...}} stays open
    POST /people/close      {as, view_id, [everything]}
    POST /people/open_home  {as, [tab]}                    app_home_opened
    POST /people/react      {as, channel, ts, name}        toggles
    POST /people/suggest    {as, view_id, action_id, value}     options of an external select
    POST /people/shortcut   {as, callback_id}
    POST /people/dismiss    {as, channel, ts}              an ephemeral
    POST /people/mark_read  {as, channel, ts}
    GET  /events            [?since=<seq>]                 the same changes as an EventSource
    GET  /workspace/state                                  sockets, faults, the app's calls, deliveries, counts
    POST /workspace/banner  {text}                         the line across the top of the page
    POST /workspace/faults  {kind, [method], [times], [seconds]}    see `faults.KINDS`; /workspace/calm clears
    POST /workspace/disconnect, /workspace/refresh         cut the sockets; ask them to reconnect

Every answer of a gesture carries `ms`: how long it took until the app had acked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .people import People, PersonAt
    from .person import Group, Person
    from .server import APP_TOKEN, BOT_TOKEN, Workspace, run, serve

__all__ = ["APP_TOKEN", "BOT_TOKEN", "Group", "People", "Person", "PersonAt", "Workspace", "run", "serve"]
_HOMES = {"People": "people", "PersonAt": "people", "Person": "person", "Group": "person"}


def __getattr__(name: str) -> object:
    # aiohttp costs a third of a second: a command line that only prints its help must not pay it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES.get(name, 'server')}", __name__), name)
