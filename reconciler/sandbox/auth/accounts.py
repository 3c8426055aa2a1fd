"""Users, realms, passwords and token secrets: shared by the methods below /access.

PVE source: PVE::AccessControl, PVE::Auth::*, PVE::TokenConfig.
"""

from __future__ import annotations

import os
import re
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.access.contents import ROOT, split_token
from reconciler.pve.formats import username_complaint
from reconciler.sandbox.auth import crypt
from reconciler.sandbox.config.perltext import file_bytes, file_text
from reconciler.sandbox.config.realmcfg import realms
from reconciler.sandbox.config.store import Store, locked
from reconciler.sandbox.config.usercfg import Token, User, UserConfig
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError, died

SHADOW = "priv/shadow.cfg"
TOKENS = "priv/token.cfg"

ROOT_PASSWORD_VARIABLE = "PVECTL_SANDBOX_ROOT_PASSWORD"  # noqa: S105 - the name of a variable
_ROOT_PASSWORD = "pvelab-root"  # noqa: S105 - of the sandbox, which listens on loopback only
"""The password of root@pam unless the variable sets another; no other user of the realm can log in.
"""


def split_user(user: str) -> tuple[str, str]:
    """`name@realm` -> both; raises PVE's error for an invalid user id."""
    complaint = username_complaint(user)
    if complaint is not None:
        raise ApiError(complaint)
    name, _, realm = user.rpartition("@")
    return name, realm


def existing_user(cfg: UserConfig, user: str) -> User:
    split_user(user)
    if user not in cfg.users:
        raise died(f"no such user ('{user}')")
    return cfg.users[user]


def existing_token(cfg: UserConfig, user: str, name: str) -> Token:
    tokens = existing_user(cfg, user).tokens
    if name not in tokens:
        raise died(f"no such token '{name}' for user '{user}'")
    return tokens[name]


def check_enabled(ctx: Context, user: str) -> None:
    """Raises for a user who cannot log in now."""
    found = existing_user(ctx.cfg, user)
    if not found.enable:
        raise died(f"user '{user}' is disabled")
    if found.expire and found.expire < ctx.now:
        raise died(f"user '{user}' access expired")


def check_token(ctx: Context, credentials: str) -> str:
    """`ID=SECRET` -> the id of the token; raises for one that cannot be used now."""
    token, _, secret = credentials.rpartition("=")
    split = split_token(token)
    if split is None:
        raise died(
            f"'{token}' is not a valid token ID - not able to split into user and token parts"
        )
    check_enabled(ctx, split[0])
    found = existing_token(ctx.cfg, *split)
    if found.expire and found.expire < ctx.now:
        raise died(f"token '{split[1]}' access expired")
    known = ctx.store.parsed(TOKENS, _parse_tokens).get(token, "")
    if not known or not secrets.compare_digest(known.encode(), secret.encode()):
        raise died("invalid token value!")
    return token


def new_secret(store: Store, token: str) -> str:
    """Generate and store a secret for a token; it replaces an earlier one."""
    secret = str(uuid.uuid4())
    with _editing_tokens(store) as tokens:
        tokens[token] = secret
    return secret


def forget_secret(store: Store, token: str) -> None:
    with _editing_tokens(store) as tokens:
        tokens.pop(token, None)


def spelling(ctx: Context, user: str) -> str:
    """The existing spelling of a user in a realm that ignores case, otherwise the user as given."""
    realm = realms(ctx.store).get(user.rpartition("@")[2])
    if realm is None or realm.values.get("case-sensitive", 1):
        return user
    return next((name for name in sorted(ctx.cfg.users) if name.lower() == user.lower()), user)


def check_password(ctx: Context, user: str, password: str) -> None:
    """Raises unless the password is right in the user's realm."""
    name, realm = split_user(user)
    kind = _realm_type(ctx.store, realm)
    if kind == "pam":
        stored = _pam(ctx.store).get(name)
        expected = os.environ.get(ROOT_PASSWORD_VARIABLE, _ROOT_PASSWORD)
        plain = name == "root" and secrets.compare_digest(expected.encode(), password.encode())
        known = plain if stored is None else crypt.matches(password, stored)
    elif kind == "pve":
        stored = ctx.store.parsed(SHADOW, _parse_shadow).get(name, "")
        if not stored:
            raise died("no password set")
        known = crypt.matches(password, stored)
    else:
        raise died("the embedded Proxmox VE knows no passwords of external realms")
    if not (password and known):
        raise died("invalid credentials")


def set_password(store: Store, user: str, password: str) -> None:
    """Store a password where the user's realm stores passwords."""
    name, realm = split_user(user)
    kind = _realm_type(store, realm)
    if kind == "pve":
        with _editing_shadow(store) as shadow:
            shadow[name] = crypt.hashed(password)
    elif kind == "pam":
        if user != ROOT:
            raise died(f"change password failed: user '{name}' does not exist")
        _pam_file(store).write_text(f"{name}:{crypt.hashed(password)}:\n", encoding="ascii")
        _pam_file(store).chmod(0o600)
    else:
        raise died(f"can't set password on auth type '{kind}'")


def forget_password(store: Store, user: str) -> None:
    """The effect of deleting a user in its realm; only `pve` stores anything."""
    name, realm = split_user(user)
    section = realms(store).get(realm)
    if section is not None and section.type == "pve":
        with _editing_shadow(store) as shadow:
            shadow.pop(name, None)


def _realm_type(store: Store, realm: str) -> str:
    """A section that PVE cannot read does not count as a realm."""
    section = realms(store).get(realm)
    if section is None or not section.type:
        raise died(f"auth domain '{realm}' does not exist")
    return section.type


def _parse_tokens(raw: bytes) -> dict[str, str]:
    lines = (line.split(" ") for line in file_text(raw).split("\n"))
    return {line[0]: line[1] for line in lines if len(line) == 2 and split_token(line[0])}


def _parse_shadow(raw: bytes) -> dict[str, str]:
    found = re.findall(r"^\s*([^\s:]+):([^\s:]+):\s*$", file_text(raw), re.MULTILINE)
    return dict(found)


@contextmanager
def _editing_tokens(store: Store) -> Iterator[dict[str, str]]:
    try:
        with locked(store, TOKENS):
            tokens = _parse_tokens(store.read(TOKENS))
            yield tokens
            lines = (f"{token} {tokens[token]}\n" for token in sorted(tokens))
            store.write(TOKENS, file_bytes("".join(lines)))
    except ApiError as error:
        raise ApiError(f"{error}\n") from error


@contextmanager
def _editing_shadow(store: Store) -> Iterator[dict[str, str]]:
    with locked(store, SHADOW):
        shadow = _parse_shadow(store.read(SHADOW))
        yield shadow
        store.write(SHADOW, file_bytes("".join(f"{name}:{shadow[name]}:\n" for name in shadow)))


def _pam_file(store: Store) -> Path:
    """Passwords of Unix users belong to the node, not to the cluster, so they are stored beside the
    folder."""
    return store.beside("pam")


def _pam(store: Store) -> dict[str, str]:
    path = _pam_file(store)
    return _parse_shadow(path.read_bytes()) if path.exists() else {}
