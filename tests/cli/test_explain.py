"""At three in the morning: why not, what would help, who else could."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from reconciler.cli.explain.code_pages import pages
from reconciler.errors import MEANINGS, ExitStatus
from reconciler.model.request import request
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask, ask_json
from tests.support.command import FIXTURES, copy_fixture
from tests.support.pveum import run_lines

TEAM = FIXTURES / "team"
EXAMPLE = Path(__file__).parents[2] / "examples" / "team-access"
TF_PROD = "svc-terraform@pve!tf-prod"


def first_way(text: str) -> str:
    """The part of an explanation with the smallest grant as commands."""
    return text.partition("The same in a shell on a node\n")[2].partition("\n\n")[0]


def test_alice_of_one_realm_is_not_alice_of_the_other() -> None:
    told = ask("explain", "alice@pve", "/vms/9001", "VM.Audit", on=TEAM)
    assert told.status == ExitStatus.OK
    assert told.out.startswith("No: alice@pve does not have VM.Audit on /vms/9001.\n")
    assert "alice@ldap, which has VM.Audit there: different account, same user name" in told.out
    other = ask("explain", "alice@ldap", "/vms/9001", "VM.PowerMgmt", on=TEAM)
    assert other.out.startswith("Yes: alice@ldap has VM.PowerMgmt on /vms/9001.\n")
    assert "by VMOperatorCustom for user alice@ldap on /vms/9001" in other.out
    assert "user of realm ldap (an LDAP server)" in other.out


def test_a_view_of_the_datacenter_that_is_denied() -> None:
    """Its roles are on other paths, and that is said."""
    told = ask("explain", "mallory@ldap", "/", "Sys.Audit", on=TEAM)
    assert told.out.startswith("No: mallory@ldap does not have Sys.Audit on /.\n")
    assert re.search(r"elsewhere +it has Sys\.Audit on /nodes\n", told.out)
    assert "can log in until 2030-01-01" in told.out


def test_every_entry_on_the_way_is_shown_with_its_effect() -> None:
    told = ask_json("explain", "alice@ldap", "/vms/9001", "VM.Backup", on=TEAM)
    (side,) = told["sides"]
    assert [(e["path"], e["role"], e["effect"], e["pool"]) for e in side["entries"]] == [
        ("/", "PVEAuditor", "shadowed by a deeper entry", ""),
        ("/vms/9001", "VMOperatorCustom", "decides", ""),
        ("/", "PVEAuditor", "decides", "Prod"),
    ]
    assert (told["allowed"], told["login"], told["elsewhere"]) == (
        False,
        "active",
        ["/pool/Dev", "/vms/9000"],
    )
    assert [reason["cause"] for reason in told["reasons"]] == ["ROLES_LACK"]


def test_half_a_pair_says_which_half_is_missing() -> None:
    told = ask("explain", TF_PROD, "/vms/9001", "VM.Audit", on=TEAM)
    words = " ".join(told.out.split())
    assert (
        "no entry on the path applies to svc-terraform@pve; the token itself has it, but" in words
    )
    assert "a token has only what both have" in words


@pytest.mark.parametrize(
    ("who", "path", "privilege"),
    [
        ("alice@pve", "/vms/9001", "VM.Audit"),
        ("alice@ldap", "/vms/9001", "VM.Backup"),
        ("mallory@ldap", "/", "Sys.Audit"),
        (TF_PROD, "/vms/9001", "VM.Backup"),
        ("svc-terraform@pve!tf-ci", "/storage/local", "Datastore.AllocateSpace"),
        ("gone@pve", "/vms/9000", "VM.Audit"),
        ("late@pve", "/vms/9000", "VM.Audit"),
    ],
)
def test_the_commands_that_are_offered_help(
    tmp_path: Path, who: str, path: str, privilege: str
) -> None:
    folder = copy_fixture("team", tmp_path / "pve")
    users = "user:gone@pve:0:0::::::\nuser:late@pve:1:86400::::::\n"
    (folder / "user.cfg").write_text(users + (folder / "user.cfg").read_text())
    told = ask("explain", who, path, privilege, on=folder)
    assert told.out.startswith("No: ")
    before = told.out.partition("Recommended")[0]
    assert run_lines(SandboxApi(folder), before + first_way(told.out))
    assert ask_json("explain", who, path, privilege, on=folder)["allowed"] is True


def test_what_takes_the_place_of_a_role_is_named(tmp_path: Path) -> None:
    folder = copy_fixture("team", tmp_path / "pve")
    cfg = folder / "user.cfg"
    text = cfg.read_text()
    entries = (
        "acl:1:/nodes:alice@ldap:NoAccess:\n"
        "acl:1:/storage:alice@ldap:VMOperatorCustom:\n"
        "acl:0:/sdn:alice@ldap:PVESDNUser:\n"
        "acl:1:/mapping:alice@ldap:VMOperatorCustom:\nacl:1:/mapping:@DevOps:PVEMappingUser:\n"
    )
    cfg.write_text(text + entries)

    def why(path: str, privilege: str) -> tuple[str, str]:
        told = ask_json("explain", "alice@ldap", path, privilege, on=folder)
        (reason,) = told["reasons"]
        return reason["cause"], reason["text"]

    assert why("/nodes", "Sys.Audit") == (
        "DENIED",
        "NoAccess for user alice@ldap on /nodes denies everything",
    )
    assert why("/storage/nas", "Datastore.Audit") == (
        "SHADOWED_DEEPER",
        "PVEAuditor for group DevOps on / would grant it, but VMOperatorCustom for user alice@ldap "
        "on /storage is deeper and takes precedence",
    )
    assert why("/sdn/zones", "SDN.Use") == (
        "NOT_PROPAGATED",
        "PVESDNUser for user alice@ldap on /sdn would grant it, but applies only to its own path, "
        "not below",
    )
    cause, text = why("/mapping", "Mapping.Use")
    assert cause == "SHADOWED_USER"
    assert "a user's own entries override those of its groups" in text


@pytest.mark.parametrize(
    "pasted",
    [
        "Permission check failed (/vms/9001, VM.Audit)",
        "403 Permission check failed (/vms/9001, VM.Audit)\n",
        '{"data":null,"message":"Permission check failed (/vms/9001, VM.Audit)\\n"}',
        "proxmoxer.core.ResourceException: 403 Forbidden: Permission check failed "
        "(/vms/9001, VM.Audit)",
        "update VM failed: 500 update failed: 403 Permission check failed "
        "(/vms/9001, VM.Audit|VM.Console)",
    ],
)
def test_a_pasted_refusal_is_answered(pasted: str) -> None:
    told = ask("explain", pasted, "--who", "alice@pve", on=TEAM)
    assert told.out.startswith("No: alice@pve does not have VM.Audit on /vms/9001.\n")
    assert ("VM.Console would suffice as well" in told.out) is ("Console" in pasted)


def test_of_several_privileges_the_one_that_is_held_counts() -> None:
    pasted = "Permission check failed (/vms/9001, VM.Allocate|VM.PowerMgmt)"
    told = ask("explain", pasted, "--who", "alice@ldap", on=TEAM)
    assert told.out.startswith("Yes: alice@ldap has VM.PowerMgmt on /vms/9001.\n")


def test_a_refusal_without_a_path_needs_one() -> None:
    pasted = "Permission check failed (, Pool.Allocate)"
    lacking = ask("explain", pasted, "--who", "alice@ldap", on=TEAM)
    assert lacking.status == ExitStatus.USAGE
    assert "add the path" in lacking.err
    told = ask("explain", pasted, "/pool/Dev", "--who", "alice@ldap", on=TEAM)
    assert told.out.startswith("No: alice@ldap does not have Pool.Allocate on /pool/Dev.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("alice", "/vms/9001"), "did you mean alice@ldap or alice@pve?"),
        (("alcie@pve", "/vms/9001"), "did you mean alice@pve?"),
        (("svc-terraform@pve!tf-pord", "/vms/9001"), f"did you mean {TF_PROD}?"),
        (("svc-terraform@pve!other", "/"), "tokens of svc-terraform@pve: "),
        (("group:VM-Operator", "/vms/9001"), "did you mean VM-Operators?"),
        (("nobody-like-that@x", "/"), "a user is written NAME@REALM"),
        (("alice@pve", "9001"), "did you mean /vms/9001?"),
        (("alice@pve", "/vm/9001"), "did you mean /vms/9001?"),
        (
            ("POST /nodes/a1/qemu/9001/status/strt",),
            "did you mean POST /nodes/a1/qemu/9001/status/start?",
        ),
        (("GET /nonsense",), "see the API viewer of your node"),
        (("alice@pve", "/pools/Dev"), "did you mean /pool/Dev?"),
        (("alice@pve", "/dc"), "one below /access, /mapping"),
        (("alice@pve", "/vms/90 01"), "between slashes"),
        (("alice@pve", "/vms/9001", "VM.Aduit"), "did you mean VM.Audit?"),
        (("alice@pve", "/vms/9001", "vm.audit"), "did you mean VM.Audit?"),
        (("alice@pve", "/vms/9001", "VM.Monitor"), "VM.GuestAgent"),
        (("alice@pv",), "did you mean alice@pve?"),
        (("group:VM-Operator",), "did you mean VM-Operators?"),
        (("role.PVEVMUsr",), "did you mean PVEVMUser?"),
        (("LOCKOT",), "did you mean LOCKOUT?"),
        (("alice@pve", "/", "--who", "x@pve"), "--who goes with a pasted refusal"),
        (("Permission check failed (/vms/9001, VM.Audit)",), "add --who"),
        (("Permission check failed", "--who", "x@pve"), "ask about the call"),
        (
            ("403 Permission check failed (user != root@pam)", "--who", "x@pve"),
            "only root@pam itself",
        ),
        (
            (
                "Permission check failed (URI '/access/ticket' not available with API token, "
                "need proper ticket.",
                "--who",
                "x@pve",
            ),
            "log in with a password",
        ),
        (("alice@pve", "/", "--planned", "--from-files"), "cannot be combined"),
        (("alice@pve", "/", "--format", "html"), "one of json, markdown, text"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(arguments: tuple[str, ...], words: str) -> None:
    told = ask("explain", *arguments, on=TEAM)
    assert (told.status, told.out) == (64, "")
    assert words in told.err


def test_what_does_not_exist_is_pointed_out(tmp_path: Path) -> None:
    assert "There is no guest 9002; did you mean 9001?" in (
        ask("explain", "alice@ldap", "/vms/9002", on=TEAM).out
    )
    assert "There is no group DevOp; did you mean DevOps?" in (
        ask("explain", "alice@ldap", "/access/groups/DevOp", on=TEAM).out
    )
    folder = copy_fixture("team", tmp_path / "pve")
    (folder / "domains.cfg").unlink()
    told = ask("explain", "alice@ldap", "/", on=folder).out
    assert "Realm ldap does not exist, so none of its users can log in." in told


def test_without_a_privilege_everything_that_is_held_is_listed() -> None:
    told = ask("explain", "alice@pve", "/vms/9000", on=TEAM).out
    assert told.startswith("alice@pve has no privileges on /vms/9000.\n")
    told = ask("explain", "root@pam", "/vms/9000", on=TEAM).out
    assert told.startswith("root@pam has every privilege on /vms/9000.\n")
    held = ask_json("explain", "mallory@ldap", "/nodes", on=TEAM)["held"]
    assert "Sys.Audit" in held


def test_a_weak_token_learns_about_itself_and_about_nobody_else(tmp_path: Path) -> None:
    folder = copy_fixture("team", tmp_path / "pve")
    token = "svc-terraform@pve!tf-ci"
    settings = f'[target]\nendpoint = "sandbox:{folder}"\ntoken_id = "{token}"\n'
    (tmp_path / "pvectl.toml").write_text(settings)
    own = ask("explain", token, "/vms/9000", "VM.Backup", state=tmp_path)
    assert own.status == ExitStatus.OK
    assert own.out.startswith(f"Yes: {token} has VM.Backup on /vms/9000.\n")
    assert "the ACL entries behind it are hidden" in own.out
    lacking = ask("explain", token, "/vms/9001", "VM.Backup", state=tmp_path)
    assert lacking.out.startswith(f"No: {token} does not have VM.Backup on /vms/9001.\n")
    assert "pveum" not in lacking.out
    for command in (("explain", "alice@pve", "/vms/9000"), ("who-can", "VM.Backup", "/vms/9000")):
        blind = ask(*command, state=tmp_path)
        assert (blind.status, blind.out) == (8, "")
        assert "Sys.Audit on /access is missing" in blind.err


def test_from_files_alone_no_cluster_is_asked() -> None:
    told = ask("explain", "alice@ldap", "/vms/9001", "VM.Snapshot", "--from-files", state=EXAMPLE)
    assert told.status == ExitStatus.OK
    assert told.out.startswith("Yes: alice@ldap has VM.Snapshot on /vms/9001.\n")
    assert "the cluster may contain more" in " ".join(told.out.split())


def test_before_and_after_the_plan(tmp_path: Path) -> None:
    folder = copy_fixture("team", tmp_path / "pve")
    SandboxApi(folder).send(
        request("PUT", "access", "roles", "VMOperatorCustom", privs="VM.Audit,VM.PowerMgmt")
    )
    question = ("explain", "alice@ldap", "/vms/9001", "VM.Snapshot")
    assert ask_json(*question, on=folder, state=EXAMPLE)["allowed"] is False
    after = ask_json(*question, "--planned", on=folder, state=EXAMPLE)
    assert (after["allowed"], after["before"]) == (True, False)
    assert "today" in ask(*question, "--planned", on=folder, state=EXAMPLE).out


def test_who_can_lists_holders_with_what_gives_it_to_them() -> None:
    told = ask("who-can", "VM.Audit", "/vms/9001", on=TEAM).out
    assert told.startswith("2 users and 1 token have VM.Audit on /vms/9001.\n")
    assert "alice@ldap  by VMOperatorCustom for user alice@ldap on /vms/9001" in told
    assert "root@pam    has every privilege everywhere" in told
    swapped = ask("who-can", "/vms/9001", "VM.Audit", on=TEAM)
    assert swapped.out == told
    holders = ask_json("who-can", "VM.Backup", "/vms/9000", on=TEAM)["holders"]
    assert [one["principal"] for one in holders] == [
        "alice@ldap",
        "mallory@ldap",
        "root@pam",
        "root@pam!bootstrap",
        "svc-terraform@pve",
        "svc-terraform@pve!tf-ci",
    ]


def test_who_cannot_log_in_is_listed_apart(tmp_path: Path) -> None:
    folder = copy_fixture("team", tmp_path / "pve")
    api = SandboxApi(folder)
    api.send(request("PUT", "access", "users", "alice@ldap", enable=0, groups="DevOps"))
    told = ask("who-can", "VM.Audit", "/vms/9001", on=folder).out
    assert told.startswith("1 user and 1 token have VM.Audit on /vms/9001.\n")
    assert "cannot log in: the user is disabled" in told


def test_markdown_and_text_say_the_same() -> None:
    question = ("explain", TF_PROD, "/vms/9001", "VM.Audit")
    text = ask(*question, on=TEAM).out
    comment = ask(*question, "--format", "markdown", on=TEAM).out
    for line in run_lines_of(text):
        assert line in comment


def run_lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("pveum ")]


def test_the_table_of_exit_statuses_is_complete() -> None:
    told = ask("explain", "exit-status")
    assert told.status == ExitStatus.OK
    for status in ExitStatus:
        assert re.search(rf"^  {int(status)} +{re.escape(MEANINGS[status][:20])}", told.out, re.M)


CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
PACKAGE = Path(__file__).parents[2] / "reconciler"


def codes() -> set[str]:
    """The codes of all findings that the package makes, and of errors and steps to root."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.name in {"Technique", "UnexpectedCause"}:
                found |= {
                    str(one.value.value)
                    for one in node.body
                    if isinstance(one, ast.Assign) and isinstance(one.value, ast.Constant)
                }
            if not (isinstance(node, ast.Call) and len(node.args) > 1):
                continue
            maker = ast.unparse(node.func).rpartition(".")[2]
            if maker in {"Finding", "Rule", "_error", "refusal", "_refusal", "_warn"}:
                found |= {
                    str(one.value)
                    for argument in node.args[:2]
                    for one in ast.walk(argument)
                    if isinstance(one, ast.Constant) and CODE.fullmatch(str(one.value))
                }
    return found


def test_every_code_has_a_page() -> None:
    found = codes()
    assert len(found) > 80
    assert {"LOCKOUT", "EXPECT", "PROTECTED", "MAKE_TOKEN", "NO_SUCH_STORAGE"} <= found
    assert found - pages().keys() == set(), "write it in reconciler/pages/"


def test_all_codes_are_listed() -> None:
    told = ask("explain")
    assert told.status == ExitStatus.OK
    listed = set(re.findall(r"^  ([A-Z_]+) ", told.out, re.M))
    assert {"LOCKOUT", "LINT_ORPHAN", "UNDECLARED_MEMBER", "E_BLIND", "MAKE_TOKEN"} <= listed


@pytest.mark.parametrize(
    "code", ["LOCKOUT", "lockout", "E_BLIND", "LINT_PRIVSEP_OFF", "GRANT", "9"]
)
def test_a_page_says_what_a_code_means(code: str) -> None:
    told = ask("explain", code)
    assert told.status == ExitStatus.OK
    assert told.out.lower().startswith(code.lower())


def test_of_several_privileges_the_least_is_offered() -> None:
    for pasted, offered in (
        ("Permission check failed (/access/realm, Realm.Allocate|Sys.Audit)", "Sys.Audit"),
        ("Permission check failed (/vms/777, Permissions.Modify|VM.Allocate)", "VM.Allocate"),
    ):
        told = ask("explain", pasted, "--who", "alice@pve", on=TEAM)
        assert f"has {offered} on" in told.out or f"have {offered} on" in told.out


def test_a_request_that_named_no_object_needs_no_grant() -> None:
    pasted = "Permission check failed (/pool/-, Pool.Allocate)"
    told = ask("explain", pasted, "--who", "alice@pve", on=TEAM)
    assert told.status == ExitStatus.USAGE
    assert "the refused request named no pool" in told.err
