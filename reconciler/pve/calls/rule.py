"""The permission rules of API calls as values: those that Proxmox VE's methods declare, and those
in their code.

PVE source: `exec_api2_perm_check` of PVE::RPCEnvironment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

Params = Mapping[str, str]


class Perm(NamedTuple):
    """All of `privileges` on `path`, or with `some` one of them. The path may contain `{param}`."""

    path: str
    privileges: tuple[str, ...]
    some: bool = False


class OnGroups(NamedTuple):
    """One of `privileges` on /access/groups, or on a group of the user `{userid}`."""

    privileges: tuple[str, ...]


class Self(NamedTuple):
    """The caller is `{userid}`: a user in person, never one of its tokens."""


class RootOnly(NamedTuple):
    """Only root@pam itself."""


class Either(NamedTuple):
    """One of the rules is enough; the 403 then names no path."""

    rules: tuple[Rule, ...]


class Every(NamedTuple):
    """All of the rules."""

    rules: tuple[Rule, ...]


Rule = Perm | OnGroups | Self | RootOnly | Either | Every


class Demand(NamedTuple):
    """A rule that applies when one of the parameters is given; without parameters it always
    applies. `value`: only when the parameter has this value.
    """

    rule: Rule
    given: tuple[str, ...] = ()
    value: str = ""

    def applies(self, params: Params) -> bool:
        if not self.given:
            return True
        return any(name in params and self.value in ("", params[name]) for name in self.given)


class Call(NamedTuple):
    """One method of the API.

    `demands` are checked by the call itself, with 403; `task` only by the task that it starts,
    after the call has returned 200. `tokens`: API tokens may call it. `filtered`: anyone may call
    it; in words, what the answer is limited to.
    """

    method: str
    template: str
    demands: tuple[Demand, ...] = ()
    task: tuple[Demand, ...] = ()
    tokens: bool = True
    filtered: str = ""

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The parameters in the path; None if the path does not match."""
        if method != self.method:
            return None
        found = _pattern(self.template).fullmatch(path)
        return dict(found.groupdict()) if found else None


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template)))


_NAMED = re.compile(r"\{([\w-]+)(?:=([^}]*))?\}")


def fill(path: str, params: Params) -> str:
    """`{name}` -> its value, `{name=x}` -> x if it is not given; an unknown one is kept."""
    return _NAMED.sub(lambda one: params.get(one[1]) or one[2] or one[0], path)


def unknown(path: str) -> tuple[str, ...]:
    """The parameters still missing from a filled path."""
    return tuple(one[1] for one in _NAMED.finditer(path))
