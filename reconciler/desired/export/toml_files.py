"""Export a live state as TOML files that declare exactly that state."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import ValidationError

from reconciler.atomic_write import atomic_write
from reconciler.desired.reach import Reach, require_inside
from reconciler.desired.toml.formatter import table_text
from reconciler.desired.validation import problem_words
from reconciler.errors import UsageError
from reconciler.invalid_value import message_and_hint
from reconciler.kinds import all_kinds
from reconciler.kinds.kind import Kind
from reconciler.model.address import Address
from reconciler.model.finding import Finding, Severity
from reconciler.model.spec import Spec, State
from reconciler.pve.release import NEWEST, Release

SCHEMA_FOLDER = ".schema"
"""Beside the state files: their JSON Schemas, for editors."""

_HEAD = f"#:schema ./{SCHEMA_FOLDER}/state.json\n".encode()


class Exported(NamedTuple):
    """File names and their content, and the objects that no file can declare; `addresses`: those
    that the files declare.
    """

    files: Mapping[str, str]
    findings: tuple[Finding, ...]
    addresses: frozenset[Address] = frozenset()


class _Table(NamedTuple):
    """One table of a file; `parent` and `name` as in `Toml.declare`, `declared` the object."""

    parent: str
    name: str
    values: dict[str, Any]
    declared: Spec


_Tables = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""kind -> name of the enclosing table -> name -> values"""


def export(
    state: State,
    release: Release = NEWEST,
    beside: Mapping[Address, Mapping[str, Any]] = MappingProxyType({}),
) -> Exported:
    """The state as files; loading them declares the same objects.

    `beside`: keys that concern the file alone, by object. `release`: of the cluster; the files may
    use its privileges and paths. Omitted are objects of
    Proxmox VE itself that were not changed, and objects that cannot be declared (such as entries on
    paths that are no longer valid): each of the latter is a finding. No file contains a secret;
    imported tokens keep theirs.
    """
    tables: _Tables = {name: defaultdict(dict) for name in all_kinds()}
    findings: list[Finding] = []
    written: set[Address] = set()
    for address in sorted(state):
        kind, spec = all_kinds()[address.kind], state[address]
        table = _table(kind, address, spec, release)
        if isinstance(table, Finding):
            findings.append(table)
            continue
        findings += _left_out(address, spec, table.declared)
        if table.values or not kind.reads.is_builtin(address.id, spec):
            values = {**table.values, **beside.get(address, {})}
            tables[address.kind][table.parent][table.name or address.id] = values
            written.add(address)
    files: dict[str, list[str]] = {}
    for name, kind in all_kinds().items():
        if not kind.toml.place.inside:
            text = list(_texts(kind, (), tables, ""))
            if text:
                files.setdefault(kind.toml.file or f"{name}s.toml", []).extend(text)
    return Exported(
        {name: "\n".join(text) for name, text in sorted(files.items())},
        tuple(findings),
        frozenset(written),
    )


def write_files(
    files: Mapping[str, str],
    folder: Path,
    *,
    add: bool = False,
    others: Mapping[Path, bytes] = MappingProxyType({}),
    reach: Reach | None = None,
) -> list[Path]:
    """Write the files into `folder`, creating it if it is missing; returns their paths. `others`
    belong to them, and are written first, as they are. `reach`: where links may lead; raises
    FilesInvalid for those that lead further.

    Comments are kept above the new content of a file that holds nothing else; a new file begins
    with the line that leads an editor to the schema; with `add`, every file keeps its content.
    Raises UsageError, before anything is written, when another file already exists, and when one
    cannot be written: all are then restored.
    """
    paths = {
        _room(folder / name, text) if add else folder / name: text for name, text in files.items()
    }
    if reach is not None:
        require_inside(reach, [*paths, *(path for path in others if path.parent == folder)])
    there = [path for path in sorted(paths) if path.exists()]
    full = [path.name for path in there if not _only_comments(path)]
    if full and not add:
        raise UsageError(
            f"{folder} already contains {', '.join(full)}",
            hint="choose another folder with --out, or move these files away",
        )
    folder.mkdir(parents=True, exist_ok=True)
    kept = {path: path.read_bytes() for path in (*there, *others) if path.exists()}
    own = {path: kept.get(path, _HEAD) + b"\n" + text.encode() for path, text in paths.items()}
    made: list[Path] = []
    try:
        for path, content in {**others, **own}.items():
            made.append(path)
            atomic_write(path, content)
    except OSError as error:
        for one in made:
            with suppress(OSError):
                atomic_write(one, kept[one]) if one in kept else one.unlink(missing_ok=True)
        raise UsageError(
            f"{path} cannot be written: {error.strerror}",
            hint="free some space, or choose another folder with --out",
        ) from None
    return list(own)


def _room(path: Path, text: str) -> Path:
    """The file, or another one beside it if TOML does not allow both in one file."""
    try:
        tomllib.loads(f"{path.read_text(encoding='utf-8') if path.exists() else ''}\n{text}")
    except ValueError:
        return path.with_stem(f"{path.stem}-imported")
    return path


def _only_comments(path: Path) -> bool:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    return all(line.strip() == "" or line.lstrip().startswith("#") for line in lines)


class _Answering(Release):
    """The release of a cluster, which has every option that it answers: packages are updated
    before the number of the release changes."""

    def knows(self, since: str) -> bool:
        del since
        return True


def _table(kind: Kind[Any], address: Address, spec: Spec, release: Release) -> _Table | Finding:
    """The table of one object, or why it cannot be declared."""
    parent, name = kind.toml.name_of(address.id, spec)
    try:
        values = kind.toml.export(address.id, spec)
        kind.toml.check_name(name, parent)
        answering = _Answering(release.version, release.roles)
        table = kind.toml.table.model_validate(values, context=answering)
        declared = {one.id: one.spec for one in kind.toml.declare(name, parent, table)}
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        why, hint = problem_words(problem)
    except ValueError as error:
        why, hint = message_and_hint(error)
    else:
        if address.id in declared:
            return _Table(parent, name, values, declared[address.id])
        why, hint = "its table would declare a different object", ""
    return Finding(
        "NOT_IMPORTED",
        Severity.WARNING,
        f"{address} is in no file: {why}",
        hint or "it is left unchanged in the cluster; delete or correct it there",
        address,
    )


def _left_out(address: Address, spec: Spec, declared: Spec) -> Iterator[Finding]:
    """Options of an object that its table cannot hold."""
    there, kept = (dict(getattr(side, "options", ())) for side in (spec, declared))
    missing = sorted(there.keys() - kept.keys())
    if missing:
        names = " and ".join(missing)
        yield Finding(
            "NOT_IMPORTED",
            Severity.WARNING,
            f"{names} of {address} {'is' if len(missing) == 1 else 'are'} in no file: only root@pam"
            " may set it, not even a token of root@pam",
            "it is left unchanged in the cluster; no plan touches it",
            address,
        )


def _texts(kind: Kind[Any], path: tuple[str, ...], tables: _Tables, parent: str) -> Iterator[str]:
    """The tables of a kind below one parent, each followed by its subtables."""
    key = (*path, kind.toml.place.key)
    mine = tables[kind.name].get(parent, {})
    if kind.toml.place.array:
        for values in kind.toml.merge_tables(list(mine.values())):
            yield table_text(key, values, array=True)
        return
    inner = [other for other in all_kinds().values() if other.toml.place.inside == kind.name]
    for name in sorted(mine.keys() | {name for other in inner for name in tables[other.name]}):
        if name in mine:
            yield table_text((*key, name), mine[name])
        for other in inner:
            yield from _texts(other, (*key, name), tables, name)
