"""The hooks of storage plugins when a storage is added, changed or deleted. Secrets are stored in
files below priv/, as in PVE. The sandbox has no network: a server whose name ends in `.invalid` is
unreachable, every other one counts as reachable.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from datetime import UTC, datetime
from typing import Any

from reconciler.pve.storage_formats import ISCSI_PROVIDERS
from reconciler.sandbox.config.sections import Section, Values
from reconciler.sandbox.config.storagecfg import storages
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError, died

Secrets = dict[str, str | None]
"""Sensitive options of a request; None for one to be deleted."""

_PASSWORD_FILES = {"cifs": "password={}\n", "esxi": "{}", "pbs": "{}\n"}
_KEYRING_FILES = {"rbd": "keyring", "cephfs": "secret"}


def on_add(ctx: Context, name: str, section: Section, secrets: Secrets) -> dict[str, Any] | None:
    """Store the secrets of a new storage; returns the answer's `config`, if any."""
    store, kind = ctx.store, section.type
    if kind == "esxi" and secrets.get("password") is None:
        raise died("missing password")
    if kind in _PASSWORD_FILES:
        _set_password(store, name, kind, secrets.get("password"))
    if kind in _KEYRING_FILES:
        _add_keyring(store, name, kind, secrets.get("keyring"))
    if kind == "lvm" and section.values.get("base"):
        _check_base(store, str(section.values["base"]))
    if kind in _COMPLETED:
        _COMPLETED[kind](section.values)
    if kind == "pbs":
        # A key that is not given is removed if it exists.
        return _pbs_keys(ctx, name, section.values, {**_NO_KEYS, **secrets}, new=True)
    return None


def _add_mountpoint(values: Values) -> None:
    """Every pool counts as existing, mounted at ZFS's default mount point."""
    values.setdefault("mountpoint", f"/{values['pool']}")


def _add_base_path(values: Values) -> None:
    """Raises PVE's complaint about an unknown provider."""
    if values.get("zfs-base-path"):
        return
    provider = values["iscsiprovider"]
    if provider not in ISCSI_PROVIDERS:
        known = ", ".join(ISCSI_PROVIDERS)
        raise died(f"{provider}: unknown iscsi provider. Available [{known}]")
    values["zfs-base-path"] = "/dev/zvol/rdsk" if provider == "comstar" else "/dev/zvol"


_COMPLETED = {"zfs": _add_base_path, "zfspool": _add_mountpoint}


def on_update(
    ctx: Context, name: str, kind: str, new: Values, secrets: Secrets
) -> dict[str, Any] | None:
    """Store or delete the secrets in a request; `new` gets the markers in the file."""
    if kind in _PASSWORD_FILES and "password" in secrets:
        _set_password(ctx.store, name, kind, secrets["password"])
    if kind in _KEYRING_FILES and "keyring" in secrets:
        path = f"priv/ceph/{name}.{_KEYRING_FILES[kind]}"
        _set_file(ctx.store, path, _line(secrets["keyring"]))
    return _pbs_keys(ctx, name, new, secrets, new=False) if kind == "pbs" else None


def on_delete(store: Store, name: str, section: Section) -> None:
    """Remove all secrets of a storage."""
    if section.type in _PASSWORD_FILES:
        store.remove(f"priv/storage/{name}.pw")
    if section.type in _KEYRING_FILES:
        store.remove(f"priv/ceph/{name}.{_KEYRING_FILES[section.type]}")
    if section.type == "pbs":
        store.remove(f"priv/storage/{name}.enc")
        store.remove(f"priv/storage/{name}.master.pem")


def activate(store: Store, name: str, section: Section) -> None:
    """Try to use a new storage; on failure its secrets are removed again."""
    try:
        check_online(name, section)
    except ApiError:
        on_delete(store, name, section)
        raise


def check_online(name: str, section: Section) -> None:
    """Raises PVE's complaint about an unreachable server."""
    values = section.values
    host = str(values.get("server") or values.get("portal") or values.get("monhost") or "")
    host = host.split(",", maxsplit=1)[0].partition(":")[0]
    if not host.endswith(".invalid") or section.type == "rbd":
        return
    if section.type == "pbs":
        port = values.get("port", 8007)
        raise died(
            f"{name}: error fetching datastores - 500 Can't connect to {host}:{port} "
            "(Temporary failure in name resolution)"
        )
    raise died(f"storage '{name}' is not online")


def _set_password(store: Store, name: str, kind: str, password: str | None) -> None:
    text = None if password is None else _PASSWORD_FILES[kind].replace("{}", password)
    _set_file(store, f"priv/storage/{name}.pw", text)


def _add_keyring(store: Store, name: str, kind: str, keyring: str | None) -> None:
    path = f"priv/ceph/{name}.{_KEYRING_FILES[kind]}"
    if keyring is not None:
        _set_file(store, path, _line(keyring))
    elif (store.folder / path).exists():
        raise died(f"ceph authx keyring file for storage '{name}' already exists!")


def _line(secret: str | None) -> str | None:
    return None if secret is None else secret.removesuffix("\n") + "\n"


def _set_file(store: Store, path: str, text: str | None) -> None:
    if text is None:
        store.remove(path)
    else:
        store.write(path, text.encode())


def _check_base(store: Store, base: str) -> None:
    name = base.partition(":")[0]
    known = storages(store)
    if name not in known:
        raise died(f"base storage ID '{name}' does not exist")
    if known[name].type != "iscsi":
        raise died(f"unsupported base type '{known[name].type}'")


_NO_KEYS: Secrets = {"encryption-key": None, "master-pubkey": None}


def _pbs_keys(
    ctx: Context, name: str, values: Values, secrets: Secrets, *, new: bool
) -> dict[str, Any]:
    """Keys of a backup server: the file has a fingerprint or 1; a new key is returned once."""
    store, config = ctx.store, {}
    if "encryption-key" in secrets:
        key = secrets["encryption-key"]
        if key is None:
            store.remove(f"priv/storage/{name}.enc")
            values.pop("encryption-key", None)
        else:
            text = _new_key(ctx.now) if key == "autogen" else key
            values["encryption-key"] = _fingerprint(text)
            _set_file(store, f"priv/storage/{name}.enc", f"{text}\n")
            config["encryption-key"] = text
    if "master-pubkey" in secrets:
        master = secrets["master-pubkey"]
        path = f"priv/storage/{name}.master.pem"
        if master is None:
            store.remove(path)
            values.pop("master-pubkey", None)
        else:
            if new and "encryption-key" not in values:
                raise died("'master-pubkey' can only be used together with 'encryption-key'")
            store.write(path, _decoded(master) + b"\n")
            values["master-pubkey"] = 1
    return config


def _fingerprint(key: str) -> str | int:
    try:
        data = json.loads(key)
    except ValueError:
        data = None
    if not isinstance(data, dict) or "data" not in data:
        raise died("Value does not seems like a valid, JSON formatted encryption key!")
    return str(data.get("fingerprint") or "") or 1


def _new_key(now: int) -> str:
    made = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    data = os.urandom(32)
    digest = hashlib.sha256(data).hexdigest()
    fingerprint = ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
    key = {
        "kdf": None,
        "created": made,
        "modified": made,
        "data": base64.b64encode(data).decode(),
        "fingerprint": fingerprint,
    }
    return json.dumps(key, separators=(",", ":"))


def _decoded(text: str) -> bytes:
    """Base64 as Perl decodes it: invalid characters are ignored."""
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""
