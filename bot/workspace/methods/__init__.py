"""Slack's Web API methods, one file per family; importing this registers them all."""

from . import assistant, chat, conversations, files, streams, users, views

__all__ = ["assistant", "chat", "conversations", "files", "streams", "users", "views"]
