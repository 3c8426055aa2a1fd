"""New disks of virtual machines: `STORAGE:GIGABYTES` becomes a volume."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.pve.calls.guest_options import NEW_DISK, QEMU_DISK
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import died
from reconciler.sandbox.guest.images import image_folder, new_volume, size_text
from reconciler.sandbox.guest.volumes import enabled_storage


def new_drives(ctx: Context, vmid: int, options: Mapping[str, str]) -> dict[str, str]:
    """The options with each new disk created and named; all storages are checked first."""
    found, wanted = dict(options), {}
    for key in sorted(options):
        new = NEW_DISK.fullmatch(options[key].partition(",")[0].removeprefix("file="))
        if QEMU_DISK.fullmatch(key) and new is not None:
            section = enabled_storage(ctx, new[1])
            if "images" not in section.values["content"]:
                raise died(f"storage '{new[1]}' does not support vm images")
            wanted[key] = (new[1], section, int(float(new[2]) * 1024**3))
    made: list[str] = []
    for key, (storage, section, size) in wanted.items():
        volume = new_volume(ctx.store, storage, section, vmid, size, made)
        image_folder(ctx.store, volume).mkdir(parents=True)
        made.append(volume)
        rest = [part for part in options[key].split(",")[1:] if not part.startswith("size=")]
        found[key] = ",".join([volume, *rest, f"size={size_text(size)}"])
    return found
