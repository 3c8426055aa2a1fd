"""Plans on clusters that hold what no file can declare, each applied to its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import ExitStatus
from tests.cli.in_process import ask, ask_json
from tests.support.command import Ended, copy_fixture

ANN = "user:ann@pve:1:0::::::\n"


class Odd:
    """A freshly installed cluster, whose files are changed by hand, and a state folder."""

    def __init__(self, folder: Path) -> None:
        self.pve = copy_fixture("fresh", folder / "pve")
        self.state = folder / "state"
        self.state.mkdir()

    def holds(self, **files: str) -> None:
        """More text at the end of `user.cfg`, `storage.cfg`, `jobs.cfg`."""
        for name, text in files.items():
            path = self.pve / f"{name}.cfg"
            path.write_text((path.read_text() if path.exists() else "") + text)

    def declares(self, text: str, settings: str = "") -> None:
        (self.state / "a.toml").write_text(text)
        (self.state / "pvectl.toml").write_text(settings)

    def ask(self, *arguments: str) -> Ended:
        return ask(*arguments, on=self.pve, state=self.state)

    def changes(self) -> list[str]:
        planned = ask_json("plan", on=self.pve, state=self.state)
        return [
            f"{change['action']} {change['address']}"
            for step in planned["steps"]
            for change in step["changes"]
        ]

    def errors(self) -> list[str]:
        planned = ask_json("plan", on=self.pve, state=self.state)
        return [one["code"] for one in planned["findings"] if one["severity"] == "error"]

    def reached(self, *allowed: str) -> None:
        """Apply, and nothing is left."""
        flags = [part for name in allowed for part in ("--allow", name)]
        ended = self.ask("apply", "--yes", *flags)
        assert ended.status == ExitStatus.OK, ended
        assert self.changes() == []


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Odd:
    monkeypatch.setenv("PVECTL_HOME", str(tmp_path / "home"))
    return Odd(tmp_path)


def test_a_user_that_a_group_names_already_is_not_made_a_member_by_chance(odd: Odd) -> None:
    odd.holds(user="group:Ops:nobody@pve::\nacl:1:/vms/9000:@Ops:PVEVMUser:\n")
    odd.declares('[user."nobody@pve"]\n')
    assert odd.errors() == ["GHOST_MEMBER"]
    odd.declares('[user."nobody@pve"]\ngroups = ["Ops"]\n')
    odd.reached()
    odd.declares('[user."nobody@pve"]\n')
    odd.reached()


def test_entries_left_over_from_a_user_go_once_it_is_there(odd: Odd) -> None:
    odd.holds(user="acl:1:/vms/9000:phantom@pve:PVEVMUser:\n")
    odd.declares('[user."phantom@pve"]\n')
    assert odd.changes() == [
        "create user.phantom@pve",
        "delete acl./vms/9000|user:phantom@pve|PVEVMUser",
    ]
    assert "temporarily: phantom@pve would hold" in odd.ask("plan").out
    odd.reached()


def test_a_role_that_cannot_be_recreated_is_deleted_only_if_allowed(odd: Odd) -> None:
    odd.holds(user="role:PVEmine:VM.Audit:\n")
    odd.declares('[[removed]]\naddress = "role.PVEmine"\n')
    assert odd.errors() == ["IRREVERSIBLE"]
    odd.reached("IRREVERSIBLE=role.PVEmine")


NFS = "\nnfs: n1\n\tpath {}\n\tserver 192.0.2.1\n\texport /x\n\tcontent images\n"
TYPED = 'type = "nfs"\nserver = "192.0.2.1"\nexport = "/x"\n'


@pytest.mark.parametrize("how", ["", TYPED])
def test_the_path_that_proxmox_ve_chooses_itself_may_be_declared(odd: Odd, how: str) -> None:
    odd.declares(f'[storage.n1]\n{how}path = "/mnt/pve/n1"\n')
    odd.holds(storage=NFS.format("/mnt/pve/n1"))
    assert odd.changes() == []


@pytest.mark.parametrize("how", ["", TYPED])
def test_another_path_than_the_declared_one_is_seen(odd: Odd, how: str) -> None:
    odd.declares(f'[storage.n1]\n{how}path = "/mnt/pve/n1"\n')
    odd.holds(storage=NFS.format("/srv/other"))
    assert odd.errors() == ["REPLACE"]


def test_two_names_of_one_entry_move_at_once(odd: Odd) -> None:
    group = "group:Ops:ann@pve::\nrole:R1:VM.Audit:\nacl:1:/vms/9000:@Ops:R1:\n"
    odd.holds(user=ANN + group)
    odd.declares(
        '[group.Ops2]\n[role.R2]\nprivileges = ["VM.Audit"]\n'
        '[[moved]]\nfrom = "group.Ops"\nto = "group.Ops2"\n'
        '[[moved]]\nfrom = "role.R1"\nto = "role.R2"\n',
        '[manage]\nacl = "additive"\n',
    )
    assert "create acl./vms/9000|group:Ops2|R2" in odd.changes()
    odd.reached()
    assert "acl:1:/vms/9000:@Ops2:R2:" in (odd.pve / "user.cfg").read_text()


def test_an_entry_on_a_path_of_an_old_release_follows_no_move(odd: Odd) -> None:
    odd.holds(user=f"{ANN}role:R1:VM.Audit:\nacl:1:/dc/x:ann@pve:R1:\n")
    odd.declares(
        '[role.R2]\nprivileges = ["VM.Audit"]\n[[moved]]\nfrom = "role.R1"\nto = "role.R2"\n'
    )
    assert sorted(odd.changes()) == [
        "create role.R2",
        "delete acl./dc/x|user:ann@pve|R1",
        "delete role.R1",
    ]
    odd.reached("IRREVERSIBLE=acl./dc/x|user:ann@pve|R1")


def test_a_job_follows_a_storage_that_it_uses_twice(odd: Odd) -> None:
    odd.holds(
        storage="\ndir: old\n\tpath /srv/old\n\tcontent backup,images\n",
        jobs="vzdump: j1\n\tschedule 02:30\n\tenabled 1\n\tall 1\n\tstorage old\n"
        "\tfleecing 1,storage=old\n\tprune-backups keep-last=1\n",
    )
    odd.declares(
        '[storage.new]\ntype = "dir"\npath = "/srv/old"\ncontent = ["backup", "images"]\n'
        '[[moved]]\nfrom = "storage.old"\nto = "storage.new"\n'
    )
    odd.reached()
    jobs = (odd.pve / "jobs.cfg").read_text()
    assert "storage=new" in jobs
    assert "storage new" in jobs


def test_an_expiry_after_the_year_9999_is_imported(odd: Odd, tmp_path: Path) -> None:
    odd.holds(user="user:ann@pve:1:99999999999999::::::\n")
    imported = odd.ask("import", "--out", str(tmp_path / "imported"))
    assert imported.status == ExitStatus.OK, imported
    again = ask("plan", "--detailed-exitcode", on=odd.pve, state=tmp_path / "imported")
    assert again.status == ExitStatus.OK, again


def test_keys_that_read_back_as_empty_are_refused_in_the_files(odd: Odd) -> None:
    odd.declares('[user."k@pve"]\nkeys = "0"\n')
    ended = odd.ask("validate")
    assert ended.status == ExitStatus.FILES_INVALID
    assert "treats '0' as empty" in ended.out
