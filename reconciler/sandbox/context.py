"""The caller of a request, and what a handler needs to answer it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reconciler.access.contents import ROOT
from reconciler.access.evaluate import privileges
from reconciler.access.index import Flags
from reconciler.pve.formats import split_list
from reconciler.pve.schema import ParameterValue, plain
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.config.usercfg import UserConfig
from reconciler.sandbox.failure import forbidden


class Params(dict[str, ParameterValue]):
    """Checked parameters of one call, those of the path included."""

    def text(self, name: str) -> str | None:
        """None if it was not given."""
        return plain(self[name]) if name in self else None

    def need(self, name: str) -> str:
        """A required one: the parameter table guarantees it."""
        return plain(self[name])

    def flag(self, name: str, *, default: bool = False) -> bool:
        return plain(self[name]) == "1" if name in self else default

    def number(self, name: str) -> int | None:
        return int(plain(self[name])) if name in self else None

    def names(self, name: str) -> list[str]:
        """The elements of a list parameter; empty if it was not given."""
        return split_list(plain(self[name])) if name in self else []


@dataclass(slots=True)
class Context:
    """One call. `actor` is a user, a full token id, or empty if unknown. `with_token`: an API token
    was sent, even if it is not checked. `at`: the node that does the work, if it is not the local
    one.
    """

    store: Store
    actor: str
    clock: Callable[[], float] = field(default=time.time)
    with_token: bool = False
    at: str = ""

    @property
    def node(self) -> str:
        """The node that does the work."""
        return self.at or self.store.node

    @property
    def cfg(self) -> UserConfig:
        """user.cfg as it is now, read-only."""
        return self.store.users()

    @property
    def now(self) -> int:
        """Unix seconds."""
        return int(self.clock())

    def privileges(self, path: str | None) -> Flags:
        """The actor's privileges on a normalised path; None is an invalid path."""
        if self.actor == ROOT:
            return privileges(self.store.access(), ROOT, "/")
        return {} if path is None else privileges(self.store.access(), self.actor, path)

    def may(self, path: str | None, names: Sequence[str], *, some: bool = False) -> bool:
        """Whether the actor holds all of the privileges, or with `some` at least one."""
        held = self.privileges(path)
        return any(name in held for name in names) if some else all(name in held for name in names)

    def require(self, path: str | None, names: Sequence[str], *, some: bool = False) -> None:
        """Like `may`, but raises a 403 that names what is missing."""
        held = self.privileges(path)
        if some:
            if not any(name in held for name in names):
                raise forbidden(f"{path or ''}, {'|'.join(names)}")
            return
        for name in names:
            if name not in held:
                raise forbidden(f"{path or ''}, {name}")
