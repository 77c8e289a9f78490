"""Errors, and exceptions used as verbs of control.

MiddlewatchError
├── Retry          a handler's verb: deliver this message again, later
├── Poison         a handler's verb: set this message aside with its reason and go on
├── SettingsError  an environment variable is missing or malformed
├── PolicyError    the policy file is wrong (names file and line)
├── Conflict       compare-and-set lost the race: read again, decide again
├── TransitionError  the incident's state does not allow this
├── Refused        a person or a precondition may not do this (the reason is shown to who asked)
├── AuditError     the audit log could not be written, or its chain is broken
└── Unavailable    an outside system did not answer (carries the remedy)
"""


class MiddlewatchError(Exception):
    """Root of every error this product raises on purpose."""


class Retry(MiddlewatchError):
    """Raise in a handler to have the message delivered again after `after` seconds (a delayed nak)."""

    def __init__(self, reason: str, after: float = 1.0):
        super().__init__(reason)
        self.reason, self.after = reason, after


class Poison(MiddlewatchError):
    """Raise in a handler when no retry can help: the message goes to `dead.<subject>` with `reason`."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class SettingsError(MiddlewatchError):
    """An environment variable is wrong; the message names it and says what it should look like."""


class PolicyError(MiddlewatchError):
    """The policy is wrong; the message starts with `file:line:`."""


class Conflict(MiddlewatchError):
    """Somebody else changed the incident first."""


class TransitionError(MiddlewatchError):
    """The requested state change is not in `core.incidents.TRANSITIONS`, or not this writer's to make."""


class Refused(MiddlewatchError):
    """A safety rule said no. `reason` is shown to the person who asked, never to the channel."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class AuditError(MiddlewatchError):
    """The audit entry could not be written or does not verify; nothing may run without it."""


class Unavailable(MiddlewatchError):
    """An outside system did not answer. The message says what to do."""
