"""What the workspace refuses, in Slack's own words.

WorkspaceError
 +-- SlackError      an answer to the app: {"ok": false, "error": code, ...}
 +-- PersonError     an answer to a person at the page: why the gesture did nothing
"""

from __future__ import annotations


class WorkspaceError(Exception):
    """Root of everything the workspace raises on purpose."""


class SlackError(WorkspaceError):
    """A Web API refusal.

    `code` is Slack's error code; `messages` go to `response_metadata.messages`
    as Slack writes them; `extra` is merged into the answer; `status` is the HTTP
    status (Slack says 200 for everything but rate limits and outages).
    """

    def __init__(self, code: str, messages: list[str] | None = None, status: int = 200, **extra: object) -> None:
        super().__init__(code)
        self.code = code
        self.messages = messages or []
        self.status = status
        self.extra = extra

    def body(self) -> dict:
        """The JSON object the app receives."""
        body: dict = {"ok": False, "error": self.code, **self.extra}
        if self.messages:
            body["errors"] = [m.removeprefix("[ERROR] ") for m in self.messages]
            body["response_metadata"] = {"messages": self.messages}
        return body


class PersonError(WorkspaceError):
    """A gesture that could not be carried out; `reason` is a sentence for the person who made it."""

    def __init__(self, reason: str, status: int = 409, **extra: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.extra = extra

    def body(self) -> dict:
        """The JSON object the page or the script receives."""
        return {"ok": False, "error": self.reason, **self.extra}
