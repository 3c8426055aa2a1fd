"""The tutorial is typed word for word, as somebody who has installed the package would."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.transcript import blocks, differs, follow_elsewhere

DOCUMENT = Path(__file__).parents[2] / "docs" / "tutorial.md"


def test_the_tutorial_is_true_word_for_word(tmp_path: Path) -> None:
    typed = follow_elsewhere(DOCUMENT, Path(sys.executable).parent, tmp_path)
    assert len(typed) >= 12
    folder = tmp_path / "work"
    secret = (folder / "state" / "secrets" / "backup").read_text().strip()
    assert secret
    assert not [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.parent.name not in {"secrets", "priv"}
        and secret in path.read_text(errors="replace")
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "right"),
    [
        (["a"], ["a"], True),
        (["a"], ["a", "b"], False),
        (["a", "..."], ["a", "b"], True),
        (["...", "b"], ["a", "b"], True),
        (["...", "b"], ["a", "b", "c"], False),
        (["a", "c"], ["a", "b", "c"], False),
        ([], ["a"], True),
    ],
)
def test_what_is_shown_is_compared(shown: list[str], printed: list[str], right: bool) -> None:
    assert (differs(shown, printed) == "") is right


def test_blocks_of_the_tutorial_are_found() -> None:
    assert [block.title for block in blocks(DOCUMENT) if block.title] == [
        "first terminal",
        "state/team.toml",
        "state/testers.toml",
    ]
