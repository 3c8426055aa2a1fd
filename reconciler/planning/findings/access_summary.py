"""What a plan does to access, as findings: surprises, and new ways to root."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from reconciler.access.analysis.impact import Impact
from reconciler.access.analysis.summary import Statement, summarise
from reconciler.access.analysis.unexpected import UnexpectedAccess, UnexpectedCause
from reconciler.access.contents import GROUP
from reconciler.access.escalation.search import Escalation, opened
from reconciler.access.login import Login
from reconciler.access.table import AccessTable
from reconciler.access.trace import TracedEntry
from reconciler.kinds import all_kinds, kind_of
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.inventory import Facts
from reconciler.model.plan import Access
from reconciler.model.session import SessionEffect
from reconciler.model.spec import State
from reconciler.text.humanize import in_prose


def real_paths(state: State, facts: Facts) -> tuple[str, ...]:
    """The ACL paths of all existing objects, with or without entries."""
    paths = {f"/vms/{vmid}" for vmid in facts.guests}
    for guests, storages in facts.strays.values():
        paths.update(f"/vms/{vmid}" for vmid in guests)
        paths.update(f"/storage/{storage}" for storage in storages)
    paths.update(f"/nodes/{node}" for node in facts.nodes)
    parents = {name: kind.links.acl_parent for name, kind in all_kinds().items()}
    paths.update(f"{parents[a.kind]}/{a.id}" for a in state if parents[a.kind])
    return tuple(sorted(paths))


ROOM = 1_000_000
"""Budget, in characters, of a plan's effect; the rest is only counted."""


class _Shared:
    """Values that several effects have in common, each once; `size` in characters."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {"who": {}, "rights": {}, "where": {}}
        self.size = 0

    def number(self, name: str, value: Any) -> int:
        numbers, text = self._numbers[name], json.dumps(value, sort_keys=True)
        if text not in numbers:
            numbers[text] = len(numbers)
            self.size += len(text)
        return numbers[text]

    def values(self) -> dict[str, list[Any]]:
        return {name: [json.loads(text) for text in found] for name, found in self._numbers.items()}


def access(
    impact: Impact, after: AccessTable, now: int, sessions: Iterable[SessionEffect] = ()
) -> Access:
    """The whole effect, grouped, without logins of new accounts. `now` in Unix seconds."""
    shared, effects, size = _Shared(), list[Mapping[str, Any]](), 0
    lines = summarise(impact, after, now)
    for line in lines:
        if size + shared.size > ROOM:
            break
        effects.append(_effect(line, shared))
        size += len(json.dumps(effects[-1]))
    logins = [
        {
            **change.to_json(),
            "mark": "!",
            "text": f"{in_prose(change.principals)}: {change.before} before, "
            f"{change.after} afterwards"
            + ("" if change.after is Login.ACTIVE else "; refused from the next request"),
        }
        for change in impact.logins
        if change.before is not Login.ABSENT
    ]
    told = tuple(one.to_json() for one in sessions)
    more = len(lines) - len(effects)
    return Access(tuple(effects), tuple(logins), shared.values(), more, told)


def sessions(changes: Iterable[Change], planned: State) -> Iterable[SessionEffect]:
    """What those who are logged in notice of the changes, beyond who can log in."""
    for change in changes:
        yield from kind_of(change.address).sessions(change, planned)


def _effect(line: Statement, shared: _Shared) -> Mapping[str, Any]:
    """One line as a JSON object that names by number what it may have in common with others."""
    data = line.to_json()
    return {
        "who": [shared.number("who", crowd) for crowd in data["who"]],
        "gains": shared.number("rights", data["gains"]),
        "loses": shared.number("rights", data["loses"]),
        "where": [shared.number("where", area) for area in data["where"]],
        "mark": data["mark"],
        "text": data["text"],
    }


Place = Callable[[Iterable[Address]], Source | None]
"""Where the first of some objects is declared."""


def surprises(impact: Impact, place: Place) -> Iterable[Finding]:
    """Effects that the ACL entries alone do not suggest."""
    for surprise in impact.surprises:
        who = in_prose(surprise.principals)
        if surprise.code is UnexpectedCause.REACHES_MORE:
            who = f"reaches {who} as well"
        message = f"{who}: {surprise.why}"
        concerned = (*_entries(surprise.entries), *map(_account, surprise.principals))
        source = place(concerned)
        yield Finding(str(surprise.code), Severity.WARNING, message, _by(surprise), None, source)


def _by(surprise: UnexpectedAccess) -> str:
    entries = [f"{e.role} for {e.kind} {e.principal} on {e.path}" for e in surprise.entries[:3]]
    return f"through {in_prose(entries)}" if entries else ""


def _entries(entries: Iterable[TracedEntry]) -> list[Address]:
    return [entry.key.address for entry in entries]


def _on_top(table: AccessTable, principals: Iterable[str]) -> Iterator[Address]:
    """The entries on / of these principals and of their groups."""
    for kind, holders in table.acl.get("/", {}).items():
        for holder, roles in holders.items():
            concerned = table.groups.get(holder, ()) if kind == GROUP else (holder,)
            if not set(concerned).isdisjoint(principals):
                yield from (AclEntry("/", kind, holder, role).address for role in roles)


def _account(principal: str) -> Address:
    return Address("token" if "!" in principal else "user", principal)


def new_ways_to_root(before: AccessTable, after: AccessTable, place: Place) -> Iterable[Finding]:
    """Principals that can become root only after the plan, each with its first proof."""
    for way in opened(before, after):
        who = in_prose(way.principals)
        becomes = "becomes" if len(way.principals) == 1 else "become"
        certain = becomes if way.sure else "may become"
        message = f"this plan opens a way to root: {who} {certain} root"
        proof = [entry for step in way.steps for entry in step.proof]
        held = () if way.steps else _on_top(after, way.principals)
        source = place([*_entries(proof), *held, *map(_account, way.principals)])
        yield Finding("NEW_WAY_TO_ROOT", Severity.WARNING, message, _steps(way), None, source)


def _steps(way: Escalation) -> str:
    if not way.steps:
        return "it holds Administrator on / or belongs to root@pam"
    return ", then ".join(str(step) for step in way.steps)
