"""What Terraform owns is left to it, or taken over without destroying anything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitStatus
from tests.cli.site import Site

SECRET = "d2f7c0de-0000-4000-8000-000000000000"


def resource(sort: str, name: str, *instances: dict[str, Any], **more: str) -> dict[str, Any]:
    return {
        "mode": "managed",
        "type": sort,
        "name": name,
        "provider": 'provider["registry.terraform.io/bpg/proxmox"]',
        "instances": [{"schema_version": 0, "attributes": one} for one in instances],
        **more,
    }


STATE = {
    "version": 4,
    "resources": [
        resource("proxmox_virtual_environment_role", "ci", {"role_id": "TfRole", "privileges": []}),
        resource(
            "proxmox_virtual_environment_user",
            "tf",
            {
                "user_id": "tf@pve",
                "password": SECRET,
                "acl": [{"path": "/pool/web", "role_id": "TfRole", "propagate": True}],
            },
            module='module.access["a.b"]',
        ),
        resource(
            "proxmox_user_token", "tf", {"user_id": "tf@pve", "token_name": "ci", "value": SECRET}
        ),
        resource(
            "proxmox_acl",
            "tf",
            {"path": "/vms/100", "role_id": "TfRole", "token_id": "tf@pve!ci", "user_id": None},
        ),
        resource("proxmox_virtual_environment_pool", "web", {"pool_id": "tfpool"}),
        resource("proxmox_virtual_environment_vm", "a", {"vm_id": 100, "pool_id": "web"}),
        resource("proxmox_virtual_environment_file", "iso", {"id": "local:iso/a.iso"}),
        {"mode": "data", "type": "proxmox_virtual_environment_role", "name": "x", "instances": []},
        resource("random_password", "p", {"result": SECRET}),
    ],
}
FILES = """
[role.TfRole]
privileges = ["VM.Audit"]

[role.Ours]
privileges = ["VM.Audit"]

[user."tf@pve"]

[user."tf@pve".token.ci]
secret_to = { file = "secrets/ci" }

[pool.tfpool]

[pool.web]
guests = [100, 101]

[[acl]]
roles = ["TfRole"]
paths = ["/pool/web"]
users = ["tf@pve"]

[[acl]]
roles = ["TfRole"]
paths = ["/vms/100"]
tokens = ["tf@pve!ci"]
pair = false
"""


@pytest.fixture
def built(site: Site) -> Site:
    """A cluster as Terraform left it, and its state."""
    for guest in (100, 101):
        site.cluster.folder.joinpath("nodes", "demo-felhom", "lxc", f"{guest}.conf").write_text(
            f"hostname: g{guest}\n"
        )
    site.write("a.toml", FILES)
    ended = site.run("apply", "--yes")
    assert ended.status == ExitStatus.OK, ended
    site.write("a.toml", "")
    (site.folder / "terraform.tfstate").write_text(json.dumps(STATE))
    return site


def imported(site: Site) -> dict[str, str]:
    return {path.name: path.read_text() for path in (site.folder / "new").glob("*.toml")}


def assert_nothing_to_do(site: Site) -> None:
    """In a plan of the new folder, and where everything of a kind is managed."""
    settings = site.folder / "new" / "pvectl.toml"
    more = settings.read_text() if settings.exists() else ""
    settings.write_text(f"{(site.state / 'pvectl.toml').read_text()}\n{more}")
    planned = site.run("plan", "--state", "new", "--detailed-exitcode")
    assert planned.status == ExitStatus.OK, planned


def test_what_terraform_owns_is_left_to_it(built: Site) -> None:
    ended = built.run("import", "--out", "new", "--from-terraform", "terraform.tfstate")
    assert ended.status == ExitStatus.OK, ended
    files = imported(built)
    objects = "".join(text for name, text in files.items() if name != "pvectl.toml")
    assert "[role.Ours]" in objects
    for theirs in ("[role.TfRole]", "tf@pve", "tfpool"):
        assert theirs not in objects
    assert 'members = "additive"' in files["pools.toml"]
    assert "guests = [101]" in files["pools.toml"]
    assert "# These objects are managed by Terraform." in files["pvectl.toml"]
    assert 'role = { exclude = ["TfRole"] }' in files["pvectl.toml"]
    everything = "".join([*files.values(), ended.out, ended.err])
    assert SECRET not in everything
    assert_nothing_to_do(built)


def test_it_can_be_taken_over_without_destroying_anything(built: Site) -> None:
    ended = built.run(
        "import", "--out", "new", "--from-terraform", "terraform.tfstate", "--take-over", "out.tf"
    )
    assert ended.status == ExitStatus.OK, ended
    objects = "".join(imported(built).values())
    for ours in ("[role.TfRole]", '[user."tf@pve".token.ci]', "[pool.tfpool]", "guests = [101]"):
        assert ours in objects
    blocks = (built.folder / "out.tf").read_text()
    assert blocks.count("destroy = false") == blocks.count("removed {") == 5
    assert "from = module.access.proxmox_virtual_environment_user.tf" in blocks
    assert_nothing_to_do(built)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not a Terraform state of version 4"),
        ('{"version": 3, "resources": []}', "is not a Terraform state of version 4"),
        ('{"version": 4, "resources": [{"type": 1}]}', "is not a Terraform state of version 4"),
        ('{"version": 4, "encrypted_data": "x"}', "has to be decrypted first"),
        ('{"version": 4, "resources": []}', "has no resource of the provider bpg/proxmox"),
        (
            json.dumps({"version": 4, "resources": [resource("proxmox_acl", "}\nevil {", {})]}),
            "is not a Terraform state of version 4",
        ),
    ],
)
def test_what_is_not_a_state_is_reported(site: Site, content: str, said: str) -> None:
    (site.folder / "x.tfstate").write_text(content)
    ended = site.run("import", "--out", "new", "--from-terraform", "x.tfstate")
    assert ended.status == ExitStatus.USAGE
    assert said in ended.err
    assert not (site.folder / "new").exists()


def test_a_pipe_is_not_waited_for(site: Site) -> None:
    os.mkfifo(site.folder / "x.tfstate")
    ended = site.run("import", "--out", "new", "--from-terraform", "x.tfstate")
    assert ended.status == ExitStatus.USAGE
    assert "cannot be read: it is not a regular file" in ended.err


@pytest.mark.parametrize("wrong", ["missing/out.tf/", "new/full"])
def test_nothing_is_written_where_one_of_the_files_cannot_be(built: Site, wrong: str) -> None:
    """Neither a state that both manage, nor one that nobody does."""
    asked = ["import", "--out", "new", "--from-terraform", "terraform.tfstate", "--take-over"]
    if wrong == "new/full":
        (built.folder / "new").mkdir()
        built.write("../new/roles.toml", "[role.other]\nprivileges = []\n")
        wrong = "out.tf"
    else:
        (built.folder / "missing").write_text("a file where a folder should be")
    ended = built.run(*asked, wrong)
    assert ended.status == ExitStatus.USAGE, ended
    assert not (built.folder / "out.tf").exists()
    assert imported(built).keys() <= {"roles.toml"}


def test_a_terraform_state_is_that_of_one_cluster(built: Site) -> None:
    ended = built.run(
        "import", "--out", "new", "--from-terraform", "terraform.tfstate", "--on", "all"
    )
    assert ended.status == ExitStatus.USAGE
    assert "choose it: --on NAME" in ended.err


def test_files_of_terraform_are_not_overwritten(built: Site) -> None:
    (built.folder / "out.tf").write_text("mine")
    asked = ("import", "--out", "new", "--from-terraform", "terraform.tfstate")
    ended = built.run(*asked, "--take-over", "out.tf")
    assert ended.status == ExitStatus.USAGE
    assert (built.folder / "out.tf").read_text() == "mine"
    alone = built.run("import", "--take-over", "other.tf")
    assert "--take-over needs --from-terraform" in alone.err
    assert Path(built.folder / "new").exists() is False
