"""Keep keyed hashes of the secrets that were sent, so that a change is detected.

Proxmox VE never returns a password. After a successful apply a keyed hash (HMAC-SHA256) of each
secret that was sent is kept in $PVECTL_HOME, with the source it was read from; when planning, the
same source is read, hashed and compared. A different source counts as a change and is not read,
since state files may be an unreviewed proposal. The key never leaves this machine; both files have
mode 0600.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from reconciler.atomic_write import atomic_write, write_once
from reconciler.execution.private_folder import make
from reconciler.kinds import kind_of
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.secret import SecretRef
from reconciler.model.spec import State, canonical

KEY_BYTES = 32

Values = Mapping[Address, Mapping[str, str]]
"""Object -> parameter -> value of its secret."""

Places = Mapping[Address, Mapping[str, str]]
"""Object -> parameter -> where its secret is read, as a text that tells places apart."""

References = Mapping[Address, Mapping[str, SecretRef]]


def secret_references(state: State) -> References:
    """The secrets of these objects that can be compared: those not printed by a command."""
    found = {address: _comparable(address, spec) for address, spec in state.items()}
    return {address: refs for address, refs in found.items() if refs}


def _comparable(address: Address, spec: object) -> Mapping[str, SecretRef]:
    kind = kind_of(address)
    if kind.secrets.with_sent is None:
        return {}
    return {name: ref for name, ref in kind.secrets.sent(spec).items() if ref.command is None}


def sent(changes: Iterable[Change]) -> References:
    """The comparable secrets that these changes send."""
    return secret_references({change.address: change.after for change in changes if change.after})


def remember(folder: Path, values: Values, places: Places, gone: Iterable[Address] = ()) -> None:
    """Store what was sent and its source; drop deleted objects. Raises OSError."""
    kept = _read(folder)
    for address in gone:
        kept.pop(str(address), None)
    if values:
        key = _key(folder)
        for address, own in values.items():
            new = {
                name: {"hash": _hash(key, address, name, value), "from": places[address][name]}
                for name, value in own.items()
            }
            kept[str(address)] = {**kept.get(str(address), {}), **new}
    if kept or _file(folder).exists():
        atomic_write(_file(folder), canonical(kept) + b"\n", private=True, follow=False)


def changed_secrets_of(
    folder: Path, places: Places, read: Callable[[Address, str], str | None]
) -> Mapping[Address, tuple[str, ...]]:
    """The parameters whose secret differs from what was last sent; unknown ones do not count.

    `read` gives the value of a parameter of an object, or None where it cannot. It is called only
    where `places` has the same source as when the secret was sent.
    """
    kept, key = _read(folder), _read_key(folder)
    if not kept or not key:
        return {}

    def differs(address: Address, name: str, place: str) -> bool:
        known = kept.get(str(address), {}).get(name)
        if known is None:
            return False
        if known["from"] != place:
            return True
        value = read(address, name)
        return value is not None and not hmac.compare_digest(
            known["hash"], _hash(key, address, name, value)
        )

    found = {
        address: tuple(name for name, place in sorted(own.items()) if differs(address, name, place))
        for address, own in sorted(places.items())
    }
    return {address: names for address, names in found.items() if names}


def altered(folder: Path, answered: Values) -> Mapping[Address, tuple[str, ...]]:
    """The secrets that Proxmox VE returns and that are not those that were last sent; what was
    never sent from here does not count."""
    kept, key = _read(folder), _read_key(folder)

    def differs(address: Address, name: str) -> bool:
        known = kept.get(str(address), {}).get(name)
        there = answered[address].get(name)
        if known is None or there is None or not key:
            return False
        return not hmac.compare_digest(known["hash"], _hash(key, address, name, there))

    found = {
        a: tuple(sorted(name for name in own if differs(a, name))) for a, own in answered.items()
    }
    return {address: names for address, names in found.items() if names}


def hashes(folder: Path, answered: Values) -> Values:
    """The same secrets as keyed hashes of this machine; raises OSError."""
    if not any(answered.values()):
        return {address: {} for address in answered}
    key = _key(folder)
    return {
        a: {n: _hash(key, a, n, value) for n, value in own.items()} for a, own in answered.items()
    }


def hashes_sent(folder: Path) -> Mapping[str, Mapping[str, str]]:
    """The keyed hashes of what was last sent, by the text of the address."""
    kept = _read(folder)
    return {a: {name: one["hash"] for name, one in own.items()} for a, own in kept.items()}


def not_compared(folder: Path, references: References) -> Mapping[Address, tuple[str, ...]]:
    """The parameters of which it is not kept here what was sent last."""
    kept = _read(folder) if _read_key(folder) else {}
    found = {
        address: tuple(sorted(own.keys() - kept.get(str(address), {}).keys()))
        for address, own in references.items()
    }
    return {address: names for address, names in found.items() if names}


def _hash(key: bytes, address: Address, name: str, value: str) -> str:
    message = canonical([str(address), name, value])
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def _file(folder: Path) -> Path:
    return folder / "secrets.json"


def _read(folder: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Object -> parameter -> "hash" and "from"; what is missing or unreadable is left out."""
    try:
        content = json.loads(_file(folder).read_bytes())
        return {
            address: {name: one for name, one in own.items() if {"hash", "from"} <= set(one)}
            for address, own in content.items()
        }
    except (OSError, ValueError, OverflowError, AttributeError, TypeError):
        return {}


def _read_key(folder: Path) -> bytes:
    """The key; empty where there is none."""
    try:
        return (folder / "secrets.key").read_bytes()
    except OSError:
        return b""


def _key(folder: Path) -> bytes:
    """The key; the first process that needs one makes it. Raises OSError."""
    path = folder / "secrets.key"
    try:
        key = path.read_bytes()
        if len(key) == KEY_BYTES:
            return key
        path.unlink(missing_ok=True)  # damaged
    except FileNotFoundError:
        make(folder)
    write_once(path, secrets.token_bytes(KEY_BYTES))
    return path.read_bytes()
