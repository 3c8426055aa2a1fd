"""The tasks, symptoms and stories of `examples/three-nodes`: each is one command, and its README
says what it answers."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.in_process import ask
from tests.support.command import Ended

EXAMPLE = Path(__file__).parents[2] / "examples" / "three-nodes"
STATUS = {"drift": 2, "backup status": 2}
"""Those that find something; every other command ends with 0."""


class Row(NamedTuple):
    section: str
    command: str
    answer: str


def _rows() -> list[Row]:
    found, section = [], ""
    for line in (EXAMPLE / "README.md").read_text().splitlines():
        section = line.removeprefix("## ") if line.startswith("## ") else section
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells[1:] and cells[1].startswith("`pvectl "):
            found.append(Row(section, cells[1].strip("`"), cells[2].strip("`")))
    return found


ROWS = _rows()


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Every command in turn, as somebody types them who follows the README."""
    lab = tmp_path_factory.mktemp("three-nodes") / "lab"
    shutil.copytree(EXAMPLE, lab)
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(lab)
        patch.setenv("PVECTL_STATE", "state")
        patch.setenv("PVECTL_ON", "sandbox:pve")
        patch.setenv("PVECTL_HOME", str(lab / "home"))
        for row in ROWS:
            found[row.command] = ask(*shlex.split(row.command)[1:])
    return found


def test_there_are_fifteen_tasks_eight_symptoms_and_three_stories() -> None:
    numbers = {name: sum(row.section == name for row in ROWS) for name in ("Tasks", "Symptoms")}
    assert numbers == {"Tasks": 15, "Symptoms": 8}
    assert len(ROWS) == 15 + 8 + 3


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.command.removeprefix("pvectl "))
def test_its_answer_is_what_the_readme_says(answers: dict[str, Ended], row: Row) -> None:
    ended = answers[row.command]
    words = re.match(r"pvectl (backup \w+|\S+)", row.command)
    assert words
    assert row.answer in re.sub(r"\n +", " ", ended.out) or row.answer in ended.out, ended
    assert ended.status == STATUS.get(words[1], 0), ended


def test_the_news_is_on_top(answers: dict[str, Ended]) -> None:
    """At three in the morning ten lines are read."""
    drift = answers["pvectl drift"].out.splitlines()
    assert drift[0].startswith("Drift: 4 undeclared, 2 of unknown origin")
    assert "dave@pve and dave@pve!laptop have gained" in "\n".join(drift[:10])
    review = answers["pvectl report"].out
    assert "dave@pve!laptop" in review.partition("Users and tokens")[0]
