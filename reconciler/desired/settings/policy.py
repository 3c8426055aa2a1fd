"""Read the tables of pvectl.toml that say what may be done, such as [manage] and [limits]."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reconciler.desired.toml.document import TomlDocument
from reconciler.desired.validation import salvage, validate
from reconciler.invalid_value import InvalidValue, message_and_hint
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.field_types import TOKEN, USER
from reconciler.model.finding import NOT_IN_RELEASE, Finding, Severity, Source
from reconciler.model.policy import Policy
from reconciler.pve.acl_paths import check_path_of_any_release, normalize_path
from reconciler.pve.release import (
    NotInRelease,
    Release,
    privilege_of_any_release,
    require_in_release,
)
from reconciler.text.suggest import did_you_mean


def read_policy(document: TomlDocument, data: Mapping[str, Any]) -> tuple[Policy, list[Finding]]:
    """The valid part of the policy, and its mistakes."""
    spelt_out = _spelt_out(data)
    policy, findings = validate(document, document.root, Policy, spelt_out)
    findings += _managed(document, _table(spelt_out, "manage"))
    for (table, key), check in _CHECKS.items():
        findings += _checked(document, spelt_out, (table, key), check)
    return policy or salvage(Policy, spelt_out), findings


def _spelt_out(data: Mapping[str, Any]) -> dict[str, Any]:
    """Expand `acl = "owned"` to `acl = { mode = "owned" }`."""
    manage = data.get("manage")
    if not isinstance(manage, dict):
        return dict(data)
    long = {k: {"mode": v} if isinstance(v, str) else v for k, v in manage.items()}
    return {**data, "manage": long}


def _table(data: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The table at `path`; empty where there is none."""
    table: Any = data
    for key in path:
        table = table.get(key, {}) if isinstance(table, dict) else {}
    return table if isinstance(table, dict) else {}


def _managed(document: TomlDocument, manage: Mapping[str, Any]) -> Iterator[Finding]:
    for kind in manage:
        if kind not in all_kinds():
            place = document.node(document.root, "manage", kind)
            yield Finding(
                "UNKNOWN_KIND",
                Severity.ERROR,
                f"there is no kind '{kind}'",
                did_you_mean(kind, all_kinds()) or f"kinds: {', '.join(sorted(all_kinds()))}",
                source=document.source(place),
            )
        for key in ("include", "exclude"):
            yield from _checked(document, manage, (kind, key), _glob_of(kind), ("manage",))


def _checked(
    document: TomlDocument,
    data: Mapping[str, Any],
    path: tuple[str, str],
    check: Callable[[str], None],
    outer: tuple[str, ...] = (),
) -> Iterator[Finding]:
    """The mistakes that `check` finds in the list at `path`."""
    table, key = path
    texts = _table(data, table).get(key)
    for number, text in enumerate(texts if isinstance(texts, list) else ()):
        try:
            check(str(text))
        except ValueError as error:
            message, hint = message_and_hint(error)
            place = document.node(document.root, *outer, table, key, number)
            source = document.source(place)
            yield Finding("INVALID_VALUE", Severity.ERROR, message, hint, source=source)


def _glob_of(kind: str) -> Callable[[str], None]:
    def check(glob: str) -> None:
        if not glob or glob.startswith(f"{kind}."):
            raise InvalidValue(
                f"'{glob}' is not a glob over {kind} names",
                f"write only the name, without '{kind}.', or * for everything",
            )

    return check


def _addresses(glob: str) -> None:
    kind, dot, name = glob.partition(".")
    if not (dot and name):
        raise InvalidValue(
            f"'{glob}' is not a valid address",
            "write KIND.NAME, for example user.root@pam or group.*",
        )
    if kind not in all_kinds() and "*" not in kind:
        likely = did_you_mean(kind, all_kinds())
        raise InvalidValue(
            f"there is no kind '{kind}' in '{glob}'",
            likely or "write KIND.NAME, for example user.root@pam or group.*",
        )


def _privilege_on_path(text: str) -> None:
    name, on, path = text.partition(" on ")
    if not on:
        raise InvalidValue(f"'{text}' is not understood", "write PRIVILEGE on PATH")
    privilege_of_any_release(name.strip())
    normal = normalize_path(path.strip())
    if normal is None or not check_path_of_any_release(normal):
        raise InvalidValue(f"'{path.strip()}' is not a valid ACL path", "/ means everything")


def policy_places(document: TomlDocument) -> Mapping[str, Source]:
    """Where the file gives a limit, or names whom [lockout] protects: dotted key -> place."""
    found = {}
    for table, key in (("limits", "delete"), ("limits", "total"), ("lockout", "administrators")):
        if key in _table(document.data, table):
            node = document.node(document.root, table, key)
            found[f"{table}.{key}"] = document.source(node)
    named = _table(document.data, "lockout").get("break_glass")
    for number, who in enumerate(named if isinstance(named, list) else ()):
        node = document.node(document.root, "lockout", "break_glass", number)
        found[f"lockout.break_glass.{who}"] = document.source(node)
    return found


def kept_access(document: TomlDocument, policy: Policy) -> Mapping[str, Source]:
    """What the acting token must keep, with its place; only what the file itself says."""
    given = _table(document.data, "lockout").get("keep_self")
    texts = given if isinstance(given, list) else ()
    return {
        text: document.source(document.node(document.root, "lockout", "keep_self", number))
        for number, text in enumerate(texts)
        if text in policy.lockout.keep_self
    }


def not_in_release(kept: Mapping[str, Source], release: Release) -> Iterator[Finding]:
    """What [lockout] requires and the release does not have: it would protect nothing."""
    for text, source in kept.items():
        try:
            require_in_release(text, release)
        except NotInRelease as error:
            yield Finding(NOT_IN_RELEASE, Severity.ERROR, error.message, error.hint, source=source)
        except ValueError:
            continue  # told where the settings are read


def _principal(text: str) -> None:
    if not (USER.fullmatch(text) or TOKEN.fullmatch(text)):
        raise InvalidValue(
            f"'{text}' is not a valid principal", "write user@realm or user@realm!token"
        )


def _code(text: str) -> None:
    if not _CODE.fullmatch(text):
        raise InvalidValue(
            f"'{text}' is not a valid code",
            "write the code of a finding, such as LINT_ADMIN_ON_TOP",
        )


_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")

_CHECKS: Mapping[tuple[str, str], Callable[[str], None]] = {
    ("protected", "never_delete"): _addresses,
    ("protected", "never_change"): _addresses,
    ("lockout", "keep_self"): _privilege_on_path,
    ("lockout", "break_glass"): _principal,
    ("lint", "fail"): _code,
}
