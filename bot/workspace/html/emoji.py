"""Emoji by name. The ones an incident needs are drawn here, so that they look alike without an emoji font."""

from __future__ import annotations

from .look import esc

EMOJI = {
    "+1": "👍", "-1": "👎", "thumbsup": "👍", "thumbsdown": "👎", "eyes": "👀", "white_check_mark": "✅",
    "heavy_check_mark": "✔️", "x": "❌", "warning": "⚠️", "rotating_light": "🚨", "fire": "🔥", "tada": "🎉",
    "rocket": "🚀", "hourglass": "⌛", "hourglass_flowing_sand": "⏳", "mag": "🔍", "chart_with_upwards_trend": "📈",
    "chart_with_downwards_trend": "📉", "bar_chart": "📊", "bell": "🔔", "no_bell": "🔕", "lock": "🔒", "key": "🔑",
    "wrench": "🔧", "hammer_and_wrench": "🛠️", "memo": "📝", "book": "📖", "link": "🔗", "question": "❓",
    "exclamation": "❗", "bulb": "💡", "robot_face": "🤖", "wave": "👋", "pray": "🙏", "heart": "❤️", "smile": "😄",
    "thinking_face": "🤔", "red_circle": "🔴", "large_orange_circle": "🟠", "large_yellow_circle": "🟡",
    "large_green_circle": "🟢", "large_blue_circle": "🔵", "white_circle": "⚪", "black_circle": "⚫",
    "arrow_up": "⬆️", "arrow_down": "⬇️", "arrow_right": "➡️", "leftwards_arrow_with_hook": "↩️",
    "rewind": "⏪", "stopwatch": "⏱️", "clock3": "🕒", "zzz": "💤", "snowflake": "❄️", "thermometer": "🌡️",
    "airplane": "✈️", "house": "🏠", "gear": "⚙️", "package": "📦", "seedling": "🌱", "lantern": "🏮",
    "speech_balloon": "💬", "no_entry": "⛔", "octagonal_sign": "🛑", "raised_hand": "✋", "ok_hand": "👌",
    "sparkles": "✨", "ledger": "📒", "scroll": "📜", "clipboard": "📋", "ticket": "🎫", "phone": "☎️",
}  # fmt: skip

_DISC = {
    "red_circle": "#dd3b4b", "large_orange_circle": "#f08a24", "orange_circle": "#f08a24",
    "large_yellow_circle": "#f2c230", "yellow_circle": "#f2c230", "large_green_circle": "#2fae6a",
    "green_circle": "#2fae6a", "large_blue_circle": "#3a7de0", "white_circle": "#e8ebf0", "black_circle": "#30343d",
}  # fmt: skip
_THUMB = "M6 9v8H3V9zM6 9l3.2-6.5c1.5 0 2.1 1 1.9 2.3L10.6 7.5h4.6c1.3 0 2 .9 1.7 2l-1.3 5.8c-.3 1.1-.9 1.7-1.9 1.7H6"
_STAND = 'fill="none" stroke-linecap="round" stroke-linejoin="round"'
DRAWN = {name: f'<circle cx="10" cy="10" r="7.5" fill="{colour}"/>' for name, colour in _DISC.items()} | {
    "white_check_mark": '<rect x="2" y="2" width="16" height="16" rx="4" fill="#2fae6a"/>'
    f'<path d="M5.8 10.3l3 3 5.5-6.3" stroke="#fff" stroke-width="2.2" {_STAND}/>',
    "heavy_check_mark": f'<path d="M3.5 10.8l4.3 4.4L16.5 5" stroke="#2fae6a" stroke-width="3" {_STAND}/>',
    "x": f'<path d="M4.5 4.5l11 11M15.5 4.5l-11 11" stroke="#dd3b4b" stroke-width="3.2" {_STAND}/>',
    "warning": '<path d="M10 2.2l8.3 15H1.7z" fill="#f2c230" stroke="#d49a12" stroke-linejoin="round"/>'
    '<path d="M10 7.3v5M10 14.5v.2" stroke="#3a2d05" stroke-width="1.9" stroke-linecap="round"/>',
    "rotating_light": '<path d="M5 15V10a5 5 0 0 1 10 0v5z" fill="#dd3b4b"/><path d="M3.5 15.5h13V18h-13z" '
    'fill="#8a93a5"/><path d="M10 1v2M3 4l1.4 1.4M17 4l-1.4 1.4" stroke="#f08a24" stroke-width="1.6"/>',
    "eyes": '<g fill="#fff" stroke="#4a5060"><ellipse cx="5.8" cy="10" rx="4" ry="6"/>'
    '<ellipse cx="14.2" cy="10" rx="4" ry="6"/></g><g fill="#23262e"><circle cx="7" cy="11.5" r="2"/>'
    '<circle cx="15.4" cy="11.5" r="2"/></g>',
    "+1": f'<path d="{_THUMB}" fill="#f4c145" stroke="#c48f17" stroke-linejoin="round"/>',
    "-1": f'<path d="{_THUMB}" fill="#f4c145" stroke="#c48f17" stroke-linejoin="round" transform="rotate(180 10 10)"/>',
    "hourglass": '<path d="M5 2.5h10c0 4-3 5-3 7.5s3 3.5 3 7.5H5c0-4 3-5 3-7.5s-3-3.5-3-7.5z" fill="#e9eef8" '
    'stroke="#7d889d"/><path d="M7.3 15.8c.7-1.8 2-2.3 2.7-3 .7.7 2 1.2 2.7 3z" fill="#f08a24"/>',
    "mag": '<circle cx="8.5" cy="8.5" r="5.3" fill="#dcebfb" stroke="#6b7789" stroke-width="1.7"/>'
    '<path d="M12.6 12.6l5 5" stroke="#6b7789" stroke-width="2.6" stroke-linecap="round"/>',
    "lock": '<path d="M6 9V6.5a4 4 0 0 1 8 0V9" stroke="#8a93a5" stroke-width="2" fill="none"/>'
    '<rect x="4" y="8.5" width="12" height="9" rx="2" fill="#f2b544"/>',
    "bell": '<path d="M4 14c1.5-1.5 1.5-3 1.5-5.5a4.5 4.5 0 0 1 9 0c0 2.5 0 4 1.5 5.5z" fill="#f2b544"/>'
    '<path d="M8.3 16a1.8 1.8 0 0 0 3.4 0z" fill="#c48f17"/>',
    "bulb": '<path d="M6.5 12.5a5.5 5.5 0 1 1 7 0c-.6.6-.8 1.2-.8 2H7.3c0-.8-.2-1.4-.8-2z" fill="#f8cf55"/>'
    '<path d="M7.5 15.8h5v2h-5z" fill="#8a93a5"/>',
    "rewind": '<path d="M10 4v12L2.5 10zM17.5 4v12L10 10z" fill="#3a7de0"/>',
    "zzz": '<path d="M3 10h5l-5 6h5M11 4h5l-5 6h5" stroke="#3a7de0" stroke-width="2" fill="none"/>',
    "no_entry": '<circle cx="10" cy="10" r="8" fill="#dd3b4b"/><path d="M5.5 8.6h9v2.8h-9z" fill="#fff"/>',
}
ALIASES = {"thumbsup": "+1", "thumbsdown": "-1", "hourglass_flowing_sand": "hourglass", "octagonal_sign": "no_entry"}

KNOWN = frozenset([*EMOJI, *DRAWN, *ALIASES])


def emoji(name: str) -> str:
    """An emoji name as HTML: our drawing, or the character of the reader's font, or `:name:`."""
    name = name.split("::")[0]
    name = ALIASES.get(name, name)
    if name in DRAWN:
        return f'<svg class="emoji" viewBox="0 0 20 20" role="img" aria-label="{name}">{DRAWN[name]}</svg>'
    return EMOJI.get(name, f":{esc(name)}:")
