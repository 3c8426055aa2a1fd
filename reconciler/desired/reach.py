"""Limit what the files of a state folder may refer to outside it.

A state folder may be an unreviewed proposal: what it names is read, run or written only where the
trusted side allows it, in [trust] of the file given with --settings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from reconciler.errors import FilesInvalid
from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.trust import Trust
from reconciler.real_path import real_path

OUT_OF_REACH = "OUT_OF_REACH"
WEAKER_POLICY = "WEAKER_POLICY"


def in_ci(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether `CI` is set, as every CI system sets it."""
    return environ.get("CI", "").strip().lower() not in {"", "0", "false"}


def checkouts_of(folder: Path) -> list[Path]:
    """The repositories around a folder, innermost first. A home folder under version control is not
    a checkout of state files, and neither is /etc with etckeeper.
    """
    aside = {real_path(Path(os.environ.get("HOME") or "/")), Path("/"), Path("/etc")}
    return [
        parent
        for parent in (folder, *folder.parents)
        if (parent / ".git").exists() and real_path(parent) not in aside
    ]


def checkout_of(folder: Path) -> Path:
    """The outermost repository around a folder, all of which one proposal may change; without one
    the folder itself."""
    return next(reversed(checkouts_of(folder)), folder)


def is_proposed(path: Path, folder: Path) -> bool:
    """Whether a file lies where a proposal of state files can change it; the state folder may be a
    link that a checkout holds."""
    checkouts = {checkout_of(real_path(folder)), real_path(checkout_of(folder.absolute()))}
    return any(real_path(path).is_relative_to(checkout) for checkout in checkouts)


@dataclass(frozen=True, slots=True)
class Reach:
    """What the files in `folder` may refer to: anything inside it, and what `trust` lists.

    Without [trust] anything may be named, except outside the folder when `strict`.
    """

    folder: Path
    trust: Trust | None = None
    strict: bool = False

    def inside(self, path: Path) -> bool:
        """Whether a path leads into the folder, symbolic links followed."""
        return real_path(path).is_relative_to(real_path(self.folder))

    def outside(self, path: Path) -> str:
        """The [trust] line that a file or folder would need; "" where it may be used."""
        if self.inside(path) or not self._limited:
            return ""
        return self._unlisted("files", str(real_path(path)))

    def links_out(self, folder: Path) -> str:
        """The [trust] line for the first link below a folder that leads out of it; "" for none."""
        if not self._limited:
            return ""
        own = real_path(folder)
        for path in sorted(own.rglob("*")):
            if path.is_symlink() and not real_path(path).is_relative_to(own):
                line = self.outside(path)
                if line:
                    return line
        return ""

    def missing(self, named: SecretRef | SecretSink, base: Path) -> str:
        """The [trust] line that a reference or sink would need; "" where it may be used.

        `base`: where relative files count from.
        """
        if named.command is not None:
            return self._unlisted("commands", named.command[0] if named.command else "")
        if isinstance(named, SecretRef) and named.env is not None:
            listed = self.trust is not None and self.trust.env is not None
            return self._unlisted("env", named.env) if listed else ""
        if isinstance(named, SecretSink) and named.keyring is not None:
            return self._unlisted("keyrings", named.keyring)
        if isinstance(named, SecretSink) and named.stdout is not None:
            return ""
        file = named.file or (named.env_file if isinstance(named, SecretSink) else None)
        return self.outside(base / (file or ""))

    def outside_calls(self, call: str) -> str:
        """The [trust] line that `verify` needs to make a call, `METHOD PATH`, that may succeed
        although it changes something; "" where it may be made."""
        return self._unlisted("calls", call)

    @property
    def _limited(self) -> bool:
        return self.strict or self.trust is not None

    def _unlisted(self, key: str, text: str) -> str:
        if not self._limited:
            return ""
        globs = getattr(self.trust, key) if self.trust is not None else ()
        if any(fnmatchcase(text, glob) for glob in globs or ()):
            return ""
        return f"{key} = [{json.dumps(text, ensure_ascii=False)}]"


def how_to_allow(line: str) -> str:
    """The hint that says where a [trust] line belongs."""
    return f"allow it in the file of --settings, outside the state files: [trust] {line}"


def leads_out(file: str, line: str) -> Finding:
    """The finding for a state file that is a link to another place."""
    message = f"{file} is a link out of the state folder; it is not read"
    return Finding(OUT_OF_REACH, Severity.ERROR, message, how_to_allow(line), source=Source(file))


def require_inside(reach: Reach, files: Iterable[Path]) -> None:
    """Raises FilesInvalid for links, among state files to be written, that lead to another place
    than may be used."""
    found = [leads_out(path.name, line) for path in files if (line := reach.outside(path))]
    if found:
        raise FilesInvalid(
            "a state file leads elsewhere", hint="nothing was written", findings=tuple(found)
        )


def without_waivers(desired: Desired, trust: Trust | None) -> tuple[Desired, list[Finding]]:
    """The declarations without the waivers that the trusted side does not accept."""
    globs = trust.waive if trust is not None else None
    if globs is None:
        return desired, []
    refused = [w for w in desired.waivers if not any(fnmatchcase(w.code, glob) for glob in globs)]
    findings = [
        Finding(
            WEAKER_POLICY,
            Severity.WARNING,
            f"the waiver of {waiver.code} is ignored: the trusted settings do not allow it",
            how_to_allow(f"waive = [{json.dumps(waiver.code)}]"),
            source=waiver.source,
        )
        for waiver in refused
    ]
    accepted = tuple(waiver for waiver in desired.waivers if waiver not in refused)
    return replace(desired, waivers=accepted), findings


def out_of_reach(
    objects: Mapping[Address, Declared], reach: Reach, base: Path
) -> Iterator[Finding]:
    """Findings for what declared objects name but may not use."""
    for address, declared in objects.items():
        for named in _named(address, declared):
            line = reach.missing(named, base)
            if line:
                yield Finding(
                    OUT_OF_REACH,
                    Severity.ERROR,
                    f"{_what(named)} is outside what the state files may use",
                    how_to_allow(line),
                    address,
                    declared.source,
                )


def _named(address: Address, declared: Declared) -> Iterable[SecretRef | SecretSink]:
    kind = kind_of(address)
    sink = kind.secrets.sink(Change(address, None, declared.spec, Reason(Cause.MISSING, "")))
    references = kind.secrets.sent(declared.spec).values()
    return [*references, *([sink] if sink is not None else [])]


def _what(named: SecretRef | SecretSink) -> str:
    if named.command is not None:
        return f"the command '{named.command[0] if named.command else ''}'"
    if isinstance(named, SecretRef):
        return f"${named.env}" if named.env is not None else f"{named.file}"
    return str(named)
