"""The root and mount points of a container: new volumes and existing ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.access.contents import ROOT
from reconciler.pve.calls.guest_options import NEW_DISK
from reconciler.pve.parameter_check import parse_properties
from reconciler.pve.property_strings import render_properties
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError, bad_parameters, died
from reconciler.sandbox.guest.images import image_folder, new_volume, size_bytes, size_text
from reconciler.sandbox.guest.volumes import enabled_storage, split_volume
from reconciler.sandbox.storage.plugins import check_online

ROOTFS = "rootfs"
_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Mount:
    """`volume` is a volume id, `STORAGE:GIGABYTES` for a new one, or a path of the node."""

    key: str
    volume: str
    options: Mapping[str, str]

    @property
    def is_volume(self) -> bool:
        return not self.volume.startswith("/")

    def text(self) -> str:
        return render_properties(_format(self.key), {**self.options, "volume": self.volume})


def _format(key: str) -> str:
    return "pve-ct-rootfs" if key == ROOTFS else "pve-ct-mountpoint"


def parse_mount(key: str, text: str) -> Mount:
    found = parse_properties(_format(key), text, key)
    if found.complaint is not None:
        raise died(f"unable to parse value of '{key}' - {found.complaint}".strip())
    values = dict(found.values)
    return Mount(key, values.pop("volume"), values)


def check_rootdir_storage(ctx: Context, name: str) -> None:
    """Whether a storage accepts containers, and the caller may use it."""
    section = enabled_storage(ctx, name)
    if "rootdir" not in section.values["content"]:
        text = f"storage '{name}' does not support container directories"
        raise bad_parameters({"storage": text})
    ctx.require(f"/storage/{name}", ["Datastore.AllocateSpace"])
    check_online(name, section)


def check_mounts(ctx: Context, given: Mapping[str, str]) -> None:
    """Check the mount points of a request: their storages, and paths only for root@pam."""
    for key, text in given.items():
        mount = parse_mount(key, text)
        split = split_volume(mount.volume)
        if not mount.is_volume or split is None:
            if ctx.actor != ROOT:
                raise died("Only root can pass arbitrary filesystem paths.")
        else:
            check_rootdir_storage(ctx, split[0])


def recovered(
    ctx: Context, saved: Mapping[str, str], storage: str
) -> tuple[dict[str, str], dict[str, str]]:
    """The mount points of an archive for a new container, and those to be set only at the end.

    Volumes become new ones of the same size on `storage`.
    """
    if ROOTFS not in saved:
        raise died(
            "rootfs configuration could not be recovered, please check and specify manually!"
        )
    new, late = {}, {}
    for key, text in saved.items():
        mount = parse_mount(key, text)
        if not mount.is_volume:
            kind = "device" if mount.volume.startswith("/dev/") else "bind"
            if key == ROOTFS:
                raise died(
                    f"restoring rootfs to {kind} mount is only possible by specifying "
                    "-rootfs manually!"
                )
            if ctx.actor != ROOT:
                raise died(f"restoring '{key}' to {kind} mount is only possible for root")
            late[key] = text
            continue
        size = size_bytes(mount.options.get("size", ""))
        if size is None:
            raise died(f"unable to detect disk size - please specify {key} (size)")
        options = {name: value for name, value in mount.options.items() if name != "size"}
        new[key] = Mount(key, f"{storage}:{size / _GIB:g}", options).text()
    return new, late


def allocate(
    ctx: Context, vmid: int, mounts: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Create the new volumes: returns the options to write, and the volumes."""
    made: list[str] = []
    written: dict[str, str] = {}
    for key in sorted(mounts):
        mount = parse_mount(key, mounts[key])
        new = NEW_DISK.fullmatch(mount.volume)
        if new is not None:
            size = int(float(new[2]) * 1024) * 1024**2
            section = enabled_storage(ctx, new[1])
            if "rootdir" not in section.values["content"]:
                raise ApiError(
                    f"content type 'rootdir' is not available or configured on storage '{new[1]}'\n"
                )
            volume = new_volume(ctx.store, new[1], section, vmid, size, made)
            image_folder(ctx.store, volume).mkdir(parents=True)
            made.append(volume)
            mount = Mount(key, volume, {**mount.options, "size": size_text(size)})
        written[key] = mount.text()
    return written, made
