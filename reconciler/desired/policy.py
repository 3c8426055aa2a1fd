"""[manage], [limits], [protected] and [lockout] of pvectl.toml."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reconciler.access.paths import check_path, normalize_path
from reconciler.access.privileges import known_privilege
from reconciler.desired.tables import validate
from reconciler.desired.toml import Document
from reconciler.kinds import all_kinds
from reconciler.kinds.text import TOKEN, USER
from reconciler.model.finding import Finding, Severity
from reconciler.model.policy import Policy
from reconciler.model.suggest import did_you_mean


def read_policy(document: Document, data: Mapping[str, Any]) -> tuple[Policy, list[Finding]]:
    """The policy, or the defaults where it is wrong, and what is wrong with it."""
    policy, findings = validate(document, document.root, Policy, _spelt_out(data))
    if policy is None:
        return Policy(), findings
    return policy, list(_checked(document, policy))


def _spelt_out(data: Mapping[str, Any]) -> dict[str, Any]:
    """`acl = "owned"` is short for `acl = { mode = "owned" }`."""
    manage = data.get("manage")
    if not isinstance(manage, dict):
        return dict(data)
    long = {k: {"mode": v} if isinstance(v, str) else v for k, v in manage.items()}
    return {**data, "manage": long}


def _checked(document: Document, policy: Policy) -> Iterator[Finding]:
    root = document.root
    for kind, manage in policy.manage.items():
        if kind not in all_kinds():
            likely = did_you_mean(kind, all_kinds())
            yield Finding(
                "UNKNOWN_KIND",
                Severity.ERROR,
                f"there is no kind '{kind}'",
                likely or f"kinds: {', '.join(sorted(all_kinds()))}",
                source=document.source(document.node(root, "manage", kind)),
            )
        for key in ("include", "exclude"):
            for number, glob in enumerate(getattr(manage, key)):
                if not glob or glob.startswith(f"{kind}."):
                    yield Finding(
                        "INVALID_VALUE",
                        Severity.ERROR,
                        f"'{glob}' is no glob over the names of a {kind}",
                        f"write the name alone, without '{kind}.'; * stands for everything",
                        source=document.source(document.node(root, "manage", kind, key, number)),
                    )
    for (table, key), check in _CHECKS.items():
        for number, text in enumerate(getattr(getattr(policy, table), key)):
            try:
                check(text)
            except ValueError as error:
                message, _, hint = str(error).partition("; ")
                source = document.source(document.node(root, table, key, number))
                yield Finding("INVALID_VALUE", Severity.ERROR, message, hint, source=source)


def _addresses(glob: str) -> None:
    kind, dot, name = glob.partition(".")
    if not (dot and name):
        raise ValueError(f"'{glob}' is no address; write KIND.NAME, as in user.root@pam or group.*")
    if kind not in all_kinds() and "*" not in kind:
        likely = did_you_mean(kind, all_kinds())
        raise ValueError(
            f"there is no kind '{kind}' in '{glob}'; "
            + (likely or "write KIND.NAME, as in user.root@pam or group.*")
        )


def _privilege_on_path(text: str) -> None:
    name, on, path = text.partition(" on ")
    if not on:
        raise ValueError(f"'{text}' is not understood; write PRIVILEGE on PATH")
    known_privilege(name.strip())
    normal = normalize_path(path.strip())
    if normal is None or not check_path(normal):
        raise ValueError(f"'{path.strip()}' is no ACL path in Proxmox VE; / means everything")


def _principal(text: str) -> None:
    if not (USER.fullmatch(text) or TOKEN.fullmatch(text)):
        raise ValueError(f"'{text}' is no principal; write user@realm or user@realm!token")


_CHECKS: Mapping[tuple[str, str], Callable[[str], None]] = {
    ("protected", "never_delete"): _addresses,
    ("protected", "never_change"): _addresses,
    ("lockout", "keep_self"): _privilege_on_path,
    ("lockout", "break_glass"): _principal,
}
