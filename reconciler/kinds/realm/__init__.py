"""Authentication realms (/access/domains): LDAP, Active Directory, OpenID, pam, pve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.access.table import AccessTable
from reconciler.invalid_value import InvalidValue
from reconciler.kinds.kind import (
    AlarmWhen,
    Answers,
    Checks,
    Kind,
    Links,
    Need,
    Reading,
    Secrets,
    TablePlace,
    Toml,
    Writing,
    need,
)
from reconciler.kinds.realm.checks import BROKEN, LOCK, check_declared, check_planned, login_weaker
from reconciler.kinds.realm.sessions import sessions
from reconciler.kinds.realm.table import (
    SENSITIVE,
    SHOWN,
    RealmSpec,
    RealmTable,
    check_name,
    declare,
    normal,
)
from reconciler.kinds.shared.answer_shape import ID, TEXT, Fields, Rows
from reconciler.kinds.shared.field_types import names
from reconciler.kinds.shared.options import answered, from_answer, to_param, to_toml, toml_name
from reconciler.kinds.shared.replace import as_replacement, replacement
from reconciler.kinds.shared.section import fixed_changes, put_params
from reconciler.model.address import Address as Address
from reconciler.model.change import Cause, Change, Reason, Undo
from reconciler.model.finding import Finding, Severity
from reconciler.model.inventory import Facts as Facts
from reconciler.model.request import Request, Value, request
from reconciler.model.secret import SecretRef
from reconciler.model.spec import Spec, State
from reconciler.pve.realm_options import BUILT_IN_REALMS, REALM_OPTIONS, REALM_TYPES

REALMS = request("GET", "access", "domains")
_LISTED = Fields({"realm": ID}, {"type": TEXT})
_REALM = Fields({}, {"digest": TEXT, **answered(REALM_OPTIONS)})


def _export(name: str, spec: RealmSpec) -> dict[str, Any]:
    if not spec.type:
        raise InvalidValue(f"Proxmox VE cannot read realm {name}", BROKEN)
    table: dict[str, Any] = {"type": spec.type}
    for option, value in spec.options:
        table[toml_name(option)] = to_toml(REALM_OPTIONS[option], value)
    return table


def _detail(name: str) -> Request:
    return request("GET", "access", "domains", name)


def _details(answers: Answers, wanted: frozenset[str]) -> tuple[Request, ...]:
    """All realms, since any may be the default; a realm that PVE cannot read has no type."""
    del wanted
    return tuple(_detail(row["realm"]) for row in answers[REALMS] if row.get("type"))


def _parse(answers: Answers) -> Iterable[tuple[str, RealmSpec]]:
    for row in answers[REALMS]:
        name, kind = row["realm"], row.get("type") or ""
        answer = answers.get(_detail(name)) or {}
        values = {
            option: from_answer(param, answer[option])
            for option, param in REALM_OPTIONS.items()
            if answer.get(option) is not None and option not in SENSITIVE
        }
        held = tuple(option for option in sorted(SHOWN) if answer.get(option))
        yield name, RealmSpec(type=kind, options=normal(name, values), held=held)


def _answered(answers: Answers) -> Mapping[str, Mapping[str, str]]:
    """The client keys of OpenID realms (PVE::API2::Domains, `read`)."""
    found = [row["realm"] for row in answers[REALMS] if row.get("type") == "openid"]
    there = {name: answers.get(_detail(name)) or {} for name in found}
    return {
        name: {option: str(answer.get(option) or "") for option in sorted(SHOWN)}
        for name, answer in there.items()
    }


def _merge_with_live(declared: RealmSpec, live: RealmSpec | None) -> RealmSpec:
    """Secrets are sent when the realm is created, or where PVE shows that one is missing."""
    if live is None:
        return declared
    if not live.type:
        raise ValueError(f"Proxmox VE cannot read this realm: {BROKEN}")
    if _fixed(live, declared):
        return declared
    missing = {n: ref for n, ref in declared.secrets if n in SHOWN and n not in live.held}
    return declared.model_copy(
        update={"held": live.held, "secrets": tuple(sorted(missing.items()))}
    )


def _as_read(spec: RealmSpec) -> RealmSpec:
    shown = (name for name, _ in spec.secrets if name in SHOWN)
    return spec.model_copy(update={"held": names((*spec.held, *shown)), "secrets": ()})


def _sent_secrets(spec: RealmSpec) -> Mapping[str, SecretRef]:
    return dict(spec.secrets)


def _with_sent(spec: RealmSpec, secrets: Mapping[str, SecretRef]) -> RealmSpec:
    merged = {**dict(spec.secrets), **secrets}
    return spec.model_copy(update={"secrets": tuple(sorted(merged.items()))})


def _fixed(before: Spec | None, after: Spec | None) -> tuple[str, ...]:
    """What cannot be changed in place: the type, or options by name."""
    if not (isinstance(before, RealmSpec) and isinstance(after, RealmSpec)):
        return ()
    if before.type != after.type:
        return ("type",)
    return fixed_changes(REALM_TYPES[after.type], dict(before.options), dict(after.options))


def _split(change: Change) -> Sequence[Change]:
    return as_replacement(change) if _fixed(change.before, change.after) else (change,)


def _check_change(change: Change, live: State) -> Iterable[Finding]:
    for address, spec in live.items():
        if isinstance(spec, RealmSpec) and not spec.type:
            yield Finding(
                "REALM_UNREADABLE",
                Severity.ERROR,
                f"{change.address} cannot change: Proxmox VE cannot read {address}, and refuses "
                "every change of realms until it can",
                hint=BROKEN,
                address=change.address,
            )
    yield from login_weaker(change)
    fixed = _fixed(change.before, change.after)
    if fixed:
        secret = _undo(change._replace(after=None)) is Undo.NONE
        lost = "its password or client key" if secret else ""
        yield replacement(change, live, tuple(map(toml_name, fixed)), lost)


def _coupled_changes(change: Change, live: State) -> Iterable[Change]:
    """Only one realm is the default: the previous one loses the flag."""
    before, after = change.before, change.after
    was = isinstance(before, RealmSpec) and before.is_default
    if was or not (isinstance(after, RealmSpec) and after.is_default):
        return
    for address, spec in sorted(live.items(), key=lambda item: item[0]):
        if isinstance(spec, RealmSpec) and spec.is_default and address != change.address:
            reason = Reason(Cause.DEPENDENT, f"{change.address} becomes the default")
            yield Change(address, spec, _not_default(spec), reason)


def _not_default(spec: RealmSpec) -> RealmSpec:
    return spec.model_copy(
        update={"options": tuple(pair for pair in spec.options if pair[0] != "default")}
    )


def _requests(changes: Sequence[Change]) -> Iterable[tuple[Request, tuple[Change, ...]]]:
    """The request that makes a realm the default also clears the flag of the others."""
    taken: list[Change] = []
    rest: list[Change] = []
    if any(map(_gains_default, changes)):
        for change in changes:
            if isinstance(change.before, RealmSpec) and _loses_default(change):
                between = _not_default(change.before)
                taken.append(change._replace(after=between))
                rest += [change._replace(before=between)] if between != change.after else []
    for change in changes:
        if _gains_default(change):
            yield from ((sent, (*carried, *taken)) for sent, carried in _request(change))
        elif not (taken and _loses_default(change)):
            yield from _request(change)
    for change in rest:
        yield from _request(change)


def _gains_default(change: Change) -> bool:
    before, after = change.before, change.after
    was = isinstance(before, RealmSpec) and before.is_default
    return isinstance(after, RealmSpec) and after.is_default and not was


def _loses_default(change: Change) -> bool:
    before, after = change.before, change.after
    was = isinstance(before, RealmSpec) and before.is_default
    return was and isinstance(after, RealmSpec) and not after.is_default


def _request(change: Change) -> Iterable[tuple[Request, tuple[Change, ...]]]:
    name, before, after = change.address.id, change.before, change.after
    path = (*REALMS.path, name)
    if not isinstance(after, RealmSpec):
        yield Request("DELETE", path), (change,)
    elif isinstance(before, RealmSpec):
        put = _put(before, after)
        if put:
            yield Request("PUT", path, tuple(put.items())), (change,)
    else:
        params: dict[str, Value] = {"realm": name, "type": after.type}
        for option, value in after.options:
            params[option] = to_param(REALM_OPTIONS[option], value)
        params.update(after.secrets)
        yield Request("POST", REALMS.path, tuple(params.items())), (change,)


def _put(before: RealmSpec, after: RealmSpec) -> dict[str, Value]:
    """Empty when nothing can be sent: a secret cannot be restored."""
    params, deleted = put_params(dict(before.options), dict(after.options), REALM_OPTIONS)
    known = dict(before.secrets)
    params.update({name: ref for name, ref in after.secrets if known.get(name) != ref})
    gone = sorted({*before.held, *known} - {*after.held, *dict(after.secrets)} & SHOWN)
    if deleted or gone:
        params["delete"] = ",".join((*deleted, *gone))
    return params


def _undo(change: Change) -> Undo:
    """Passwords and client keys are not stored, so they cannot be restored."""
    before, after = change.before, change.after
    if not isinstance(before, RealmSpec):
        return Undo.FULL
    if not isinstance(after, RealmSpec):
        secret = before.held or before.secrets or "bind_dn" in dict(before.options)
        return Undo.NONE if secret else Undo.FULL
    added = SHOWN - set(before.held)
    return Undo.LOSSY if set(dict(after.secrets)) - added else Undo.FULL


def _needs(change: Change, table: AccessTable) -> Iterable[Need]:
    del change, table
    yield need("/access/realm", "Realm.Allocate")


def _is_builtin(name: str, spec: RealmSpec) -> bool:
    del spec
    return name in BUILT_IN_REALMS


def _digest(answers: Answers, name: str) -> str:
    return str((answers.get(_detail(name)) or {}).get("digest") or "")


KIND = Kind(
    name="realm",
    spec=RealmSpec,
    toml=Toml(
        place=TablePlace("realm"),
        table=RealmTable,
        declare=declare,
        export=_export,
        check_name=check_name,
    ),
    reads=Reading(
        requests=(REALMS,),
        answer_shapes={"/access/domains": Rows(_LISTED), "/access/domains/{realm}": _REALM},
        parse=_parse,
        needs=(need("/access/realm", "Sys.Audit", "Realm.Allocate"),),
        details=_details,
        always_there=tuple(map(_detail, sorted(BUILT_IN_REALMS))),
        as_read=_as_read,
        builtin_ids=frozenset(BUILT_IN_REALMS),
        is_builtin=_is_builtin,
        digest=_digest,
    ),
    writes=Writing(
        lock=LOCK,
        requests=lambda changes: tuple(_requests(changes)),
        needs=_needs,
        split=_split,
        merge_with_live=_merge_with_live,
        coupled_changes=_coupled_changes,
        undo=_undo,
    ),
    links=Links(acl_parent="/access/realm"),
    secrets=Secrets(
        sent=_sent_secrets,
        with_sent=_with_sent,
        answered=_answered,
    ),
    checks=Checks(
        declared_object=check_declared,
        planned_state=check_planned,
        change=_check_change,
        undeclared=AlarmWhen.ALWAYS,
    ),
    sessions=sessions,
)
