"""Values of options that only some releases of Proxmox VE have.

PVE source: the git history of pve-storage (`plugindata` of the plugins) and of pve-guest-common
(PVE::VZDump::Common), at the version that each release shipped. All other values of the options in
`storage_options`, `realm_options` and `backup_options` are the same from 8.4 to 9.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.pve.property_strings import PROPERTY_STRINGS
from reconciler.pve.release import NotInRelease, Release
from reconciler.pve.schema import Param

GONE_STORAGE_TYPES = ("glusterfs",)
"""Storage types of earlier releases. pvectl manages the common options of an existing storage of
such a type, and cannot create one."""


@dataclass(frozen=True, slots=True)
class Span:
    """`since`: the first release with the value, "" for all known; `gone`: the first release
    without it, "" for none."""

    since: str = ""
    gone: str = ""
    instead: str = ""

    def covers(self, release: Release) -> bool:
        return release.knows(self.since) and not (self.gone and release.knows(self.gone))

    def __str__(self) -> str:
        return f"removed in {self.gone}" if self.gone else f"since {self.since}"


_VALUES: Mapping[str, Mapping[str, Span]] = {
    "type": {
        "esxi": Span(since="8.2"),
        "glusterfs": Span(
            gone="9.0",
            instead="mount the volume on the nodes, and declare a storage of type dir with "
            'is_mountpoint = "yes"',
        ),
    },
    "content": {"import": Span(since="8.3")},
}
"""Option -> value -> its releases. `type` is that of a storage."""


def known_values(
    option: str, value: str | Iterable[str], release: Release, param: Param | None = None
) -> None:
    """Raises NotInRelease for a value of an option, or a part of it, that the release lacks."""
    for name, span in missing_values(option, value, release, param):
        if span.gone:
            message = f"{release.name} no longer has {name}"
            raise NotInRelease(message, f"removed in {span.gone}: {span.instead}")
        raise NotInRelease(
            f"{release.name} does not know {name}", f"it is in {span.since} and later; remove it"
        )


def missing_values(
    option: str, value: str | Iterable[str], release: Release, param: Param | None = None
) -> Iterator[tuple[str, Span]]:
    """What of a value the release lacks, as in `content "import"`; with `param`, its parts too."""
    parts = (value,) if isinstance(value, str) else tuple(value)
    for part in parts:
        span = _VALUES.get(option, {}).get(part)
        if span is not None and not span.covers(release):
            yield f'{"storage type" if option == "type" else option} "{part}"', span
    table = PROPERTY_STRINGS.get(param.format, {}) if param is not None else {}
    for name, row in table.items():
        if not release.knows(row.since) and any(f"{name}=" in part for part in parts):
            yield f"{name} of {option}", Span(since=row.since)


def values_in(option: str, values: Iterable[str], release: Release) -> list[str]:
    """Those of the values that the release has, in the given order."""
    spans = _VALUES.get(option, {})
    return [one for one in values if one not in spans or spans[one].covers(release)]
