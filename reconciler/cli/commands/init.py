"""pvectl init: create a state folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.state_folder import gitignore
from reconciler.cli.state_folder.editor_schema import beside, write_beside
from reconciler.cli.terminal.output import info, write_file
from reconciler.desired.files import SETTINGS_FILE
from reconciler.desired.reach import Reach, in_ci, require_inside
from reconciler.desired.validation import problem_words
from reconciler.errors import ExitStatus, UsageError
from reconciler.model.target import SANDBOX, Target
from reconciler.text.shell import shell

SETTINGS = """#:schema ./.schema/settings.json

# Where the cluster is and what pvectl may do. All settings: docs/settings.md

[target]
endpoint = "{endpoint}"
{actor}
# The token's secret: PVECTL_TOKEN_SECRET, or token_secret = {{ file = "..." }}
{trust}

[manage]
# "watch" only reports; "additive" never deletes; "owned" (default) also deletes dependents of
# declared objects; "authoritative" deletes everything undeclared that matches.
# role = {{ mode = "authoritative", include = ["Team*"] }}

[limits]
delete = {{ count = 5 }}   # of each kind; percent = N is possible as well
"""


TRUST = """# ca_file = "pve-root-ca.pem"   # a copy of /etc/pve/pve-root-ca.pem, or
# fingerprint = "AB:CD:..."     # on the node: pvenode cert info"""


USUAL, PLANNER = "automation@pve!pvectl", "planner@pve!pvectl"


FIRST = """#:schema ./.schema/state.json

# The declared objects: pvectl does not manage any others.

# [role.GuestBackup]
# privileges = ["VM.Audit", "VM.Backup", "Datastore.AllocateSpace", "Datastore.Audit"]
# purpose = "back up one guest"
#
# [user."backup@pve"]
# comment = "backs up guest 100"
#
# [user."backup@pve".token.job]
# secret_to = { file = "secrets/backup" }
#
# [[acl]]
# roles = ["GuestBackup"]
# paths = ["/vms/100", "/storage/local"]
# tokens = ["backup@pve!job"]
"""


@command(app, "init", Panel.FILES, 1)
def init(
    common: CommonOptions,
    endpoint: Annotated[
        str, typer.Option("--endpoint", metavar="URL", help="https://host:8006, or sandbox:FOLDER.")
    ] = "https://pve01.example.com:8006",
    token_id: Annotated[
        str | None,
        typer.Option(
            "--token-id",
            metavar="USER@REALM!TOKEN",
            help=f"The API token of pvectl; by default {USUAL}, in a sandbox root@pam.",
        ),
    ] = None,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            "--fingerprint", metavar="SHA256", help="SHA-256 fingerprint of the node's certificate."
        ),
    ] = None,
    ca_file: Annotated[
        str | None,
        typer.Option("--ca-file", metavar="FILE", help="A copy of /etc/pve/pve-root-ca.pem."),
    ] = None,
) -> ExitStatus:
    """Create a state folder; `pvectl import` fills it from a live cluster."""
    folder = common.state
    there = [p.name for p in folder.glob("*.toml")] if folder.is_dir() else []
    if there:
        raise UsageError(
            f"{folder} is already a state folder ({', '.join(sorted(there))})",
            hint="name another one with --state",
        )
    if fingerprint and ca_file:
        raise UsageError("pass --ca-file or --fingerprint, not both")
    if ca_file and not Path(ca_file).is_file():
        raise UsageError(
            f"there is no file {ca_file}", hint="copy /etc/pve/pve-root-ca.pem of a node"
        )
    try:
        target = Target(
            endpoints=(endpoint,),
            token_id=token_id or (None if endpoint.startswith(SANDBOX) else USUAL),
            fingerprint=(fingerprint,) if fingerprint else (),
        )
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        message, hint = problem_words(problem)
        raise UsageError(message, hint=hint) from None
    settings = _settings(target, ca_file, folder)
    own = [folder / name for name in (SETTINGS_FILE, "access.toml", gitignore.FILE)]
    require_inside(Reach(folder, strict=in_ci()), [*own, *beside(folder)])
    write_file(folder / SETTINGS_FILE, settings)
    write_file(folder / "access.toml", FIRST)
    write_beside(folder)
    gitignore.ignore_secrets(folder)
    if target.token_id and target.sandbox_folder is None:
        for line in _tokens(target.token_id):
            info(common, line)
    info(common, f"created {folder}/{SETTINGS_FILE} and {folder}/access.toml")
    secret = "" if target.sandbox_folder else "set PVECTL_TOKEN_SECRET, `pvectl trust`, then "
    info(common, f"next: {secret}`pvectl import` imports the current configuration; `pvectl plan`")
    return ExitStatus.OK


def _tokens(token_id: str) -> Iterator[str]:
    """The `pveum` lines that create the token on a node, and one that only plans."""
    yield "on a node, unless the token exists, a token that plans and applies:"
    yield from _token(token_id, "Administrator")
    yield f"or one that only plans; to use it: export PVECTL_TOKEN_ID={shell(PLANNER)}"
    yield from _token(PLANNER, "PVEAuditor")


def _token(token_id: str, role: str) -> Iterator[str]:
    user, _, name = token_id.partition("!")
    yield f"  {shell('pveum', 'user', 'add', user)}"
    yield f"  {shell('pveum', 'acl', 'modify', '/', '--users', user, '--roles', role)}"
    yield f"  {shell('pveum', 'user', 'token', 'add', user, name, '--privsep', '0')}"


def _settings(target: Target, ca_file: str | None, folder: Path) -> str:
    """The text of pvectl.toml; relative paths count from its folder."""
    endpoint, sandbox = target.endpoints[0], target.sandbox_folder
    if sandbox is not None and not Path(sandbox).is_absolute():
        endpoint = SANDBOX + os.path.relpath(sandbox, folder)
    actor = f'token_id = "{target.actor}"' if target.actor else f'# token_id = "{USUAL}"'
    if target.fingerprint:
        trust = f'fingerprint = "{target.fingerprint[0]}"'
    elif ca_file:
        trust = f'ca_file = "{os.path.relpath(ca_file, folder)}"'
    else:
        trust = TRUST
    return SETTINGS.format(endpoint=endpoint, actor=actor, trust=trust)
