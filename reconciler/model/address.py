"""The address of an object: its kind and id."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

from reconciler.invalid_value import InvalidValue


class Address(NamedTuple):
    """`role.FelhomSelfBackup`, `acl./vms/9001|user:felhom-ctl@pve|FelhomSelfBackup`.

    The text form parses back; addresses sort by kind, then by id.
    """

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address in a string; raises ValueError without kind or id."""
        kind, dot, name = text.partition(".")
        if not (kind and dot and name):
            raise InvalidValue(
                f"'{text}' is not a valid address", "write KIND.ID, for example user.alice@pve"
            )
        return cls(kind, name)

    def matches(self, pattern: str) -> bool:
        """Whether a glob matches, shell-style and case-sensitive: `user.*@ldap`, `acl./vms/*`; `[`
        is literal.
        """
        return fnmatchcase(str(self), pattern.replace("[", "[[]"))
