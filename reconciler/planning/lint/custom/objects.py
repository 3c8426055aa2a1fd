"""Rules about the attributes of users, tokens and other objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.access.analysis.affected import owner_of
from reconciler.access.contents import ROOT
from reconciler.model.address import Address
from reconciler.model.custom_rule import CustomRule
from reconciler.planning.lint.custom.breach import Breach, any_of
from reconciler.planning.lint.rule import LintContext
from reconciler.text.humanize import in_prose, moment

_DAY = 86400


def lifetime(rule: CustomRule, scene: LintContext) -> Iterable[Breach]:
    """Tokens that neither themselves nor with their users expire in time."""
    days = f"within {rule.lifetime // _DAY} days"
    for name in _tokens(rule, scene):
        user = scene.table.users.get(owner_of(name) or "")
        ends = (scene.table.tokens[name].expires, user.expires if user else 0)
        end = min((one for one in ends if one), default=0)
        if not end:
            message = f"token {name} never expires"
        elif scene.now and end > scene.now + rule.lifetime:
            message = f"token {name} expires on {moment(end)}, not {days}"
        else:
            continue
        hint = f"set its expires to a date {days}, and rotate its secret in time"
        yield Breach(Address("token", name), message, hint)


def privsep(rule: CustomRule, scene: LintContext) -> Iterable[Breach]:
    """Tokens that can do all that their users can."""
    for name in _tokens(rule, scene):
        if not scene.table.tokens[name].privsep:
            yield Breach(
                Address("token", name),
                f"token {name} has no privilege separation",
                "set privsep = true and grant it what it needs",
            )


def realms(rule: CustomRule, scene: LintContext) -> Iterable[Breach]:
    """Users of other realms; root@pam is always there."""
    for name in scene.ids("user"):
        realm = name.rpartition("@")[2]
        if name != ROOT and not any_of(realm, rule.realms) and not any_of(name, rule.but):
            yield Breach(
                Address("user", name),
                f"user {name} is of realm {realm}; only {in_prose(rule.realms)} may be used",
                "remove the user, and use an account of an allowed realm",
            )


def comments(rule: CustomRule, scene: LintContext) -> Iterable[Breach]:
    """Objects of these kinds without a comment."""
    for address in sorted(scene.state):
        if address.kind not in rule.comment_on or any_of(address.id, rule.but):
            continue
        declared = scene.declared.get(address)
        unknown = declared is not None and not scene.complete and "comment" in declared.unspecified
        if unknown or scene.state[address].parts(("comment",))["comment"]:
            continue
        if address == Address("user", ROOT):
            continue
        what = address.kind.replace("_", " ")
        yield Breach(address, f"{what} {address.id} has no comment", "set comment")


def _tokens(rule: CustomRule, scene: LintContext) -> Iterator[str]:
    for name in scene.ids("token"):
        if (not rule.who or any_of(name, rule.who)) and not any_of(name, rule.but):
            yield name
