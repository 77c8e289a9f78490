"""Who lives in the workspace when the caller names nobody else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

KINDS = ("member", "guest", "external")


@dataclass(frozen=True)
class Person:
    """One human. `kind` is what Slack knows (`member`, `guest`, `external`); `title` is free text that
    the page shows, such as "approver": authority itself is the app's policy, bound to `id`.

    >>> Person("ana", "Ana Ruiz").id
    'U0ANA'
    """

    name: str
    real_name: str = ""
    title: str = ""
    kind: str = "member"
    admin: bool = False

    def __post_init__(self) -> None:
        if not self.name.isalnum() or not self.name.isascii() or self.name != self.name.lower():
            raise ValueError(f"person name {self.name!r}: use lower-case ASCII letters and digits only")
        if self.kind not in KINDS:
            raise ValueError(f"person {self.name!r}: kind {self.kind!r} is not one of {', '.join(KINDS)}")

    @property
    def id(self) -> str:
        """The Slack user id: the same name has the same id in every workspace."""
        return f"U0{self.name.upper()}"


@dataclass(frozen=True)
class Group:
    """A user group (`@handle`) and the names of its people."""

    handle: str
    name: str
    people: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return "S0" + "".join(c for c in self.handle.upper() if c.isalnum())


PEOPLE = (
    Person("ana", "Ana Ruiz", "approver, ML platform", admin=True),
    Person("ben", "Ben Okafor", "responder, on call"),
    Person("chloe", "Chloé Martin", "approver, flight operations"),
    Person("dev", "Dev Patel", "guest, contractor", kind="guest"),
)
GROUPS = (
    Group("ml-approvers", "ML approvers", ("ana", "chloe")),
    Group("ml-oncall", "ML on call", ("ana", "ben")),
)
CHANNELS = (
    ("ml-oncall", "Incidents of models in production"),
    ("ml-approvals", "What waits for a second pair of eyes"),
    ("general", "Everyone"),
)


def people_of(given: Iterable[Person | dict] | None) -> tuple[Person, ...]:
    """`given` as Persons (dicts carry Person's fields); the shipped four when None. Names must differ."""
    people = PEOPLE if given is None else tuple(p if isinstance(p, Person) else Person(**p) for p in given)
    names = [p.name for p in people]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two people are called {name!r}; names must differ")
    if not people:
        raise ValueError("the workspace needs at least one person")
    return people
