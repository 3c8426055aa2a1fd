"""Read the directives: `[[removed]]`, `[[moved]]`, `[[expect]]`, `[[rule]]`, `[[waive]]`,
`[[no_backup]]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from reconciler.desired.directives.expect_table import ExpectTable, call_of, expectations_of
from reconciler.desired.directives.rule_table import RuleTable, rule_of
from reconciler.desired.size_limits import too_large
from reconciler.desired.toml.document import TomlDocument
from reconciler.desired.validation import validate, wrong_type
from reconciler.invalid_value import InvalidValue
from reconciler.kinds import all_kinds
from reconciler.kinds.acl.table import MOST
from reconciler.kinds.backup.table import GuestId
from reconciler.kinds.shared.field_types import Expiry
from reconciler.model.address import Address
from reconciler.model.custom_rule import CustomRule
from reconciler.model.declared import CallExpectation, Expectation, Moved, NoBackup, Waiver
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.policy import TomlTable
from reconciler.pve.release import NEWEST, Release
from reconciler.text.suggest import did_you_mean

_GLOB = re.compile(r"[*?]")


def address_of(text: str) -> str:
    """An address of a known kind; raises ValueError with the likely one."""
    address = Address.parse(text)
    if address.kind not in all_kinds():
        likely = did_you_mean(address.kind, all_kinds())
        raise InvalidValue(
            f"there is no kind '{address.kind}' in '{text}'",
            likely or f"kinds: {', '.join(sorted(all_kinds()))}",
        )
    return text


def _one_object(text: str) -> str:
    if _GLOB.search(text):
        raise InvalidValue(f"'{text}' names several objects", "name one, without * and ?")
    return address_of(text)


def _some_objects(text: str) -> str:
    kind, name = Address.parse(address_of(text))
    if not name.strip("*?"):
        hint = f'name a part of it, or write [manage] {kind} = "authoritative" in pvectl.toml'
        raise InvalidValue(f"'{text}' would delete every {kind} that is not declared", hint)
    return text


MOST_RULES = 200

ObjectName = Annotated[str, AfterValidator(_one_object)]


class RemovedTable(TomlTable):
    """An object to delete, with its dependents."""

    address: Annotated[str, AfterValidator(_some_objects)] = Field(
        description="the object to delete, for example user.bob@pve; with * and ? all that match"
        " and are not declared, for example pool.blue*"
    )
    reason: str = Field(default="", description="why; for readers of the file")


class MovedTable(TomlTable):
    """An object that is called otherwise now."""

    old: ObjectName = Field(alias="from", description="the old address, for example group.admins")
    new: ObjectName = Field(alias="to", description="the new address; it must be declared")
    reason: str = Field(default="", description="why; for readers of the file")


class WaiveTable(TomlTable):
    """Warnings and notes that are accepted until a date."""

    code: str = Field(pattern=r"^[A-Z][A-Z0-9_]+$", description="the code of the warnings or notes")
    address: str = Field(default="*", description="a glob over the addresses of its findings")
    reason: str = Field(min_length=1, description="why it is accepted")
    expires: Expiry = Field(gt=0, description="date on which it expires")


class NoBackupTable(TomlTable):
    """Guests that need no backup."""

    guests: list[GuestId] = Field(default=[], description="ids of guests that need no backup")
    pools: list[str] = Field(default=[], description="or all guests of these pools")
    templates: bool = Field(default=False, description="or every template")
    reason: str = Field(min_length=1, description="why they need no backup")
    expires: Expiry = Field(default=0, description="date on which it expires")

    @model_validator(mode="after")
    def _names_something(self) -> NoBackupTable:
        if not (self.guests or self.pools or self.templates):
            raise InvalidValue(
                "[[no_backup]] names no guests",
                "set guests = [...], pools = [...] or templates = true",
            )
        return self


DIRECTIVES: Mapping[str, type[TomlTable]] = {
    "removed": RemovedTable,
    "moved": MovedTable,
    "expect": ExpectTable,
    "rule": RuleTable,
    "waive": WaiveTable,
    "no_backup": NoBackupTable,
}


class Directives:
    """The directives of all files, collected file by file and then checked together."""

    def __init__(self, release: Release = NEWEST) -> None:
        self.release = release
        self.removed: dict[Address, Source] = {}
        self.globs: dict[Address, Source] = {}
        self.moved: list[Moved] = []
        self.expectations: list[Expectation] = []
        self.calls: list[CallExpectation] = []
        self.rules: list[CustomRule] = []
        self.waivers: list[Waiver] = []
        self.no_backup: list[NoBackup] = []
        self.findings: list[Finding] = []
        self.asked = 0

    def add(self, document: TomlDocument, name: str, data: Any) -> None:
        """Read all tables `[[name]]` of one file."""
        node = document.child(document.root, name)
        if not isinstance(data, list):
            self.findings.append(
                wrong_type(document, node, f"'{name}'", f"a list of tables, [[{name}]]", data)
            )
            return
        for number, entry in enumerate(data):
            place = document.child(node, number)
            if not isinstance(entry, dict):
                self.findings.append(wrong_type(document, place, f"[[{name}]]", "a table", entry))
                continue
            table, findings = validate(
                document, place, DIRECTIVES[name], entry, release=self.release
            )
            self.findings += findings
            self._take(table, document.source(place))

    def _take(self, table: TomlTable | None, source: Source) -> None:
        if isinstance(table, RemovedTable):
            self._remove(Address.parse(table.address), source)
        elif isinstance(table, MovedTable):
            self.moved.append(Moved(Address.parse(table.old), Address.parse(table.new), source))
        elif isinstance(table, ExpectTable):
            if table.call:
                self.calls.append(call_of(table, source))
            else:
                self._expect(expectations_of(table, source))
        elif isinstance(table, RuleTable):
            self._rule(rule_of(table, source))
        elif isinstance(table, WaiveTable):
            self.waivers.append(
                Waiver(table.code, table.address, table.reason, table.expires, source)
            )
        elif isinstance(table, NoBackupTable):
            self.no_backup.append(_no_backup(table, source))

    def _rule(self, rule: CustomRule) -> None:
        """Each rule inspects the whole cluster, so their number is limited."""
        self.rules.append(rule)
        if len(self.rules) == MOST_RULES + 1:
            message = f"the files have more than {MOST_RULES:,} [[rule]] tables from here on"
            hint = "use globs, or lists, instead of many rules"
            self.findings.append(too_large(message, hint, rule.source))

    def _expect(self, tests: tuple[Expectation, ...]) -> None:
        """Read one [[expect]]. Each question inspects the ACL entries, so their number is
        limited.
        """
        one, before = tests[0], self.asked
        self.asked += sum(
            len(test.who) * len(test.paths) * len(test.can + test.cannot + test.cannot_both)
            for test in tests
        )
        if self.asked <= MOST:
            self.expectations += tests
        elif before <= MOST:
            message = f"the [[expect]] tables test more than {MOST:,} combinations from here on"
            hint = "use globs, or group:NAME, instead of long lists"
            self.findings.append(too_large(message, hint, one.source))

    def _remove(self, address: Address, source: Source) -> None:
        if address.id in all_kinds()[address.kind].reads.builtin_ids:
            message = f"{address} belongs to Proxmox VE itself and cannot be removed"
            self.findings.append(_error("BUILT_IN", message, "remove it", address, source))
            return
        known = self.globs if _GLOB.search(address.id) else self.removed
        if address in known:
            message = f"{address} is removed twice"
            hint = f"it is already removed at {known[address]}; keep one of them"
            self.findings.append(_error("DUPLICATE", message, hint, address, source))
        else:
            known[address] = source

    def resolve(self, declared: Iterable[Address]) -> tuple[Moved, ...]:
        """The moves, each chain of them leading to its last name; invalid ones become findings."""
        there = set(declared)
        following: dict[Address, Moved] = {}
        for move in self.moved:
            problem = self._problem(move, following, there)
            if problem is not None:
                self.findings.append(_error("MOVED", *problem, move.old, move.source))
            else:
                following[move.old] = move
        return tuple(filter(None, (self._last(move, following, there) for move in self.moved)))

    def _problem(
        self, move: Moved, earlier: Mapping[Address, Moved], there: set[Address]
    ) -> tuple[str, str] | None:
        """Why a move is invalid: message and hint."""
        old, new, _ = move
        rival = next((m for m in earlier.values() if m.new == new and m.old != old), None)
        gone, again = self.removed.get(old), earlier.get(old)
        problems = (
            (old.kind != new.kind, "cannot become {new}", "an object keeps its kind"),
            (
                all_kinds()[old.kind].toml.place.array,
                "has no name that can be changed",
                "remove it",
            ),
            (
                old.id in all_kinds()[old.kind].reads.builtin_ids,
                "belongs to Proxmox VE itself and keeps its name",
                "remove this [[moved]]",
            ),
            (old == new, "is moved to itself", "remove this [[moved]]"),
            (old in there, "is moved away and declared", "delete its table, or this [[moved]]"),
            (gone, f"is moved here and removed at {gone}", "keep one of them"),
            (again, f"is moved at {again and again.source}, too", "keep one of them"),
            (rival, f"becomes {{new}}, as {rival and rival.old} does", "keep one of them"),
        )
        for wrong, message, hint in problems:
            if wrong:
                return f"{old} {message.format(new=new)}", hint
        return None

    def _last(
        self, move: Moved, following: Mapping[Address, Moved], there: set[Address]
    ) -> Moved | None:
        if following.get(move.old) != move:
            return None
        seen = {move.old}
        end = move.new
        while end in following:
            if end in seen:
                message = f"the moves of {move.old} form a cycle"
                hint = "remove one of them"
                self.findings.append(_error("MOVED", message, hint, move.old, move.source))
                return None
            seen.add(end)
            end = following[end].new
        if end not in there:
            message = f"{move.old} becomes {end}, which is not declared"
            hint = f"declare {end}, or write [[removed]] for {move.old}"
            self.findings.append(_error("MOVED", message, hint, move.old, move.source))
            return None
        return Moved(move.old, end, move.source)


def _no_backup(table: NoBackupTable, source: Source) -> NoBackup:
    return NoBackup(
        guests=tuple(table.guests),
        pools=tuple(table.pools),
        templates=table.templates,
        reason=table.reason,
        expires=table.expires,
        source=source,
    )


def _error(code: str, message: str, hint: str, address: Address, source: Source) -> Finding:
    return Finding(code, Severity.ERROR, message, hint, address, source)
