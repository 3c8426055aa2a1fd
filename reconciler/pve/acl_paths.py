"""ACL paths: grammar and normal form (`normalize_path`, `check_path` of PVE::AccessControl)."""

from __future__ import annotations

import re
from functools import cache, lru_cache

_SEGMENT = r"[A-Za-z0-9.\-_]+"
_ALWAYS = (0, 0)
_NEVER = (10**6, 0)
_GRAMMAR: tuple[tuple[tuple[int, int], tuple[int, int], str], ...] = (
    (_ALWAYS, _NEVER, r"/"),
    (_ALWAYS, _NEVER, r"/access"),
    (_ALWAYS, _NEVER, rf"/access/(?:groups|realm)(?:/{_SEGMENT})?"),
    (_ALWAYS, _NEVER, rf"/nodes(?:/{_SEGMENT})?"),
    (_ALWAYS, _NEVER, rf"/pool(?:/{_SEGMENT})?"),
    (_ALWAYS, _NEVER, rf"/storage(?:/{_SEGMENT})?"),
    (_ALWAYS, _NEVER, r"/vms(?:/[1-9][0-9]{2,})?"),
    (_ALWAYS, _NEVER, r"/sdn"),
    (_ALWAYS, (8, 0), rf"/sdn/(?:vnets|zones)/{_SEGMENT}"),
    ((8, 0), _NEVER, rf"/mapping(?:/{_SEGMENT}){{0,2}}"),
    ((8, 0), _NEVER, rf"/sdn/zones(?:/{_SEGMENT}(?:/{_SEGMENT}(?:/[1-9][0-9]{{0,3}})?)?)?"),
    ((8, 1), _NEVER, r"/sdn/controllers(?:/[A-Za-z0-9_\-]+)?"),
    ((8, 1), _NEVER, r"/sdn/(?:dns|ipams)(?:/[A-Za-z0-9]+)?"),
    ((8, 2), _NEVER, rf"/pool(?:/{_SEGMENT}){{2,3}}"),
    ((9, 0), _NEVER, r"/sdn/fabrics(?:/[A-Za-z0-9]+)?"),
    ((9, 2), _NEVER, r"/sdn/(?:prefix-lists|route-maps)(?:/[A-Za-z0-9]+)?"),
)
"""(first release, first release without, what `check_path` of PVE::AccessControl takes)"""
_ALPHABET = re.compile(r"[A-Za-z0-9.\-_/]+")

UNNAMED = (
    "/access/groups/-",
    "/access/realm/-",
    "/nodes/-",
    "/pool/-",
    "/storage/-",
    "/vms/-",
)
"""Placeholder for every object that nothing names; no object can have this name."""


def path_in_words(path: str) -> str:
    """A path as shown to users."""
    return f"anything else below {path.rpartition('/')[0]}" if path in UNNAMED else path


def normalize_path(path: str) -> str | None:
    """The form in which PVE stores a path: one leading slash, no double and no trailing slash.

    None for an empty path, for `0`, and for a path with an invalid character.
    """
    if path in ("", "0"):
        return None
    path = re.sub(r"/+", "/", path).removesuffix("/")
    if path in ("", "0"):
        return "/"
    if not path.startswith("/"):
        path = f"/{path}"
    return path if _ALPHABET.fullmatch(path) else None


def check_path(path: str, version: str = "") -> bool:
    """Whether PVE accepts the normalised `path` for a new ACL entry; it need not exist. `version`:
    a release such as `9.2`; empty for the newest. A future release is assumed to accept what the
    newest known one does.
    """
    return _known(version).fullmatch(path) is not None


@cache
def _known(version: str) -> re.Pattern[str]:
    major, _, minor = version.partition(".")
    number = (int(major), int(minor)) if version else (_NEVER[0] - 1, 0)
    return re.compile("|".join(form for first, end, form in _GRAMMAR if first <= number < end))


def check_path_of_any_release(path: str) -> bool:
    """Whether any known release accepts the path."""
    return any(re.fullmatch(form, path) for _, _, form in _GRAMMAR)


@lru_cache(maxsize=65536)
def chain(path: str) -> tuple[str, ...]:
    """`/vms/100` -> (`/`, `/vms`, `/vms/100`): where entries are looked for, outermost first.

    Other forms are split as PVE does (`roles` of PVE::AccessControl splits it at `/`, and Perl
    drops empty parts at the end): `/vms/` like `/vms`, `vms` without `/`, `//` nowhere at all.
    """
    parts = [""] if path == "/" else path.split("/")
    while path != "/" and parts and not parts[-1]:
        parts.pop()
    nodes, node = [], ""
    for part in parts:
        node = f"{node}/{part}" if part else node
        nodes.append(node or "/")
    return tuple(nodes)


def segments(path: str) -> tuple[str, ...]:
    """A sort key that puts every path directly before all that lie below it."""
    return () if path == "/" else tuple(path[1:].split("/"))
