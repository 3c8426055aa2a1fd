"""An ACL entry as one value, with the id and address that it has everywhere."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from reconciler.invalid_value import InvalidValue
from reconciler.model.address import Address


class AclEntry(NamedTuple):
    """Who has which role on which path; `kind` is that of the principal: user, group or token.

    As text it is its id, `PATH|KIND:PRINCIPAL|ROLE`. The propagate flag is not part of the id:
    Proxmox VE keeps one flag per entry.
    """

    path: str
    kind: str
    principal: str
    role: str

    def __str__(self) -> str:
        return f"{self.path}|{self.kind}:{self.principal}|{self.role}"

    @property
    def address(self) -> Address:
        """`acl./vms/9001|user:bot@pve|PVEVMUser`."""
        return Address("acl", str(self))

    @property
    def holder(self) -> Address:
        """The user, group or token."""
        return Address(self.kind, self.principal)

    @staticmethod
    @cache
    def parse(name: str) -> AclEntry:
        """The entry of an id; only a user name may contain a `|`. Raises ValueError."""
        path, _, rest = name.partition("|")
        who, bar, role = rest.rpartition("|")
        kind, colon, principal = who.partition(":")
        if not (bar and colon):
            raise InvalidValue(f"'{name}' is not an ACL entry", "write PATH|KIND:PRINCIPAL|ROLE")
        return AclEntry(path, kind, principal, role)
