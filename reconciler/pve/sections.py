"""The structure of the option tables: PVE's schemas of the parameters of section files. The tables
themselves: `storage_options`, `realm_options`, `backup_options`. They are shared by the kinds,
which check values before anything is sent, and by the embedded PVE, which answers as PVE does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.pve.schema import Param, ParameterTable, Secrecy, secret_names

STRING = Param(optional=True)
BOOLEAN = Param(type="boolean", optional=True)


def secret(secrecy: Secrecy, *, max_length: int | None = None) -> Param:
    return Param(secret=secrecy, max_length=max_length, optional=True)


def string(max_length: int) -> Param:
    return Param(max_length=max_length, optional=True)


def integer(minimum: int | None = None, maximum: int | None = None) -> Param:
    return Param(type="integer", minimum=minimum, maximum=maximum, optional=True)


def formatted(name: str, *, max_length: int | None = None) -> Param:
    return Param(format=name, max_length=max_length, optional=True)


def choice(*values: str) -> Param:
    return Param(enum=values, optional=True)


def matching(pattern: str, *, max_length: int | None = None) -> Param:
    return Param(pattern=pattern, max_length=max_length, optional=True)


def since(release: str, param: Param) -> Param:
    """An option that earlier releases reject as unknown."""
    return replace(param, since=release)


@dataclass(frozen=True, slots=True)
class SectionType:
    """The options of one type of section. `fixed` options cannot be changed after creation;
    `sensitive` ones are stored outside the file and never returned.
    """

    name: str
    required: frozenset[str]
    optional: frozenset[str]
    fixed: frozenset[str]
    sensitive: frozenset[str] = frozenset()

    def __contains__(self, option: str) -> bool:
        return option in self.required or option in self.optional

    @property
    def names(self) -> tuple[str, ...]:
        """All options, sorted."""
        return tuple(sorted(self.required | self.optional))

    @property
    def changeable(self) -> tuple[str, ...]:
        """What a PUT may set, sorted."""
        return tuple(name for name in self.names if name not in self.fixed)


def section_type(name: str, options: str, table: ParameterTable) -> SectionType:
    """Parse a table row: names separated by spaces; `^` marks a fixed and `!` a required option.
    `table` has the schema of each.
    """
    marks = {word.rstrip("^!"): word for word in options.split()}
    required = frozenset(name for name, word in marks.items() if "!" in word)
    return SectionType(
        name=name,
        required=required,
        optional=frozenset(marks) - required,
        fixed=frozenset(name for name, word in marks.items() if "^" in word),
        sensitive=secret_names(table, Secrecy.KEPT, Secrecy.PRESENCE) & marks.keys(),
    )


def changeable_options(options: Iterable[str], types: Mapping[str, SectionType]) -> tuple[str, ...]:
    """The options that PUT accepts, in the given order: those that can be changed in some type.
    Others are rejected as unknown parameters; an option that is fixed in some types only is
    accepted, and rejected for these types.
    """
    return tuple(
        name for name in options if any(name in kind.changeable for kind in types.values())
    )
