"""Two states -> what has to change, and what is not managed and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.kinds import kind_of, references
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.declared import Declared, Desired, Moved
from reconciler.model.finding import Finding, Severity
from reconciler.model.plan import LeftAlone
from reconciler.model.policy import Mode
from reconciler.model.spec import Spec, State
from reconciler.planning.changes.goal import goal

_LEFT = {
    Mode.WATCH: "not declared; watched: drift reports it, nothing deletes it",
    Mode.ADDITIVE: "not declared; additive mode deletes nothing",
}
"""Why an undeclared object stays, in the modes that delete nothing."""


class DiffResult(NamedTuple):
    """Changes sorted by address, not yet ordered."""

    changes: tuple[Change, ...]
    kept: tuple[LeftAlone, ...]
    findings: tuple[Finding, ...]


def diff(
    desired: Desired,
    live: State,
    *,
    now: int,
    changed_secrets: Mapping[Address, tuple[str, ...]] | None = None,
    sent_again: Mapping[Address, tuple[str, ...]] | None = None,
    earlier: Collection[Address] = (),
    where: str = "the cluster",
) -> DiffResult:
    """What turns `live` into `desired`; `now` (Unix seconds) decides what has expired.

    `changed_secrets`: parameters of existing objects whose secret must be sent again, `sent_again`:
    those for which somebody asks it. `earlier`: what the files declared earlier. `where`: what
    `live` is, for people.

    Nothing is deleted that was not declared deletable: by [[removed]] or [[moved]], by an expired
    grant, by the mode of its kind, or because it depends on such an object.
    """
    owners = _owners(desired, live, earlier)
    secrets = (changed_secrets or {}, sent_again or {})
    work = _Work(desired, live, now, *secrets, owners, where, frozenset(earlier))
    for address, declared in desired.objects.items():
        if 0 < declared.expires <= now:
            cause = Cause.REVOKED if address in desired.revoked else Cause.EXPIRED
            work.delete(address, _because(declared, cause))
        else:
            work.want(address, declared)
    for address, source in desired.removed.items():
        work.delete(address, Reason(Cause.REMOVED, f"[[removed]] in {source.in_line}"))
    for moved in desired.moved:
        work.move(moved)
    work.undeclared()
    work.members()
    work.dependents()
    work.along()
    changes = tuple(work.changes[address] for address in sorted(work.changes))
    left = defaultdict[tuple[str, str], list[Address]](list)
    for address in sorted(work.kept.keys() - work.changes.keys()):
        left[address.kind, work.kept[address]].append(address)
    kept = tuple(LeftAlone(*key, len(names), tuple(names)) for key, names in sorted(left.items()))
    return DiffResult(changes, kept, tuple(work.findings))


def _owners(
    desired: Desired, live: State, earlier: Collection[Address]
) -> frozenset[tuple[Address, str]]:
    """For each kind the objects to which something belongs that is declared, or was."""
    named = [(address, declared.spec) for address, declared in desired.objects.items()]
    named += [(address, live[address]) for address in earlier if address in live]
    return frozenset(
        (owner, address.kind)
        for address, spec in named
        for owner in kind_of(address).links.owners(address.id, spec)
    )


def _because(declared: Declared, cause: Cause, why: str = "") -> Reason:
    purpose = str(declared.notes.get("reason", ""))
    place = f"declared in {declared.source.in_line}{why}"
    return Reason.declared(cause, place, declared.expires, purpose)


def _sending(address: Address, after: Spec, declared: Declared, names: Sequence[str]) -> Spec:
    """The same spec, sending these secrets."""
    kind = kind_of(address)
    if not names or kind.secrets.with_sent is None:
        return after
    known = kind.secrets.sent(declared.spec)
    sent: Spec = kind.secrets.with_sent(
        after, {name: known[name] for name in names if name in known}
    )
    return sent


@dataclass(slots=True)
class _Work:
    desired: Desired
    live: State
    now: int
    changed_secrets: Mapping[Address, tuple[str, ...]]
    sent_again: Mapping[Address, tuple[str, ...]]
    owners: frozenset[tuple[Address, str]]
    """objects with a kind of which the files declare, or declared earlier, what belongs to them"""
    where: str
    earlier: frozenset[Address]
    changes: dict[Address, Change] = field(default_factory=dict)
    kept: dict[Address, str] = field(default_factory=dict)
    """objects without a change, and why"""
    findings: list[Finding] = field(default_factory=list)

    def want(self, address: Address, declared: Declared) -> None:
        """Create or update one declared object."""
        before = self.live.get(address)
        try:
            after = goal(self.desired, address, before)
        except ValueError as error:
            self._error("CANNOT_REACH", str(error), address)
            return
        renewed = self.changed_secrets.get(address, ()) if before is not None else ()
        again = self.sent_again.get(address, ()) if before is not None else ()
        after = _sending(address, after, declared, (*renewed, *again))
        if before is None:
            reason = _because(declared, Cause.MISSING, f", not in {self.where}")
        elif after != before:
            why = f"; its {' and '.join(renewed)} was changed" if renewed else ""
            why += f"; its {' and '.join(again)} is sent again" if again else ""
            reason = _because(declared, Cause.DIFFERS, why)
        else:
            return
        self.changes[address] = Change(address, before, after, reason)

    def delete(self, address: Address, reason: Reason) -> None:
        """Delete one object, if it exists and PVE allows it."""
        before = self.live.get(address)
        if before is None:
            return
        if kind_of(address).reads.is_builtin(address.id, before):
            message = f"{address} is built in and cannot be deleted"
            self._error("BUILT_IN", message, address)
            return
        self.changes[address] = Change(address, before, None, reason)

    def move(self, moved: Moved) -> None:
        """Delete the old object; undeclared references to it follow to the new one."""
        if moved.old not in self.live:
            return
        place = f"[[moved]] in {moved.source.in_line}"
        reason = Reason(Cause.MOVED, f"{place}: renamed to {moved.new}")
        for address in sorted({*self.live, *self.changes}):
            spec = self._reached(address)
            if spec is None or moved.old not in references(address, spec):
                continue
            if address in self.desired.objects and not self._keeps(address, moved.old):
                continue
            renamed = kind_of(address).links.rename(address.id, spec, moved.old, moved.new)
            if renamed is not None:
                self._rename(address, Address(address.kind, renamed[0]), renamed[1], reason)
        self.delete(moved.old, reason)

    def _rename(self, old: Address, new: Address, spec: Spec, reason: Reason) -> None:
        """Leave behind what the next plan would delete as undeclared."""
        if new != old:
            self.changes.pop(old, None)  # created by an earlier [[moved]] of the chain
            self.delete(old, reason)
            if new not in self.desired.objects and self._fate(new, spec)[0]:
                return
        follows = new == old or new not in self.desired.objects
        if follows and self.live.get(new) != spec:
            self.changes[new] = Change(new, self.live.get(new), spec, reason)

    def _declares(self, address: Address, ref: Address) -> bool:
        """Whether the files decide that the object names `ref`."""
        return address in self.desired.objects and not self._keeps(address, ref)

    def _keeps(self, address: Address, ref: Address) -> bool:
        """Whether a declared object names `ref` only in fields that the files leave out."""
        declared = self.desired.objects[address]
        return bool(declared.unspecified) and ref not in references(address, declared.spec)

    def undeclared(self) -> None:
        """Delete undeclared objects inside the managed scope; note those that stay."""
        for address, spec in self.live.items():
            if (
                address in self.desired.objects
                or address in self.changes
                or kind_of(address).reads.is_builtin(address.id, spec)
            ):
                continue
            goes, why = self._fate(address, spec)
            if goes:
                why = why.replace("not", "no longer", 1) if address in self.earlier else why
                self.delete(address, Reason(Cause.UNDECLARED, why))
            else:
                self.kept[address] = why

    def _fate(self, address: Address, spec: Spec) -> tuple[bool, str]:
        """Whether an undeclared object is deleted, and why."""
        manage = self.desired.policy.managed(address.kind)
        if manage.mode in _LEFT:
            return False, _LEFT[manage.mode]
        if not manage.covers(address):
            return False, "not declared; outside the managed scope"
        if manage.mode is Mode.AUTHORITATIVE:
            return True, "not declared, and this kind is managed authoritatively"
        if address.kind == "acl" and self._moved_here(address, spec):
            return False, "not declared; follows a [[moved]] while that is in the files"
        return self._by_owner(address, spec)

    def _by_owner(self, address: Address, spec: Spec) -> tuple[bool, str]:
        """The same for what may belong to a declared object."""
        for owner in kind_of(address).links.owners(address.id, spec):
            declared = self.desired.objects.get(owner)
            if declared is None or 0 < declared.expires <= self.now:
                continue
            if declared.by_name and owner in self.live and (owner, address.kind) not in self.owners:
                return False, f"not declared; belongs to {owner}, declared by its name alone"
            return True, f"not declared; belongs to {owner}"
        return False, "not declared, not attached to a declared object"

    def _moved_here(self, address: Address, spec: Spec) -> bool:
        """Whether it is an entry of an object that a [[moved]] renamed."""
        ends = {moved.new for moved in self.desired.moved}
        return any(owner in ends for owner in kind_of(address).links.owners(address.id, spec))

    def dependents(self) -> None:
        """Also delete references to a deleted object, so that each is shown and can be restored."""
        done: set[Address] = set()
        while gone := {a for a, c in self.changes.items() if c.after is None} - done:
            done |= gone
            for address in self._naming(gone):
                self._let_go(address, gone)

    def members(self) -> None:
        """Undeclared objects that a declared one, which is exact, has among its members."""
        for address, spec in self.live.items():
            joined = kind_of(address).writes.join_members
            if joined is None or address in self.desired.objects or address in self.changes:
                continue
            after = joined(address.id, spec, spec, self.desired.objects)
            if after != spec and not self.desired.policy.managed(address.kind).excludes(address):
                why = "not declared, and the members of its group are exact"
                self.changes[address] = Change(address, spec, after, Reason(Cause.UNDECLARED, why))

    def along(self) -> None:
        """Side effects of requests, as separate changes, so that they can be restored."""
        sides = {**self.live, **{a: c.after for a, c in self.changes.items()}}
        reached = {address: spec for address, spec in sides.items() if spec is not None}
        for change in sorted(self.changes.values(), key=lambda change: change.address):
            for other in kind_of(change.address).writes.coupled_changes(change, reached):
                here = other.address
                if other.after is not None:
                    reached[here] = other.after
                self.changes[here] = other._replace(before=self.live.get(here))

    def _reached(self, address: Address) -> Spec | None:
        """A live object after the changes known so far."""
        return self.changes[address].after if address in self.changes else self.live[address]

    def _naming(self, gone: set[Address]) -> list[Address]:
        """The live objects that name one of `gone`, sorted."""
        return sorted(
            address
            for address, spec in self.live.items()
            if any(ref in gone for ref in references(address, spec))
        )

    def _let_go(self, address: Address, gone: set[Address]) -> None:
        spec = self._reached(address)
        named = set() if spec is None else gone.intersection(references(address, spec))
        for ref in sorted(named):
            spec = self._reached(address)
            if spec is None:
                return
            if self._declares(address, ref):
                message = f"{ref} would be deleted, but {address} is declared and names it"
                self._error("STILL_USED", message, address)
                continue
            rest = kind_of(address).links.without(address.id, spec, ref)
            if rest == spec and ref.kind not in kind_of(address).links.may_dangle:
                message = f"{ref} cannot be deleted: {address} still uses it"
                self._error("STILL_USED", message, address)
                continue
            reason = Reason(Cause.DEPENDENT, f"depends on {ref}, which is deleted")
            self.changes[address] = Change(address, self.live[address], rest, reason)

    def _error(self, code: str, message: str, address: Address) -> None:
        declared = self.desired.objects.get(address)
        source = declared.source if declared else self.desired.removed.get(address)
        self.findings.append(Finding(code, Severity.ERROR, message, address=address, source=source))


def narrow(changes: Sequence[Change], patterns: Sequence[str], live: State) -> tuple[Change, ...]:
    """The changes that match a pattern, and those that they require.

    These are new objects that they name, dependents of objects that they delete, and side effects
    of their requests.
    """
    by_address = {change.address: change for change in changes}
    hanging = _hanging(changes)
    chosen = {a for a in by_address if any(a.matches(pattern) for pattern in patterns)}
    waiting = sorted(chosen)
    while waiting:
        change = by_address[waiting.pop()]
        for address in _required(change, by_address, hanging, live):
            if address in by_address and address not in chosen:
                chosen.add(address)
                waiting.append(address)
    return tuple(change for change in changes if change.address in chosen)


def _hanging(changes: Iterable[Change]) -> Mapping[Address, Sequence[Address]]:
    """Object -> the changed objects that named it before."""
    found: dict[Address, list[Address]] = defaultdict(list)
    for change in changes:
        if change.before is not None:
            for ref in references(change.address, change.before):
                found[ref].append(change.address)
    return found


def _required(
    change: Change,
    changes: Mapping[Address, Change],
    hanging: Mapping[Address, Sequence[Address]],
    live: State,
) -> Iterable[Address]:
    for other in kind_of(change.address).writes.coupled_changes(change, live):
        yield other.address
    if change.after is None:
        yield from hanging.get(change.address, ())
        return
    for ref in references(change.address, change.after):
        if ref in changes and changes[ref].before is None:
            yield ref
