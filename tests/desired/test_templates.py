"""`[[each]]` and `include`: what is expanded is what somebody would write by hand."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler.desired.loader import expand, load
from reconciler.desired.schema.state_schema import schema
from reconciler.desired.settings.settings import read_settings
from reconciler.desired.templates.plain import plain_text
from reconciler.desired.toml.formatter import format_text
from reconciler.model.declared import Desired
from reconciler.model.finding import Severity


def read(folder: Path, variables: Mapping[str, object] = {}, **files: str) -> Desired:
    """What files declare; `a__b="..."` is the file a/b.toml."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load(folder, variables=variables)


def content(desired: Desired) -> Any:
    """What counts of a state, without the places."""
    return (
        {str(a): (one.spec, one.expires, one.notes) for a, one in desired.objects.items()},
        sorted(map(str, desired.removed)),
        [(one.who, one.paths, one.can, one.cannot) for one in desired.expectations],
        [(str(one.old), str(one.new)) for one in desired.moved],
    )


def mistakes(desired: Desired) -> list[str]:
    return [
        f"{one.source} {one.code} {one.message}"
        for one in desired.findings
        if one.severity is Severity.ERROR
    ]


TEAMS = """
[[each]]
team = [
    { name = "red", lead = "ann@pve", guests = [101, 102], envs = ["dev", "prod"], on = true },
    { name = "blue", lead = "bob@pve", guests = [], envs = [], on = false },
]

[each.group."${team.name}-ops"]
comment = "operators of ${team.name}, not $${team}"

[each.user."${team.lead}"]
groups = ["${team.name}-ops"]
enabled = "${team.on}"

[each.user."${team.lead}".token.ci]
secret_to = { file = "secrets/${team.name}" }

[each.pool."${team.name}"]
guests = [100, "${team.guests}"]

[[each.acl]]
groups = ["${team.name}-ops"]
roles = ["PVEVMAdmin"]
paths = ["/pool/${team.name}"]

[[each.expect]]
who = "group:${team.name}-ops"
path = "/"
cannot = ["Sys.Modify"]

[[each.removed]]
address = "group.${team.name}-old"

[[each.each]]
env = "${team.envs}"

[each.each.pool."${team.name}/${env}"]
comment = "${env}"
"""


def team(name: str, lead: str, guests: str, on: str, envs: tuple[str, ...] = ()) -> str:
    """The same, written by hand."""
    pools = "".join(f'[pool."{name}/{env}"]\ncomment = "{env}"\n' for env in envs)
    return f"""
[group.{name}-ops]
comment = "operators of {name}, not $${{team}}"
[user."{lead}"]
groups = ["{name}-ops"]
enabled = {on}
[user."{lead}".token.ci]
secret_to = {{ file = "secrets/{name}" }}
[pool.{name}]
guests = [{guests}]
[[acl]]
groups = ["{name}-ops"]
roles = ["PVEVMAdmin"]
paths = ["/pool/{name}"]
[[expect]]
who = "group:{name}-ops"
path = "/"
cannot = ["Sys.Modify"]
[[removed]]
address = "group.{name}-old"
{pools}"""


BY_HAND = team("red", "ann@pve", "100, 101, 102", "true", ("dev", "prod")) + team(
    "blue", "bob@pve", "", "false"
).replace("guests = []", "guests = [100]").replace("[100]", "[]")


def test_a_template_is_what_is_written_by_hand(tmp_path: Path) -> None:
    text = TEAMS.replace("[100, ", "[")
    by_hand = BY_HAND.replace("100, ", "")
    expanded = read(tmp_path / "each", teams=text)
    assert mistakes(expanded) == []
    assert content(expanded) == content(read(tmp_path / "hand", teams=by_hand))
    assert len(expanded.objects) == 12


def test_a_guest_of_two_teams_names_both_values(tmp_path: Path) -> None:
    (found,) = mistakes(read(tmp_path, teams=TEAMS))
    assert "teams.toml:18:12 for team.name = red (teams.toml:4:5) POOL_TWICE guest 100" in found


def show(folder: Path) -> str:
    chosen = read_settings(folder)
    (cluster,) = chosen.select(environ={})
    return plain_text(expand(folder, settings=chosen).documents(cluster.variables, cluster.places))


NAMES = st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), max_size=4, unique=True)
WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=6)


@settings(max_examples=60, deadline=None)
@given(teams=st.lists(st.tuples(NAMES, WORDS, st.booleans()), max_size=4), plain=NAMES)
def test_what_is_shown_declares_the_same(
    teams: list[tuple[list[str], str, bool]], plain: list[str], tmp_path_factory: Any
) -> None:
    """Records, lists in lists and variables, against the same by hand and by `show files`."""
    folder: Path = tmp_path_factory.mktemp("each")
    names = [f"t{number}" for number in range(len(teams))]
    records: list[dict[str, Any]] = [
        {"name": name, "envs": envs, "say": say, "on": on}
        for name, (envs, say, on) in zip(names, teams, strict=True)
    ]
    listed = ", ".join(
        "{ "
        + f'name = "{one["name"]}", envs = {json.dumps(one["envs"])}, '
        + f"say = {json.dumps(one['say'], ensure_ascii=False)}, on = {str(one['on']).lower()}"
        + " }"
        for one in records
    )
    text = f"[[each]]\nteam = [{listed}]\n" + (
        '[each.user."${team.name}@pve"]\ncomment = "x${team.say}"\nenabled = "${team.on}"\n'
        '[each.user."${team.name}@pve".token.t1]\ncomment = "$${team.say}"\n'
        '[[each.each]]\nenv = "${team.envs}"\n[each.each.pool."${team.name}/${env}"]\n'
        '[[each]]\nplain = "${all}"\n[each.group."${plain}"]\n'
    )
    values = f"[target.vars]\nall = {json.dumps(plain)}\n"
    expanded = read(folder, {"all": plain}, teams=text, pvectl=values)
    hand = "".join(
        f'[user."{one["name"]}@pve"]\n'
        f"comment = {json.dumps('x' + str(one['say']).replace('${', '$${'), ensure_ascii=False)}\n"
        f"enabled = {str(one['on']).lower()}\n"
        f'[user."{one["name"]}@pve".token.t1]\ncomment = "$${{team.say}}"\n'
        + "".join(f'[pool."{one["name"]}/{env}"]\n' for env in one["envs"])
        for one in records
    ) + "".join(f"[group.{name}]\n" for name in plain)
    by_hand = content(read(tmp_path_factory.mktemp("hand"), hand=hand))
    assert mistakes(expanded) == []
    assert content(expanded) == by_hand
    shown = show(folder)
    assert "each" not in tomllib.loads(shown)
    assert content(read(tmp_path_factory.mktemp("shown"), shown=shown)) == by_hand


def test_what_is_shown_is_formatted_and_says_where_it_is_from(tmp_path: Path) -> None:
    read(
        tmp_path,
        teams=TEAMS.replace("[100, ", "["),
        base__roles='[role.R]\nprivileges = ["VM.Audit"]\n',
    )
    (tmp_path / "a.toml").write_text('include = ["base/roles.toml"]\n')
    shown = show(tmp_path)
    assert format_text(shown) == shown
    assert "# base/roles.toml\n\n[role.R]" in shown
    place = "# teams.toml for team.name = red (teams.toml:4:5), env = prod (teams.toml:4:75)"
    assert f'{place}\n\n[pool."red/prod"]\ncomment = "prod"\n' in shown


WRONG = {
    "no list": (
        "[[each]]\n[each.group.a]\n",
        "a.toml:1:3 EACH [[each]] has no list",
    ),
    "two lists": (
        '[[each]]\na = ["x"]\nb = ["y"]\n[each.group."${a}"]\n',
        "a.toml:3:1 EACH [[each]] has several lists: a, b",
    ),
    "a value beside the list": (
        '[[each]]\na = ["x"]\nvmid = 100\n[each.group.g]\n',
        "a.toml:3:1 EACH 'vmid' is neither a table nor the list of [[each]]",
    ),
    "no tables": ('[[each]]\na = ["x"]\n', "a.toml:1:3 EACH [[each]] has no tables to expand"),
    "a table's name": (
        '[[each]]\npool = ["x"]\n[each.group.a]\n',
        "a.toml:2:1 EACH 'pool' is a table and cannot be the list of [[each]]",
    ),
    "a misspelt table": (
        '[[each]]\na = ["x"]\n[each.gruop."${a}"]\n',
        "a.toml:3:7 EACH unknown table 'gruop'",
    ),
    "a misspelt list of tables": (
        '[[each]]\na = ["x"]\n[[each.alc]]\nroles = ["R"]\n',
        "a.toml:3:8 EACH unknown table 'alc'",
    ),
    "an unknown list of tables": (
        '[[each]]\nteam = ["x"]\nnumber = 1\n[[each.zz]]\nroles = ["R"]\n',
        "a.toml:4:8 EACH unknown table 'zz'",
    ),
    "a bad name": (
        '[[each]]\n"a b" = ["x"]\n[each.group.a]\n',
        "a.toml:2:1 EACH 'a b' is not a valid variable name",
    ),
    "a name twice": (
        '[[each]]\na = ["x"]\n[[each.each]]\na = ["y"]\n[each.each.group."${a}"]\n',
        "a.toml:4:1 for a = x (a.toml:2:6) EACH 'a' is already a variable (a.toml:2:6)",
    ),
    "one table": ("[each.group.a]\n", "a.toml:1:2 WRONG_TYPE 'each' must be a list of tables"),
    "no list of values": (
        '[[each]]\na = "x"\n[each.group."${a}"]\n',
        "a.toml:2:1 WRONG_TYPE 'a' must be a list",
    ),
    "a list in a list": (
        '[[each]]\na = ["x", ["y"]]\n[each.group."${a}"]\n',
        "a.toml:2:11 WRONG_TYPE element 2 of 'a' must be a value or a record, not a list",
    ),
    "an unknown key": (
        '[[each]]\na = [{ name = "x" }, { nam = "y" }]\n[each.group."${a.name}"]\n',
        "a.toml:3:13 for a.nam = y (a.toml:2:22) UNKNOWN_VARIABLE unknown variable 'a.name'",
    ),
    "a record as a name": (
        '[[each]]\na = [{ name = "x" }]\n[each.group."${a}"]\n',
        "a.toml:3:13 for a.name = x (a.toml:2:6) WRONG_TYPE the variable 'a' is a list or table",
    ),
    "a value that is not a name": (
        '[[each]]\na = ["x", "y z"]\n[each.group."${a}"]\n',
        "a.toml:3:13 for a = y z (a.toml:2:11) INVALID_VALUE 'y z' is not a valid group name",
    ),
    "all values alike": (
        '[[each]]\na = ["x", "y", "z"]\n[each.group."${a}"]\ncoment = "c"\n',
        "a.toml:4:1 for a = x (a.toml:2:6) and 2 more values UNKNOWN_KEY unknown key 'coment'",
    ),
    "the same name for all": (
        '[[each]]\na = ["x", "y", "z"]\n[each.group.g]\n',
        "a.toml:3:13 for a = y (a.toml:2:11) and 1 more value DUPLICATE group.g is declared twice,"
        " here and at a.toml:3:13 for a = x (a.toml:2:6)",
    ),
    "not there": ('include = ["b.toml"]\n', "a.toml:1:12 INCLUDE no file matches b.toml"),
    "a circle": (
        'include = ["base/b.toml"]\n',
        "base/c.toml:1:12 INCLUDE files include each other in a circle: base/b.toml -> base/c.toml"
        " -> base/b.toml",
    ),
    "read anyway": ('include = ["a.toml"]\n', "a.toml:1:12 INCLUDE a.toml is already read as a"),
    "the settings": ('include = ["pvectl.toml"]\n', "INCLUDE pvectl.toml holds the settings"),
    "a variable": ('include = ["${x}.toml"]\n', "INCLUDE variables are not expanded in the"),
    "no TOML": ('include = ["/etc/passwd"]\n', "INCLUDE '/etc/passwd' is not a TOML file"),
    "a folder's glob": ('include = ["*/b.toml"]\n', "INCLUDE '*/b.toml' has a glob in a folder"),
    "somebody's home": ('include = ["~/b.toml"]\n', "INCLUDE '~/b.toml' would be a different file"),
    "no list of files": ('include = "b.toml"\n', "a.toml:1:1 WRONG_TYPE 'include' must be a list"),
    "a number": ("include = [1]\n", "a.toml:1:12 WRONG_TYPE element 1 of 'include' must be"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_names_the_template_and_the_value(name: str, tmp_path: Path) -> None:
    text, said = WRONG[name]
    (tmp_path / "pvectl.toml").write_text("")
    found = mistakes(
        read(tmp_path, a=text, base__b='include = ["c.toml"]\n', base__c='include = ["b.toml"]\n')
    )
    assert len(found) == 1, found
    assert said in found[0]


def test_a_file_is_included_once_and_in_templates_once_for_each_value(tmp_path: Path) -> None:
    desired = read(
        tmp_path,
        a='include = ["base/*.toml", "base/b.toml"]\n',
        c='include = ["base/b.toml"]\n',
        base__b="[group.shared]\n",
        d='[[each]]\nteam = ["red", "blue"]\ninclude = ["team/pool.toml"]\n',
        team__pool='[pool."${team}"]\n',
    )
    assert mistakes(desired) == []
    assert sorted(map(str, desired.objects)) == ["group.shared", "pool.blue", "pool.red"]
    assert desired.included == ("base/b.toml", "team/pool.toml")


def test_a_value_of_the_settings_has_its_place_there(tmp_path: Path) -> None:
    (tmp_path / "pvectl.toml").write_text('[target.vars]\nteams = [\n    "red",\n    "b e",\n]\n')
    (tmp_path / "a.toml").write_text('[[each]]\nteam = "${teams}"\n[each.group."${team}"]\n')
    chosen = read_settings(tmp_path)
    (cluster,) = chosen.select(environ={})
    desired = load(tmp_path, variables=cluster.variables, places=cluster.places, settings=chosen)
    (found,) = mistakes(desired)
    assert found.startswith("a.toml:3:13 for team = b e (pvectl.toml:4:5) INVALID_VALUE")


def test_what_leads_out_of_the_folder_is_not_read_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, outer = tmp_path / "state", tmp_path / "outer.toml"
    outer.write_text("[group.outer]\n")
    (tmp_path / "state" / "base").mkdir(parents=True)
    (state / "base" / "link.toml").symlink_to(outer)
    text = 'include = ["../outer.toml", "base/link.toml"]\n'
    for ci, objects in (("", 1), ("true", 0)):
        monkeypatch.setenv("CI", ci)
        (state / "a.toml").write_text(text)
        desired = load(state, settings=read_settings(state))
        assert len(desired.objects) == objects
        assert len(mistakes(desired)) == (2 if ci else 0)
        assert all("OUT_OF_REACH" in one for one in mistakes(desired))


PRIVILEGES = 'privileges = ["VM.Audit", "${p}"]\n'


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (TEAMS, True),
        (
            'include = ["base/*.toml"]\n[[each]]\na = "${b}"\n[each.role.R]\n' + PRIVILEGES,
            True,
        ),
        ('include = ["base"]\n', False),
        ('[[each]]\na = 1\n[each.group."${a}"]\n', False),
        ('[[each]]\na = ["x"]\n[each.group."${a}"]\ncoment = "x"\n', False),
    ],
)
def test_the_schema_knows_templates(text: str, valid: bool) -> None:
    errors = list(Draft202012Validator(schema()).iter_errors(tomllib.loads(text)))
    assert (errors == []) is valid, errors
