"""pvectl sandbox: serve the embedded Proxmox VE."""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.terminal.output import info
from reconciler.errors import ExitStatus, UsageError
from reconciler.extras import install_command
from reconciler.pve.release import NEWEST
from reconciler.real_path import real_path
from reconciler.text.humanize import in_prose
from reconciler.text.shell import shell


@command(app, "sandbox", Panel.OTHER, 3)
def sandbox(
    common: CommonOptions,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder laid out like /etc/pve.")
    ],
    port: Annotated[
        int,
        typer.Option(
            "--port", metavar="PORT", min=0, max=65535, help="TCP port; 0 picks a free one."
        ),
    ] = 8006,
    release: Annotated[
        str,
        typer.Option(
            "--release", metavar="X.Y", help="Emulate this Proxmox VE release, for example 8.4."
        ),
    ] = "",
    new: Annotated[
        bool, typer.Option("--new", help="Create the folder as a freshly installed cluster first.")
    ] = False,
    nodes: Annotated[
        str,
        typer.Option(
            "--nodes",
            metavar="NAMES",
            help="With --new: names of its nodes, for example pve1,pve2.",
        ),
    ] = "",
) -> ExitStatus:
    """Serve an emulated Proxmox VE API over HTTPS on loopback.

    The folder holds user.cfg, priv/token.cfg, storage.cfg and so on, read and written as Proxmox VE
    does; manual edits take effect at the next request. Stop it with Ctrl-C. To try pvectl out, run
    `pvectl sandbox --new lab`, then, in another shell, the commands that it prints.
    """
    if nodes and not new:
        raise UsageError(
            "--nodes needs --new",
            hint="an existing folder has a node for each folder in FOLDER/nodes",
        )
    try:
        from reconciler.sandbox.http.server import Sandbox
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the embedded Proxmox VE needs a package that is not installed: {error.name}",
            hint=f"{install_command('sandbox')}; `--on sandbox:FOLDER` works without it",
        ) from None
    from reconciler.sandbox.settings import Settings

    if new:
        from reconciler.sandbox import fresh

        fresh.create(folder, nodes.split(",") if nodes else ["pve1"])
        info(common, f"created {folder}: {fresh.GUESTS}, API token {fresh.TOKEN}")
    elif not folder.is_dir():
        raise UsageError(
            f"folder not found: {folder}", hint=f"create it: pvectl sandbox --new {folder}"
        )
    try:
        served = Sandbox(folder, port, Settings.from_environment(), release)
    except OSError as error:
        if "already in use" not in str(error):
            raise
        raise UsageError(
            f"port {port} is in use",
            hint=f"use any free port: {shell('pvectl', 'sandbox', str(folder), '--port', '0')}",
        ) from None
    info(common, f"{served.url} serves {folder}, fingerprint {served.fingerprint}")
    if served.store.release != NEWEST:
        info(common, f"it answers as {served.store.release.name}")
    for line in _tokens(folder, served.url, served.fingerprint):
        info(common, line)
    # An exception raised by a handler is lost where Python happens to be in a callback.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=served.stop).start())
    with contextlib.suppress(KeyboardInterrupt):
        served.serve()
    served.stop()
    return ExitStatus.OK


def _tokens(folder: Path, url: str, fingerprint: str) -> list[str]:
    """The commands with which another shell uses an API token, or how to create one."""
    secrets = folder / "priv" / "token.cfg"
    known = [line.split()[0] for line in _lines(secrets) if line.strip()]
    if known:
        secret = f"$(sed -n 's/^{known[0]} //p' {shell(str(real_path(secrets)))})"
        return [
            f"API tokens: {in_prose(known)}; their secrets are in {secrets}",
            "in another shell:",
            f"  export PVECTL_ENDPOINT={url} PVECTL_FINGERPRINT={fingerprint}",
            f"  export PVECTL_TOKEN_ID='{known[0]}' PVECTL_TOKEN_SECRET={secret}",
            "  pvectl import --out state && pvectl plan",
        ]
    return [
        f"no API token yet: add `token:root@pam!NAME:0:0::` to {folder}/user.cfg and "
        f"`root@pam!NAME UUID` to {secrets}"
    ]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
