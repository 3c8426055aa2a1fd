"""What a plan refuses or tells that Proxmox VE would refuse later, or do in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitStatus, RequestRefused
from reconciler.live.http.response import Answer, Asked, data_of
from reconciler.model.request import request
from reconciler.sandbox.http.direct import SandboxApi
from tests.cli.in_process import ask, ask_json
from tests.support.command import Ended, copy_fixture

LDAP = 'type = "ldap"\nserver1 = "ldap.example.org"\nbase_dn = "dc=x"\nuser_attr = "uid"\n'


class Place:
    """A freshly installed cluster and a state folder."""

    def __init__(self, folder: Path) -> None:
        self.pve = copy_fixture("fresh", folder / "pve")
        self.state = folder / "state"
        self.state.mkdir()

    def declares(self, text: str, settings: str = "") -> None:
        (self.state / "a.toml").write_text(text)
        (self.state / "pvectl.toml").write_text(settings)

    def user_cfg(self, text: str) -> None:
        path = self.pve / "user.cfg"
        path.write_text(path.read_text() + text)

    def ask(self, *arguments: str) -> Ended:
        return ask(*arguments, on=self.pve, state=self.state)

    def said(self, *arguments: str) -> str:
        ended = self.ask(*arguments)
        return " ".join((ended.out + ended.err).split())

    def found(self, *arguments: str) -> dict[str, str]:
        """The codes of a plan's findings, each with its severity."""
        planned = ask_json("plan", *arguments, on=self.pve, state=self.state)
        return {one["code"]: one["severity"] for one in planned["findings"]}

    def applies(self, *arguments: str) -> None:
        done = self.ask("apply", "--yes", *arguments)
        assert done.status == ExitStatus.OK, done

    def get(self, *path: str) -> Any:
        return SandboxApi(self.pve).get([request("GET", *path)])[0]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    return Place(tmp_path)


def test_what_belongs_to_proxmox_ve_is_not_replaced(place: Place) -> None:
    place.declares('[storage.local]\ntype = "dir"\npath = "/other"\n')
    assert place.found("--allow", "REPLACE=storage.local")["BUILT_IN"] == "error"
    assert (
        place.ask("apply", "--yes", "--allow", "REPLACE=storage.local").status == ExitStatus.REFUSED
    )


@pytest.mark.parametrize("address", ["user.root@pam", "realm.pam", "realm.pve", "storage.local"])
def test_what_belongs_to_proxmox_ve_is_not_removed_or_moved(place: Place, address: str) -> None:
    place.declares(f'[[removed]]\naddress = "{address}"\n')
    assert "BUILT_IN" in place.said("validate")
    kind = address.partition(".")[0]
    new = {"user": "x@pve", "realm": "other", "storage": "other"}[kind]
    table = {"user": "", "realm": LDAP, "storage": 'type = "dir"\npath = "/x"\n'}[kind]
    moved = f'[[moved]]\nfrom = "{address}"\nto = "{kind}.{new}"\n'
    place.declares(f'[{kind}."{new}"]\n{table}\n{moved}')
    assert "belongs to Proxmox VE itself" in place.said("validate")


@pytest.mark.parametrize("password", ["short", "x" * 65])
def test_a_password_of_the_wrong_length_is_refused(
    place: Place, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.declares('[user."ann@pve"]\npassword = { env = "OF_ANN" }\n')
    monkeypatch.setenv("OF_ANN", password)
    assert place.found()["PASSWORD_REFUSED"] == "error"
    assert password not in place.said("plan")
    place.declares('[user."ann@pve"]\npassword = { file = "ann" }\n')
    (place.state / "ann").write_text(password)
    assert place.found()["PASSWORD_REFUSED"] == "error"
    assert password not in place.said("plan")
    (place.state / "ann").write_text("long enough")
    assert "PASSWORD_REFUSED" not in place.found()
    place.applies()


@pytest.mark.parametrize("earlier", [True, False])
def test_a_user_of_a_directory_has_no_password_here(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, earlier: bool
) -> None:
    monkeypatch.setenv("SECRET", "long enough")
    realm = f"[realm.corp]\n{LDAP}\n"
    if earlier:
        place.declares(realm)
        place.applies()
    place.declares(f'{realm}[user."ann@corp"]\npassword = {{ env = "SECRET" }}\n')
    assert place.found()["PASSWORD_REFUSED"] == "error"


@pytest.mark.parametrize("text", ["[[removed]]\naddress = 'storage.old'\n", "again"])
def test_volumes_of_a_deleted_storage_are_mentioned(place: Place, text: str) -> None:
    place.declares('[storage.old]\ntype = "dir"\npath = "/old"\n')
    place.applies()
    again = '[storage.old]\ntype = "dir"\npath = "/new"\n'
    place.declares(again if text == "again" else text)
    assert place.found()["VOLUMES_STAY"] == "warning"
    place.declares('[storage.old]\ntype = "dir"\npath = "/old"\ncontent = ["iso"]\n')
    assert "VOLUMES_STAY" not in place.found()


def test_names_that_differ_in_case_may_be_one_user(place: Place) -> None:
    realm = f"[realm.corp]\n{LDAP}case_sensitive = "
    place.declares(f'{realm}false\n[user."ann@corp"]\n')
    place.applies()
    place.declares(f'{realm}false\n[user."Ann@corp"]\n')
    assert place.found()["SAME_USER"] == "error"
    place.declares(f"{realm}true\n")
    place.applies()
    place.declares(f'{realm}true\n[user."Ann@corp"]\n')
    assert "SAME_USER" not in place.found()


@pytest.mark.parametrize(
    ("what", "file"),
    [
        ("POST /cluster/backup", "jobs.cfg"),
        ("PUT /cluster/jobs/realm-sync/x", "jobs.cfg"),
        ("POST /storage", "storage.cfg"),
        ("PUT /access/domains/corp", "domains.cfg"),
    ],
)
def test_a_file_that_proxmox_ve_cannot_write_is_named(what: str, file: str) -> None:
    answer = Answer(500, "update failed: unknown section type ''", b'{"data":null}')
    with pytest.raises(RequestRefused) as refused:
        data_of(Asked("https://pve:8006", what, reads=False), answer)
    assert f"/etc/pve/{file}" in refused.value.hint


def test_options_that_protect_logins_are_not_cleared_silently(place: Place) -> None:
    place.declares(f'[realm.corp]\n{LDAP}mode = "ldaps"\nverify = true\ntfa = "type=oath"\n')
    place.applies()
    place.declares(f"[realm.corp]\n{LDAP}")
    assert "LOGIN_WEAKER" not in place.said("plan")  # what is not given is not managed
    place.declares(f'[realm.corp]\n{LDAP}unset = ["mode", "verify", "tfa"]\n')
    said = place.said("plan")
    assert said.count("LOGIN_WEAKER") == 3
    assert "loses tfa: its users log in without a second factor" in said


@pytest.mark.parametrize(
    ("settings", "state", "severity"),
    [
        ('break_glass = ["bosss@pve"]', '[group.a]\n[user."boss@pve"]\n', "error"),
        ('break_glass = ["bosss@pve"]', "", "warning"),
        ("administrators = 3", "[group.a]\n", "warning"),
        ("", '[user."root@pam"]\nexpires = 2099-01-01\n', "error"),
    ],
)
def test_what_is_protected_must_be_there_and_stay(
    place: Place, settings: str, state: str, severity: str
) -> None:
    place.declares(state, f"[lockout]\n{settings}\n")
    assert place.found()["BREAK_GLASS"] == severity
    if severity == "error":
        who = "root@pam" if "root" in state else "bosss@pve"
        assert place.ask("apply", "--yes").status == ExitStatus.REFUSED
        assert place.found("--allow", f"BREAK_GLASS={who}")["BREAK_GLASS"] == "warning"


def test_a_partial_plan_says_so(place: Place) -> None:
    place.declares('[group.a]\n[group.b]\n[user."ann@pve"]\ngroups = ["a"]\n')
    place.applies("--target", "group.a")
    assert place.found("--target", "group.a")["PARTIAL"] == "note"
    planned = place.ask("plan", "--target", "group.a", "--detailed-exitcode")
    assert planned.status == ExitStatus.CHANGES
    assert "matches the declared state" not in planned.out
    assert "2 other objects differ" in " ".join(planned.out.split())
    assert "left out: group.b and user.ann@pve" in planned.out
    assert "PARTIAL" in place.ask("apply", "--yes", "--target", "group.b").out
    assert "PARTIAL" in place.ask("plan", "--target", "group.a", "--format", "markdown").out
    assert "PARTIAL" not in place.found("--target", "*")


@pytest.mark.parametrize("mode", ["owned", "additive"])
def test_undeclared_entries_follow_a_renamed_object(place: Place, mode: str) -> None:
    place.user_cfg("group:old:::\nacl:1:/vms:@old:PVEVMUser:\nacl:0:/storage:@old:PVEAuditor:\n")
    moved = '[[moved]]\nfrom = "group.old"\nto = "group.new"\n'
    place.declares(f"[group.new]\n\n{moved}", f'[manage]\nacl = "{mode}"\n')
    place.applies("--allow", "LIMIT_DELETE=acl")
    entries = {
        (row["path"], row["ugid"], row["roleid"], row["propagate"])
        for row in place.get("access", "acl")
    }
    assert {("/vms", "new", "PVEVMUser", 1), ("/storage", "new", "PVEAuditor", 0)} <= entries
    assert not any(entry[1] == "old" for entry in entries)
    assert ask_json("plan", on=place.pve, state=place.state)["steps"] == []


def test_a_misspelled_built_in_role_is_an_error_without_a_cluster(
    place: Place,
) -> None:
    entry = '[[acl]]\nroles = ["PVEAuditr"]\npaths = ["/vms"]\nusers = ["ann@pve"]\n'
    place.declares(f'{entry}\n[user."ann@pve"]\n')
    checked = ask("validate", state=place.state)
    assert checked.status == ExitStatus.FILES_INVALID
    assert "UNKNOWN_REFERENCE" in checked.out
    assert "did you mean PVEAuditor?" in checked.out
    place.declares(f'{entry}\n[user."ann@pve"]\nemial = "x"\n')
    said = ask("validate", state=place.state).out
    assert "UNKNOWN_KEY" in said
    assert "did you mean PVEAuditor?" in said


@pytest.mark.parametrize("command", ["plan", "drift", "apply"])
def test_unknown_names_are_reported_with_all_other_mistakes(place: Place, command: str) -> None:
    place.declares(
        '[user."ann@pve"]\ngroups = ["ops", "wrong"]\n[group.wrong]\ncoment = "x"\n'
        '[[acl]]\nroles = ["PVEAuditor"]\npaths = ["/vmz"]\nusers = ["ann@pve"]\n'
    )
    ended = place.ask(command)
    assert ended.status == ExitStatus.FILES_INVALID
    for code in ("UNKNOWN_KEY", "INVALID_VALUE", "UNKNOWN_REFERENCE"):
        assert code in ended.err + ended.out
    assert "names group.ops" in ended.err + ended.out
    assert "names group.wrong" not in ended.err + ended.out


def test_a_name_with_an_additional_word_is_not_a_typo(place: Place) -> None:
    place.declares(
        '[[acl]]\nroles = ["PVEAuditor"]\npaths = ["/vms"]\nusers = ["ann@pve"]\n[user."ann@pve"]\n'
        '[pool.p]\nstorages = ["local-lvm", "loca"]\n'
    )
    said = ask("validate", state=place.state).out
    assert "storage.loca," in said
    assert "local-lvm" not in said


def test_an_unknown_variable_is_reported_once(place: Place) -> None:
    place.declares('[user."${who}"]\n[backup.nightly]\nschedule = "${when}"\nall = true\n')
    said = ask("validate", state=place.state).out
    assert said.count("UNKNOWN_VARIABLE") == 2
    assert "INVALID" not in said


def test_a_grant_on_many_paths_is_reported_once(place: Place) -> None:
    paths = ", ".join(f'"/vms/{vmid}"' for vmid in range(100, 115))
    place.declares(
        '[group.ops]\n[user."ann@pve"]\ngroups = ["ops"]\n'
        f'[[acl]]\nroles = ["PVEVMUser"]\npaths = [{paths}]\nusers = ["ann@pve"]\n'
    )
    assert place.ask("plan").out.count("LINT_DIRECT_GRANT") == 1


def test_a_disabled_job_has_no_next_runs(place: Place) -> None:
    job = '[backup.nightly]\nschedule = "02:00"\nall = true\n'
    place.declares(job)
    assert "next runs" in place.ask("plan").out
    place.declares(f"{job}enabled = false\n")
    assert "next runs" not in place.ask("plan").out
    assert "the job does not run" in place.said("explain", "retention", "nightly")


JOB = '[backup.nightly]\nschedule = "02:00"\nall = true\nstorage = "nas"\nkeep = { last = 2 }\n'
NAS = '[storage.nas]\ntype = "dir"\npath = "/nas"\ncontent = ["iso"]\n'
THIN = '[storage.nas]\ntype = "zfspool"\npool = "tank"\n'


@pytest.mark.parametrize(
    ("storage", "hint"),
    [
        (NAS, 'add "backup" to the content of storage nas'),
        (THIN, "name another storage, such as local: one of the type zfspool holds no backups"),
    ],
)
def test_a_storage_without_backups_is_changed_only_where_it_can_be(
    place: Place, storage: str, hint: str
) -> None:
    place.declares(JOB + storage)
    assert hint in place.said("plan")
    if "add" in hint:
        place.declares(JOB + storage.replace('["iso"]', '["iso", "backup"]'))
    else:
        place.declares(JOB.replace("nas", "local") + storage)
    assert place.ask("plan").status == ExitStatus.OK
    assert "NOT_FOR_BACKUPS" not in place.found()


def test_what_does_not_exist_is_reported_once_for_each_grant(place: Place) -> None:
    place.declares(
        '[user."ann@pve"]\n[[acl]]\nroles = ["PVEAuditor"]\nusers = ["ann@pve"]\n'
        'paths = ["/nodes/nix", "/storage/nix", "/pool/nix", "/vms/777"]\n'
    )
    codes = [one["code"] for one in ask_json("plan", on=place.pve, state=place.state)["findings"]]
    assert sorted(codes)[:2] == ["LINT_ORPHAN", "LINT_ORPHAN"]
    assert {"NOT_THERE", "UNKNOWN_NODE"} <= set(codes)
    assert codes.count("LINT_ORPHAN") == 2


def test_an_id_of_a_job_that_is_refused_is_reported_once(place: Place) -> None:
    place.declares('[backup.n]\nschedule = "02:00"\nall = true\n')
    planned = ask_json("plan", on=place.pve, state=place.state)
    found = [one for one in planned["findings"] if one["code"] == "JOB_ID"]
    assert [one["severity"] for one in found] == ["error"]
    assert "at least two characters" in found[0]["hint"]


def test_two_snapshots_of_one_cluster_are_the_same(place: Place) -> None:
    texts = set()
    for number in range(4):
        out = place.state.parent / f"copy{number}"
        assert place.ask("snapshot", "--out", str(out)).status == ExitStatus.OK
        texts.add((out / "storage.cfg").read_text())
    assert len(texts) == 1


def test_an_idle_grant_is_reported_once(place: Place) -> None:
    place.declares(
        '[user."ann@pve"]\n[user."ann@pve".token.tok]\nsecret_to = { file = "s" }\n[[acl]]\n'
        'roles = ["PVEVMUser"]\npaths = ["/vms", "/vms/100"]\ntokens = ["ann@pve!tok"]\n'
        "pair = false\n"
    )
    assert "GRANT_WITHOUT_EFFECT" in place.found()
    assert "LINT_NO_EFFECT" not in place.found()


@pytest.mark.parametrize("word", ["LOSSY", "FULL", "NONE"])
def test_what_undoing_costs_is_explained(word: str) -> None:
    told = ask("explain", word)
    assert told.status == ExitStatus.OK
    assert "olled back" in told.out or "ollback" in told.out


def test_an_unreadable_realm_is_reported_by_every_command(place: Place) -> None:
    (place.pve / "domains.cfg").write_text("ldap: broken\n\tserver1 x.example.org\n")
    imported = place.ask("import")
    assert "Proxmox VE cannot read realm broken" in imported.out + imported.err
    assert "model" not in imported.out
    for command in ("plan", "drift", "validate"):
        assert "domains.cfg:1: Proxmox VE skips section broken" in place.said(command)


READER = "user:a@pve:1:0::::::\ntoken:a@pve!tok:0:0::\nacl:1:/:a@pve:PVEAuditor:\n"


@pytest.mark.parametrize("path", ["/access", "/access/realm", "/access/groups"])
@pytest.mark.parametrize("command", ["plan", "drift", "import"])
def test_whoever_may_not_read_something_is_told_what(place: Place, path: str, command: str) -> None:
    place.user_cfg(f"{READER}acl:1:{path}:a@pve:NoAccess:\n")
    place.declares(
        "[group.x]\n", f'[target]\nendpoint = "sandbox:{place.pve}"\ntoken_id = "a@pve!tok"\n'
    )
    ended = ask(command, state=place.state)
    assert ended.status == ExitStatus.BLIND
    assert "E_BLIND" in ended.err
    assert "/vms" not in ended.err
    assert "pveum acl modify /access" in ended.err


@pytest.mark.parametrize("status", [403, 404, 500, 501])
def test_a_read_that_is_refused_names_what_was_asked(
    place: Place, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    from reconciler.sandbox.failure import ApiError
    from reconciler.sandbox.http import direct

    real = direct.call

    def refused(ctx: Any, method: str, target: str, given: Any) -> Any:
        if target == "/access/roles":
            raise ApiError("no\n", status)
        return real(ctx, method, target, given)

    monkeypatch.setattr(direct, "call", refused)
    place.declares("[group.x]\n")
    ended = place.ask("plan")
    assert ended.status == ExitStatus.BLIND
    assert "GET /access/roles at sandbox:" in ended.err
    assert str(status) in ended.err


POOLS = "user:ann@pve:1:0::::::\npool:dev::100,200:nas:\nacl:1:/pool/dev:ann@pve:PVEAdmin:\n"


def test_members_of_pools_count_where_the_folder_holds_user_cfg_alone(
    place: Place, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "user.cfg").write_text(f"user:root@pam:1:0::::::\n{POOLS}")

    def asked(*arguments: str) -> str:
        return ask(*arguments, on=alone, state=place.state).out

    assert asked("explain", "ann@pve", "/vms/200", "VM.PowerMgmt").startswith("Yes")
    assert asked("explain", "ann@pve", "/storage/nas", "Datastore.Audit").startswith("Yes")
    assert asked("explain", "ann@pve", "/vms/300", "VM.PowerMgmt").startswith("No")
    assert "ann@pve" in asked("who-can", "VM.PowerMgmt", "/vms/100")
    assert "/vms/200" in asked("report", "--format", "json")
    imported = ask("import", on=alone, state=place.state)
    assert "guest 100, guest 200 and storage nas of pool dev are not declared" in imported.out
    copied = ask("snapshot", "--out", tmp_path / "copy", on=alone, state=place.state)
    assert copied.status == ExitStatus.OK
    assert "pool:dev::100,200:nas:" in (tmp_path / "copy" / "user.cfg").read_text()


def test_a_path_of_an_earlier_release_is_explained_where_an_entry_is(place: Place) -> None:
    place.user_cfg("user:ann@pve:1:0::::::\nacl:1:/kvm/vms:ann@pve:PVEVMUser:\n")
    assert place.ask("explain", "ann@pve", "/kvm/vms", "VM.Audit").out.startswith("Yes")
    other = place.ask("explain", "ann@pve", "/kvm", "VM.Audit")
    assert other.status == ExitStatus.USAGE
    assert "did you mean /vms? There are entries on /kvm/vms." in other.err


def test_entries_of_a_token_without_privilege_separation_are_told_to_be_idle(
    place: Place,
) -> None:
    place.user_cfg(f"{READER}acl:1:/vms:a@pve!tok:PVEVMAdmin:\n")
    said = place.said("explain", "a@pve!tok", "/vms", "VM.PowerMgmt")
    assert "its own entries have no effect: PVEVMAdmin on /vms" in said


def test_create_base_path_goes_by_mkdir(place: Place) -> None:
    storage = place.pve / "storage.cfg"
    storage.write_text(storage.read_text() + "\ndir: dd\n\tpath /srv/d\n\tcontent iso\n\tmkdir 0\n")
    place.declares("[storage.dd]\ncreate_base_path = true\n")
    place.applies()
    assert "create-base-path 1" in storage.read_text()
    place.declares("[storage.dd]\ncreate_base_path = false\n")
    place.applies()
    assert ask_json("plan", on=place.pve, state=place.state)["steps"] == []


@pytest.mark.parametrize(
    "table",
    [
        'type = "esxi"\nserver = "x"\nusername = "u"\nbwlimit = { clone = 1 }\n'
        'password = { env = "P" }\n',
        'type = "zfs"\nportal = "192.0.2.1"\ntarget = "iqn.x:1"\npool = "p"\nblocksize = "8k"\n'
        'iscsiprovider = "lio"\n',
    ],
)
def test_what_the_plugins_refuse_is_a_mistake_in_the_file(place: Place, table: str) -> None:
    place.declares(f"[storage.x]\n{table}")
    assert ask("validate", state=place.state).status == ExitStatus.FILES_INVALID


def test_bootstrap_counts_a_storage_without_a_type(place: Place) -> None:
    place.declares('[storage.local]\ncontent = ["iso", "backup"]\n')
    assert "Datastore.Allocate" in place.ask("bootstrap", "--token", "op@pve!tool").out


@pytest.mark.parametrize("fails", [False, True])
def test_an_object_that_vanishes_before_its_deletion_is_not_a_failure(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """Nor does the run bring it back when it fails later."""
    place.user_cfg("role:gone:VM.Audit:\ngroup:later:::\n")
    real = SandboxApi.send

    def raced(api: SandboxApi, sent: Any, secrets: Any = None) -> Any:
        if sent.method == "DELETE" and sent.path[-1] == "gone":
            real(api, sent, secrets)
        if sent.method == "DELETE" and sent.path[-1] == "later" and fails:
            raise RequestRefused(500, "no")
        return real(api, sent, secrets)

    monkeypatch.setattr(SandboxApi, "send", raced)
    place.declares('[[removed]]\naddress = "role.gone"\n[[removed]]\naddress = "group.later"\n')
    done = place.ask("apply", "--yes")
    assert done.status == (9 if fails else 0), done
    assert "already gone: role.gone" in done.err
    assert "gone" not in json.dumps(place.get("access", "roles"))


@pytest.mark.parametrize(
    ("issuer", "told"), [("login.example.org", True), ("https://x.org", False)]
)
def test_an_issuer_is_a_url(place: Place, issuer: str, *, told: bool) -> None:
    place.declares(f'[realm.sso]\ntype = "openid"\nissuer_url = "{issuer}"\nclient_id = "pve"\n')
    assert ("REALM_ISSUER" in place.found()) is told
    assert ("REALM_ISSUER" in place.said("validate")) is told


def test_until_when_and_what_for_are_keys_as_well(place: Place) -> None:
    place.declares(
        '[user."ann@pve"]\n[[acl]]\nroles = ["PVEVMUser"]\npaths = ["/vms/9000"]\n'
        'users = ["ann@pve"]\nexpires = 2099-01-01\nreason = "restore"\n'
    )
    out = place.state.parent / "plan.json"
    assert place.ask("plan", "--out", str(out)).status == ExitStatus.OK
    for document in (
        ask_json("plan", on=place.pve, state=place.state),
        json.loads(ask("show", str(out), "--format", "json").out),
    ):
        (reason,) = (
            change["reason"]
            for step in document["steps"]
            for change in step["changes"]
            if change["address"].startswith("acl.")
        )
        assert reason["text"].endswith("; until 2099-01-01; reason: restore")
        assert (reason["expires"], reason["purpose"]) == (4070908800, "restore")


def test_who_must_log_in_again_and_what_a_job_inherits(place: Place) -> None:
    (place.pve / "domains.cfg").write_text(
        "ldap: corp\n\tserver1 old.example.org\n\tbase_dn dc=x\n\tuser_attr uid\n"
        "\tsync-defaults-options enable-new=0,remove-vanished=acl;entry\n"
    )
    place.user_cfg("user:ann@corp:1:0:::::\nuser:bob@corp:1:0:::::\nuser:eve@corp:0:0:::::\n")
    defaults = 'sync_defaults_options = "enable-new=0,remove-vanished=acl;entry"\n'
    place.declares(
        f'[realm.corp]\n{LDAP}{defaults}user_classes = "person"\n'
        '[realm.corp.sync.nightly]\nschedule = "02:00"\nremove_vanished = ["acl"]\n'
        '[user."bob@corp"]\nenabled = false\n[user."ann@corp"]\nkeys = "x"\n'
    )
    document = ask_json("plan", on=place.pve, state=place.state)
    access = document["access"]
    assert [(one["moment"], one["principals"]) for one in access["sessions"]] == [
        ("next login", ["ann@corp"]),
        ("next sync", ["ann@corp"]),
        ("next login", ["ann@corp"]),
    ]
    (gone,) = access["logins"]
    assert gone["principals"] == ["bob@corp"]
    (job,) = (
        change["reason"]["inherits"]
        for step in document["steps"]
        for change in step["changes"]
        if change["address"] == "realm_sync.nightly"
    )
    assert job == {"enable_new": "no (from realm.corp)"}
    told = place.said("plan")
    for words in (
        "bob@corp: active before, disabled afterwards; refused from the next request",
        "realm.corp: changes apply from the next login of ann@corp, who stay logged in",
        "realm.corp: users and groups change with its next sync",
        "enable_new no (from realm.corp)",
    ):
        assert words in told
