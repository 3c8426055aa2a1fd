"""domains.cfg: its types, and what PVE adds when reading (PVE::Auth::Plugin)."""

from __future__ import annotations

from reconciler.pve.parameter_check import check_format
from reconciler.pve.realm_options import BUILT_IN_REALMS, REALM_OPTIONS, REALM_TYPES
from reconciler.sandbox.config.perltext import decode_text, encode_text
from reconciler.sandbox.config.sections import Section, SectionFile, Sections, parse, render
from reconciler.sandbox.config.storagecfg import options_of
from reconciler.sandbox.config.store import Store

REALM_FILE = SectionFile(
    name="domains.cfg",
    properties=REALM_OPTIONS,
    types={name: options_of(kind) for name, kind in REALM_TYPES.items()},
    valid_id=lambda _kind, name: check_format("pve-realm", name) is None,
)


def read_realms(raw: bytes) -> Sections:
    """The file with pam and pve, at most one default, and decoded comments."""
    sections = parse(REALM_FILE, raw)
    default = ""
    for name, section in sections.by_id.items():
        if section.values.get("default") and default:
            del section.values["default"]
        default = default or (name if section.values.get("default") else "")
        if section.values.get("comment"):
            section.values["comment"] = decode_text(section.values["comment"])
    for name, comment in BUILT_IN_REALMS.items():
        section = sections.by_id.setdefault(name, Section(name))
        section.type = name
        section.values["comment"] = section.values.get("comment") or comment
    sections.by_id["pam"].values["plugin"] = "PVE::Auth::PAM"
    return sections


def write_realms(store: Store, sections: Sections) -> None:
    """The sections must not be used afterwards: comments are encoded in place."""
    for section in sections.by_id.values():
        if section.values.get("comment"):
            section.values["comment"] = encode_text(section.values["comment"])
    store.write("domains.cfg", render(REALM_FILE, sections))


def realms(store: Store) -> dict[str, Section]:
    """All realms by name, shared between callers: read-only."""
    return store.parsed("domains.cfg", read_realms).by_id
