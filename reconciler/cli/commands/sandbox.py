"""pvectl sandbox: the embedded Proxmox VE."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.output import info
from reconciler.errors import ExitStatus, UsageError
from reconciler.text.humanize import in_prose


@command(app, "sandbox", Panel.OTHER, 3)
def sandbox(
    common: CommonOptions,
    folder: Annotated[Path, typer.Argument(help="A folder laid out like /etc/pve.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 8006,
    release: Annotated[
        str, typer.Option("--release", metavar="X.Y", help="Answer as this Proxmox VE, as in 8.4.")
    ] = "",
) -> ExitStatus:
    """Serve an emulated Proxmox VE API over HTTPS on loopback.

    The folder holds user.cfg, priv/token.cfg, storage.cfg and so on, read and written as Proxmox
    VE does. Edits by hand are seen at the next request. Stop it with Ctrl-C.
    """
    try:
        from reconciler.sandbox.http.server import Sandbox
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the embedded Proxmox VE needs a package that is not installed: {error.name}",
            hint="pip install 'pvectl[sandbox]'; `--on sandbox:FOLDER` works without it",
        ) from None
    from reconciler.sandbox.settings import Settings

    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", hint="it is laid out like /etc/pve")
    served = Sandbox(folder, port, Settings.from_environment(), release)
    info(common, f"{served.url} serves {folder}, fingerprint {served.fingerprint}")
    if release:
        info(common, f"it answers as {served.store.release.name}")
    info(common, _tokens(folder))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        served.serve()
    served.stop()
    return ExitStatus.OK


def _tokens(folder: Path) -> str:
    """With which API token pvectl can log in, or how to make one."""
    secrets = folder / "priv" / "token.cfg"
    known = [line.split()[0] for line in _lines(secrets) if line.strip()]
    if known:
        return f"API tokens: {in_prose(known)}; their secrets are in {secrets}"
    return (
        f"no API token yet: add `token:root@pam!NAME:0:0::` to {folder}/user.cfg and "
        f"`root@pam!NAME UUID` to {secrets}"
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
