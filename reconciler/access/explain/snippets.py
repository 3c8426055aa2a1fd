"""Grants as text to paste: `[[acl]]` tables and `pveum` commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from reconciler.access.contents import GROUP, TOKEN, USER
from reconciler.access.explain.remediation import NewRole, Remediation
from reconciler.access.login import Login
from reconciler.access.trace import TracedEntry
from reconciler.text.shell import shell

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class _Bundle(NamedTuple):
    """Entries that one table and one command can hold."""

    path: str
    propagate: bool
    roles: tuple[str, ...]
    principals: tuple[tuple[str, str], ...]

    def of(self, kind: str) -> list[str]:
        return [name for sort, name in self.principals if sort == kind]


def toml(remedy: Remediation) -> str:
    """Additions to a state file, and removals as comments."""
    parts = [
        f"# remove: {entry.role} for {entry.kind} {entry.principal} on {entry.path}\n"
        for entry in remedy.remove
    ]
    if remedy.role is not None:
        parts.append(role_table(remedy.role))
    parts += [_acl_table(bundle) for bundle in _bundled(remedy.add)]
    return "\n".join(parts)


def pveum(remedy: Remediation) -> tuple[str, ...]:
    """The same as commands for a shell on a node."""
    lines = [_acl_command("delete", bundle) for bundle in _bundled(remedy.remove)]
    if remedy.role is not None:
        lines.append(role_command(remedy.role))
    return (*lines, *acl_commands(remedy.add))


def acl_commands(entries: Iterable[TracedEntry]) -> tuple[str, ...]:
    """The fewest `pveum acl modify` lines for these entries."""
    return tuple(_acl_command("modify", bundle) for bundle in _bundled(entries))


_ENABLE = {
    Login.DISABLED: ("--enable", "1"),
    Login.OWNER_DISABLED: ("--enable", "1"),
    Login.EXPIRED: ("--expire", "0"),
    Login.OWNER_EXPIRED: ("--expire", "0"),
}


def login_command(principal: str, login: Login) -> str:
    """What lets it log in again; "" where it can, or does not exist."""
    user, _, token = principal.partition("!")
    option = _ENABLE.get(login)
    if option is None:
        return ""
    if login is Login.EXPIRED and token:
        return shell("pveum", "user", "token", "modify", user, token, *option)
    return shell("pveum", "user", "modify", user, *option)


def role_command(role: NewRole) -> str:
    """`pveum role add NAME --privs "A B"`."""
    return shell("pveum", "role", "add", role.name, "--privs", " ".join(role.privileges))


def role_table(role: NewRole) -> str:
    """`[role.NAME]` with its privileges."""
    name = role.name if _BARE_KEY.fullmatch(role.name) else json.dumps(role.name)
    return f"[role.{name}]\nprivileges = {_array(role.privileges)}\n"


def _acl_table(bundle: _Bundle) -> str:
    tokens, users = bundle.of(TOKEN), bundle.of(USER)
    owners = {token.rpartition("!")[0] for token in tokens}
    pair = bool(tokens) and owners == set(users)
    lines = ["[[acl]]", f"roles = {_array(bundle.roles)}", f"paths = {_array([bundle.path])}"]
    if users and not pair:
        lines.append(f"users = {_array(users)}")
    if bundle.of(GROUP):
        lines.append(f"groups = {_array(bundle.of(GROUP))}")
    if tokens:
        lines.append(f"tokens = {_array(tokens)}")
    if not bundle.propagate:
        lines.append("propagate = false")
    if tokens and not pair:
        lines.append("pair = false")
    return "\n".join(lines) + "\n"


def _acl_command(verb: str, bundle: _Bundle) -> str:
    words = ["pveum", "acl", verb, bundle.path, "--roles", ",".join(bundle.roles)]
    for kind in (USER, GROUP, TOKEN):
        if bundle.of(kind):
            words += [f"--{kind}s", ",".join(bundle.of(kind))]
    if verb == "modify":
        words += ["--propagate", str(int(bundle.propagate))]
    return shell(*words)


def _bundled(entries: Iterable[TracedEntry]) -> list[_Bundle]:
    """Entries with the same roles, path and flag are combined for all their principals."""
    roles: dict[tuple[str, bool, str, str], list[str]] = {}
    for entry in sorted(entries):
        key = (entry.path, entry.propagate, entry.kind, entry.principal)
        roles.setdefault(key, []).append(entry.role)
    people: dict[tuple[str, bool, tuple[str, ...]], list[tuple[str, str]]] = {}
    for (path, propagate, kind, principal), held in roles.items():
        people.setdefault((path, propagate, tuple(held)), []).append((kind, principal))
    return [_Bundle(*key, tuple(principals)) for key, principals in people.items()]


def _array(items: Sequence[str]) -> str:
    return json.dumps(list(items), ensure_ascii=False)
