"""Whether a principal may make an API call: every rule that it checks, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.access.contents import ROOT, split_token
from reconciler.access.evaluate import index_of, privileges
from reconciler.access.table import AccessTable
from reconciler.pve.acl_paths import normalize_path
from reconciler.pve.calls.rule import (
    Call,
    Either,
    Every,
    OnGroups,
    Params,
    Perm,
    RootOnly,
    Rule,
    Self,
    fill,
    unknown,
)
from reconciler.pve.calls.table import demands_of
from reconciler.pve.formats import split_list

Held = Callable[[str], Collection[str]]
"""Path -> the privileges that the caller has there."""

MOST = 4
"""How many alternatives are named before the rest is counted."""


class Missing(NamedTuple):
    """One of `privileges` is missing on `path`, or all of them, one after the other."""

    path: str
    privileges: tuple[str, ...]
    some: bool = False


@dataclass(frozen=True, slots=True)
class JudgedRule:
    """A rule in words, whether it is met, and what is missing for it.

    `held` is None where a parameter would have to be known: `waits` names them. `way`: the
    privileges whose grant would meet it, empty where no grant does.
    """

    text: str
    held: bool | None
    way: tuple[Missing, ...] = ()
    waits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """`rules` are checked by the call itself, in this order, `task` by the task that it starts.

    `ticket`: the caller is a token, and tokens cannot make the call.
    """

    call: Call
    params: Params
    rules: tuple[JudgedRule, ...]
    task: tuple[JudgedRule, ...] = ()
    ticket: bool = False

    @property
    def refused(self) -> JudgedRule | None:
        """The first rule of the call itself that is not met."""
        return next((one for one in self.rules if one.held is False), None)

    @property
    def refused_in_task(self) -> JudgedRule | None:
        return next((one for one in self.task if one.held is False), None)

    @property
    def allowed(self) -> bool | None:
        """Whether call and task go through; None where that depends on a parameter."""
        if self.ticket or self.refused or self.refused_in_task:
            return False
        return None if any(one.held is None for one in (*self.rules, *self.task)) else True

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Everything that would have to be granted, each once."""
        return _missing((*self.rules, *self.task))

    @property
    def missing_before_task(self) -> tuple[Missing, ...]:
        """The same for the call alone, whatever its task then does."""
        return _missing(self.rules)


def _missing(rules: Iterable[JudgedRule]) -> tuple[Missing, ...]:
    found = (missing for one in rules if one.held is False for missing in one.way)
    return tuple(dict.fromkeys(found))


def judge(table: AccessTable, who: str, call: Call, given: Params) -> CallAnswer:
    """`given` are the parameters of the path and of the body."""

    def held(path: str) -> Collection[str]:
        return privileges(table, who, path)

    groups = index_of(table).groups_of.get(given.get("userid", ""), ())
    return judge_by(held, who, call, given, groups)


def judge_by(
    held: Held, who: str, call: Call, given: Params, groups: Sequence[str] | None = None
) -> CallAnswer:
    """The same by what `held` says of a path; `groups` are those of the user `userid`, None where
    they are not known."""
    params = dict(given)
    if "userid" in params:
        params["realm-of-userid"] = params["userid"].rpartition("@")[2]
    judge_one = _Judge(held, who, params, groups).rule
    task = [
        _Judge(held, who, one, groups).rule(demand.rule)
        for demand in call.task
        if demand.applies(params)
        for one in _for_each_guest(params)
    ]
    return CallAnswer(
        call,
        params,
        tuple(dict.fromkeys(judge_one(one.rule) for one in demands_of(call, params))),
        tuple(dict.fromkeys(task)),
        ticket=not call.tokens and split_token(who) is not None,
    )


def _for_each_guest(params: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """A list of guests is one question for each."""
    for vmid in split_list(params.get("vmid", "")) or [""]:
        yield {**params, "vmid": vmid}


class _Judge:
    def __init__(self, held: Held, who: str, params: Params, groups: Sequence[str] | None) -> None:
        self._held, self._who, self._params, self._groups = held, who, params, groups

    def rule(self, rule: Rule) -> JudgedRule:
        if self._who == ROOT:
            return JudgedRule(self._text(rule), held=True)
        if isinstance(rule, Perm):
            return self._perm(rule)
        if isinstance(rule, OnGroups):
            return self._on_groups(rule)
        if isinstance(rule, Every | Either):
            parts = [self.rule(one) for one in rule.rules]
            return (_every if isinstance(rule, Every) else _either)(self._text(rule), parts)
        held = isinstance(rule, Self) and self._who == self._params.get("userid")
        return JudgedRule(self._text(rule), held)

    def _perm(self, rule: Perm) -> JudgedRule:
        path = fill(rule.path, self._params)
        text, waits = self._text(rule), unknown(path)
        normal = normalize_path(path)
        if waits or normal is None:  # not an ACL path: a parameter with another meaning
            return JudgedRule(text, None, (), waits)
        held = self._held(normal)
        there = [name in held for name in rule.privileges]
        if any(there) if rule.some else all(there):
            return JudgedRule(text, held=True)
        lacking = tuple(name for name in rule.privileges if name not in held)
        return JudgedRule(text, held=False, way=(Missing(normal, lacking, rule.some),))

    def _on_groups(self, rule: OnGroups) -> JudgedRule:
        groups = self._groups or ()
        paths = ("/access/groups", *(f"/access/groups/{group}" for group in groups))
        held = any(name in self._held(path) for path in paths for name in rule.privileges)
        if not held and self._groups is None:
            return JudgedRule(self._text(rule), None, (), ("userid",))
        way = () if held else (Missing(paths[0], rule.privileges, some=True),)
        return JudgedRule(self._text(rule), held, way)

    def _text(self, rule: Rule) -> str:
        """`VM.Backup on /vms/100`; parts of alternatives are joined by `or`."""
        if isinstance(rule, Perm):
            names = f"{' or ' if rule.some else ' and '}".join(rule.privileges)
            if len(rule.privileges) > MOST:
                rest = len(rule.privileges) - MOST
                names = f"one of {', '.join(rule.privileges[:MOST])} and {rest} more"
            return f"{names} on {fill(rule.path, self._params)}"
        if isinstance(rule, OnGroups):
            return f"{' or '.join(rule.privileges)} on /access/groups, or on a group of the user"
        if isinstance(rule, Self):
            return "the user in person, not a token"
        if isinstance(rule, RootOnly):
            return "root@pam in person, not a token"
        joint = "; or " if isinstance(rule, Either) else "; and "
        return joint.join(self._text(one) for one in rule.rules)


def _every(text: str, parts: Sequence[JudgedRule]) -> JudgedRule:
    lacking = [one for one in parts if one.held is False]
    waits = tuple(name for one in parts for name in one.waits)
    held = False if lacking else None if waits else True
    return JudgedRule(text, held, tuple(missing for one in lacking for missing in one.way), waits)


def _either(text: str, parts: Sequence[JudgedRule]) -> JudgedRule:
    """What is missing is that of the way that lacks least; one that waits is asked for last."""
    if any(one.held for one in parts):
        return JudgedRule(text, held=True)
    failed = [one for one in parts if one.held is False]
    if not failed:
        return JudgedRule(text, None, (), tuple(name for one in parts for name in one.waits))
    return JudgedRule(
        text, held=False, way=min((one.way for one in failed if one.way), key=len, default=())
    )
