"""`[[rule]]` in files: what is refused, and which changes ask for less."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.desired.loader import load
from reconciler.desired.settings.weaker_rules import weaker_rules
from reconciler.model.custom_rule import CustomRule
from reconciler.model.finding import Severity, Source


def told(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "a.toml").write_text(text)
    return [f"{one.message}; {one.hint}" for one in load(tmp_path).findings]


NAMED = '[[rule]]\nname = "own"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[rule]]\nname = "Four Eyes"\ntoken_privsep = true', "use lower-case words: four-eyes"),
        ("[[rule]]\ntoken_privsep = true", "name"),
        (NAMED, "demands nothing; set one of exclusive_privileges, "),
        (NAMED + 'exclusive_privileges = ["VM.Alocate", "VM.Audit"]', "did you mean VM.Allocate?"),
        (NAMED + 'exclusive_privileges = ["VM.Audit"]', "use forbidden_privileges"),
        (NAMED + 'forbiden_privileges = ["VM.Audit"]', "did you mean forbidden_privileges?"),
        (NAMED + 'allowed_roles = ["*"]', "'*' allows every role"),
        (NAMED + "allowed_roles = []", "allowed_roles is empty"),
        (NAMED + 'allowed_grantees = ["group"]', "did you mean groups?"),
        (NAMED + 'allowed_grantees = ["users", "groups", "tokens"]', "allows everyone"),
        (NAMED + 'allowed_realms = ["a b"]', "is not a valid realm"),
        (NAMED + 'token_lifetime = "90"', 'write it as in "90d"'),
        (NAMED + 'token_lifetime = "90d"\npath = "/vms"', "limit it with but and who"),
        (NAMED + "token_privsep = false", "token_privsep is false"),
        (NAMED + 'token_privsep = true\nwho = "group:ops"', "has no tokens"),
        (NAMED + 'comment_on = ["users"]', "did you mean user?"),
        (NAMED + 'comment_on = ["acl"]', "'acl' has no comments"),
        (
            NAMED + 'comment_on = ["user"]\nseverity = "fatal"',
            "one of 'error', 'warning' or 'note'",
        ),
        (NAMED + 'allowed_roles = ["A"]\ntoken_privsep = true', "write two [[rule]]"),
        (NAMED + 'allowed_roles = ["A"]\nwho = "a@pve"\nbut = "a@pve"', "in who and in but"),
        (NAMED + 'allowed_roles = ["A"]\npath = "/pol"', "is not a valid ACL path"),
        (NAMED + 'allowed_roles = ["A"]\n' + NAMED + "token_privsep = true", "two rules own"),
        (
            NAMED + 'allowed_roles = ["A"]\n[[rule]]\nname = "other"\nallowed_roles = ["B"]',
            "together allow no role at all",
        ),
    ],
)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    found = told(tmp_path, text)
    assert len(found) == 1, found
    assert said in found[0]


def test_rules_that_fit_together(tmp_path: Path) -> None:
    assert not told(
        tmp_path,
        NAMED
        + 'allowed_roles = ["A"]\n[[rule]]\nname = "other"\nallowed_roles = ["B"]\npath = "/vms"\n'
        '[[rule]]\nname = "third"\nallowed_roles = ["A*"]\n',
    )


def rule(**fields: Any) -> CustomRule:
    return CustomRule("own", Source("a.toml", 1), **fields)


@pytest.mark.parametrize(
    ("old", "new", "weaker"),
    [
        (rule(roles=("A",)), rule(roles=("A",), reason="why"), False),
        (rule(roles=("A", "B")), rule(roles=("A",)), False),
        (rule(roles=("A",)), rule(roles=("A", "B")), True),
        (rule(roles=("A",)), rule(roles=("A",), severity=Severity.WARNING), True),
        (rule(roles=("A",), severity=Severity.NOTE), rule(roles=("A",)), False),
        (rule(roles=("A",)), rule(grantees=("group",)), True),
        (rule(roles=("A",)), rule(roles=("A",), but=("x@pve",)), True),
        (rule(roles=("A",)), rule(roles=("A",), paths=("/vms",)), True),
        (rule(roles=("A",), paths=("/vms",)), rule(roles=("A",)), False),
        (rule(roles=("A",), paths=("/vms",)), rule(roles=("A",), paths=("/vms", "/x")), False),
        (rule(roles=("A",), who=("*@pve",)), rule(roles=("A",), who=("a@pve",)), True),
        (rule(exclusive=("A", "B")), rule(exclusive=("A", "B", "C")), True),
        (rule(exclusive=("A", "B", "C")), rule(exclusive=("A", "B")), False),
        (rule(forbidden=("A", "B")), rule(forbidden=("A",)), True),
        (rule(forbidden=("A",)), rule(forbidden=("A", "B")), False),
        (rule(lifetime=30), rule(lifetime=90), True),
        (rule(lifetime=90), rule(lifetime=30), False),
        (rule(comment_on=("user", "group")), rule(comment_on=("user",)), True),
        (rule(privsep=True), rule(lifetime=30), True),
    ],
)
def test_a_change_that_accepts_more_is_weaker(
    old: CustomRule, new: CustomRule, *, weaker: bool
) -> None:
    assert [how for _, how in weaker_rules([old], [new])] == ["weaker"] * weaker


def test_a_rule_that_is_gone_or_renamed_is_reported() -> None:
    old = rule(privsep=True)
    assert list(weaker_rules([old], [old._replace(name="other")])) == [(old, "gone")]
