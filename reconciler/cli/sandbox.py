"""pvectl sandbox: the embedded Proxmox VE."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.common import Common, command
from reconciler.errors import ExitStatus


@command(app, "sandbox")
def sandbox(
    common: Common,
    folder: Annotated[Path, typer.Argument(help="A folder laid out like /etc/pve.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 8006,
) -> ExitStatus:
    """Serve an emulated Proxmox VE API over HTTPS on loopback.

    The folder holds user.cfg, priv/token.cfg, storage.cfg and so on, read and written as Proxmox
    VE does. Edits by hand are seen at the next request. Stop it with Ctrl-C.
    """
    del common
    from reconciler.sandbox.server import serve

    serve(folder, port)
    return ExitStatus.OK
