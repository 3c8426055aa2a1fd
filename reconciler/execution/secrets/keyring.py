"""Read and write the system keyring, through the optional package `keyring`."""

from __future__ import annotations

from typing import Any

from reconciler.errors import SinkFailed
from reconciler.extras import install_command


def _package() -> Any:
    try:
        import keyring
    except ImportError:
        raise SinkFailed(
            "the package 'keyring' is not installed",
            hint=f"{install_command('keyring')}, or deliver the secret to a file or a command",
        ) from None
    return keyring


def set_entry(service: str, user: str, secret: str | None) -> None:
    """Set an entry, or remove it with None; raises SinkFailed."""
    keyring = _package()
    try:
        if secret is None:
            keyring.delete_password(service, user)
        else:
            keyring.set_password(service, user, secret)
    except (keyring.errors.KeyringError, RuntimeError) as error:
        why = type(error).__name__
    else:
        return
    raise SinkFailed(
        f"the keyring refused the entry {service}: {why}",
        hint="unlock it, or choose another backend; `keyring diagnose` tells which one is used",
    )


def get_entry(service: str, user: str) -> str | None:
    """The value of an entry; None where there is none or it cannot be read."""
    keyring = _package()
    try:
        found: str | None = keyring.get_password(service, user)
    except (keyring.errors.KeyringError, RuntimeError):
        return None
    return found
