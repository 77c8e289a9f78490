"""The document around the panes: top bar, sidebar, the workspace panel."""

from __future__ import annotations

import json

from ..faults import KINDS
from .look import Look, esc
from .page import avatar, icon


def document(title: str, boot: dict, top: str, sidebar: str, main: str, thread: str, modal: str) -> str:
    """The whole page. `boot` is what the script starts from."""
    data = json.dumps(boot).replace("<", "\\u003c")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">'
        f'<meta name="color-scheme" content="light dark"><title>{esc(title)}</title>'
        '<link rel="icon" href="/static/bot.svg"><link rel="stylesheet" href="/static/page.css">'
        '<link rel="stylesheet" href="/static/blocks.css"></head>'
        f'<body><a class="skip" href="#messages">Skip to messages</a>{top}'
        f'<div class="frame"><nav id="sidebar" aria-label="Channels">{sidebar}</nav>'
        f'<main id="main">{main}</main><aside id="thread" aria-label="Thread" hidden>{thread}</aside></div>'
        f'<dialog id="modal" aria-labelledby="modal-title">{modal}</dialog><dialog id="ask"></dialog>'
        '<dialog id="panel" aria-label="Workspace panel"></dialog><dialog id="zoom" aria-label="Picture"></dialog>'
        '<div id="toasts" role="alert" aria-live="assertive"></div>'
        f'<script type="application/json" id="boot">{data}</script>'
        '<script type="module" src="/static/page.js"></script></body></html>'
    )


def top_bar(team: str, banner: str) -> str:
    """Says what this is, and what it is not."""
    return (
        '<header class="top"><button type="button" class="icon" id="show-sidebar" aria-label="Channels">'
        f'{icon("menu")}</button><span class="brand"><img src="/static/bot.svg" alt="" width="22" height="22">'
        f"<b>{esc(team)}</b></span>"
        '<span class="not-slack" title="A local stand-in that speaks the same protocols">Local workspace, not Slack'
        f'</span><span class="grow"></span><button type="button" class="icon" id="show-panel" aria-label="Workspace '
        f'panel" title="Faults and the app&#39;s calls">{icon("gear")}</button><button type="button" class="icon" '
        f'id="theme" aria-label="Switch light and dark" title="Light / dark">{icon("moon")}</button></header>'
        f'<p id="banner" role="status"{"" if banner else " hidden"}>{esc(banner)}</p>'
    )


def sidebar(people: list[dict], viewer: str, places: list[dict], here: str, app: dict, look: Look) -> str:
    """Who one is, the app, the channels, the direct message. `places`: id, name, unread, mentions."""
    me = next(p for p in people if p["id"] == viewer)
    others = "".join(
        f'<li><a href="?as={esc(p["name"])}" data-as="{esc(p["name"])}">'
        f"{avatar(p['id'], p['real_name'], False)}<span><b>{esc(p['real_name'])}</b>"
        f"<small>{esc(p['title'] or p['kind'])}</small></span></a></li>"
        for p in people
        if p is not me
    )
    who = (
        f'<details class="who"><summary aria-label="Acting as {esc(me["real_name"])}; switch person">'
        f"{avatar(me['id'], me['real_name'], False)}<span><b>{esc(me['real_name'])}</b>"
        f"<small>{esc(me['title'] or me['kind'])}</small></span></summary><p>Act as</p><ul>{others}</ul></details>"
    )
    channels = "".join(_place(p, here, f"<i>#</i>{esc(p['name'])}", viewer) for p in places if not p["im"])
    light = "on" if app["connected"] else "off"
    said = "connected" if app["connected"] else "not connected"
    lamp = f'<span class="lamp {light}" title="The app is {said}"></span>'
    face = '<img class="avatar small" src="/static/bot.svg" alt="" width="20" height="20">'
    home = ""
    if app["home"]:
        current = ' aria-current="page"' if here == "home" else ""
        home = f'<a class="place" href="?home=1" data-home{current}><i>{icon("home")}</i>Home</a>'
    dm = "".join(_place(p, here, f"<i>{face}</i>Messages{lamp}", viewer) for p in places if p["im"])
    return (
        f"{who}<h2>Channels</h2>{channels}<h2>{esc(app['name'])}</h2>{home}{dm}"
        f'<p class="app-state">{esc(app["name"])} is {said}.</p>'
    )


def _place(one: dict, here: str, label: str, viewer: str) -> str:
    current = ' aria-current="page"' if one["id"] == here else ""
    unread = " unread" if one["unread"] else ""
    count = one["mentions"]
    badge = f'<span class="badge" aria-label="{count} for you">{count}</span>' if count else ""
    return (
        f'<a class="place{unread}" href="?channel={esc(one["id"])}" data-channel="{esc(one["id"])}"{current}>'
        f"{label}{badge}</a>"
    )


def panel(state: dict, look: Look) -> str:
    """What the app did lately, and the faults one can order."""
    kinds = "".join(f'<option value="{k}">{k.replace("_", " ")}: {esc(v)}</option>' for k, v in KINDS.items())
    orders = "".join(
        f"<li><b>{esc(o['kind'])}</b> on {esc(o['method'])}, {o['times']} to come</li>" for o in state["faults"]
    )
    counts = "".join(f"<tr><td>{esc(k)}</td><td class=right>{v}</td></tr>" for k, v in sorted(state["counts"].items()))
    calls = "".join(
        f'<tr class="{"" if c["answer"] == "ok" else "bad"}"><td>{look.time(c["at"]):%H:%M:%S}</td>'
        f"<td>{esc(c['method'])}</td><td>{esc(c['channel'])}</td><td>{esc(c['answer'])}</td>"
        f'<td class="right">{c["ms"]:.1f}</td></tr>'
        for c in reversed(state["calls"][-40:])
    )
    sent = "".join(
        f'<tr class="{"bad" if d["ack_ms"] is None else ""}"><td>{look.time(d["at"]):%H:%M:%S}</td>'
        f"<td>{esc(d['type'])}</td><td>{esc(d['what'])}</td><td>{d['retry'] or ''}</td>"
        f'<td class="right">{"no ack" if d["ack_ms"] is None else format(d["ack_ms"], ".1f")}</td></tr>'
        for d in reversed(state["deliveries"][-40:])
    )
    return (
        '<form id="fault"><header><h2>Workspace</h2><button type="button" class="icon" data-shut aria-label="Close">'
        f'{icon("close")}</button></header><div class="blocks">'
        f"<p>{state['sockets']} socket(s) open. Sign-in is by name only: this listens on your machine alone.</p>"
        '<h3>Faults</h3><div class="row"><label>What<select name="kind">' + kinds + "</select></label>"
        '<label>Method<input name="method" value="*" size="18"></label>'
        '<label>Times<input name="times" type="number" min="1" max="1000" value="1"></label>'
        '<label>Seconds<input name="seconds" type="number" min="0" max="60" step="0.5" value="2"></label>'
        '<button class="button primary">Order</button></div>'
        '<div class="row"><button type="button" class="button" data-control="disconnect">Cut the connection</button>'
        '<button type="button" class="button" data-control="refresh">Ask to reconnect</button>'
        '<button type="button" class="button" data-control="calm">Clear all</button></div>'
        f'<ul class="orders">{orders}</ul>'
        '<h3>Calls</h3><div class="scroll"><table><tr><th>at<th>method<th>where<th>answer<th>ms</tr>'
        f"{calls}</table></div>"
        f'<h3>Sent to the app</h3><div class="scroll"><table><tr><th>at<th>kind<th>what<th>retry<th>ack ms</tr>{sent}'
        f"</table></div><details><summary>Counts by method</summary><table>{counts}</table></details></div></form>"
    )
