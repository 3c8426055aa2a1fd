"""Attacks behind the tool's back, made by calls as root@pam, and whether drift rings over HTTPS."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from reconciler.errors import ExitStatus
from reconciler.model.request import Request, request
from reconciler.sandbox.http.direct import SandboxApi
from reconciler.sandbox.http.server import Sandbox, running
from reconciler.sandbox.settings import Settings
from tests.cli.in_process import ask
from tests.cli.site import Files, files_of, restore
from tests.support.command import Ended, copy_fixture, secret_of

KEY = "GEZDGNBVGY3TQOJQ"
DOMAINS = """
openid: sso
\tclient-id pve
\tclient-key k3y-of-the-client
\tissuer-url https://idp.example
\tusername-claim email

ldap: corp
\tbase_dn dc=corp
\tserver1 ldap.corp.example
\tuser_attr uid
\tfilter (memberOf=cn=admins)
\tsync-defaults-options scope=both,remove-vanished=acl;entry;properties

"""
STORAGES = """
nfs: nas
\tpath /mnt/pve/nas
\tserver nas.example
\texport /data
\tcontent backup

pbs: vault
\tdatastore d
\tserver pbs.example
\tcontent backup
\tencryption-key 11:22:33:44

"""
JOBS = """vzdump: nightly
\tschedule 02:30
\tvmid 9000,9001
\tenabled 1
\tprune-backups keep-daily=7
\tstorage local

realm-sync: mornings
\tenabled 1
\trealm corp
\tremove-vanished entry
\tschedule 05:30
\tscope users

"""
USERS = (
    "user:auditor@pve:0:0::::::\n"
    "token:svc-terraform@pve!short:1893456000:1::\n"
    "acl:1:/vms/9001:mallory@ldap:NoAccess:\n"
    "acl:1:/access:auditor@pve:PVEAuditor:\n"
)


def _factor(id_: str) -> dict[str, object]:
    return {"info": {"id": id_, "description": "phone", "created": 1}, "entry": KEY}


FACTORS = {"root@pam": {"totp": [_factor("aaaa")]}, "alice@ldap": {"totp": [_factor("bbbb")]}}


class Cluster(NamedTuple):
    """What an attack begins with: all imported, and drift quiet at the last report."""

    server: Sandbox
    state: Path
    home: Path
    files: Files

    def drift(self, *formats: str) -> Ended:
        return ask("drift", *(w for f in ("text", *formats) for w in ("--format", f)))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    place = tmp_path_factory.mktemp("attacks")
    pve = copy_fixture("team", place / "pve")
    for name, text in (
        ("domains.cfg", DOMAINS),
        ("storage.cfg", STORAGES),
        ("jobs.cfg", JOBS),
        ("user.cfg", USERS),
    ):
        path = pve / name
        path.write_text((path.read_text() if path.exists() else "") + text)
    (pve / "priv" / "tfa.cfg").write_text(json.dumps({"users": FACTORS}))
    (place / "state").mkdir()
    with (
        running(pve, settings=Settings(auth_delay=0)) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in _environment(server, place / "state", place / "home").items():
            patch.setenv(name, value)
        assert ask("import").status == ExitStatus.OK
        found = Cluster(server, place / "state", place / "home", files_of(pve))
        quiet = found.drift()
        assert (quiet.status, quiet.out.splitlines()[0]) == (0, "Drift: none"), quiet
        yield found


def _environment(server: Sandbox, state: Path, home: Path) -> Mapping[str, str]:
    return {
        "PVECTL_ENDPOINT": server.url,
        "PVECTL_FINGERPRINT": server.fingerprint,
        "PVECTL_TOKEN_ID": "root@pam!bootstrap",
        "PVECTL_TOKEN_SECRET": secret_of(server.store.folder, "root@pam!bootstrap"),
        "PVECTL_STATE": str(state),
        "PVECTL_HOME": str(home),
    }


def _put(*path: str, **given: str | int) -> Request:
    return request("PUT", *path, **{name.replace("_", "-"): v for name, v in given.items()})


def _post(*path: str, **given: str | int) -> Request:
    return request("POST", *path, **{name.replace("_", "-"): v for name, v in given.items()})


def _delete(*path: str) -> Request:
    return request("DELETE", *path)


def _acl(path: str, roles: str, **who: str | int) -> Request:
    return request("PUT", "access", "acl", path=path, roles=roles, **who)


REALM, ALICE = ("access", "domains"), ("access", "users", "alice@ldap")
TOKENS, JOB = ("access", "users", "svc-terraform@pve", "token"), ("cluster", "backup", "nightly")
SYNC = ("cluster", "jobs", "realm-sync", "mornings")
NAS = {"type": "nfs", "storage": "nas", "content": "backup"}
BACKUPS = {"type": "dir", "storage": "old", "content": "backup", "path": "/old"}
CHANGED, UNDECLARED = "changed", "undeclared"

CARRIED_AWAY = (
    _post("storage", type="nfs", storage="evil", content="backup", server="e.x", export="/e"),
    _post("cluster", "backup", id="exfil", all=1, storage="evil", schedule="04:00"),
)

ATTACKS: dict[str, tuple[str, str, tuple[Request, ...]]] = {
    "root's second factor removed": (
        CHANGED,
        "user.root@pam",
        (_delete("access", "tfa", "root@pam", "aaaa"),),
    ),
    "a second factor disabled": (
        CHANGED,
        "user.alice@ldap",
        (_put("access", "tfa", "alice@ldap", "bbbb", enable=0),),
    ),
    "a token that never ends": (
        CHANGED,
        "token.svc-terraform@pve!short",
        (_put(*TOKENS, "short", expire=0),),
    ),
    "separation off": (
        CHANGED,
        "token.svc-terraform@pve!short",
        (_put(*TOKENS, "short", privsep=0),),
    ),
    "an account that never ends": (
        CHANGED,
        "user.mallory@ldap",
        (_put("access", "users", "mallory@ldap", expire=0),),
    ),
    "one more group": (
        CHANGED,
        "user.alice@ldap",
        (_put(*ALICE, groups="VM-Auditors", append=1),),
    ),
    "a user made again": (
        CHANGED,
        "user.mallory@ldap",
        (
            _delete("access", "users", "mallory@ldap"),
            _post("access", "users", userid="mallory@ldap"),
        ),
    ),
    "a built-in role by another name": (
        UNDECLARED,
        "Auditors",
        (
            _post("access", "roles", roleid="Auditors", privs="Sys.Audit,Permissions.Modify"),
            _acl("/", "PVEAuditor", groups="DevOps", delete=1),
            _acl("/", "Auditors", groups="DevOps"),
        ),
    ),
    "a role that may give itself more": (
        CHANGED,
        "role.VMOperatorCustom",
        (_put("access", "roles", "VMOperatorCustom", privs="Permissions.Modify", append=1),),
    ),
    "a denial gone": (
        CHANGED,
        "acl./vms/9001|user:mallory@ldap|NoAccess",
        (_acl("/vms/9001", "NoAccess", users="mallory@ldap", delete=1),),
    ),
    "a deeper entry that overrides": (
        UNDECLARED,
        "acl./nodes/demo-felhom|group:VM-Operators|PVEAdmin",
        (_acl("/nodes/demo-felhom", "PVEAdmin", groups="VM-Operators"),),
    ),
    "the shadow account": (
        UNDECLARED,
        "acl./pool/Prod|user:alice@pve|PVEVMAdmin",
        (_acl("/pool/Prod", "PVEVMAdmin", users="alice@pve"),),
    ),
    "a guest in a pool below": (
        UNDECLARED,
        "Dev/inner",
        (
            _post("pools", poolid="Dev/inner"),
            _put("pools", poolid="Dev/inner", vms=9001, allow_move=1),
            _acl("/pool/Dev/inner", "PVEVMAdmin", users="mallory@ldap"),
        ),
    ),
    "a second server of a directory": (
        CHANGED,
        "realm.corp",
        (_put(*REALM, "corp", server2="evil.example"),),
    ),
    "everybody of a directory": (CHANGED, "realm.corp", (_put(*REALM, "corp", delete="filter"),)),
    "who left stays": (
        CHANGED,
        "realm.corp",
        (_put(*REALM, "corp", sync_defaults_options="scope=both"),),
    ),
    "logins make accounts": (CHANGED, "realm.sso", (_put(*REALM, "sso", autocreate=1),)),
    "the client key": (CHANGED, "realm.sso", (_put(*REALM, "sso", client_key="other"),)),
    "no client key": (CHANGED, "realm.sso", (_put(*REALM, "sso", delete="client-key"),)),
    "groups of a directory as well": (
        CHANGED,
        "realm_sync.mornings",
        (_put(*SYNC, scope="both", schedule="05:30"),),
    ),
    "no more syncs": (
        CHANGED,
        "realm_sync.mornings",
        (_put(*SYNC, enabled=0, schedule="05:30"),),
    ),
    "backups elsewhere": (
        CHANGED,
        "storage.nas",
        (_delete("storage", "nas"), _post("storage", **NAS, server="evil", export="/data")),
    ),
    "another key of backups": (
        CHANGED,
        "storage.vault",
        (
            _put(
                "storage",
                "vault",
                encryption_key='{"kdf":null,"created":"2026-01-01T00:00:00Z","modified":'
                '"2026-01-01T00:00:00Z","data":"AAAA","fingerprint":"99:88"}',
            ),
        ),
    ),
    "backups in the clear": (
        CHANGED,
        "storage.vault",
        (_put("storage", "vault", delete="encryption-key"),),
    ),
    "another namespace": (CHANGED, "storage.vault", (_put("storage", "vault", namespace="x"),)),
    "backups on one node": (CHANGED, "storage.nas", (_put("storage", "nas", nodes="demo-felhom"),)),
    "a job without a guest": (CHANGED, "backup.nightly", (_put(*JOB, vmid=9000),)),
    "a job to another storage": (CHANGED, "backup.nightly", (_put(*JOB, storage="nas"),)),
    "nobody hears of a failure": (
        CHANGED,
        "backup.nightly",
        (_put(*JOB, notification_mode="legacy-sendmail", mailto="evil@example.org"),),
    ),
    "backups carried away": (UNDECLARED, "backup.exfil", CARRIED_AWAY),
    "a script in a job": (CHANGED, "backup.nightly", (_put(*JOB, script="/root/x"),)),
}
"""What was done -> the worst class of it, an object that is named, and the calls."""


@pytest.mark.parametrize("attack", ATTACKS)
def test_drift_rings(
    cluster: Cluster, attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, named, calls = ATTACKS[attack]
    shutil.copytree(cluster.home, tmp_path / "home")
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    reports = {name: tmp_path / name for name in ("json", "metrics")}
    try:
        for call in calls:
            SandboxApi(cluster.server.store.folder).send(call)
        ended = cluster.drift(*(f"{name}={path}" for name, path in reports.items()))
    finally:
        restore(cluster.server.store.folder, cluster.files)
    assert ended.status == ExitStatus.CHANGES, ended
    first = ended.out.splitlines()[:10]
    assert {CHANGED: "changed in the cluster"}.get(code, code) in first[0]
    assert named in ended.out.partition("Who and when")[0]
    assert re.search(
        r"has (become|gained|lost)|have (gained|lost)|(missing|changed|extra) ", "\n".join(first)
    )
    content = json.loads(reports["json"].read_text())
    classes = [one["class"] for one in content["differences"]]
    classes += [UNDECLARED for one in content["undeclared"] if one["rings"]]
    assert code in classes
    assert set(classes) <= {CHANGED, UNDECLARED}
    samples = reports["metrics"].read_text()
    assert re.search(r"^pvectl_drift_exit_status\{.*\} 2$", samples, re.M)
    assert re.search(rf'^pvectl_drift_\w+\{{.*"({code}|alarm)"\}} [1-9]', samples, re.M)
    for secret in (KEY, "k3y-of-the-client", "AAAA"):
        assert secret not in ended.out + reports["json"].read_text()


def test_a_new_storage_rings_until_it_is_acknowledged(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(cluster.home, tmp_path / "home")
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    try:
        SandboxApi(cluster.server.store.folder).send(CARRIED_AWAY[0])
        for _ in range(2):
            ended = cluster.drift()
            assert ended.status == ExitStatus.CHANGES, ended
            assert "extra    storage.evil" in ended.out
        assert ask("drift", "--acknowledge").status == ExitStatus.CHANGES
        for _ in range(2):
            assert cluster.drift().status == ExitStatus.OK
    finally:
        restore(cluster.server.store.folder, cluster.files)


def test_a_review_counts_no_disabled_factor(cluster: Cluster) -> None:
    def factors() -> dict[str, str]:
        accounts = json.loads(ask("report", "--format", "json").out)["accounts"]
        users = [one for one in accounts if one["kind"] == "user"]
        return {one["principal"]: one["second_factor"] for one in users}

    disable = _put("access", "tfa", "alice@ldap", "bbbb", enable=0)
    try:
        SandboxApi(cluster.server.store.folder).send(_put(*ALICE, keys="x"))
        assert factors()["alice@ldap"] == "yes"
        SandboxApi(cluster.server.store.folder).send(disable)
        assert factors()["alice@ldap"] == "none"
    finally:
        restore(cluster.server.store.folder, cluster.files)


def test_nothing_rings_after_work_of_its_own(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An apply that sends secrets, a rotation, a grant that ends and a backup."""
    shutil.copytree(cluster.home, tmp_path / "home")
    shutil.copytree(cluster.state, tmp_path / "state")
    (tmp_path / "state" / "key").write_text("an0ther-client-key\n")
    (tmp_path / "state" / "key").chmod(0o600)
    (tmp_path / "state" / "new.toml").write_text(
        '[user."new@pve"]\n[user."new@pve".token.t1]\nexpires = 2030-01-01\n'
        'secret_to = { file = "t1" }\n[[acl]]\nroles = ["PVEVMUser"]\npaths = ["/vms/9001"]\n'
        'tokens = ["new@pve!t1"]\n'
    )
    realms = tmp_path / "state" / "realms.toml"
    realms.write_text(
        realms.read_text().replace(
            "[realm.sso]\n", '[realm.sso]\nclient_key = { file = "key" }\nautocreate = false\n'
        )
    )
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PVECTL_STATE", str(tmp_path / "state"))
    grant = ("grant", "alice@pve", "PVEVMUser", "/vms/9000", "--for", "1h", "--reason", "restore")
    work = (
        ("apply", "--yes", "--send-secrets"),
        ("rotate", "new@pve!t1", "--yes"),
        (*grant, "--yes"),
        ("backup", "run", "nightly", "--yes"),
    )
    try:
        for command in work:
            ended = ask(*command)
            assert ended.status == ExitStatus.OK, (command, ended)
            quiet = cluster.drift()
            assert (quiet.status, quiet.out.splitlines()[0]) == (0, "Drift: none"), (command, quiet)
        SandboxApi(cluster.server.store.folder).send(_put(*REALM, "sso", client_key="evil"))
        assert "client-key was changed" in cluster.drift().out
        assert ask("apply", "--yes").status == ExitStatus.OK
        assert cluster.drift().status == ExitStatus.OK
        assert "an0ther" in (cluster.server.store.folder / "domains.cfg").read_text()
    finally:
        restore(cluster.server.store.folder, cluster.files)
