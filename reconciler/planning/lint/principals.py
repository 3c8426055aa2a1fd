"""Rules about users, tokens and groups."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.access.analysis.affected import owner_of
from reconciler.access.contents import ROOT
from reconciler.access.evaluate import index_of
from reconciler.access.granted import granted_users
from reconciler.access.login import Login, login
from reconciler.kinds.shared.directory import copied, synchronised
from reconciler.kinds.token import ROTATE_AFTER
from reconciler.model.address import Address
from reconciler.model.finding import Severity
from reconciler.planning.lint.rule import Hit, LintContext, Rule
from reconciler.text.humanize import count, in_prose

_MONTH = 30 * 86400


def _privsep_off(scene: LintContext) -> Iterable[Hit]:
    for token in scene.ids("token"):
        if not scene.table.tokens[token].privsep:
            yield Hit(
                Address("token", token),
                f"token {token} can do everything that its user can",
                "set privsep = true and grant it what it needs",
            )


def _never_expires(scene: LintContext) -> Iterable[Hit]:
    for token in scene.ids("token"):
        user = scene.table.users.get(owner_of(token) or "")
        if not scene.table.tokens[token].expires and not (user and user.expires):
            hint, address = "set expires", Address("token", token)
            declared = scene.declared.get(address)
            known = declared is not None and ROTATE_AFTER in declared.notes
            if declared is not None and not known and getattr(declared.spec, "secret_to", None):
                hint += ', and rotate_after = "90d": `pvectl rotate --due` renews it in time'
            yield Hit(address, f"token {token} never expires", hint)


def _dead_tokens(scene: LintContext) -> Iterable[Hit]:
    dead = (Login.OWNER_DISABLED, Login.OWNER_EXPIRED, Login.OWNER_ABSENT)
    for token in scene.ids("token"):
        state = login(scene.table, token, scene.now)
        if state in dead and (scene.complete or state is not Login.OWNER_ABSENT):
            yield Hit(
                Address("token", token),
                f"token {token} is refused: {state}",
                "remove it: it works again at once when the user comes back",
            )


def _ending(scene: LintContext) -> Iterable[Hit]:
    if not scene.now:
        return
    for kind, logins in (("user", scene.table.users), ("token", scene.table.tokens)):
        for name in scene.ids(kind):
            expires = logins[name].expires if name in logins else 0
            left = expires - scene.now
            if expires and left <= 0:
                yield Hit(Address(kind, name), f"{kind} {name} has expired", "remove or extend it")
            elif expires and left <= _MONTH:
                yield Hit(
                    Address(kind, name),
                    f"{kind} {name} expires in {count(max(1, left // 86400), 'day')}",
                    "extend it in time, or let it expire",
                )


def _two_realms(scene: LintContext) -> Iterable[Hit]:
    by_name: dict[str, list[str]] = {}
    for user in scene.ids("user"):
        by_name.setdefault(user.rpartition("@")[0], []).append(user)
    for users in by_name.values():
        if len(users) > 1:
            yield Hit(
                Address("user", users[0]),
                f"{in_prose(users)} are different accounts",
                "keep one of them, or rename one, so that grants do not go to the wrong one",
            )


def _empty_groups(scene: LintContext) -> Iterable[Hit]:
    """Empty ones are normal before the first run of the synchronisation that copies them."""
    realms = synchronised(scene.state)
    for group in scene.ids("group"):
        if scene.table.groups.get(group) or copied(Address("group", group), realms):
            continue
        granted = sum(group in kinds.get("group", {}) for kinds in scene.table.acl.values())
        paths = count(granted, "path")
        yield Hit(
            Address("group", group),
            f"group {group} has no members"
            + (f", but is granted roles on {paths}" if granted else ""),
            "remove it, or give it members",
        )


def _holding_nothing(scene: LintContext) -> Iterable[Hit]:
    """Users that no entry names, neither themselves nor one of their groups or tokens.

    Not those who cannot log in, and not those that a directory makes: it decides who is there.
    """
    if not scene.complete:
        return
    groups_of, realms = index_of(scene.table).groups_of, synchronised(scene.state)
    spared = granted_users(scene.table).union(scene.policy.lockout.break_glass)
    for user in scene.ids("user"):
        address = Address("user", user)
        if user in spared or copied(address, realms):
            continue
        if login(scene.table, user, scene.now) is not Login.ACTIVE:
            continue
        member_of = groups_of.get(user, ())
        beside = f": no role is granted to {in_prose(member_of)} either" if member_of else ""
        yield Hit(
            address,
            f"user {user} can log in and is granted nothing{beside}",
            "grant it what it needs, or remove it",
        )


def _break_glass(scene: LintContext) -> Iterable[Hit]:
    """Break-glass principals must be able to log in."""
    if not scene.complete:
        return
    for who in scene.policy.lockout.break_glass:
        state = login(scene.table, who, scene.now)
        if state is not Login.ACTIVE:
            yield Hit(
                Address("user" if owner_of(who) is None else "token", who),
                f"{who} is named in break_glass and cannot log in: {state}",
                "enable it, or name another in [lockout]",
            )


def _of_root(scene: LintContext) -> Iterable[Hit]:
    for token in scene.ids("token"):
        if owner_of(token) == ROOT:
            yield Hit(
                Address("token", token),
                f"token {token} belongs to root@pam",
                "create a dedicated user, and a token of that user",
            )


RULES = (
    Rule(
        "LINT_PRIVSEP_OFF",
        Severity.WARNING,
        "a token without privilege separation",
        "Such a token can do everything that its user can, now and later, without a password or "
        "second factor. With privilege separation it is limited to what both are granted.",
        _privsep_off,
    ),
    Rule(
        "LINT_TOKEN_NEVER_EXPIRES",
        Severity.NOTE,
        "a token that never expires",
        "A leaked secret works until the leak is noticed; with an expiry at most until that date. "
        "`pvectl rotate 'USER@REALM!TOKEN'` creates a new secret and keeps all grants.",
        _never_expires,
    ),
    Rule(
        "LINT_DEAD_TOKEN",
        Severity.WARNING,
        "a token whose user is disabled, expired or does not exist",
        "The token is refused, but stays in the cluster: it works again as soon as the user is "
        "enabled. Remove it.",
        _dead_tokens,
    ),
    Rule(
        "LINT_LOGIN_ENDS",
        Severity.NOTE,
        "a user or token that has expired or will within 30 days",
        "From that date the cluster refuses it, and whatever uses it stops working. Extend it in "
        "time, or remove it with its grants.",
        _ending,
    ),
    Rule(
        "LINT_TWO_REALMS",
        Severity.NOTE,
        "the same user name in two realms",
        "alice@pve and alice@ldap are two accounts with separate passwords, groups and grants. "
        "Grants easily go to the wrong one, and disabling one leaves the other enabled.",
        _two_realms,
    ),
    Rule(
        "LINT_EMPTY_GROUP",
        Severity.NOTE,
        "a group without members",
        "Its grants have no effect now, but apply in full to the first member added.",
        _empty_groups,
    ),
    Rule(
        "LINT_USER_WITH_NOTHING",
        Severity.NOTE,
        "a user that is granted nothing",
        "It can log in and has no role: not by an entry of its own, nor through a group or a "
        "token. Often it is left over from someone who now uses an account in another realm, and "
        "its password still works. Remove it, or grant it what it needs. Users that a directory "
        "synchronises and those named in break_glass are not reported.",
        _holding_nothing,
    ),
    Rule(
        "LINT_BREAK_GLASS",
        Severity.WARNING,
        "a break-glass principal that cannot log in",
        "[lockout] relies on these in an emergency. One that is disabled, has expired or does not "
        "exist cannot help.",
        _break_glass,
    ),
    Rule(
        "LINT_TOKEN_OF_ROOT",
        Severity.WARNING,
        "a token of root@pam",
        "root@pam can do what no role grants. Its token is as good as its password when privilege "
        "separation is off, and one step away when it may create tokens.",
        _of_root,
    ),
)
