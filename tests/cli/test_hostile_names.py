"""What a cluster calls things never steers the terminal of who looks at it."""

from __future__ import annotations

import json

import pytest

from tests.cli.site import Site

ESCAPES = ("\x1b", "\x9b", "\x07", "\u202e", "\u3164")
NAME = "eve\x1b]0;owned\x07\x1b[2J\u202e\u3164"


def lock(site: Site, until: int) -> None:
    fields = {"fence": 7, "owner": NAME, "run": NAME, "until": until, "host": NAME}
    comment = f"lock of pvectl {json.dumps(fields)}".replace("%", "%25").replace(":", "%3A")
    site.edit("user.cfg", "", f"group:pvectl-lock-7::{comment}:\n")


@pytest.mark.parametrize(
    ("until", "commands"),
    [
        (1, [("apply", "--yes"), ("status",)]),
        (4_000_000_000, [("apply", "--yes"), ("status",), ("unlock", "--fence", "7")]),
    ],
    ids=["dead", "live"],
)
def test_nothing_of_a_lock_reaches_the_terminal_raw(
    until: int, commands: list[tuple[str, ...]], site: Site
) -> None:
    site.write("a.toml", "[group.ops]\n")
    lock(site, until)
    said = ""
    for words in commands:
        ended = site.run(*words)
        said += ended.out + ended.err
    assert "eve\\x1b]0;owned\\x07" in said
    assert not [char for char in ESCAPES if char in said]
    if until > 1:
        assert "ends later than pvectl ever sets it" in said


def test_names_of_files_are_cleaned(site: Site) -> None:
    site.write("a\x1b[2J.toml", "[group.ops]\ncomment='x'\n")
    for words in (("fmt", "--check"), ("fmt",), ("validate",)):
        ended = site.run(*words)
        assert not [char for char in ESCAPES if char in ended.out + ended.err]
