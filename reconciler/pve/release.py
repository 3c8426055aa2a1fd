"""A release of Proxmox VE as far as permissions depend on it: its privileges and built-in roles.

`release_of` builds one from a cluster's own answers; `known_releases` come from the code of
pve-access-control, from 7.4 on (`releases.json`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from reconciler.invalid_value import InvalidValue
from reconciler.pve.acl_paths import check_path, check_path_of_any_release, normalize_path
from reconciler.text.suggest import did_you_mean


class NotInRelease(InvalidValue):
    """Something that another release of Proxmox VE has, but not the requested one."""


SUPPORTED = ("9.0", "9.1", "9.2")
"""The releases that this version of pvectl is tested with, oldest first."""


@dataclass(frozen=True, slots=True)
class Release:
    """`version` as in `9.2`, empty when unknown; `roles`: built-in role -> its privileges."""

    version: str
    roles: Mapping[str, frozenset[str]]
    privileges: frozenset[str] = field(init=False)
    """All privileges of the release: Administrator holds every one, by definition."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "privileges", self.roles["Administrator"])

    @property
    def name(self) -> str:
        """For display: `Proxmox VE 9.2`."""
        return f"Proxmox VE {self.version}".rstrip()

    def takes_path(self, path: str) -> bool:
        """Whether a new ACL entry is accepted on the normalised path."""
        return check_path(path, self.version)

    def knows(self, since: str) -> bool:
        """Whether it has what the release `since` introduced; "" means that all releases have it. A
        cluster that reports no version counts as the newest."""
        return not since or not self.version or _number(self.version) >= _number(since)


@cache
def known_releases() -> Mapping[str, Release]:
    """Version -> release, oldest first."""
    text = resources.files("reconciler.pve").joinpath("releases.json").read_text(encoding="utf-8")
    found = {}
    for version, data in json.loads(text).items():
        every = data["privileges"]
        roles = {
            name: frozenset(every if privileges == "*" else privileges)
            for name, privileges in data["roles"].items()
        }
        found[version] = Release(version, roles)
    return found


NEWEST = known_releases()[SUPPORTED[-1]]
"""The release assumed when no cluster is read."""

REPLACEMENTS: Mapping[str, str] = {
    "VM.Monitor": "use VM.GuestAgent.* for the guest agent, Sys.Audit for the QEMU monitor",
}
"""Privileges of earlier releases -> what replaces them."""


def release_named(text: str) -> Release:
    """A known release, as in `9.2`; raises ValueError with the known ones."""
    if text == NEWEST.version:
        return NEWEST
    known = known_releases()
    if text not in known:
        exact = short_version(text)
        likely = f"did you mean {exact}? " if exact in known and exact != text else ""
        raise InvalidValue(
            f"'{text}' is not a release of Proxmox VE that is known here",
            f"{likely}known: {', '.join(known)}",
        )
    return known[text]


def is_built_in(role: str) -> bool:
    """Whether Proxmox VE itself defines this role in a known release; none was ever removed."""
    return role in NEWEST.roles


def known_privilege(name: str, release: Release = NEWEST) -> str:
    """The name; raises ValueError with a suggestion: a similar name, the replacement of a removed
    privilege, or the releases that have it."""
    if name in release.privileges:
        return name
    having = [version for version, one in known_releases().items() if name in one.privileges]
    if not having:
        likely = did_you_mean(name, release.privileges)
        raise InvalidValue(f"unknown privilege '{name}'", likely or "names look like VM.Audit")
    if name in REPLACEMENTS and _number(having[-1]) < _number(release.version):
        raise NotInRelease(f"the privilege {name} is gone in Proxmox VE 9", REPLACEMENTS[name])
    raise NotInRelease(f"{release.name} has no privilege {name}", f"it is in {_span(having)}")


def known_role(name: str, release: Release) -> str:
    """The name; raises ValueError for a built-in role that this release lacks."""
    if is_built_in(name) and name not in release.roles:
        having = [version for version, one in known_releases().items() if name in one.roles]
        raise NotInRelease(f"{release.name} has no role {name}", f"it is in {_span(having)}")
    return name


def known_option(name: str, since: str, release: Release) -> None:
    """Raises NotInRelease for a key of a state file that a later release, `since`, introduced."""
    if not release.knows(since):
        raise NotInRelease(
            f"{release.name} does not know {name}", f"it is in {since} and later; remove it"
        )


def privilege_of_any_release(name: str) -> str:
    """As `known_privilege`, for any known release."""
    if any(name in one.privileges for one in known_releases().values()):
        return name
    return known_privilege(name)


def require_in_release(text: str, release: Release) -> None:
    """Raises NotInRelease for a `PRIVILEGE on PATH` of [lockout] that this release lacks."""
    name, _, path = (part.strip() for part in text.partition(" on "))
    if name not in release.privileges:
        known_privilege(name, release)
    normal = normalize_path(path)
    if normal and check_path_of_any_release(normal) and not release.takes_path(normal):
        raise NotInRelease(f"{release.name} has no ACL path {normal}", "name a path above it")


def _span(versions: list[str]) -> str:
    first, last = versions[0], versions[-1]
    if last == NEWEST.version:
        return f"{first} and later"
    return f"{first} to {last}" if first != last else first


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def release_of(version: str, built_in: Mapping[str, Iterable[str]]) -> Release:
    """The release of a cluster that reports this version and these built-in roles. Without
    Administrator among the roles: the known release of that version, or the newest.
    """
    number = short_version(version)
    if "Administrator" in built_in:
        return Release(number, {name: frozenset(held) for name, held in built_in.items()})
    if number == NEWEST.version:
        return NEWEST
    return Release(number, known_releases().get(number, NEWEST).roles)


def short_version(version: str) -> str:
    """`9.2.11` -> `9.2`; empty for anything that does not start like a version."""
    found = re.match(r"[0-9]+\.[0-9]+", version)
    return found[0] if found else ""


def is_tested(release: Release) -> bool:
    return release.version in SUPPORTED


def reference_for(release: Release) -> Release:
    """The known release that a cluster's own is compared with."""
    if release.version in ("", NEWEST.version):
        return NEWEST
    return known_releases().get(release.version, NEWEST)


def differences(found: Release, expected: Release) -> tuple[str, ...]:
    """How `found` differs from `expected`, as phrases; empty when it does not."""
    parts = [
        *_names("new privilege", found.privileges - expected.privileges),
        *_names("missing privilege", expected.privileges - found.privileges),
        *_names("new built-in role", found.roles.keys() - expected.roles.keys()),
        *_names("missing built-in role", expected.roles.keys() - found.roles.keys()),
    ]
    for role in sorted(found.roles.keys() & expected.roles.keys() - {"Administrator"}):
        added = sorted(found.roles[role] - expected.roles[role])
        lost = sorted(expected.roles[role] - found.roles[role])
        if added:
            parts.append(f"{role} also holds {', '.join(added)}")
        if lost:
            parts.append(f"{role} lacks {', '.join(lost)}")
    return tuple(parts)


def _names(what: str, names: Iterable[str]) -> list[str]:
    found = sorted(names)
    return [f"{what}{'s' if len(found) > 1 else ''} {', '.join(found)}"] if found else []
