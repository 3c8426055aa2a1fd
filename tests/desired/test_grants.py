"""What is done to the text of grants.toml, and how it is undone."""

from __future__ import annotations

import pytest

from reconciler.desired.grants import finished, grants, started, undone, with_grant, without
from reconciler.model.grant import Grant, GrantChange

NEW = Grant("alice@pve", "PVEVMAdmin", "/vms/100", 1_900_000_000, "restore")
OLD = NEW._replace(expires=1_800_000_000, reason="first")
OTHER = Grant("group:ops", "PVEAuditor", "/", 1_850_000_000, "audit")
BEHIND = '\n# the role of\n# the operators\n[role.ops]\nprivileges = ["VM.Audit"]\n'
TEXTS = ["", "# ours\n", "# ours\n\n", with_grant("", OTHER), with_grant("", OTHER) + BEHIND]


def change(before: Grant | None, text: str, after: Grant | None = NEW) -> GrantChange:
    return GrantChange("/x/grants.toml", before, NEW, after, existed=True, empty=not text)


@pytest.mark.parametrize("text", TEXTS)
def test_a_new_grant_is_added_and_taken_out_again(text: str) -> None:
    during = started(text, change(None, text))
    assert NEW in grants(during)
    assert finished(during, change(None, text)) == during
    assert undone(during, change(None, text)) == text
    assert started(during, change(None, text)) == during


@pytest.mark.parametrize(
    "text", [with_grant(one, OLD) + more for one in TEXTS for more in ("", BEHIND)]
)
def test_an_earlier_grant_of_the_same_keeps_its_place(text: str) -> None:
    during = started(text, change(OLD, text))
    assert [one for one in grants(during) if one.is_same(NEW)] == [NEW]
    assert undone(during, change(OLD, text)) == text


@pytest.mark.parametrize("text", TEXTS)
def test_an_ended_grant_is_gone_and_nothing_else(text: str) -> None:
    during = started(with_grant(text, OLD), change(OLD, text, None))
    ended = finished(during, change(OLD, text, None))
    assert grants(ended) == grants(text)
    assert ended.removeprefix("# Temporary") if not text else ended == text
    assert undone(during, change(OLD, text, None)) == with_grant(text, OLD)


def test_what_follows_in_the_file_stays() -> None:
    assert without(with_grant("", NEW) + BEHIND, NEW).endswith(BEHIND.lstrip("\n"))
    twice = with_grant("", OLD) + "\n" + with_grant("", NEW).partition("\n\n")[2]
    assert grants(with_grant(twice, NEW)) == [NEW]


def test_an_end_that_no_clock_reaches_is_left_to_its_author() -> None:
    """In UTC it is in the year 10000, which dates cannot have."""
    text = with_grant("", NEW)
    far = text.replace("2030-03-17T17:46:40Z", "9999-12-31T23:59:59-23:59")
    assert far != text
    assert grants(far) == []
    assert without(far, NEW) == far


def test_a_change_comes_back_from_its_journal() -> None:
    one = change(OLD, "", None)
    assert GrantChange.from_json(one.to_json()) == one


@pytest.mark.parametrize(
    "wrong",
    [{"during": None}, {"during": ["a", "b", "c", 10**20, "d"]}, {"before": ["a"]}, {"path": 5}],
)
def test_a_change_that_no_run_wrote_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        GrantChange.from_json({**change(OLD, "").to_json(), **wrong})
