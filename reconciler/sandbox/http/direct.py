"""The embedded Proxmox VE without HTTP: `sandbox:FOLDER`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.access.contents import ROOT, split_token
from reconciler.errors import (
    AuthenticationFailed,
    RequestRefused,
    UnknownOutcome,
    Unreachable,
    UsageError,
    WriteForbidden,
)
from reconciler.model.api import refusal_hint
from reconciler.model.inventory import Strays, Unread
from reconciler.model.request import Request
from reconciler.model.secret import SecretRef
from reconciler.pve.schema import ParameterValue
from reconciler.real_path import real_path
from reconciler.sandbox.auth.accounts import check_enabled, existing_token
from reconciler.sandbox.config.storagecfg import storages
from reconciler.sandbox.config.store import Store
from reconciler.sandbox.context import Context
from reconciler.sandbox.failure import ApiError
from reconciler.sandbox.guests import guests
from reconciler.sandbox.http.dispatch import UNREACHABLE, call
from reconciler.sandbox.http.routes import Page
from reconciler.sandbox.settings import Settings


class SandboxApi:
    """The `Api` protocol over the handlers, as root@pam or as any user or token of the folder.

    No secret is needed: anyone who can read the folder can read the secrets in it. A call does
    exactly what it would do over HTTPS.
    """

    def __init__(
        self,
        folder: Path,
        actor: str = ROOT,
        *,
        read_only: bool = False,
        settings: Settings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not (folder / "user.cfg").is_file():
            there = folder.is_dir()
            raise UsageError(
                f"{folder} has no user.cfg" if there else f"folder not found: {folder}",
                hint="name a folder laid out like /etc/pve, with user.cfg in it",
            )
        settings = settings if settings is not None else Settings.from_environment()
        self._store = Store(folder, settings.lock_wait, settings.task_time)
        self._folder = real_path(folder)
        self._actor = actor
        self._read_only = read_only
        self._clock = clock

    @property
    def actor(self) -> str:
        return self._actor

    @property
    def endpoint(self) -> str:
        return f"sandbox:{self._folder}"

    def get(self, requests: Sequence[Request]) -> list[Any]:
        return [self._call(request, {}) for request in requests]

    def send(self, request: Request, secrets: Mapping[str, str] | None = None) -> Any:
        if self._read_only:
            raise WriteForbidden(
                f"{request.method} {request.target} on a connection for reading only",
                hint="this is a mistake in pvectl; nothing was sent",
            )
        return self._call(request, secrets or {})

    def unread(self) -> Sequence[Unread]:
        """What Proxmox VE skips in the files of the folder."""
        from reconciler.sandbox.config.unread import unread

        return unread(self._store)

    def strays(self) -> Mapping[str, Strays]:
        """Members of pools whose guest or storage is not in the folder, for example if it has only
        user.cfg."""
        there = {guest.vmid for guest in guests(self._store)}
        known = storages(self._store).keys()
        found = {
            name: Strays(tuple(sorted(pool.vms - there)), tuple(sorted(pool.storage - known)))
            for name, pool in sorted(self._store.users().pools.items())
        }
        return {name: members for name, members in found.items() if any(members)}

    def close(self) -> None:
        """Nothing to close."""

    def _call(self, request: Request, secrets: Mapping[str, str]) -> Any:
        ctx = Context(self._store, self._actor, self._clock)
        self._check_login(ctx)
        given = {name: _value(name, value, secrets) for name, value in request.params}
        # A slash in a segment ends the segment on the wire too, after decoding.
        try:
            data = call(ctx, request.method, request.target, given)
        except ApiError as error:
            reason = error.message.partition("\n")[0]
            if error.status == UNREACHABLE:
                raise self._unreachable(request, reason) from error
            hint = refusal_hint(reason, request.target)
            refused = RequestRefused(error.status, reason, error.errors, hint=hint)
            refused.asked = f"{request.method} {request.target} at {self.endpoint}"
            raise refused from error
        return data.rows if isinstance(data, Page) else data

    def _unreachable(self, request: Request, reason: str) -> Unreachable | UnknownOutcome:
        why = f"{UNREACHABLE} {reason}"
        hint = "the node asked could not reach the node concerned in time"
        what = f"{request.method} {request.target}"
        if request.method == "GET":
            return Unreachable(f"{self.endpoint} did not answer {what}: {why}", hint=hint)
        return UnknownOutcome(
            f"the outcome of {what} at {self.endpoint} is not known: {why}", hint=hint
        )

    def _check_login(self, ctx: Context) -> None:
        split = split_token(self._actor)
        user = split[0] if split else self._actor
        try:
            check_enabled(ctx, user)
            expires = existing_token(ctx.cfg, *split).expire if split else 0
        except ApiError as error:
            raise AuthenticationFailed(
                f"{self.endpoint} refuses {self._actor}: {error.message.strip()}",
                hint="name a user or token that exists in its user.cfg and is enabled",
            ) from error
        if expires and expires < ctx.now:
            raise AuthenticationFailed(
                f"{self.endpoint} refuses {self._actor}: the token has expired",
                hint="name a token that is still valid",
            )


def _value(name: str, value: Any, secrets: Mapping[str, str]) -> ParameterValue:
    if isinstance(value, SecretRef):
        return secrets[name]
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else list(value)
    return str(value)
