"""What becomes of a key that a file does not give: said of each, in one place, and shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from reconciler.desired.loader import load
from reconciler.desired.schema.state_schema import schema
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.omitted_keys import WhenOmitted, by_rule, rules, unset_problems

DOCUMENT = Path(__file__).parents[2] / "docs" / "state-files.md"
MANY = 12


def row(name: str, table: type[BaseModel]) -> str:
    """The line of a kind in the reference."""
    keys = by_rule(table)
    cells = []
    for rule in (WhenOmitted.DEFAULT, WhenOmitted.WATCHED, WhenOmitted.LEFT):
        said = keys.get(rule, [])
        many = len(said) > MANY and rule is WhenOmitted.LEFT
        cells.append("every other key" if many else ", ".join(f"`{key}`" for key in said))
    return f"| {name} | {' | '.join(cells)} |".replace("  ", " ")


def test_the_reference_says_of_each_key_what_becomes_of_it() -> None:
    text = DOCUMENT.read_text()
    missing = [line for n, k in all_kinds().items() if (line := row(n, k.toml.table)) not in text]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("name", all_kinds())
def test_the_schema_says_it_too(name: str) -> None:
    definitions = schema()["$defs"]
    table = all_kinds()[name].toml.table
    for key, one in rules(table).items():
        if one.rule not in (WhenOmitted.REQUIRED, WhenOmitted.FILE):
            described = definitions[table.__name__]["properties"][key]["description"]
            assert f"if omitted: {one.rule}" in described


def test_a_key_without_a_rule_is_a_mistake_in_the_program() -> None:
    class Table(BaseModel):
        key: int = 0

    with pytest.raises(LookupError, match=r"Table\.key"):
        rules(Table)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('schedule = "1:00"\nall = true\nunset = ["bwlimit"]', ""),
        ('schedule = "1:00"\nall = true\nunset = ["bwlimt"]', "did you mean bwlimit"),
        ('schedule = "1:00"\nall = true\nunset = ["enabled"]', "cannot be cleared"),
        ('schedule = "1:00"\nall = true\nbwlimit = 1\nunset = ["bwlimit"]', "given and unset"),
    ],
)
def test_what_no_empty_value_clears_is_unset_by_name(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "jobs.toml").write_text(f"[backup.b1]\n{text}\n")
    desired = load(tmp_path)
    told = " ".join(f"{one.message} {one.hint}" for one in desired.findings)
    assert said in told
    assert bool(told) is bool(said)
    if not said:
        (declared,) = desired.objects.values()
        assert "bwlimit" not in declared.unspecified
        assert "ionice" in declared.unspecified


def test_a_table_without_unset_has_nothing_to_check() -> None:
    assert not [*unset_problems(all_kinds()["user"].toml.table())]
    table = all_kinds()["realm"].toml.table.model_validate({"unset": ["nothing"]})
    assert [one.keys for one in unset_problems(table)] == [("unset",)]
