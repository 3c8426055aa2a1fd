"""Restores on the embedded Proxmox VE: what recordings do not show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.sandbox.backup.listed import written
from tests.support.pve import Pve

NODE = "/nodes/demo-felhom"
CT = f"{NODE}/lxc"
VM = f"{NODE}/qemu"
ARCHIVE = "local:backup/vzdump-lxc-9001-2026_11_28-02_30_00.tar.zst"


@pytest.fixture
def pve(tmp_path: Path) -> Pve:
    """With a storage for the disks of both kinds of guests, and files on those of the guests."""
    pve = Pve(tmp_path, "backups")
    pve.now += 5 * 24 * 3600  # the day after the newest archive of the fixture
    pve.put("/storage/local-lvm", disable="0")
    for disk in ("vm-9001-disk-0", "vm-9000-disk-0"):
        folder = pve.run / "storage" / "local-lvm" / "images" / disk
        (folder / "root").mkdir(parents=True)
        (folder / "root" / "sentinel").write_text(f"of {disk}\n")
    return pve


def back_up(pve: Pve, vmid: int, storage: str = "local") -> str:
    """The volume of a new archive."""
    assert (
        pve.ended(pve.post(f"{NODE}/vzdump", vmid=vmid, storage=storage, compress="zstd")) == "OK"
    )
    rows = pve.get(f"{NODE}/storage/{storage}/content", content="backup", vmid=vmid)
    return str(max(rows, key=lambda row: row["ctime"])["volid"])


def sentinel(pve: Pve, volume: str) -> str:
    storage, _, name = volume.partition(":")
    return (pve.run / "storage" / storage / "images" / name / "root" / "sentinel").read_text()


def drill_user(pve: Pve, **grants: str) -> str:
    """A user with privileges: `vms_9950="VM.Allocate"` grants them on /vms/9950."""
    pve.post("/access/users", userid="drill@pve")
    for place, privileges in grants.items():
        pve.post("/access/roles", roleid=place, privs=privileges)
        path = "/" + place.replace("_", "/")
        pve.put("/access/acl", path=path, users="drill@pve", roles=place)
    return "drill@pve"


def test_a_container_comes_back_with_its_files_and_its_configuration(pve: Pve) -> None:
    archive = back_up(pve, 9001)
    upid = pve.post(CT, vmid=9950, restore="1", ostemplate=archive, storage="local-lvm", unique="1")
    assert pve.ended(upid) == "OK"
    old, new = (pve.get(f"{CT}/{vmid}/config") for vmid in (9001, 9950))
    assert new["rootfs"] == "local-lvm:vm-9950-disk-0,size=4G"
    assert (new["features"], new["unprivileged"]) == ("nesting=1", 1)
    assert re.search("hwaddr=BC:24:11:(?!00:90:01)", new["net0"])
    assert {key for key in old if old[key] != new[key]} == {"digest", "net0", "rootfs"}
    assert sentinel(pve, "local-lvm:vm-9950-disk-0") == "of vm-9001-disk-0\n"


def test_a_virtual_machine_comes_back_with_its_files_and_its_configuration(pve: Pve) -> None:
    archive = back_up(pve, 9000)
    upid = pve.post(VM, vmid=9951, archive=archive, unique="1", name="drilled")
    assert pve.ended(upid) == "OK"
    old, new = (pve.get(f"{VM}/{vmid}/config") for vmid in (9000, 9951))
    assert new["scsi0"] == "local-lvm:vm-9951-disk-0,size=8G"
    assert new["name"] == "drilled"
    assert re.fullmatch("virtio=BC:24:11:(?!00:90:00)[0-9A-F:]{8},bridge=vmbr0", new["net0"])
    changed = {key for key in old if old[key] != new[key]}
    assert changed == {"digest", "name", "net0", "scsi0", "smbios1", "vmgenid"}
    assert sentinel(pve, "local-lvm:vm-9951-disk-0") == "of vm-9000-disk-0\n"


def test_the_configuration_in_an_archive_names_the_drives_of_its_devices(pve: Pve) -> None:
    archive = back_up(pve, 9000)
    saved = pve.get(f"{NODE}/vzdump/extractconfig", volume=archive)
    assert "name: demo-vm\n" in saved
    assert "#qmdump#map:scsi0:drive-scsi0:local-lvm:raw:\n" in saved


@pytest.mark.parametrize("compress", ["0", "gzip", "zstd"])
def test_archives_can_be_read_whatever_packs_them(pve: Pve, compress: str) -> None:
    pve.delete(f"{NODE}/storage/local/prunebackups", prune_backups="keep-last=1")
    pve.post(f"{NODE}/vzdump", vmid="9001,9000", storage="local", compress=compress)
    rows = pve.get(f"{NODE}/storage/local/content", content="backup")
    for row in sorted(rows, key=lambda row: row["ctime"])[-2:]:
        assert "net0: " in pve.get(f"{NODE}/vzdump/extractconfig", volume=row["volid"])


def test_a_machine_that_cannot_be_restored_leaves_its_empty_file(pve: Pve) -> None:
    broken = "vzdump-qemu-9000-2026_11_28-02_31_00.vma.zst"
    (pve.run / "storage/local/dump" / broken).write_bytes(b"no archive")
    upid = pve.post(VM, vmid=9951, archive=f"local:backup/{broken}", storage="local-lvm")
    assert pve.ended(upid) == f"command 'vma extract -v -r fifo {broken}' failed: exit code 1"
    assert list(pve.get(f"{VM}/9951/config")) == ["digest"]
    assert not (pve.run / "storage/local-lvm/images/vm-9951-disk-0").exists()


def test_of_a_container_that_cannot_be_restored_nothing_is_left(pve: Pve) -> None:
    (pve.run / "storage" / "drill").mkdir()
    (pve.run / "storage" / "drill" / "free").write_text("100")
    upid = pve.post(CT, vmid=9950, restore="1", ostemplate=ARCHIVE, storage="drill", rootfs="1")
    assert pve.ended(upid).endswith("failed: No space left on device")
    assert "does not exist" in pve.refusal("GET", f"{CT}/9950/config")
    assert not (pve.run / "storage/drill/images").exists() or not list(
        (pve.run / "storage/drill/images").rglob("*9950*")
    )


def test_a_full_storage_takes_no_backup(pve: Pve) -> None:
    (pve.run / "storage" / "local" / "free").write_text("10")
    upid = pve.post(f"{NODE}/vzdump", vmid="9001", storage="local", compress="zstd")
    assert pve.ended(upid) == "job errors"
    assert any("No space left on device" in line for line in pve.log(upid))
    row = pve.get(f"{NODE}/storage/local/status")
    assert row["avail"] == 10


def test_a_restore_over_a_container_keeps_it_when_the_archive_is_bad(pve: Pve) -> None:
    given = {"restore": "1", "force": "1", "storage": "local-lvm"}
    broken = "local:backup/vzdump-lxc-9001-2026_11_19-02_30_05.tar.zst"
    upid = pve.post(CT, vmid=9001, ostemplate=broken, **given)
    assert "archive contains no configuration file" in pve.ended(upid)
    assert pve.get(f"{CT}/9001/config")["hostname"] == "demo-ct"
    assert sentinel(pve, "local-lvm:vm-9001-disk-0") == "of vm-9001-disk-0\n"
    upid = pve.post(CT, vmid=9001, ostemplate=ARCHIVE, hostname="again", **given)
    assert pve.ended(upid) == "OK"
    assert pve.get(f"{CT}/9001/config")["hostname"] == "again"


def test_a_running_container_is_not_written_over(pve: Pve) -> None:
    pve.post(f"{CT}/9001/status/start")
    refusal = pve.refusal("POST", CT, vmid=9001, ostemplate=ARCHIVE, restore="1", force="1")
    assert refusal == "500 can't overwrite running container"


def test_a_privileged_container_needs_sys_modify_which_only_the_task_knows(pve: Pve) -> None:
    pve.put(f"{CT}/9001/config", delete="features")
    conf = pve.folder / f"{CT[1:]}/9001.conf"
    conf.write_text(conf.read_text().replace("unprivileged: 1\n", ""))
    archive = back_up(pve, 9001)
    actor = drill_user(
        pve,
        vms_9950="VM.Allocate,VM.Config.Disk",
        vms_9001="VM.Backup",
        storage="Datastore.AllocateSpace,Datastore.Audit",
        sdn="SDN.Use",
    )
    given = {"vmid": 9950, "restore": "1", "ostemplate": archive, "storage": "local-lvm"}
    ended = pve.ended(pve.post(CT, actor, **given))
    assert ended == "unable to restore CT 9950 - 403 Permission check failed (/, Sys.Modify)"
    assert pve.ended(pve.post(CT, actor, **given, unprivileged="1")) == "OK"


def test_the_bridge_of_a_saved_machine_is_missed_in_the_task(pve: Pve) -> None:
    archive = back_up(pve, 9000)
    actor = drill_user(
        pve,
        vms_9951="VM.Allocate",
        vms_9000="VM.Backup",
        storage="Datastore.AllocateSpace",
    )
    given = {"vmid": 9951, "archive": archive, "storage": "local-lvm"}
    ended = pve.ended(pve.post(VM, actor, **given))
    assert ended == ("403 Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)")
    pve.delete(f"{VM}/9951")
    pve.put("/access/acl", path="/vms/9951", users=actor, roles="vms_9951")
    pve.put("/access/acl", path="/sdn/zones/localnetwork/vmbr0", users=actor, roles="PVESDNUser")
    assert pve.ended(pve.post(VM, actor, **given)) == "OK"


def test_a_vlan_is_asked_for_instead_of_its_bridge(pve: Pve) -> None:
    pve.put(f"{CT}/9001/config", net0="name=eth0,bridge=vmbr0,tag=5,ip=dhcp")
    archive = back_up(pve, 9001)
    actor = drill_user(
        pve,
        vms_9950="VM.Allocate,VM.Config.Disk",
        vms_9001="VM.Backup",
        storage="Datastore.AllocateSpace",
    )
    upid = pve.post(CT, actor, vmid=9950, restore="1", ostemplate=archive, storage="local-lvm")
    assert pve.ended(upid).endswith("(/sdn/zones/localnetwork/vmbr0/5, SDN.Use)")


def test_lxc_lines_are_for_root_alone(pve: Pve) -> None:
    conf = pve.folder / f"{CT[1:]}/9001.conf"
    conf.write_text(conf.read_text() + "lxc.mount.entry: /srv srv none bind\n")
    archive = back_up(pve, 9001)
    given = {"restore": "1", "ostemplate": archive, "storage": "local-lvm"}
    assert pve.ended(pve.post(CT, vmid=9950, **given)) == "OK"
    kept = pve.get(f"{CT}/9950/config")
    assert kept["lxc"] == [["lxc.mount.entry", "/srv srv none bind"]]
    upid = pve.post(CT, "root@pam!bootstrap", vmid=9952, **given)
    assert pve.ended(upid) == "WARNINGS: 1"
    assert "lxc" not in pve.get(f"{CT}/9952/config")


def test_both_kinds_come_back_from_a_backup_server(pve: Pve) -> None:
    given = {"server": "backup.example", "datastore": "main", "username": "pve@pbs"}
    pve.post("/storage", storage="vault", type="pbs", password="x", **given)
    for kind, vmid, option in ((CT, 9001, "ostemplate"), (VM, 9000, "archive")):
        volume = back_up(pve, vmid, "vault")
        assert re.fullmatch(r"vault:backup/(ct|vm)/900[01]/2026-11-29T03:40:00Z", volume)
        restore = {"restore": "1"} if kind == CT else {}
        upid = pve.post(kind, vmid=vmid + 900, storage="local-lvm", **{option: volume}, **restore)
        assert pve.ended(upid) == "OK"
        assert sentinel(pve, f"local-lvm:vm-{vmid + 900}-disk-0") == f"of vm-{vmid}-disk-0\n"


def test_a_backup_server_tells_what_it_verified(pve: Pve) -> None:
    pve.post(
        "/storage",
        storage="vault",
        type="pbs",
        server="b.example",
        datastore="d",
        username="u@pbs",
        password="x",
    )
    back_up(pve, 9001, "vault")
    (file,) = (pve.run / "storage/vault/dump").glob("*.tar.zst")
    file.with_name(f"{file.name}.verification").write_text("failed\n")
    (row,) = pve.get(f"{NODE}/storage/vault/content", content="backup")
    assert row["verification"]["state"] == "failed"


def test_two_that_want_the_same_id_are_told_apart(pve: Pve) -> None:
    upid = pve.post(VM, vmid=9951, scsi0="local-lvm:2", name="rival")
    assert pve.ended(upid) == "OK"
    assert pve.get(f"{VM}/9951/config")["scsi0"] == "local-lvm:vm-9951-disk-0,size=2G"
    refusal = pve.refusal("POST", CT, vmid=9951, restore="1", ostemplate=ARCHIVE, storage="drill")
    assert refusal == "500 VM 9951 already exists on node 'demo-felhom'"


def test_destroying_takes_the_disks_and_the_last_guest_of_a_job_takes_the_job(pve: Pve) -> None:
    pve.post(CT, vmid=9950, restore="1", ostemplate=ARCHIVE, storage="local-lvm")
    pve.post("/cluster/backup", id="alone", schedule="04:00", vmid="9950", storage="local")
    pve.post("/cluster/backup", id="others", schedule="04:00", all="1", exclude="9950,9000")
    assert pve.ended(pve.delete(f"{CT}/9950", purge="1")) == "OK"
    assert not (pve.run / "storage/local-lvm/images/vm-9950-disk-0").exists()
    jobs = {job["id"]: job for job in pve.get("/cluster/backup")}
    assert "alone" not in jobs
    assert jobs["others"]["exclude"] == "9000"


def test_what_runs_is_not_destroyed_unless_a_container_by_force(pve: Pve) -> None:
    for kind, vmid in ((CT, 9001), (VM, 9000)):
        pve.post(f"{kind}/{vmid}/status/start")
    refusal = pve.refusal("DELETE", f"{VM}/9000")
    assert refusal == "500 VM 9000 is running - destroy failed"
    refusal = pve.refusal("DELETE", f"{CT}/9001")
    assert refusal == "500 unable to destroy CT 9001 - container is running"
    assert pve.ended(pve.delete(f"{CT}/9001", force="1")) == "OK"


def test_archives_with_names_of_ones_own_are_shown_and_never_pruned(pve: Pve) -> None:
    dump = pve.run / "storage/local/dump"
    (dump / "vzdump-lxc-9001-before-upgrade.tar.zst").write_bytes(b"x")
    (dump / "notes.txt").write_text("no archive")
    rows = pve.get(f"{NODE}/storage/local/prunebackups", prune_backups="keep-last=1", vmid=9001)
    marks = {row["volid"].partition("/")[2]: row["mark"] for row in rows}
    assert marks["vzdump-lxc-9001-before-upgrade.tar.zst"] == "renamed"
    assert "notes.txt" not in marks
    assert sorted(marks.values()).count("keep") == 1


def test_an_archive_named_after_a_day_of_no_calendar_is_of_no_known_kind(pve: Pve) -> None:
    odd = "vzdump-lxc-9001-2026_02_30-02_30_00.tar.zst"
    (pve.run / "storage/local/dump" / odd).write_bytes(b"x")
    (pve.run / "storage/local/dump" / "vzdump-qemu-101-of-202-x.vma").write_bytes(b"x")
    rows = pve.get(f"{NODE}/storage/local/content", content="backup")
    shown = {row["volid"].partition("/")[2]: (row["subtype"], row.get("vmid")) for row in rows}
    assert shown[odd] == ("unknown", 9001)
    assert shown["vzdump-qemu-101-of-202-x.vma"] == ("qemu", 101)
    marks = pve.get(f"{NODE}/storage/local/prunebackups", prune_backups="keep-last=1", vmid=9001)
    assert {row["mark"] for row in marks if row["volid"].endswith(odd)} == {"renamed"}


def test_archives_that_a_snapshot_lists_can_be_pruned_but_not_restored(pve: Pve) -> None:
    rows = [
        {"storage": "local", "volume": f"local:backup/vzdump-lxc-9050-2026_11_0{day}-02_00_00.tar"}
        | {"ctime": 1_793_498_400 + day * 86400, "protected": day == 3}
        for day in (1, 2, 3)
    ]
    listed = pve.folder / "archives.json"
    listed.write_bytes(written({"archives": [{**rows[0], "size": 9}, *rows[1:]]}))
    content = pve.get(f"{NODE}/storage/local/content", content="backup")
    assert [row["size"] for row in content if row["vmid"] == 9050] == [9]
    marks = pve.get(f"{NODE}/storage/local/prunebackups", prune_backups="keep-last=1", vmid=9050)
    assert [row["mark"] for row in marks] == ["remove", "keep", "protected"]
    one = rows[0]["volume"]
    upid = pve.post(CT, vmid=9951, restore="1", ostemplate=one, storage="local-lvm")
    assert "is only listed, as part of a snapshot" in pve.ended(upid)
    change = f"{NODE}/storage/local/content/{one}"
    assert "only listed" in pve.refusal("PUT", change, notes="x")
    upid = pve.delete(f"{NODE}/storage/local/prunebackups", prune_backups="keep-last=1", vmid=9050)
    assert pve.ended(upid) == "OK"
    marks = pve.get(f"{NODE}/storage/local/prunebackups", prune_backups="keep-last=1", vmid=9050)
    assert [row["mark"] for row in marks] == ["keep", "protected"]
    listed.write_text("[]")
    assert "archives.json is not understood" in pve.refusal("GET", f"{NODE}/storage/local/content")


def restored(pve: Pve, actor: str = "root@pam", /, **options: str) -> str:
    """How the restore of a fresh archive of the machine ends, as guest 9951."""
    archive = back_up(pve, 9000)
    return pve.ended(pve.post(VM, actor, vmid=9951, archive=archive, **options))


def owner(pve: Pve, **more: str) -> str:
    """Who may restore on pool `drills`, and has more roles: path with `_` for `/` -> privileges."""
    pve.post("/access/users", userid="o@pve")
    pve.post("/pools", poolid="drills")
    most = "VM.Allocate VM.Config.Disk VM.Config.Options VM.PowerMgmt VM.Backup SDN.Use"
    pve.post("/access/roles", roleid="owner", privs=f"{most} Datastore.AllocateSpace")
    pve.put("/access/acl", path="/", users="o@pve", roles="owner")
    for place, privileges in more.items():
        pve.post("/access/roles", roleid=place, privs=privileges)
        pve.put("/access/acl", path="/" + place.replace("_", "/"), users="o@pve", roles=place)
    return "o@pve"


@pytest.mark.parametrize(
    ("line", "end"),
    [
        ("usb0: host=046d:c52b", "only root can set 'usb0' config for real devices"),
        ("usb0: spice", "OK"),
        ("usb0: mapping=stick", "Permission check failed (/mapping/usb/stick, Mapping.Use)"),
        ("hostpci0: 0000:01:00.0,pcie=1", "only root can set 'hostpci0' config for non-mapped"),
        ("hostpci0: mapping=gpu", "Permission check failed (/mapping/pci/gpu, Mapping.Use)"),
        ("virtiofs0: share", "Permission check failed (/mapping/dir/share, Mapping.Use)"),
        ("rng0: source=/dev/hwrng", "Permission check failed (/mapping/hwrng, Mapping.Use)"),
        ("rng0: source=/dev/urandom", "OK"),
    ],
)
def test_devices_of_the_node_in_an_archive_are_checked_in_the_task(
    pve: Pve, line: str, end: str
) -> None:
    config = pve.folder / "nodes/demo-felhom/qemu-server/9000.conf"
    config.write_text(config.read_text() + line + "\n")
    assert end in restored(pve, owner(pve))


def test_a_mapping_that_one_may_use_can_be_restored(pve: Pve) -> None:
    config = pve.folder / "nodes/demo-felhom/qemu-server/9000.conf"
    config.write_text(config.read_text() + "hostpci0: mapping=gpu\n")
    assert restored(pve, owner(pve, mapping_pci_gpu="Mapping.Use VM.Allocate")) == "OK"


def test_a_template_comes_back_as_one_and_a_cloud_init_drive_is_made_anew(pve: Pve) -> None:
    config = pve.folder / "nodes/demo-felhom/qemu-server/9000.conf"
    drive = "ide2: local-lvm:vm-9000-cloudinit,media=cdrom,size=4M\n"
    config.write_text(config.read_text().replace("size=8G", "format=raw,size=8G") + drive)
    config.write_text("template: 1\n" + config.read_text())
    assert restored(pve) == "OK"
    new = pve.get(f"{VM}/9951/config")
    assert new["template"] == 1
    assert new["scsi0"] == "local-lvm:base-9951-disk-0,size=8G"
    assert new["ide2"] == "local-lvm:vm-9951-cloudinit,media=cdrom,size=4M"
    assert sentinel(pve, "local-lvm:base-9951-disk-0") == "of vm-9000-disk-0\n"
    assert pve.ended(pve.delete(f"{VM}/9951")) == "OK"
    assert not (pve.run / "storage/local-lvm/images/base-9951-disk-0").exists()


def test_force_does_not_take_the_id_of_a_guest_of_the_other_kind(pve: Pve) -> None:
    archive = back_up(pve, 9000)
    refusal = pve.refusal("POST", VM, vmid=9001, archive=archive, force="1", storage="local-lvm")
    file = "/etc/pve/nodes/demo-felhom/qemu-server/9001.conf"
    assert refusal == (
        f"500 unable to restore VM 9001 - close (rename) atomic file '{file}' failed: File exists"
    )


def test_an_owner_does_not_make_its_container_privileged(pve: Pve) -> None:
    pve.post("/access/users", userid="o@pve")
    pve.post("/access/roles", roleid="owner", privs="VM.Backup Datastore.AllocateSpace")
    pve.put("/access/acl", path="/", users="o@pve", roles="owner")
    options = {"restore": "1", "force": "1", "unprivileged": "0", "storage": "local-lvm"}
    refusal = pve.refusal("POST", CT, "o@pve", vmid=9001, ostemplate=ARCHIVE, **options)
    assert refusal == "403 Permission check failed (/, Sys.Modify)"


def test_archives_of_nobody_are_listed_for_the_owner_of_the_storage_alone(pve: Pve) -> None:
    dump = pve.run / "storage/local/dump"
    for name in ("copy.tar.gz", "old-9001-copy.tar", "vzdump-lxc-9001-kept.tar", "empty.tgz"):
        (dump / name).write_bytes(b"" if name == "empty.tgz" else b"x")
    content = f"{NODE}/storage/local/content"

    def listed(actor: str, **more: int) -> set[str]:
        rows = pve.get(content, actor, content="backup", **more)
        return {row["volid"].partition("/")[2] for row in rows}

    assert {"copy.tar.gz", "old-9001-copy.tar", "empty.tgz"} <= listed("root@pam")
    assert "copy.tar.gz" not in listed("root@pam", vmid=9001)
    assert "old-9001-copy.tar" in listed("root@pam", vmid=9001)
    seen = listed(owner(pve))
    assert "vzdump-lxc-9001-kept.tar" in seen
    assert not {"copy.tar.gz", "old-9001-copy.tar"} & seen
    refusal = pve.refusal("GET", f"{content}/local:backup/empty.tgz")
    assert refusal == "500 volume 'local:backup/empty.tgz' has size zero"


def test_disks_are_listed_for_who_may_configure_them(pve: Pve) -> None:
    pve.post("/access/users", userid="d@pve")
    pve.post("/access/roles", roleid="disks", privs="Datastore.Audit VM.Config.Disk")
    pve.put("/access/acl", path="/storage/local-lvm", users="d@pve", roles="disks")
    content = f"{NODE}/storage/local-lvm/content"
    assert pve.get(content, "d@pve") == []
    pve.put("/access/acl", path="/vms/9000", users="d@pve", roles="disks")
    volumes = [row["volid"] for row in pve.get(content, "d@pve")]
    assert volumes == ["local-lvm:vm-9000-disk-0"]
