"""The least privileges that allow given API calls."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from reconciler.access.explain.call import judge_by
from reconciler.access.review.privilege_catalog import least
from reconciler.pve.calls.rule import Call

NOBODY = "nobody@pve!calls"
"""A token, which may do nothing in person."""

_LOGGED = re.compile(
    r"\S+ - (?P<who>\S+) \[[^\]]*\] "
    r'"(?P<method>[A-Z]+) (?P<uri>\S+) HTTP/[\d.]+" (?P<status>\d{3})\b'
)
"""A line of /var/log/pveproxy/access.log (`log_request` of PVE::APIServer::AnyEvent)."""


class UsedCall(NamedTuple):
    """A call that was made, with its parameters."""

    call: Call
    params: Mapping[str, str]


class Logged(NamedTuple):
    """A line of an access log: who asked for what, and the status of the answer."""

    who: str
    method: str
    uri: str
    status: int


def logged(line: str) -> Logged | None:
    """None for a line that is none of an access log."""
    found = _LOGGED.match(line)
    if found is None:
        return None
    return Logged(found["who"], found["method"], found["uri"], int(found["status"]))


def needed(calls: Iterable[UsedCall]) -> tuple[dict[str, frozenset[str]], tuple[str, ...]]:
    """Path -> privileges, and the rules in words that depend on a parameter which is not given, or
    that no grant meets.

    Where one of several privileges is enough, one that is needed anyway is taken, else the least.
    """
    found: dict[str, set[str]] = {}
    open_: dict[str, None] = {}
    waiting = list(calls)
    for only_sure in (True, False):
        for used in waiting:
            for path, names, some in _missing(used, found, open_):
                if not some:
                    found.setdefault(path, set()).update(names)
                elif not only_sure:
                    found.setdefault(path, set()).add(least(names))
    return {path: frozenset(names) for path, names in sorted(found.items())}, tuple(open_)


def _missing(
    used: UsedCall, found: Mapping[str, Collection[str]], open_: dict[str, None]
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    answer = judge_by(lambda path: found.get(path, ()), NOBODY, used.call, used.params)
    what = f"{used.call.method} {used.call.template}"
    if answer.ticket:
        open_[f"{what}: API tokens cannot make it"] = None
    for rule in (*answer.rules, *answer.task):
        if rule.held is None:
            open_[f"{what}: {rule.text} (not given: {', '.join(rule.waits)})"] = None
        elif rule.held is False and not rule.way:
            open_[f"{what}: {rule.text}"] = None
    yield from answer.missing
