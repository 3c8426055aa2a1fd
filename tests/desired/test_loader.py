"""A state folder is read as intended, and every mistake in it is reported at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from reconciler.desired.loader import load, require_valid
from reconciler.desired.settings.settings import read_settings
from reconciler.errors import FilesInvalid, UsageError
from reconciler.model.address import Address
from reconciler.model.declared import Desired, Moved
from reconciler.model.finding import Finding, Severity, Source

MISTAKES = Path(__file__).parents[1] / "data" / "mistakes"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Desired]:
    """`read(text, variables={...})`: what one file declares."""

    def read(text: str, variables: Mapping[str, object] = {}) -> Desired:
        (tmp_path / "a.toml").write_text(text)
        return load(tmp_path, variables=variables)

    return read


def told(desired: Desired) -> list[str]:
    return [f"{f.source} {f.code}" for f in desired.findings]


def as_lines(findings: tuple[Finding, ...]) -> str:
    return "".join(
        f"{f.source}: {f.severity} {f.code}: {f.message}\n    {f.hint}\n" for f in findings
    )


def test_a_folder_full_of_mistakes(golden: Callable[[str, str], None]) -> None:
    settings = read_settings(MISTAKES)
    (cluster,) = settings.clusters.values()
    desired = load(MISTAKES, variables=cluster.variables, settings=settings)
    golden("mistakes.txt", as_lines(desired.findings))


def test_no_mistake_shows_a_secret() -> None:
    findings = (*load(MISTAKES).findings, *read_settings(MISTAKES).findings)
    assert "secret-in-the-file" not in as_lines(findings)
    assert "plain" not in as_lines(findings)


def test_mistakes_stop_the_run_with_all_of_them() -> None:
    with pytest.raises(FilesInvalid, match=r"\d\d mistakes") as caught:
        require_valid(load(MISTAKES).findings)
    assert caught.value.exit_status == 3
    assert len(caught.value.findings) > 40


def test_warnings_do_not_stop_the_run() -> None:
    require_valid([Finding("X", Severity.WARNING, "x"), Finding("Y", Severity.NOTE, "y")])


def test_a_missing_folder_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path / "nowhere")
    assert "pvectl init" in caught.value.hint


def test_hidden_files_and_subfolders_are_not_read(tmp_path: Path) -> None:
    (tmp_path / ".#a.toml").write_text("broken [")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.toml").write_text("broken [")
    (tmp_path / "c.toml").write_text("[group.g]\n")
    assert list(load(tmp_path).objects) == [Address("group", "g")]


def test_windows_files_are_read_with_their_places(tmp_path: Path) -> None:
    text = '\ufeff# Gruppe\r\n[group.g]\r\ncomment = "é"\r\ncolour = 1\r\n'
    (tmp_path / "a.toml").write_bytes(text.encode())
    assert told(load(tmp_path)) == ["a.toml:4:1 UNKNOWN_KEY"]


def test_the_order_of_files_and_tables_does_not_matter(tmp_path: Path) -> None:
    tables = [
        '[[acl]]\nroles = ["R"]\npaths = ["/"]\nusers = ["a@pve"]\n',
        '[user."a@pve"]\n',
        "[role.R]\nprivileges = []\n",
    ]
    states = []
    for number, order in enumerate((tables, tables[::-1])):
        folder = tmp_path / str(number)
        folder.mkdir()
        for file, text in enumerate(order):
            (folder / f"{file}.toml").write_text(text)
        states.append(load(folder).state)
    assert states[0] == states[1]


def test_a_nested_table_alone_declares_no_user(read: Callable[..., Desired]) -> None:
    text = '[user."a@pve".token.t1]\n[user."b@pve"]\n[user."b@pve".token.t1]\n'
    assert set(read(text).objects) == {
        Address("token", "a@pve!t1"),
        Address("token", "b@pve!t1"),
        Address("user", "b@pve"),
    }


def test_inline_and_dotted_tables_say_the_same_as_headers(read: Callable[..., Desired]) -> None:
    headers = read('[group.a]\n[group.b]\ncomment = "x"\n').state
    assert read('[group]\na = {}\nb = { comment = "x" }\n').state == headers
    assert read('group.a = {}\ngroup.b.comment = "x"\n').state == headers


def test_an_object_in_two_files_names_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("\n[group.g]\n")
    (tmp_path / "b.toml").write_text("[group.g]\n")
    (found,) = load(tmp_path).findings
    assert (str(found.source), found.code) == ("b.toml:1:8", "DUPLICATE")
    assert "a.toml:2:8" in found.message


GRANT = '[[acl]]\nroles = ["R"]\npaths = ["/vms/100"]\ntokens = ["a@pve!{}"]\n'
ENTRY = Address("acl", "/vms/100|user:a@pve|R")


def test_two_pairs_of_one_user_share_its_entry(read: Callable[..., Desired]) -> None:
    desired = read(GRANT.format("t1") + "expires = 2030-01-01\n" + GRANT.format("t2"))
    assert told(desired) == []
    assert desired.objects[ENTRY].derived
    assert desired.objects[ENTRY].expires == 0


def test_what_is_declared_wins_over_what_follows_from_it(read: Callable[..., Desired]) -> None:
    own = '[[acl]]\nroles = ["R"]\npaths = ["/vms/100"]\nusers = ["a@pve"]\nreason = "mine"\n'
    for text in (own + GRANT.format("t1"), GRANT.format("t1") + own):
        desired = read(text)
        assert told(desired) == []
        assert desired.objects[ENTRY].notes == {"reason": "mine"}
        assert not desired.objects[ENTRY].derived


def test_a_pair_and_an_entry_that_differ_are_a_conflict(read: Callable[..., Desired]) -> None:
    text = GRANT.format("t1") + GRANT.format("t2") + "propagate = false\n"
    assert told(read(text)) == ["a.toml:5:3 CONFLICT"]


def test_a_token_grant_without_its_pair_is_reported(read: Callable[..., Desired]) -> None:
    base = '[role.R]\nprivileges = ["VM.Audit"]\n[group.g]\n'
    alone = GRANT.format("t1") + "pair = false\n"
    user = '[user."a@pve"]\n[user."a@pve".token.t1]\n'
    assert told(read(base + user + alone)) == ["a.toml:6:3 GRANT_WITHOUT_EFFECT"]
    free = user + "privsep = false\n"
    member = user.replace("]\n", ']\ngroups = ["g"]\n', 1)
    above = '[[acl]]\nroles = ["PVEAuditor"]\npaths = ["/"]\ngroups = ["g"]\n'
    assert told(read(base + free + alone)) == []
    assert told(read(base + member + alone + above)) == []
    assert told(read(base + alone)) == []


def test_a_grant_outside_the_allowed_paths_is_reported(read: Callable[..., Desired]) -> None:
    role = '[role.R]\nprivileges = ["VM.Audit"]\nallowed_paths = ["/vms/*"]\n'
    grant = '[[acl]]\nroles = ["R"]\npaths = ["/vms/100", "/storage/a"]\nusers = ["a@pve"]\n'
    desired = read(role + grant)
    assert told(desired) == ["a.toml:4:3 PATH_NOT_ALLOWED"]
    assert "/storage/a" in desired.findings[0].message


def test_a_name_that_is_nearly_a_declared_one_is_noted(read: Callable[..., Desired]) -> None:
    text = '[group.operators]\n[user."a@pve"]\ngroups = ["operator"]\n'
    (found,) = read(text).findings
    assert (found.code, found.severity) == ("UNDECLARED", Severity.NOTE)
    assert "did you mean operators?" in found.hint


def test_a_chain_of_moves_ends_at_the_last_name(read: Callable[..., Desired]) -> None:
    moved = '[[moved]]\nfrom = "group.{}"\nto = "group.{}"\n'
    desired = read("[group.c]\n" + moved.format("a", "b") + moved.format("b", "c"))
    assert told(desired) == []
    assert desired.moved == (
        Moved(Address("group", "a"), Address("group", "c"), Source("a.toml", 2, 3)),
        Moved(Address("group", "b"), Address("group", "c"), Source("a.toml", 5, 3)),
    )


@pytest.mark.parametrize(
    "moves",
    [
        [("a", "c"), ("a", "d")],
        [("a", "c"), ("b", "c")],
        [("a", "a")],
        [("c", "d")],
    ],
)
def test_moves_that_contradict_are_refused(
    read: Callable[..., Desired], moves: list[tuple[str, str]]
) -> None:
    text = "[group.c]\n[group.d]\n"
    text += "".join(f'[[moved]]\nfrom = "group.{old}"\nto = "group.{new}"\n' for old, new in moves)
    assert "MOVED" in [finding.code for finding in read(text).findings]


def test_variables_fill_texts_names_and_lists(read: Callable[..., Desired]) -> None:
    text = """
    [user."ctl-${vmid}@pve"]
    comment = "guest ${vmid}, costs $${vmid}"
    enabled = "${on}"
    [pool.P]
    guests = [100, "${more}", "${vmid}"]
    """
    desired = read(text, {"vmid": 9001, "on": False, "more": [101, 102]})
    assert told(desired) == []
    user = desired.state[Address("user", "ctl-9001@pve")]
    assert user.to_json() == {
        "enabled": False,
        "comment": "guest 9001, costs ${vmid}",
    }
    assert desired.state[Address("pool", "P")].to_json()["guests"] == [100, 101, 102, 9001]


def test_an_error_in_an_expanded_list_points_to_the_variable(
    read: Callable[..., Desired],
) -> None:
    text = '[[acl]]\nroles = ["R"]\npaths = ["/", "${paths}", "/vms"]\nusers = ["a@pve"]\n'
    assert told(read(text, {"paths": ["/nodes", "/dc"]})) == ["a.toml:3:15 INVALID_VALUE"]


def test_an_unknown_variable_is_suggested(read: Callable[..., Desired]) -> None:
    (found,) = read('[group.g]\ncomment = "${vmdi}"\n', {"vmid": 1}).findings
    assert (found.code, found.hint) == ("UNKNOWN_VARIABLE", "did you mean vmid?")


def test_the_same_files_give_the_same_findings(tmp_path: Path) -> None:
    assert as_lines(load(MISTAKES).findings) == as_lines(load(MISTAKES).findings)


def test_a_name_is_judged_where_the_table_has_mistakes_as_well(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[role."a b"]\nprivileges = ["vm.audit"]\n')
    found = load(tmp_path).findings
    assert any("'a b' is not a valid role name" in one.message for one in found)
    assert any("vm.audit" in one.message for one in found)
