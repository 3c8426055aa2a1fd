"""Rules of the embedded Proxmox VE that the recordings do not show, or show only in passing."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from reconciler.errors import AuthenticationFailed, RequestRefused, UsageError, WriteForbidden
from reconciler.model.request import request
from reconciler.model.secret import SecretRef
from reconciler.sandbox.auth.crypt import hashed, matches
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.http.direct import SandboxApi
from reconciler.sandbox.http.wire import Answer, Request, respond
from reconciler.sandbox.settings import Settings
from tests.support.replay import DATA

Call = Callable[..., Any]
_QUICK = Settings(lock_wait=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(DATA / "fixtures" / "fresh", tmp_path / "pve")
    return tmp_path / "pve"


@pytest.fixture
def call(folder: Path) -> Call:
    """`call("PUT", "access/acl", path="/", ...)` as root@pam, or `by="user"`."""

    def ask(method: str, target: str, by: str = "root@pam", **params: Any) -> Any:
        api = SandboxApi(folder, by, settings=_QUICK)
        made = request(method, *target.split("/"), **params)
        return api.get([made])[0] if method == "GET" else api.send(made)

    return ask


def _refusal(ask: Callable[[], Any]) -> str:
    with pytest.raises(RequestRefused) as refused:
        ask()
    errors = "".join(f" [{name}: {text}]" for name, text in sorted(refused.value.errors.items()))
    return f"{refused.value.status} {refused.value.reason}{errors}"


def _users(folder: Path) -> str:
    return (folder / "user.cfg").read_text()


class TestFiles:
    def test_edits_by_hand_are_seen_at_the_next_call(self, folder: Path, call: Call) -> None:
        assert call("GET", "access/groups") == []
        for name in ("aa", "bb", "cc"):
            (folder / "user.cfg").write_text(f"group:{name}:::\n")
            assert [row["groupid"] for row in call("GET", "access/groups")] == [name]

    def test_a_write_gives_the_normal_form(self, folder: Path, call: Call) -> None:
        (folder / "user.cfg").write_text(
            "nonsense\nacl:1:/vms:@late:PVEAdmin:\ngroup:late:z@pve, a@pve: x :\n"
            "role:R:VM.Audit VM.Gone,Sys.Audit:\nrole:PVEAdmin:VM.Audit:\n"
            "user:a@pve:1:0\nuser:broken:1:0:::::\nuser:b@pve:1:x:::::\n"
            "token:a@pve!t1:0:1\ntoken:gone@pve!t1:0:1\npool:p/q:c:200,100,100,1000:x,ab:\n"
            "pool:z::100:ab:\n"
            "acl:0:/dc/x/:a@pve,gone@pve!t1,root@pam,a@pve!t1:R,Missing,NoAccess:\n"
        )
        call("POST", "access/groups", groupid="new")
        assert _users(folder) == (
            "user:a@pve:1:0::::::\ntoken:a@pve!t1:0:1::\nuser:root@pam:1:0::::::\n\n"
            "group:late:a@pve,z@pve:x:\ngroup:new:::\n\n"
            "pool:p::::\npool:p/q:c:100,1000,200:ab:\npool:z:::ab:\n\n"
            "role:R:Sys.Audit,VM.Audit:\n\n"
            "acl:0:/dc/x:a@pve,a@pve!t1:NoAccess,R:\nacl:1:/vms:@late:PVEAdmin:\n"
        )

    def test_more_than_one_mebibyte_is_refused_and_nothing_is_lost(
        self, folder: Path, call: Call
    ) -> None:
        before = _users(folder)
        text = _refusal(lambda: call("POST", "access/groups", groupid="g", comment="x" * 1048576))
        assert text.startswith("500 create group failed: unable to write '/etc/pve/user.cfg.tmp.")
        assert text.endswith("' - File too large")
        assert _users(folder) == before
        assert [path.name for path in folder.glob("user.cfg*")] == ["user.cfg"]

    def test_two_processes_on_one_folder_lose_nothing(self, folder: Path) -> None:
        spawn = multiprocessing.get_context("spawn")
        workers = [spawn.Process(target=_make_groups, args=(folder, name)) for name in "ab"]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        rows = SandboxApi(folder).get([request("GET", "access", "groups")])[0]
        assert len(rows) == 40


def _make_groups(folder: Path, prefix: str) -> None:
    api = SandboxApi(folder)
    for number in range(20):
        api.send(request("POST", "access", "groups", groupid=f"{prefix}{number}"))


class TestLocks:
    @pytest.fixture
    def held(self, folder: Path) -> Callable[[str], None]:
        return lambda name: (folder / "priv" / "lock" / name).mkdir(parents=True)

    def test_a_held_lock_is_an_error_after_the_wait(
        self, folder: Path, held: Callable[[str], None]
    ) -> None:
        held("file-user_cfg")
        api = SandboxApi(folder, settings=Settings(lock_wait=0.1))
        start = time.monotonic()
        text = _refusal(lambda: api.send(request("POST", "access", "groups", groupid="g")))
        assert time.monotonic() - start >= 0.1
        assert text == (
            "500 create group failed: cfs-lock 'file-user_cfg' error: got lock request timeout"
        )

    def test_deleting_a_user_fails_half_way_and_leaves_it_disabled(
        self, folder: Path, call: Call, held: Callable[[str], None]
    ) -> None:
        call("POST", "access/users", userid="a@pve", password="geheim-1234")
        held("file-priv_shadow_cfg")
        assert "'file-priv_shadow_cfg'" in _refusal(lambda: call("DELETE", "access/users/a@pve"))
        assert "user:a@pve:0:0::::::" in _users(folder)
        assert (folder / "priv" / "shadow.cfg").read_text().startswith("a:$5$")

    def test_tokens_need_the_lock_of_their_secrets_too(
        self, folder: Path, call: Call, held: Callable[[str], None]
    ) -> None:
        before = _users(folder)
        held("file-priv_token_cfg")
        text = _refusal(lambda: call("POST", "access/users/root@pam/token/tt"))
        assert text.startswith("500 generating token failed: cfs-lock 'file-priv_token_cfg' error")
        assert _users(folder) == before


class TestUsers:
    def test_zero_counts_as_empty(self, folder: Path, call: Call) -> None:
        call("POST", "access/users", userid="a@pve", comment="0", firstname="0", keys="0")
        assert call("GET", "access/users/a@pve") == {
            "enable": 1,
            "expire": 0,
            "groups": [],
            "tokens": None,
        }

    def test_the_existing_spelling_counts_where_a_realm_ignores_case(
        self, folder: Path, call: Call
    ) -> None:
        (folder / "domains.cfg").write_text(
            "ldap: ld\n\tbase_dn x\n\tserver1 y\n\tuser_attr uid\n\tcase-sensitive 0\n\n"
        )
        call("POST", "access/users", userid="Anna@ld")
        text = _refusal(lambda: call("POST", "access/users", userid="anna@ld"))
        assert text == "500 create user failed: user 'Anna@ld' already exists"
        call("POST", "access/users", userid="Anna@pve")
        call("POST", "access/users", userid="anna@pve")

    def test_passwords_only_where_a_realm_keeps_them(self, folder: Path, call: Call) -> None:
        (folder / "domains.cfg").write_text(
            "ldap: ld\n\tbase_dn x\n\tserver1 y\n\tuser_attr uid\n\n"
        )
        made = {"password": "geheim-1234"}
        assert _refusal(lambda: call("POST", "access/users", userid="a@ld", **made)) == (
            "500 create user failed: can't set password on auth type 'ldap'"
        )
        assert _refusal(lambda: call("POST", "access/users", userid="a@no", **made)) == (
            "500 create user failed: auth domain 'no' does not exist"
        )

    def test_who_is_limited_to_groups_must_name_them(self, call: Call) -> None:
        for name in ("mine", "other"):
            call("POST", "access/groups", groupid=name)
        call("POST", "access/users", userid="boss@pve")
        call("POST", "access/users", userid="a@pve", groups="mine")
        call(
            "PUT", "access/acl", path="/access/groups/mine", users="boss@pve", roles="PVEUserAdmin"
        )
        call("PUT", "access/acl", path="/access/realm/pve", users="boss@pve", roles="PVEUserAdmin")
        boss = {"by": "boss@pve"}
        assert _refusal(lambda: call("POST", "access/users", **boss, userid="b@pve")) == (
            "403 Permission check failed (/access/groups, User.Modify)"
        )
        assert (
            _refusal(lambda: call("PUT", "access/users/a@pve", **boss, groups="mine,other"))
            == "403 Permission check failed (/access/groups/other, User.Modify)"
        )
        assert _refusal(lambda: call("PUT", "access/users/root@pam", **boss, groups="mine")) == (
            "403 Permission check failed"
        )
        call("POST", "access/users", **boss, userid="b@pve", groups="mine")
        call("PUT", "access/users/b@pve", **boss, groups="mine", comment="x")
        rows = call("GET", "access/users", **boss)
        assert [row["userid"] for row in rows] == ["a@pve", "b@pve", "boss@pve"]

    def test_a_user_manages_its_tokens_and_a_token_does_not(self, call: Call) -> None:
        call("POST", "access/users", userid="a@pve")
        call("POST", "access/users/a@pve/token/t1", by="a@pve", privsep=0)
        assert [row["tokenid"] for row in call("GET", "access/users/a@pve/token", by="a@pve")] == [
            "t1"
        ]
        assert _refusal(lambda: call("GET", "access/users/a@pve/token", by="a@pve!t1")) == (
            "403 Permission check failed"
        )


class TestAcl:
    @pytest.fixture
    def delegate(self, call: Call) -> str:
        """A user who may hand out access to guest 9000 by VM.Allocate alone."""
        call("POST", "access/users", userid="d@pve")
        call("POST", "access/users", userid="a@pve")
        call("POST", "access/roles", roleid="Give", privs="VM.Allocate,VM.Audit")
        call("POST", "access/roles", roleid="Look", privs="VM.Audit")
        call("PUT", "access/acl", path="/vms/9000", users="d@pve", roles="Give", propagate=0)
        return "d@pve"

    def _give(self, call: Call, by: str, role: str, **more: Any) -> Any:
        return call("PUT", "access/acl", by=by, path="/vms/9000", users="a@pve", roles=role, **more)

    def test_a_delegate_gives_no_more_than_it_holds(self, call: Call, delegate: str) -> None:
        failed = "500 ACL update failed: 400 Parameter verification failed."
        self._give(call, delegate, "Look", propagate=0)
        for role, flag in (("PVEVMUser", 0), ("Look", 1), ("NoAccess", 0)):
            give = partial(self._give, call, delegate, role, propagate=flag)
            assert _refusal(give) == failed
        self._give(call, delegate, "Look", delete=1)

    def test_a_delegate_sees_the_entries_that_it_may_change(
        self, call: Call, delegate: str
    ) -> None:
        call("PUT", "access/acl", path="/storage", users="a@pve", roles="PVEAuditor")
        rows = call("GET", "access/acl", by=delegate)
        assert [(row["path"], row["ugid"]) for row in rows] == [("/vms/9000", "d@pve")]

    def test_the_text_names_all_privileges_that_would_do(self, call: Call, delegate: str) -> None:
        for path, names in (
            ("/vms/9001", "Permissions.Modify|VM.Allocate"),
            ("/storage/local", "Permissions.Modify|Datastore.Allocate"),
            ("/pool/p", "Permissions.Modify|Pool.Allocate"),
            ("/vms", "Permissions.Modify"),
        ):
            asked = {"path": path, "users": "a@pve", "roles": "Look"}
            give = partial(call, "PUT", "access/acl", by=delegate, **asked)
            assert _refusal(give) == f"403 Permission check failed ({path}, {names})"

    def test_entries_of_root_are_accepted_and_lost(self, folder: Path, call: Call) -> None:
        call("PUT", "access/acl", path="/", users="root@pam", roles="PVEAuditor")
        assert call("GET", "access/acl") == []
        assert "acl:" not in _users(folder)

    def test_a_segment_zero_is_skipped(self, call: Call) -> None:
        call("POST", "access/users", userid="a@pve")
        call("PUT", "access/acl", path="/pool/0", users="a@pve", roles="PVEPoolUser")
        assert [row["path"] for row in call("GET", "access/acl")] == ["/pool"]


class TestLogin:
    @pytest.fixture
    def clock(self) -> list[float]:
        return [time.time()]

    @pytest.fixture
    def ask(self, folder: Path, clock: list[float]) -> Callable[..., Answer]:
        store = Store(folder)

        def send(
            method: str, path: str, headers: dict[str, str] | None = None, **form: Any
        ) -> Answer:
            body = urlencode(form).encode()
            made = Request(method, f"/api2/json{path}", headers or {}, len(body), lambda: body)
            return respond(made, lambda actor: Context(store, actor, lambda: clock[0]))

        return send

    @pytest.fixture
    def ticket(self, ask: Callable[..., Answer], call: Call) -> dict[str, str]:
        """Headers of a@pve, who has logged in."""
        call("POST", "access/users", userid="a@pve", password="geheim-1234")
        answer = ask("POST", "/access/ticket", username="a", realm="pve", password="geheim-1234")
        data = json.loads(answer.body)["data"]
        assert data["username"] == "a@pve"
        assert set(data["cap"]) == {"access", "dc", "mapping", "nodes", "sdn", "storage", "vms"}
        return {
            "cookie": f"x=1; PVEAuthCookie={quote(data['ticket'])}",
            "csrfpreventiontoken": data["CSRFPreventionToken"],
        }

    @pytest.mark.parametrize(
        ("user", "password"),
        [("a@pve", "wrong"), ("none@pve", "x"), ("a@no", "x"), ("a", "x"), ("a@pve", "")],
    )
    def test_every_failed_login_is_the_same_401(
        self, ask: Callable[..., Answer], ticket: dict[str, str], user: str, password: str
    ) -> None:
        answer = ask("POST", "/access/ticket", username=user, password=password)
        assert (answer.status, answer.reason) == (401, "authentication failure")

    def test_a_ticket_reads_and_with_its_token_writes(
        self, ask: Callable[..., Answer], ticket: dict[str, str]
    ) -> None:
        assert ask("GET", "/version", ticket).status == 200
        assert ask("POST", "/access/users/a@pve/token/t1", ticket).status == 200
        cookie = {"cookie": ticket["cookie"]}
        answer = ask("POST", "/access/users/a@pve/token/t2", cookie)
        assert (answer.status, answer.reason) == (401, "Permission denied - invalid csrf token")

    def test_a_ticket_is_good_for_two_hours_and_for_enabled_users(
        self, ask: Callable[..., Answer], ticket: dict[str, str], clock: list[float], call: Call
    ) -> None:
        clock[0] += 7199
        assert ask("GET", "/version", ticket).status == 200
        call("PUT", "access/users/a@pve", enable=0)
        assert ask("GET", "/version", ticket).reason == "Authentication failed!"
        call("PUT", "access/users/a@pve", enable=1)
        clock[0] += 2
        assert ask("GET", "/version", ticket).reason == "Authentication failed!"
        forged = {"cookie": ticket["cookie"].replace("a%40pve", "root%40pam")}
        assert ask("GET", "/version", forged).reason == "Authentication failed!"

    def test_changing_ones_password_needs_the_old_one(
        self, ask: Callable[..., Answer], ticket: dict[str, str]
    ) -> None:
        new = {"userid": "a@pve", "password": "neu-geheim-1"}
        answer = ask("PUT", "/access/password", ticket, **new)
        assert json.loads(answer.body)["errors"] == {
            "confirmation-password": "password is required to modify user"
        }
        old = {"confirmation-password": "geheim-1234"}
        assert ask("PUT", "/access/password", ticket, **new, **old).status == 200
        login = {"username": "a@pve", "password": "neu-geheim-1"}
        assert ask("POST", "/access/ticket", **login).status == 200

    def test_forms_are_read_as_pve_reads_them(self, ask: Callable[..., Answer], call: Call) -> None:
        store_answer = ask("POST", "/access/ticket?username=root@pam;password=pvelab-root=x")
        assert store_answer.status == 200


class TestDirect:
    def test_acts_as_any_token_without_its_secret(self, folder: Path, call: Call) -> None:
        call("POST", "access/users", userid="a@pve")
        call("POST", "access/users/a@pve/token/t1", expire=1)
        with pytest.raises(AuthenticationFailed, match="expired"):
            call("GET", "version", by="a@pve!t1")
        with pytest.raises(AuthenticationFailed, match="no such user"):
            call("GET", "version", by="b@pve")
        assert call("GET", "access/permissions", by="root@pam!bootstrap")["/"]

    def test_reading_only_is_reading_only(self, folder: Path) -> None:
        api = SandboxApi(folder, read_only=True)
        with pytest.raises(WriteForbidden):
            api.send(request("POST", "access", "groups", groupid="g"))

    def test_secrets_are_filled_in(self, folder: Path) -> None:
        api = SandboxApi(folder)
        made = request(
            "POST", "access", "users", userid="a@pve", password=SecretRef(env="NEVER_SET")
        )
        api.send(made, {"password": "geheim-1234"})
        stored = (folder / "priv" / "shadow.cfg").read_text().split(":")[1]
        assert matches("geheim-1234", stored)

    def test_there_must_be_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="folder not found"):
            SandboxApi(tmp_path / "none")


def test_hashes_are_those_of_sha256_crypt() -> None:
    # From the specification of the algorithm.
    assert hashed("Hello world!", "saltstring") == (
        "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
    )
    assert not matches("x", "$6$other$hash")


def test_settings_come_from_the_environment() -> None:
    given = {"PVECTL_SANDBOX_LOCK_WAIT": "0.5", "PVECTL_SANDBOX_AUTH_DELAY": "3"}
    assert Settings.from_environment(given) == Settings(lock_wait=0.5, auth_delay=3)
    with pytest.raises(UsageError, match="PVECTL_SANDBOX_LOCK_WAIT is 'soon'"):
        Settings.from_environment({"PVECTL_SANDBOX_LOCK_WAIT": "soon"})
