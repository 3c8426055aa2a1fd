"""Parse a question about access: names, paths, API calls and pasted refusals."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from reconciler.access.analysis.affected import dangling_users
from reconciler.access.any_member import any_member
from reconciler.access.contents import TOKEN
from reconciler.access.explain.explain import parse_refusal
from reconciler.access.table import AccessTable
from reconciler.errors import UsageError
from reconciler.invalid_value import message_and_hint
from reconciler.pve.acl_paths import normalize_path
from reconciler.pve.calls.rule import Call, Params
from reconciler.pve.calls.table import find_call, known_calls
from reconciler.pve.release import known_privilege
from reconciler.pve.secret_params import is_secret_param
from reconciler.text.humanize import listed
from reconciler.text.suggest import did_you_mean, suggest

HEADS = ("/access", "/mapping", "/nodes", "/pool", "/sdn", "/storage", "/vms")
_EXAMPLE = "pvectl explain alice@pve /vms/100 VM.Audit"
_REFUSED = "Permission check failed"
_NO_GRANT_HELPS = {
    "user != root@pam": "only root@pam itself may make this request: no grant or token allows it",
    "need proper ticket": "API tokens may not do this: log in with a password instead",
}
"""Words in a refusal -> what they mean."""
_BY_REALM_SYNC = "/access/realm/-"
"""What is really asked for when a realm-sync job is changed (RealmSync.pm)."""


class AccessQuery(NamedTuple):
    """One question. `privileges`: any of them is enough; empty asks for everything that is held on
    the path.
    """

    who: str
    path: str
    privileges: tuple[str, ...] = ()


def parse_query(subject: str, path: str, privilege: str, who: str) -> AccessQuery:
    """From the arguments of `explain`; raises UsageError with the likely correction."""
    if _REFUSED in subject:
        return _pasted(subject, path, who)
    if who:
        raise UsageError("--who goes with a pasted refusal", hint=_EXAMPLE)
    if not path:
        what = (
            "the path"
            if "@" in subject
            else f"'{subject}' is neither a code nor a principal; the path"
        )
        raise UsageError(f"{what} is missing", hint=_EXAMPLE)
    return AccessQuery(subject, parse_path(path), (privilege,) if privilege else ())


def _pasted(text: str, path: str, who: str) -> AccessQuery:
    for words, meaning in _NO_GRANT_HELPS.items():
        if words in text:
            raise UsageError(meaning, hint="ACL entries do not decide this")
    refusal = parse_refusal(text)
    if refusal is None:
        raise UsageError(
            "the pasted text names no path and no privilege",
            hint="ask about the call that was refused: "
            "pvectl explain 'POST /nodes/pve/lxc vmid=100' --who WHO",
        )
    if not who:
        raise UsageError(
            "the text does not say who was refused",
            hint="add --who USER@REALM or --who USER@REALM!TOKEN",
        )
    wanted = refusal.privileges
    if not (path or refusal.path):
        names = " or ".join(wanted)
        raise UsageError(
            f"Proxmox VE did not say on which path {names} is missing: any of several would do",
            hint="add the path, as in: pvectl explain TEXT /pool/Dev --who USER@REALM",
        )
    asked = parse_path(path or refusal.path)
    if asked.endswith("/-") and asked != _BY_REALM_SYNC:
        sort = asked.removesuffix("/-").rpartition("/")[2]
        raise UsageError(
            f"the refused request named no {sort}, so Proxmox VE put '-' in its place",
            hint="send its id, or ask about one: pvectl explain TEXT PATH --who ...",
        )
    return AccessQuery(who, asked, wanted)


_CALL = re.compile(r"(GET|POST|PUT|DELETE)\s+(/\S*)(.*)", re.IGNORECASE | re.DOTALL)


class CallQuery(NamedTuple):
    """A call of the API with the parameters of its path and the given ones."""

    who: str
    title: str
    call: Call
    params: Params


def is_call(subject: str) -> bool:
    """Whether that is a call, as in `POST /nodes/pve/lxc vmid=100`."""
    return _CALL.fullmatch(subject.strip()) is not None


def is_question(subject: str) -> bool:
    """Whether that is a call or a pasted refusal."""
    return is_call(subject) or _REFUSED in subject


def _similar_call(method: str, path: str) -> str:
    """The known call that differs in a few letters, with the same values in its path."""
    given, found = path.rstrip("/").split("/"), []
    for one in known_calls():
        names = one.template.split("/")
        if len(names) == len(given):
            parts = (
                mine if name[:1] == "{" else name for name, mine in zip(names, given, strict=True)
            )
            found.append(f"{one.method} {'/'.join(parts)}")
    likely = suggest(f"{method} {path}", found, likeness=0.9)
    return f"did you mean {likely}?" if likely else ""


def parse_call(subject: str, who: str) -> CallQuery:
    """The call, without the values of secret parameters, which no rule depends on.

    Raises UsageError for an unknown call, naming similar ones.
    """
    found = _CALL.fullmatch(subject.strip())
    assert found is not None  # noqa: S101 - is_call was asked
    method, path, rest = found[1].upper(), found[2], found[3]
    known = find_call(method, path)
    if known is None:
        tail = path.rstrip("/").rpartition("/")[2]
        like = [
            f"{one.method} {one.template}" for one in known_calls() if one.template.endswith(tail)
        ]
        hint = (
            f"did you mean {' or '.join(like[:3])}?"
            if like
            else _similar_call(method, path)
            or "see the API viewer of your node, https://NODE:8006/pve-docs/api-viewer/"
        )
        raise UsageError(f"the rules of {method} {path} are not known here", hint=hint)
    if not who:
        raise UsageError(
            "the question does not say who makes the call",
            hint="add --who USER@REALM or --who USER@REALM!TOKEN",
        )
    call, params = known
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise UsageError(
            f"the parameters cannot be read: {error}", hint="vmid=100 pool=dev"
        ) from None
    wrong = [word for word in words if "=" not in word]
    if wrong:
        raise UsageError(
            f"'{wrong[0]}' is not a parameter", hint="write NAME=VALUE, as in vmid=100"
        )
    given = dict(word.split("=", 1) for word in words)
    given = {name: value for name, value in given.items() if not is_secret_param(name)}
    return CallQuery(who, f"{method} {path}", call, {**given, **params})


def parse_path(text: str) -> str:
    """A path in normal form; raises UsageError where the text cannot be one."""
    if re.fullmatch(r"[0-9]+", text):
        raise UsageError(f"'{text}' is not a path", hint=f"did you mean /vms/{text}?")
    path = normalize_path(text)
    if path is None:
        raise UsageError(
            f"'{text}' is not a valid ACL path",
            hint="letters, digits and . - _ between slashes: /vms/100",
        )
    return path


def check_token(table: AccessTable, who: str, path: str) -> None:
    """Raises UsageError where the path is the name of a token of that user."""
    token = f"{who}!{path.strip('/')}"
    if token in table.tokens:
        raise UsageError(
            f"{path.strip('/')} is not a path, but a token of {who}", hint=f"did you mean {token}?"
        )


def check_place(table: AccessTable, path: str) -> None:
    """Raise UsageError, with the likely path, for one on which Proxmox VE accepts no entry. An
    entry left on it by an earlier release still counts, so such a path is accepted.
    """
    head, slash, rest = path[1:].partition("/")
    if table.release.takes_path(path) or f"/{head}" in HEADS or path in table.acl:
        return
    likely = suggest(f"/{head}", HEADS)
    whole = f"{likely}{slash}{rest}"
    meant = whole if table.release.takes_path(whole) else likely
    hint = f"did you mean {meant}?" if likely else f"write one below {', '.join(HEADS)}"
    below = sorted(place for place in table.acl if place.startswith(f"{path}/"))
    if below:
        hint += f" There are entries on {', '.join(below)}."
    raise UsageError(f"{path} is not a path of Proxmox VE", hint=hint)


def check_privilege(table: AccessTable, name: str) -> None:
    """Raises UsageError for a privilege that the release lacks, with the likely one."""
    try:
        known_privilege(name, table.release)
    except ValueError as error:
        message, hint = message_and_hint(error)
        raise UsageError(message, hint=hint) from None


def find_principal(table: AccessTable, who: str) -> str:
    """The user or token that is meant, also by its address; for `group:NAME`, its `any_member`.

    A name that does not exist but has entries or groups is left to the explanation. Raises
    UsageError, with a suggestion, for any other.
    """
    known = {*table.users, *table.tokens, *dangling_users(table), *_entered_tokens(table)}
    for name in (who, who.removeprefix("user."), who.removeprefix("token.")):
        if name in known:
            return name
    group = group_name(who)
    if group in table.groups:
        return any_member(group)
    if group != who:
        names = sorted(table.groups)
        hint = did_you_mean(group, names) or f"groups: {listed(names, 8) or 'none'}"
        raise UsageError(f"there is no group '{group}'", hint=hint)
    raise UsageError(f"there is no user or token '{who}'", hint=_likely(table, who))


def group_name(text: str) -> str:
    """`ops` of `group:ops`, `group.ops` or `@ops`; any other text as it is."""
    for prefix in ("group:", "group.", "@"):
        if text.startswith(prefix):
            return text.removeprefix(prefix)
    return text


def _entered_tokens(table: AccessTable) -> frozenset[str]:
    return frozenset(who for kinds in table.acl.values() for who in kinds.get(TOKEN, ()))


def _likely(table: AccessTable, who: str) -> str:
    known = [*table.users, *table.tokens]
    if "@" not in who:
        same = sorted(name for name in table.users if name.rpartition("@")[0] == who)
        if same:
            return f"a user has a realm; did you mean {' or '.join(same)}?"
    owner = who.partition("!")[0]
    if "!" in who and owner in table.users:
        own = sorted(t.partition("!")[2] for t in table.tokens if t.startswith(f"{owner}!"))
        likely = suggest(who.partition("!")[2], own)
        if likely:
            return f"did you mean {owner}!{likely}?"
        return f"tokens of {owner}: {', '.join(own) or 'none'}"
    return did_you_mean(who, known) or "a user is written NAME@REALM, a token NAME@REALM!TOKEN"
