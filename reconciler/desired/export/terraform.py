"""What Terraform owns: the objects in a terraform.tfstate of the provider bpg/proxmox.

Only names are read from it; the secrets in it are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.bounded_read import read_bounded
from reconciler.errors import UsageError
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address

LARGEST = 256 * 1024 * 1024
"""Bytes; a state of this size has about 100,000 resources."""

_PREFIX = re.compile(r"proxmox_(?:virtual_environment_)?")
_ADDRESS = re.compile(r"[A-Za-z_][\w-]*")

Attributes = Mapping[str, Any]


@dataclass(slots=True)
class TerraformState:
    """`owned`: object -> the resource that makes it. `guests`, `storages`: pool -> the members that
    Terraform puts into it. `untold`: resources of the provider that pvectl does not manage."""

    owned: dict[Address, str] = field(default_factory=dict)
    guests: dict[str, set[int]] = field(default_factory=dict)
    storages: dict[str, set[str]] = field(default_factory=dict)
    untold: int = 0

    def blocks(self) -> str:
        """The `removed` blocks: Terraform forgets the resources and destroys nothing."""
        return "\n".join(
            f"removed {{\n  from = {resource}\n  lifecycle {{\n    destroy = false\n  }}\n}}\n"
            for resource in dict.fromkeys(self.owned.values())
        )


def read_terraform_state(path: Path) -> TerraformState:
    """Raises UsageError for a file that is not a state, or holds nothing of the provider."""
    try:
        found = _parsed(json.loads(read_bounded(path, LARGEST, regular=True)))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}",
            hint="`terraform state pull > terraform.tfstate` writes the state of any backend",
        ) from None
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(
            f"{path} is not a Terraform state of version 4",
            hint="`terraform state pull > terraform.tfstate` writes one; an encrypted state has to "
            "be decrypted first",
        ) from None
    if not (found.owned or found.guests or found.storages or found.untold):
        raise UsageError(
            f"{path} has no resource of the provider bpg/proxmox",
            hint="pvectl knows resources whose type begins with proxmox_",
        )
    return found


def _parsed(data: Mapping[str, Any]) -> TerraformState:
    if data["version"] != 4:
        raise ValueError(data["version"])
    found = TerraformState()
    for resource in data["resources"]:
        _add(found, resource)
    return found


def _add(found: TerraformState, resource: Mapping[str, Any]) -> None:
    sort = str(resource["type"])
    if resource["mode"] != "managed" or not _PREFIX.match(sort):
        return
    kind = _PREFIX.sub("", sort, count=1)
    name = ".".join(filter(None, (resource.get("module", ""), sort, str(resource["name"]))))
    if not all(_ADDRESS.fullmatch(part) for part in re.sub(r"\[[^]]*\]", "", name).split(".")):
        raise ValueError(name)
    for instance in resource["instances"]:
        attributes = instance["attributes"]
        objects = list(_KINDS[kind](attributes)) if kind in _KINDS else []
        for address in objects:
            found.owned[address] = re.sub(r"\[[^]]*\]", "", name)
        joined = _join(found, kind, attributes)
        found.untold += not (objects or joined)


def _join(found: TerraformState, kind: str, attributes: Attributes) -> bool:
    """Notes who is put into a pool."""
    pool = attributes.get("pool_id")
    if not pool or kind not in {"vm", "vm2", "cloned_vm", "container", "pool_membership"}:
        return False
    if attributes.get("storage_id"):
        found.storages.setdefault(str(pool), set()).add(str(attributes["storage_id"]))
    elif attributes.get("vm_id") or attributes.get("id"):
        number = attributes.get("vm_id") or attributes["id"]
        found.guests.setdefault(str(pool), set()).add(int(number))
    return True


def _named(kind: str, attribute: str) -> Callable[[Attributes], Iterable[Address]]:
    def address(attributes: Attributes) -> Iterator[Address]:
        yield Address(kind, str(attributes[attribute]))

    return address


def _entry(path: object, role: object, kind: str, principal: object) -> Address:
    return AclEntry(str(path), kind, str(principal), str(role)).address


def _acl(attributes: Attributes) -> Iterator[Address]:
    for kind in ("user", "group", "token"):
        if attributes.get(f"{kind}_id"):
            yield _entry(attributes["path"], attributes["role_id"], kind, attributes[f"{kind}_id"])


def _holder(kind: str) -> Callable[[Attributes], Iterable[Address]]:
    """A user or a group, with the entries in its `acl` blocks."""

    def addresses(attributes: Attributes) -> Iterator[Address]:
        principal = attributes[f"{kind}_id"]
        yield Address(kind, str(principal))
        for block in attributes.get("acl") or ():
            yield _entry(block["path"], block["role_id"], kind, principal)

    return addresses


def _token(attributes: Attributes) -> Iterator[Address]:
    yield Address("token", f"{attributes['user_id']}!{attributes['token_name']}")


_KINDS: Mapping[str, Callable[[Attributes], Iterable[Address]]] = {
    "acl": _acl,
    "backup_job": _named("backup", "id"),
    "group": _holder("group"),
    "pool": _named("pool", "pool_id"),
    "realm_ldap": _named("realm", "realm"),
    "realm_openid": _named("realm", "realm"),
    "role": _named("role", "role_id"),
    "user": _holder("user"),
    "user_token": _token,
    **{
        f"storage_{kind}": _named("storage", "id")
        for kind in ("cifs", "directory", "lvm", "lvmthin", "nfs", "pbs", "zfspool")
    },
}
"""Type of a resource, without its prefix -> the objects that it makes.

Source: docs/resources of github.com/bpg/terraform-provider-proxmox.
"""
