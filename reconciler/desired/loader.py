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
from reconciler.desired.directives.reader import DIRECTIVES, Directives
from reconciler.desired.directives.rule_table import all_rules
from reconciler.desired.files import DISK, SETTINGS_FILE, Files, state_files
from reconciler.desired.reach import out_of_reach, without_waivers
from reconciler.desired.settings.policy import not_in_release
from reconciler.desired.settings.settings import Settings, settings_keys
from reconciler.desired.size_limits import too_large
from reconciler.desired.table_problems import other_problems, problem_findings
from reconciler.desired.templates.expansion import Expansion, VariablePlace
from reconciler.desired.templates.includes import EACH, INCLUDE
from reconciler.desired.toml.document import TomlDocument
from reconciler.desired.toml.positions import PositionNode
from reconciler.desired.validation import validate, wrong_type
from reconciler.errors import FilesInvalid
from reconciler.invalid_value import InvalidKeys, message_and_hint
from reconciler.kinds import all_kinds
from reconciler.kinds.acl.table import MOST
from reconciler.kinds.kind import Kind
from reconciler.kinds.shared.omitted_keys import left_alone
from reconciler.model.address import Address
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.policy import Policy
from reconciler.pve.release import NEWEST, Release
from reconciler.text.humanize import count, shortened
from reconciler.text.suggest import did_you_mean

_NONE: Mapping[str, object] = MappingProxyType({})
_NOWHERE: Mapping[str, VariablePlace] = MappingProxyType({})


def load(
    folder: Path,
    *,
    variables: Mapping[str, object] = _NONE,
    places: Mapping[str, VariablePlace] = _NOWHERE,
    settings: Settings | None = None,
    release: Release = NEWEST,
    files: Files = DISK,
) -> Desired:
    """Read every `*.toml` of `folder` except pvectl.toml, and what they include; other files of
    subfolders and hidden files are ignored.

    Mistakes are findings of the result, sorted by place, together with those of `settings`, whose
    policy the result carries. `places`: of `variables`. `release`: the Proxmox VE release to check
    against. `files`: where they are read. Raises UsageError when there is no such folder.
    """
    work = _Load(release)
    expansion = expand(folder, settings=settings, files=files)
    for document in expansion.documents(variables, places):
        work.document(document)
    work.findings = [*expansion.findings, *_not_following(work.findings, expansion.findings)]
    return work.finish(folder, settings, tuple(expansion.includes.labels))


def expand(folder: Path, *, settings: Settings | None = None, files: Files = DISK) -> Expansion:
    """The content of a state folder, with its includes read and its templates expanded."""
    tables = {k.toml.place.key: k.toml.place.array for k in _outer_kinds()}
    tables |= dict.fromkeys(DIRECTIVES, True)
    return Expansion(folder, tables, settings.reach if settings is not None else None, files)


def _outer_kinds() -> list[Kind[Any]]:
    return [kind for kind in all_kinds().values() if not kind.toml.place.inside]


def fingerprints(folder: Path, included: Iterable[str], *others: Path) -> dict[str, str]:
    """SHA-256, in hexadecimal, of each state file of `folder`, of those that they include and of
    `others`, by name; missing and
    unreadable ones are left out.
    """
    named = {path.name: path for path in (*state_files(folder), *others)}
    found: dict[str, str] = {}
    for name, path in {**named, **{label: folder / label for label in included}}.items():
        with contextlib.suppress(OSError):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def require_valid(findings: Sequence[Finding], hint: str = "") -> None:
    """Raise FilesInvalid when errors are among the findings; it carries all of them."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        number = "one mistake" if len(errors) == 1 else f"{len(errors)} mistakes"
        raise FilesInvalid(
            f"the state files have {number}",
            hint="; ".join(filter(None, ("nothing was sent", hint))),
            findings=findings,
        )


def by_place(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings in the order of the files; those without a place come last. What they quote may be
    of any length, and is shortened."""

    def key(finding: Finding) -> tuple[object, ...]:
        source = finding.source or Source("\U0010ffff")
        return (*source, finding.sort_key())

    short = (f._replace(message=shortened(f.message), hint=shortened(f.hint)) for f in findings)
    return tuple(sorted(dict.fromkeys(short), key=key))


class _Load:
    def __init__(self, release: Release) -> None:
        self.release = release
        self.number = 0
        self.objects: dict[Address, Declared] = {}
        self.wishes = Directives(release)
        self.findings: list[Finding] = []
        self.broken: set[Address] = set()
        self.repeats: dict[tuple[Source, Source], list[Address]] = {}
        self.outer = {kind.toml.place.key: kind for kind in _outer_kinds()}
        self.nested: dict[str, dict[str, Kind[Any]]] = {name: {} for name in all_kinds()}
        for kind in all_kinds().values():
            if kind.toml.place.inside:
                self.nested.setdefault(kind.toml.place.inside, {})[kind.toml.place.key] = kind

    def document(self, document: TomlDocument) -> None:
        for key, value in document.data.items():
            node = document.child(document.root, key)
            if key in DIRECTIVES:
                self.wishes.add(document, key, value)
            elif key in self.outer:
                self.tables(document, node, self.outer[key], "", value)
            else:
                self.findings.append(self.unknown(document, node, key))

    def unknown(self, document: TomlDocument, node: PositionNode, key: str) -> Finding:
        hint = did_you_mean(key, [*self.outer, *DIRECTIVES, EACH, INCLUDE])
        for outer, inside in self.nested.items():
            if key in inside:
                hint = f"it is declared inside of its {outer}: [{outer}.NAME.{key}.NAME]"
        if key in settings_keys():
            hint = f"settings belong in {SETTINGS_FILE}; move it there"
        elif not hint:
            hint = f"known tables: {', '.join(sorted([*self.outer, *DIRECTIVES, EACH]))}"
        source = document.source(node)
        return Finding(
            "UNKNOWN_TABLE", Severity.ERROR, f"unknown table '{key}'", hint, None, source
        )

    def tables(
        self, document: TomlDocument, node: PositionNode, kind: Kind[Any], parent: str, data: Any
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
        document: TomlDocument,
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
                self.findings += other_problems(
                    document, node, kind, (name, parent), own, self.release
                )
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
        except InvalidKeys as error:
            self.broken.add(_meant(kind, name, parent))
            self.findings += problem_findings(document, node, error.problems)
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

    def finish(self, folder: Path, settings: Settings | None, included: tuple[str, ...]) -> Desired:
        for (first, second), addresses in self.repeats.items():
            self.findings.append(_repeated(first, second, addresses))
        moved = self.wishes.resolve(self.objects)
        self.findings += self.wishes.findings
        rules, mistakes = all_rules(settings.rules if settings else (), self.wishes.rules)
        self.findings += mistakes
        desired = Desired(
            objects=self.objects,
            removed=self.wishes.removed,
            removed_globs=self.wishes.globs,
            moved=moved,
            expectations=tuple(self.wishes.expectations),
            calls=tuple(self.wishes.calls),
            waivers=tuple(self.wishes.waivers),
            no_backup=tuple(self.wishes.no_backup),
            rules=rules,
            policy=settings.policy if settings else Policy(),
            policy_places=settings.places if settings else {},
            release=self.release,
            broken=frozenset(self.broken),
            included=included,
        )
        valid = not any(finding.severity is Severity.ERROR for finding in self.findings)
        findings = [*self.findings, *crosscheck(desired, complete=valid)]
        if settings is not None:
            findings += settings.findings
            findings += not_in_release(settings.kept, self.release)
            findings += out_of_reach(desired.objects, settings.reach, folder)
            desired, refused = without_waivers(desired, settings.trust)
            findings += refused
        return replace(desired, findings=by_place(_of_all_values(findings)))


def _meant(kind: Kind[Any], name: str, parent: str) -> Address:
    """The object of an unreadable table; a token's id begins with its user."""
    return Address(kind.name, f"{parent}!{name}" if kind.name == "token" else name)


def _not_following(findings: Iterable[Finding], first: Iterable[Finding]) -> list[Finding]:
    """Without the errors at a place where, `first`, a variable could not be filled in."""
    wrong = {one.source for one in first}
    return [f for f in findings if f.severity is not Severity.ERROR or f.source not in wrong]


def _of_all_values(findings: Iterable[Finding]) -> Iterable[Finding]:
    """An error shared by several values of one template is reported once."""
    found: dict[Finding, list[Finding]] = {}
    for one in findings:
        key = one._replace(source=one.source._replace(each="")) if one.source else one
        found.setdefault(key, []).append(one)
    for first, *more in found.values():
        if not more or first.source is None or not first.source.each:
            yield first
            yield from more
            continue
        each = f"{first.source.each} and {count(len(more), 'more value')}"
        yield first._replace(source=first.source._replace(each=each))


def _repeated(first: Source, second: Source, addresses: list[Address]) -> Finding:
    """One finding per pair of tables, however many objects they share."""
    address = addresses[0]
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    verb = "are" if more else "is"
    message = f"{address}{more} {verb} declared twice, here and at {first}"
    hint = "keep one of them"
    if first[:3] == second[:3]:
        hint = "use the variable of [[each]] in its name, or move the table out of [[each]]"
    return Finding("DUPLICATE", Severity.ERROR, message, hint, address, second)


def _differs(address: Address, old: Declared, new: Declared) -> Finding:
    message = f"{address} is declared differently at {old.source}"
    hint = "both must be equal; the user's entry of a token pair takes the properties of the pair"
    return Finding("CONFLICT", Severity.ERROR, message, hint, address, new.source)
