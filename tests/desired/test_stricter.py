"""Of two policies the stricter one counts; whoever asks for less is told."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.desired.settings.stricter import stricter
from reconciler.model.policy import Policy


def policy(**tables: Any) -> Policy:
    return Policy.model_validate(tables)


@pytest.mark.parametrize(
    ("trusted", "proposed", "counts"),
    [
        ({"limits": {"total": 3}}, {"limits": {"total": 9}}, {"limits": {"total": 3}}),
        (
            {"limits": {"delete": 3}},
            {"limits": {"delete": {"percent": 5}}},
            {"limits": {"delete": {"count": 3, "percent": 5}}},
        ),
        (
            {"protected": {"never_change": ("user.*",)}},
            {"protected": {"never_delete": ()}},
            {"protected": {"never_delete": ("user.root@pam",), "never_change": ("user.*",)}},
        ),
        (
            {"lockout": {"administrators": 2}},
            {"lockout": {"administrators": 0, "keep_self": (), "break_glass": ("root@pam",)}},
            {"lockout": {"administrators": 2}},
        ),
        (
            {"alarm": {"tokens": 30}},
            {"alarm": {"tokens": 0, "logins": 60}},
            {"alarm": {"tokens": 30, "logins": 60}},
        ),
        (
            {"manage": {"user": {"mode": "additive"}}},
            {"manage": {"user": {"mode": "authoritative"}, "role": {"mode": "authoritative"}}},
            {"manage": {"user": {"mode": "additive"}}},
        ),
    ],
)
def test_a_weaker_table_does_not_count(
    trusted: dict[str, Any], proposed: dict[str, Any], counts: dict[str, Any]
) -> None:
    found, told = stricter(policy(**trusted), policy(**proposed), "FILE")
    assert found == policy(**counts)
    (finding,) = told
    assert (finding.code, f"[{next(iter(trusted))}]" in finding.message) == ("WEAKER_POLICY", True)


@pytest.mark.parametrize(
    ("trusted", "proposed"),
    [
        ({"limits": {"total": 9}}, {"limits": {"total": 3}}),
        (
            {"protected": {"never_delete": ("a.b",)}},
            {"protected": {"never_delete": ("user.root@pam", "a.b")}},
        ),
        ({}, {"limits": {"total": 1000}, "manage": {"user": {"mode": "authoritative"}}}),
    ],
)
def test_a_stricter_one_counts_and_so_does_one_of_which_nothing_was_said(
    trusted: dict[str, Any], proposed: dict[str, Any]
) -> None:
    assert stricter(policy(**trusted), policy(**proposed), "FILE") == (policy(**proposed), [])


def test_what_lint_fails_is_what_both_name() -> None:
    one, other = policy(lint={"fail": ("LINT_A",)}), policy(lint={"fail": ("LINT_B",)})
    found, weaker = stricter(one, other, "settings.toml")
    assert (set(found.lint.fail), weaker) == ({"LINT_A", "LINT_B"}, [])
