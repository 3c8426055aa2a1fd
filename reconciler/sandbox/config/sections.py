"""Section files (storage.cfg, jobs.cfg, domains.cfg) as PVE::SectionConfig reads and writes them.

A `SectionFile` defines the types and the keys of each. Values: text; booleans and numbers as int
(or float); arrays as list of text; or the result of `decode`. Errors of the check functions are
plain 500s with PVE's messages.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.pve.parameter_check import complaint
from reconciler.pve.schema import Param, ParameterTable
from reconciler.sandbox.config.perltext import file_bytes, file_text, true
from reconciler.sandbox.failure import ApiError, died

_HEADER = re.compile(r"(\S+):\s*(\S+)\s*")
_LINE = re.compile(r"\s+(\S+)(?:\s+(.*\S))?\s*")


@dataclass(frozen=True, slots=True)
class Option:
    """A key in a type: whether it is optional, and whether it can be changed later."""

    optional: bool = False
    fixed: bool = False


Options = Mapping[str, Option]
Values = dict[str, Any]


def _unchanged(_kind: str, _key: str, value: Any) -> Any:
    return value


def _any_id(_kind: str, _name: str) -> bool:
    return True


def _as_read(_kind: str, _name: str, values: Values) -> None:
    del values


def _complete(_kind: str, values: Values) -> None:
    del values


def _all_kept(_kind: str, _key: str, value: Any) -> str:
    del value
    return ""


@dataclass(frozen=True, slots=True)
class SectionFile:
    """One file's grammar.

    `properties`: key -> its schema, the same for all types. `types`: type -> its options.
    `valid_id`: sections with another id are skipped. `decode` converts a checked value for the
    handlers, `encode` converts it back to text; both get (type, key, value). `prepare` adds to the
    values of a section read, before they are checked; `finish` checks and completes those of a
    whole section, read or new. `lost`: the part of a value that `decode` skips, in words. `secret`:
    keys whose values are never shown.
    """

    name: str
    properties: ParameterTable
    types: Mapping[str, Options]
    valid_id: Callable[[str, str], bool] = _any_id
    decode: Callable[[str, str, Any], Any] = _unchanged
    encode: Callable[[str, str, Any], Any] = _unchanged
    prepare: Callable[[str, str, Values], None] = _as_read
    finish: Callable[[str, Values], None] = _complete
    lost: Callable[[str, str, Any], str] = _all_kept
    secret: frozenset[str] = frozenset()


@dataclass(slots=True)
class Section:
    """`type` is empty for a section without a required key: it blocks writing."""

    type: str
    values: Values = field(default_factory=dict)


@dataclass(slots=True)
class Sections:
    """The sections by id in file order; new ones come last. `digest`: of the file read."""

    by_id: dict[str, Section] = field(default_factory=dict)
    digest: str = ""


Note = Callable[..., None]
"""(line, what is skipped); with `blocks=True` PVE can no longer write the file."""


def _unnoticed(_line: int, _text: str, *, blocks: bool = False) -> None:
    del blocks


def parse(file: SectionFile, raw: bytes, note: Note = _unnoticed) -> Sections:
    """Skips unknown sections, keys and values, as PVE does; `note` is called for each, without the
    values of secrets."""
    # The digest of this file is part of PVE's API and not a security measure.
    result = Sections(digest=hashlib.sha1(raw, usedforsecurity=False).hexdigest())
    numbered = enumerate(file_text(raw).split("\n"), 1)
    lines = iter([(n, line) for n, line in numbered if not line.lstrip().startswith("#")])
    for number, line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            if line.strip():
                note(number, "this line, which does not begin a section")
            continue
        kind, name = header[1].lower(), header[2]
        values = _read_values(file, kind, name, lines, note)
        if kind not in file.types:
            note(number, f"section {name} of the unknown type {kind}")
        elif not file.valid_id(kind, name):
            note(number, f"section {name}, which is not a valid id")
        else:
            if name in result.by_id:
                note(number, f"an earlier section {name}")
            result.by_id[name] = _checked(file, kind, name, values, number, note)
    return result


def _read_values(
    file: SectionFile, kind: str, name: str, lines: Iterable[tuple[int, str]], note: Note
) -> Values:
    values: Values = {}
    for number, line in lines:
        if not true(line):
            break
        if kind not in file.types:
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            note(number, f"this line of section {name}, which is not indented")
            continue
        key, param = found[1], file.properties.get(found[1])
        try:
            value = check_value(file, kind, key, found[2], schema=True)
        except ApiError as refusal:
            why = "" if key in file.secret else f": {refusal.message.strip()}"
            note(number, f"'{key}' of section {name}{why}")
            continue
        lost = file.lost(kind, key, value)
        if lost:
            note(number, f"{lost} of '{key}' of section {name}")
        if param is not None and param.type == "array":
            values.setdefault(key, []).append(value)
        elif key in values:
            note(number, f"'{key}' of section {name}, which is there already")
        else:
            values[key] = value
    return values


def _checked(
    file: SectionFile, kind: str, name: str, values: Values, number: int, note: Note
) -> Section:
    file.prepare(kind, name, values)
    try:
        return Section(kind, check_config(file, kind, values, create=True))
    except ApiError as refusal:
        why = refusal.message.strip()
        text = f"skips section {name} and refuses every change of {file.name}: {why}"
        note(number, text, blocks=True)
        return Section("")


def check_value(file: SectionFile, kind: str, key: str, value: Any, *, schema: bool = False) -> Any:
    """One value of a section, numbers and booleans as numbers; `schema`: also its format."""
    if kind not in file.types:
        raise died(f"unknown section type '{kind}'")
    if key not in file.types[kind]:
        raise died(f"unexpected property '{key}'")
    param = file.properties[key]
    if value is None and param.type == "boolean":
        value = "1"
    if value is None:
        raise died("got undefined value")
    if isinstance(value, list):
        if any(re.search(r"[\n\r]", str(element)) for element in value):
            raise died("property contains a line feed")
        return value
    if re.search(r"[\n\r]", str(value)):
        raise died("property contains a line feed")
    if schema and (refusal := complaint(Param() if param.type == "array" else param, value)):
        raise died(refusal)
    return _number(value) if param.type in ("boolean", "integer", "number") else value


def _number(value: Any) -> int | float:
    if isinstance(value, int | float):
        return int(value) if isinstance(value, bool) else value
    try:
        return int(value)
    except ValueError:
        return float(value)


def check_config(file: SectionFile, kind: str, given: Mapping[str, Any], *, create: bool) -> Values:
    """The values of a section, decoded. `create`: required keys must be present; otherwise fixed
    keys must not be.

    PVE source: `check_config`; values were checked against the parameter table before.
    """
    if kind not in file.types:
        raise died(f"unknown section type '{kind}'")
    options = file.types[kind]
    result: Values = {}
    for key in sorted(given):
        if not create and key in options and options[key].fixed:
            raise died(f"can't change value of fixed parameter '{key}'")
        checked = check_value(file, kind, key, given[key])
        result[key] = file.decode(kind, key, checked)
    if create:
        for key in sorted(options):
            if not options[key].optional and key not in given:
                raise died(f"missing value for required option '{key}'")
        file.finish(kind, result)
    return result


def delete_keys(
    file: SectionFile, section: Section, new: Mapping[str, Any], keys: Iterable[str]
) -> None:
    """Remove optional keys from a section, for `delete=` (`delete_from_config`)."""
    options = file.types[section.type]
    for key in keys:
        if key not in options:
            raise died(f"no such option '{key}'")
        if not options[key].optional:
            raise died(f"unable to delete required option '{key}'")
        if options[key].fixed:
            raise died(f"unable to delete fixed option '{key}'")
        if key in new:
            raise died(f"cannot set and delete property '{key}' at the same time!")
        section.values.pop(key, None)


def check_digest(sections: Sections, given: str | None) -> None:
    """An empty or absent digest is not compared."""
    if true(given) and given != sections.digest:
        raise died("detected modified configuration - file changed by other user? Try again.")


def render(file: SectionFile, sections: Sections) -> bytes:
    """Comment, a bare `disable`, required keys sorted, then the optional ones sorted."""
    text = []
    for name, section in sections.by_id.items():
        if section.type not in file.types:
            raise died(f"unknown section type '{section.type}'")
        text.append(f"{section.type}: {name}\n")
        text += _lines(file, name, section)
        text.append("\n")
    return file_bytes("".join(text))


def _lines(file: SectionFile, name: str, section: Section) -> Iterable[str]:
    values, options = section.values, file.types[section.type]
    if values.get("comment") not in (None, "", "0"):
        yield from _line(file, section.type, "comment", values["comment"])
    if values.get("disable") not in (None, "", "0", 0):
        yield "\tdisable\n"
    rest = [key for key in sorted(options) if key not in ("comment", "disable")]
    for key in rest:
        if not options[key].optional:
            if values.get(key) is None:
                missing = f"missing value for required option '{key}'"
                raise died(f"section '{name}' - {missing}")
            yield from _line(file, section.type, key, values[key])
    for key in rest:
        if options[key].optional and values.get(key) is not None:
            yield from _line(file, section.type, key, values[key])


def _line(file: SectionFile, kind: str, key: str, value: Any) -> Iterable[str]:
    encoded = file.encode(kind, key, value)
    param = file.properties[key]
    elements = encoded if isinstance(encoded, list) else [encoded]
    for element in elements:
        if re.search(r"[\n\r]", str(element)):
            raise died(f"property '{key}' contains a line feed")
        if param.type == "boolean":
            yield f"\t{key} {0 if element in ('', '0', 0) else 1}\n"
        elif str(element) != "":
            yield f"\t{key} {element}\n"
