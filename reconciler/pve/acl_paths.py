"""ACL paths: grammar and normal form (`normalize_path`, `check_path` of PVE::AccessControl)."""

from __future__ import annotations

import re
from functools import lru_cache

_SEGMENT = r"[A-Za-z0-9.\-_]+"
_KNOWN = re.compile(
    "|".join(
        (
            r"/",
            r"/access",
            rf"/access/(?:groups|realm)(?:/{_SEGMENT})?",
            rf"/nodes(?:/{_SEGMENT})?",
            rf"/pool(?:/{_SEGMENT}){{0,3}}",
            rf"/storage(?:/{_SEGMENT})?",
            r"/vms(?:/[1-9][0-9]{2,})?",
            rf"/mapping(?:/{_SEGMENT}){{0,2}}",
            r"/sdn",
            r"/sdn/controllers(?:/[A-Za-z0-9_\-]+)?",
            r"/sdn/(?:dns|fabrics|ipams|prefix-lists|route-maps)(?:/[A-Za-z0-9]+)?",
            rf"/sdn/zones(?:/{_SEGMENT}(?:/{_SEGMENT}(?:/[1-9][0-9]{{0,3}})?)?)?",
        )
    )
)
_ALPHABET = re.compile(r"[A-Za-z0-9.\-_/]+")

UNNAMED = (
    "/access/groups/-",
    "/access/realm/-",
    "/nodes/-",
    "/pool/-",
    "/storage/-",
    "/vms/-",
)
"""Stand for all objects that nothing names; no object can have this name."""


def path_in_words(path: str) -> str:
    """A path as people are told of it."""
    return f"anything else below {path.rpartition('/')[0]}" if path in UNNAMED else path


def normalize_path(path: str) -> str | None:
    """The form in which PVE stores a path: one leading slash, none doubled, none at the end.

    None for an empty path, for `0`, and for one with a character that no path may have.
    """
    if path in ("", "0"):
        return None
    path = re.sub(r"/+", "/", path).removesuffix("/")
    if path in ("", "0"):
        return "/"
    if not path.startswith("/"):
        path = f"/{path}"
    return path if _ALPHABET.fullmatch(path) else None


def check_path(path: str) -> bool:
    """Whether PVE takes the normalised `path` for a new ACL entry; it need not exist."""
    return _KNOWN.fullmatch(path) is not None


@lru_cache(maxsize=65536)
def chain(path: str) -> tuple[str, ...]:
    """`/vms/100` -> (`/`, `/vms`, `/vms/100`): where entries are looked for, outermost first.

    A path in another form goes as PVE walks it (`roles` of PVE::AccessControl splits it at `/`, and
    Perl drops empty parts at the end): `/vms/` like `/vms`, `vms` without `/`, `//` nowhere at all.
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
