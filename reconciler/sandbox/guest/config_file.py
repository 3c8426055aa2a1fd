"""The configuration file of one guest: current options, and those of each snapshot.

PVE source: `parse_pct_config`, `write_pct_config` of PVE::LXC::Config, `parse_vm_config`,
`write_vm_config` of PVE::QemuServer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from reconciler.sandbox.config.perltext import decode_text, encode_text, file_text
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import died
from reconciler.sandbox.guests import LXC, config_file

Values = dict[str, str]

_SECTION = re.compile(r"\[([A-Za-z][A-Za-z0-9_\-:]+)\]\s*")
_RAW = re.compile(r"lxc\.[a-z0-9_\-.]+\s*[:=].*")
BACKUP_HINTS = ("#qmdump#", "#vzdump#")
"""Lines that a backup adds to the configuration, for the restore only."""
_PENDING = ("pve:pending", "PENDING")


@dataclass(slots=True)
class Part:
    """The options, current or of a snapshot; `raw` are the lxc lines of a container, unparsed."""

    values: Values = field(default_factory=dict)
    raw: list[str] = field(default_factory=list)


@dataclass(slots=True)
class GuestFile:
    """`current`, and name -> part for `snapshots`. `digest`: SHA-1 of the file as it was read."""

    kind: str
    current: Part = field(default_factory=Part)
    snapshots: dict[str, Part] = field(default_factory=dict)
    digest: str = ""

    @property
    def values(self) -> Values:
        return self.current.values

    def check_lock(self) -> None:
        """Raises when a task holds the guest."""
        lock = self.values.get("lock")
        if lock:
            raise died(f"{'CT' if self.kind == LXC else 'VM'} is locked ({lock})")

    def check_protection(self, failure: str) -> None:
        if self.values.get("protection") == "1":
            raise died(f"{failure} - protection mode enabled")


def parse_guest(kind: str, raw: bytes) -> GuestFile:
    """Sections of pending changes are skipped: the sandbox applies changes at once."""
    found = GuestFile(kind, digest=hashlib.sha1(raw, usedforsecurity=False).hexdigest())
    part = found.current
    comments: list[str] = []
    for line in file_text(raw).split("\n"):
        section = _SECTION.fullmatch(line)
        if section is not None:
            _describe(part, comments)
            hidden = section[1] in _PENDING or ":" in section[1]
            part = Part() if hidden else found.snapshots.setdefault(section[1], Part())
        elif line.startswith(BACKUP_HINTS):
            continue
        elif line.startswith("#"):
            comments.append(decode_text(line[1:]) + "\n")
        elif kind == LXC and _RAW.fullmatch(line):
            part.raw.append(line)
        else:
            key, colon, value = line.partition(":")
            if colon and value.strip():
                part.values[key.strip()] = value.strip()
    _describe(part, comments)
    return found


def _describe(part: Part, comments: list[str]) -> None:
    if comments:
        part.values["description"] = "".join(comments)
        comments.clear()


def render_guest(guest: GuestFile) -> bytes:
    """The description as comments, options sorted by name, then the snapshots."""
    texts = [_render_part(guest.current)]
    texts += [
        f"\n[{name}]\n{_render_part(guest.snapshots[name])}" for name in sorted(guest.snapshots)
    ]
    return "".join(texts).encode()


def _render_part(part: Part) -> str:
    lines = [f"#{encode_text(line)}" for line in _lines(part.values.get("description", ""))]
    lines += [f"{key}: {part.values[key]}" for key in sorted(part.values) if key != "description"]
    return "".join(f"{line}\n" for line in [*lines, *part.raw])


def _lines(text: str) -> list[str]:
    return text.rstrip("\n").split("\n") if text else []


def guest_path(ctx: Context, kind: str, vmid: str | int) -> str:
    return config_file(kind, ctx.node, str(vmid))


def load(ctx: Context, kind: str, vmid: str | int) -> GuestFile:
    """The guest's file on the node; raises PVE's error if there is none."""
    path = guest_path(ctx, kind, vmid)
    if not (ctx.store.folder / path).exists():
        raise died(f"Configuration file '{path}' does not exist")
    return parse_guest(kind, ctx.store.read(path))


def save(ctx: Context, vmid: str | int, guest: GuestFile) -> None:
    ctx.store.write(guest_path(ctx, guest.kind, vmid), render_guest(guest))


@contextmanager
def editing_guest(ctx: Context, kind: str, vmid: str | int) -> Iterator[GuestFile]:
    """A guest's file, to be changed under its lock; written if the block ends without an error."""
    with ctx.store.lock(guest_path(ctx, kind, vmid)):
        guest = load(ctx, kind, vmid)
        yield guest
        save(ctx, vmid, guest)
