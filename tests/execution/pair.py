"""One pair of states in which every kind comes, changes and goes."""

from __future__ import annotations

from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.spec import Spec
from tests.kinds.samples import declared

_LDAP = {"type": "ldap", "server1": "ldap.invalid", "base_dn": "dc=a", "user_attr": "uid"}
_VAULT = {"type": "pbs", "server": "pbs", "datastore": "main", "username": "b@pbs", "disable": True}
_SECRET = {"password": {"env": "SECRET"}}


def _state(*objects: tuple[str, str, Spec]) -> dict[Address, Spec]:
    return {Address(kind, name): spec for kind, name, spec in objects}


FIRST = _state(
    ("role", "Old", RoleSpec(privileges=("VM.Audit",))),
    ("role", "Kept", RoleSpec(privileges=("VM.Audit",))),
    ("group", "old", GroupSpec(comment="goes")),
    ("group", "kept", GroupSpec(comment="before")),
    ("user", "gone@pam", UserSpec(groups=("old",))),
    ("user", "kept@pam", UserSpec(comment="before", groups=("kept", "old"))),
    ("acl", "/vms|user:gone@pam|Old", AclSpec()),
    ("acl", "/vms|group:old|Old", AclSpec()),
    ("acl", "/storage/usb|group:kept|Kept", AclSpec()),
    ("storage", "usb", declared("storage", "usb", {"type": "dir", "path": "/u", "disable": True})),
    ("pool", "old", declared("pool", "old", {"guests": [9000], "storages": ["usb"]})),
    ("realm", "corp", declared("realm", "corp", {**_LDAP, "comment": "before"})),
    ("realm_sync", "nightly", declared("realm_sync", "nightly", {"schedule": "02:30"}, "corp")),
    ("backup", "b1", declared("backup", "b1", {"schedule": "02:30", "guests": [9001]})),
)
SECOND = _state(
    ("role", "New", RoleSpec(privileges=("VM.Backup",))),
    ("role", "Kept", RoleSpec(privileges=("VM.Audit", "VM.Backup"))),
    ("group", "new", GroupSpec(comment="comes")),
    ("group", "kept", GroupSpec(comment="after")),
    ("user", "new@pve", UserSpec(groups=("new",), password=SecretRef(env="SECRET"))),
    ("user", "kept@pam", UserSpec(comment="after", groups=("kept", "new"))),
    ("token", "new@pve!ci", TokenSpec(secret_to=SecretSink(file="ci"))),
    ("acl", "/vms|token:new@pve!ci|New", AclSpec()),
    ("acl", "/vms|user:new@pve|New", AclSpec()),
    ("acl", "/storage/vault|group:kept|Kept", AclSpec(propagate=False)),
    ("storage", "vault", declared("storage", "vault", {**_VAULT, **_SECRET})),
    ("pool", "new", declared("pool", "new", {"guests": [9000], "storages": ["vault"]})),
    ("realm", "corp", declared("realm", "corp", {**_LDAP, "comment": "after"})),
    ("realm_sync", "nightly", declared("realm_sync", "nightly", {"schedule": "03:30"}, "corp")),
    ("backup", "b1", declared("backup", "b1", {"schedule": "03:30", "pool": "new"})),
    ("backup", "b2", declared("backup", "b2", {"schedule": "04:30", "all": True})),
)
