"""How a guest of the sandbox behaves once it runs. Configured on its first disk, in
`etc/sandbox.json`, so that a backup includes it and a restored guest behaves like the saved one.
Without that file a guest starts at once, has a QEMU agent, is healthy, and shuts down when asked
to.

    {"boot": 3,                      seconds until it is up
     "start_fails": "text",          why it cannot be started
     "agent": false,                 the agent never answers
     "shutdown": false,              it ignores requests to go down
     "addresses": ["192.0.2.5/24"],  in place of those that its network gives it
     "commands": {"systemctl is-system-running": {"exit": 1, "out": "degraded\\n", "seconds": 2}}}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.sandbox.config.store import Store
from reconciler.sandbox.guest.images import image_folder
from reconciler.sandbox.guest.nics import NET, Nic, parse_nic
from reconciler.sandbox.guests import LXC, Guest
from reconciler.sandbox.storage.disks import disks

_FILE = "etc/sandbox.json"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a command inside a guest; `seconds`: how long it takes."""

    exit: int = 0
    out: str = ""
    err: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    boot: float = 0.0
    start_fails: str = ""
    agent: bool = True
    shutdown: bool = True
    addresses: tuple[str, ...] | None = None
    commands: dict[str, Result] = field(default_factory=dict)


def first_disk(store: Store, guest: Guest) -> Path | None:
    """The folder of the root file system; None for a guest without disks."""
    found = {disk.key: disk.volume for disk in disks(guest)}
    if guest.kind == LXC:
        volume = found.get("rootfs")
    else:
        order = guest.config.get("boot", "").partition("order=")[2]
        names = [name for name in re.split(r"[;,]", order) if name in found]
        volume = found[names[0]] if names else next(iter(found.values()), None)
    return image_folder(store, volume) if volume is not None else None


def behaviour(store: Store, guest: Guest) -> Behaviour:
    disk = first_disk(store, guest)
    try:
        data = json.loads((disk / _FILE).read_text("utf-8")) if disk is not None else {}
    except (FileNotFoundError, ValueError):
        data = {}
    return _behaviour(data) if isinstance(data, dict) else Behaviour()


def _behaviour(data: dict[str, Any]) -> Behaviour:
    addresses = data.get("addresses")
    commands = data.get("commands") or {}
    return Behaviour(
        boot=float(data.get("boot", 0)),
        start_fails=str(data.get("start_fails", "")),
        agent=bool(data.get("agent", True)),
        shutdown=bool(data.get("shutdown", True)),
        addresses=None if addresses is None else tuple(map(str, addresses)),
        commands={str(name): _result(value) for name, value in commands.items()},
    )


def _result(data: dict[str, Any]) -> Result:
    return Result(
        exit=int(data.get("exit", 0)),
        out=str(data.get("out", "")),
        err=str(data.get("err", "")),
        seconds=float(data.get("seconds", 0)),
    )


def is_up(store: Store, guest: Guest, now: float) -> bool:
    """Whether the guest runs and has come up."""
    return guest.started is not None and now >= guest.started + behaviour(store, guest).boot


def interfaces(store: Store, guest: Guest, now: float) -> list[tuple[str, str, list[str]]]:
    """Name, MAC address and addresses with prefix of each interface, the loopback first."""
    found = [("lo", "00:00:00:00:00:00", ["127.0.0.1/8", "::1/128"])]
    given = behaviour(store, guest).addresses
    names = sorted(
        (key for key in guest.config if NET.fullmatch(key)), key=lambda key: int(key[3:])
    )
    for key in names:
        nic = parse_nic(guest.kind, guest.config[key])
        number = int(key[3:])
        up = nic.up and is_up(store, guest, now)
        addresses = _addresses(guest, nic, number) if given is None else list(given)
        name = nic.options.get("name", f"eth{number}")
        found.append((name, nic.mac.lower(), addresses if up else []))
        given = None if given is None else ()
    return found


def _addresses(guest: Guest, nic: Nic, number: int) -> list[str]:
    """The configured ones; with DHCP, one of the documentation network, by the guest's number."""
    options = nic.options
    if guest.kind != LXC:
        text = guest.config.get(f"ipconfig{number}", "ip=dhcp")
        options = dict(part.partition("=")[::2] for part in text.split(","))
    found = []
    for key in ("ip", "ip6"):
        value = options.get(key, "")
        if value == "dhcp" and key == "ip":
            found.append(f"192.0.2.{guest.vmid % 254 + 1}/24")
        elif "/" in value:
            found.append(value)
    return found


def execute(store: Store, guest: Guest, command: list[str]) -> Result | None:
    """The result of a command inside the guest; None if the guest does not have it."""
    known = behaviour(store, guest).commands.get(" ".join(command))
    if known is not None:
        return known
    disk = first_disk(store, guest)
    name, arguments = command[0].rpartition("/")[2], command[1:]
    built_in: dict[str, Callable[[], Result]] = {
        "cat": lambda: _cat(disk, arguments),
        "echo": lambda: Result(out=" ".join(arguments) + "\n"),
        "false": lambda: Result(exit=1),
        "hostname": lambda: Result(out=f"{guest.name}\n"),
        "systemctl": lambda: _systemctl(arguments),
        "test": lambda: Result(exit=int(_file(disk, arguments[-1] if arguments else "") is None)),
        "true": Result,
    }
    return built_in[name]() if name in built_in else None


def _systemctl(arguments: list[str]) -> Result:
    if arguments == ["is-system-running"]:
        return Result(out="running\n")
    return Result(exit=1, err="Failed to connect to bus: No such file or directory\n")


def _cat(disk: Path | None, names: list[str]) -> Result:
    out, err = "", ""
    for name in names:
        path = _file(disk, name)
        if path is None:
            err += f"cat: {name}: No such file or directory\n"
        else:
            out += path.read_text("utf-8", "replace")
    return Result(exit=int(bool(err)), out=out, err=err)


def _file(disk: Path | None, name: str) -> Path | None:
    if disk is None or ".." in Path(name).parts:
        return None
    path = disk / name.lstrip("/")
    return path if path.is_file() else None
