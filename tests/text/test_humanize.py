"""Numbers and lists as people read them."""

from __future__ import annotations

from reconciler.text.humanize import count, counts, in_prose, noun


def test_one_is_in_the_singular() -> None:
    assert [noun(number, "account") for number in (0, 1, 2)] == ["accounts", "account", "accounts"]
    assert (noun(1, "entry", "entries"), noun(3, "entry", "entries")) == ("entry", "entries")
    assert (count(1, "error"), count(12_000, "entry", "entries")) == ("1 error", "12,000 entries")
    assert counts([(1, "error"), (0, "warning"), (2, "note")]) == "1 error, 2 notes"


def test_a_long_list_is_counted() -> None:
    assert [in_prose("abcdefg"[:number]) for number in (1, 2, 5, 7)] == [
        "a",
        "a and b",
        "a, b, c, d and e",
        "a, b, c, d and 3 others",
    ]
