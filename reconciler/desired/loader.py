"""Load a state folder: everything it declares, and every mistake at once."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from reconciler.desired.crosscheck import crosscheck
from reconciler.desired.directives import DIRECTIVES, Directives
from reconciler.desired.reach import leads_out, out_of_reach, without_waivers
from reconciler.desired.settings.settings import SETTINGS_FILE, Settings, settings_keys
from reconciler.desired.size_limits import too_large
from reconciler.desired.toml.document import Document, read
from reconciler.desired.toml.positions import PositionNode
from reconciler.desired.validation import validate, wrong_type
from reconciler.desired.variables import substitute
from reconciler.errors import FilesInvalid, UsageError
from reconciler.invalid_value import message_and_hint
from reconciler.kinds import all_kinds
from reconciler.kinds.acl.table import MOST
from reconciler.kinds.kind import Kind
from reconciler.kinds.shared.ungiven import left_alone
from reconciler.model.address import Address
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.policy import Policy
from reconciler.pve.release import NEWEST, Release
from reconciler.text.suggest import did_you_mean

_NONE: Mapping[str, object] = MappingProxyType({})


def load(
    folder: Path,
    *,
    variables: Mapping[str, object] = _NONE,
    settings: Settings | None = None,
    release: Release = NEWEST,
) -> Desired:
    """Read every `*.toml` of `folder` except pvectl.toml; subfolders and hidden files are ignored.

    Mistakes are findings of the result, sorted by place, together with those of `settings`, whose
    policy the result carries. `release`: the Proxmox VE release to check against. Raises UsageError
    when there is no such folder.
    """
    work = _Load(variables, release)
    for path in state_files(folder):
        line = settings.reach.outside(path) if settings is not None else ""
        if line:
            work.findings.append(leads_out(path.name, line))
        else:
            work.file(path)
    return work.finish(folder, settings)


def state_files(folder: Path) -> list[Path]:
    """The files that `load` reads, sorted by name."""
    if not folder.is_dir():
        raise UsageError(
            f"there is no state folder {folder}",
            hint="create it with `pvectl init`, or choose another with `--state DIR`",
        )
    found = folder.glob("*.toml")
    return sorted(p for p in found if p.name != SETTINGS_FILE and not p.name.startswith("."))


def fingerprints(folder: Path, *others: Path) -> dict[str, str]:
    """SHA-256, in hexadecimal, of each state file of `folder` and of `others`, by name; missing and
    unreadable ones are left out.
    """
    found: dict[str, str] = {}
    for path in (*state_files(folder), *others):
        with contextlib.suppress(OSError):
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def require_valid(findings: Sequence[Finding]) -> None:
    """Raise FilesInvalid when errors are among the findings; it carries all of them."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        number = "one mistake" if len(errors) == 1 else f"{len(errors)} mistakes"
        raise FilesInvalid(
            f"the state files have {number}", hint="nothing was sent", findings=findings
        )


def by_place(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings in the order of the files; those without a place come last."""

    def key(finding: Finding) -> tuple[object, ...]:
        source = finding.source or Source("\U0010ffff")
        return (*source, finding.sort_key())

    return tuple(sorted(dict.fromkeys(findings), key=key))


class _Load:
    def __init__(self, variables: Mapping[str, object], release: Release) -> None:
        self.release = release
        self.variables = variables
        self.number = 0
        self.objects: dict[Address, Declared] = {}
        self.wishes = Directives(release)
        self.findings: list[Finding] = []
        self.broken: set[Address] = set()
        self.repeats: dict[tuple[Source, Source], list[Address]] = {}
        self.outer = {k.toml.place.key: k for k in all_kinds().values() if not k.toml.place.inside}
        self.nested: dict[str, dict[str, Kind[Any]]] = {name: {} for name in all_kinds()}
        for kind in all_kinds().values():
            if kind.toml.place.inside:
                self.nested.setdefault(kind.toml.place.inside, {})[kind.toml.place.key] = kind

    def file(self, path: Path) -> None:
        document, findings = read(path, path.name)
        self.findings += findings
        self.findings += substitute(document, self.variables)
        for key, value in document.data.items():
            node = document.child(document.root, key)
            if key in DIRECTIVES:
                self.wishes.add(document, key, value)
            elif key in self.outer:
                self.tables(document, node, self.outer[key], "", value)
            else:
                self.findings.append(self.unknown(document, node, key))

    def unknown(self, document: Document, node: PositionNode, key: str) -> Finding:
        hint = did_you_mean(key, [*self.outer, *DIRECTIVES])
        if key in settings_keys():
            hint = f"settings belong in {SETTINGS_FILE}; move it there"
        elif not hint:
            hint = f"known tables: {', '.join(sorted([*self.outer, *DIRECTIVES]))}"
        source = document.source(node)
        return Finding(
            "UNKNOWN_TABLE", Severity.ERROR, f"unknown table '{key}'", hint, None, source
        )

    def tables(
        self, document: Document, node: PositionNode, kind: Kind[Any], parent: str, data: Any
    ) -> None:
        """All tables of a kind in one place; `parent` is the name of the enclosing table."""
        key = kind.toml.place.key
        form = f"[[{key}]]" if kind.toml.place.array else f"[{key}.NAME]"
        entries: Iterable[tuple[str | int, Any]]
        if kind.toml.place.array and isinstance(data, list):
            entries = enumerate(data)
        elif not kind.toml.place.array and isinstance(data, dict):
            entries = data.items()
        else:
            what = "a list of tables" if kind.toml.place.array else "a table of tables"
            found = wrong_type(document, node, f"'{key}'", f"{what}, {form}", data)
            self.findings.append(found._replace(hint=f"write {form}"))
            return
        for name, table in entries:
            place = document.child(node, name)
            if isinstance(table, dict):
                own_name = name if isinstance(name, str) else ""
                self.table(document, place, kind, parent, own_name, table)
            else:
                self.findings.append(wrong_type(document, place, f"'{key}.{name}'", form, table))

    def table(
        self,
        document: Document,
        node: PositionNode,
        kind: Kind[Any],
        parent: str,
        name: str,
        data: dict[str, Any],
    ) -> None:
        """One table: its object, and the tables of other kinds inside it.

        `[user."U".token.T]` alone declares the token, not the user.
        """
        inside = self.nested[kind.name]
        own = {key: value for key, value in data.items() if key not in inside}
        for key, inner in inside.items():
            if key in data:
                self.tables(document, document.child(node, key), inner, name, data[key])
        if not (own or node.explicit or kind.toml.place.array):
            return
        table, findings = validate(
            document, node, kind.toml.table, own, others=inside, release=self.release
        )
        self.findings += findings
        source = document.source(node)
        try:
            kind.toml.check_name(name, parent)
            if table is None:
                self.broken.add(_meant(kind, name, parent))
                return
            left = left_alone(table)
            for declaration in kind.toml.declare(name, parent, table):
                if not self.has_room(source):
                    return
                declared = Declared(
                    declaration.spec,
                    source,
                    declaration.notes,
                    declaration.derived,
                    declaration.expires,
                    left,
                    not own,
                )
                self.add(Address(kind.name, declaration.id), declared)
        except ValueError as error:
            self.broken.add(_meant(kind, name, parent))
            message, hint = message_and_hint(error)
            self.findings.append(
                Finding("INVALID_VALUE", Severity.ERROR, message, hint, source=source)
            )

    def has_room(self, source: Source) -> bool:
        """Whether another object may be declared; exceeding the limit is reported once."""
        self.number += 1
        if self.number == MOST + 1:
            message = f"the state files declare more than {MOST:,} objects from here on"
            hint = "grant to groups instead of users, or to pools instead of single guests"
            self.findings.append(too_large(message, hint, source))
        return self.number <= MOST

    def add(self, address: Address, declared: Declared) -> None:
        """Add an object. Explicit wins over derived; a derived one may be repeated; all must be
        equal.
        """
        old = self.objects.get(address)
        if old is None:
            self.objects[address] = declared
            return
        if not (old.derived or declared.derived):
            self.repeats.setdefault((old.source, declared.source), []).append(address)
            return
        if old.spec != declared.spec:
            self.findings.append(_differs(address, old, declared))
            return
        kept = old if declared.derived else declared
        ends = (old.expires, declared.expires)
        longest = 0 if 0 in ends else max(ends)
        self.objects[address] = kept._replace(expires=longest)

    def finish(self, folder: Path, settings: Settings | None) -> Desired:
        for (first, second), addresses in self.repeats.items():
            self.findings.append(_repeated(first, second, addresses))
        moved = self.wishes.resolve(self.objects)
        self.findings += self.wishes.findings
        desired = Desired(
            objects=self.objects,
            removed=self.wishes.removed,
            moved=moved,
            expectations=tuple(self.wishes.expectations),
            calls=tuple(self.wishes.calls),
            waivers=tuple(self.wishes.waivers),
            no_backup=tuple(self.wishes.no_backup),
            policy=settings.policy if settings else Policy(),
            release=self.release,
            broken=frozenset(self.broken),
        )
        valid = not any(finding.severity is Severity.ERROR for finding in self.findings)
        findings = [*self.findings, *crosscheck(desired, complete=valid)]
        if settings is not None:
            findings += settings.findings
            findings += out_of_reach(desired.objects, settings.reach, folder)
            desired, refused = without_waivers(desired, settings.trust)
            findings += refused
        return replace(desired, findings=by_place(_once(findings)))


def _meant(kind: Kind[Any], name: str, parent: str) -> Address:
    """The object of an unreadable table; a token's id begins with its user."""
    return Address(kind.name, f"{parent}!{name}" if kind.name == "token" else name)


def _once(findings: Sequence[Finding]) -> Iterable[Finding]:
    """The findings without those that follow from an unknown variable in the same place."""
    unknown = {one.source for one in findings if one.code == "UNKNOWN_VARIABLE"}
    for one in findings:
        follows = one.severity is Severity.ERROR and one.source in unknown
        if one.code == "UNKNOWN_VARIABLE" or not follows:
            yield one


def _repeated(first: Source, second: Source, addresses: list[Address]) -> Finding:
    """One finding per pair of tables, however many objects they share."""
    address = addresses[0]
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    verb = "are" if more else "is"
    message = f"{address}{more} {verb} declared twice, here and at {first}"
    return Finding("DUPLICATE", Severity.ERROR, message, "keep one of them", address, second)


def _differs(address: Address, old: Declared, new: Declared) -> Finding:
    message = f"{address} is declared differently at {old.source}"
    hint = "both must be equal; the user's entry of a token pair takes the properties of the pair"
    return Finding("CONFLICT", Severity.ERROR, message, hint, address, new.source)
