"""Send no secret to a target that only the state folder names: confirm it once per machine."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from reconciler.cli.turn import capturing
from reconciler.desired.reach import how_to_allow, in_ci, is_proposed
from reconciler.desired.settings.destination import destination, proposed
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import UntrustedTarget, UsageError
from reconciler.execution import known_targets
from reconciler.execution.journal.store import home
from reconciler.model.secret import SecretRef
from reconciler.model.trust import Destination
from reconciler.text.sanitize import clean

VARIABLES = {
    "endpoint": "PVECTL_ENDPOINT",
    "ca_file": "PVECTL_CA_FILE",
    "fingerprint": "PVECTL_FINGERPRINT",
    "proxy": "PVECTL_PROXY",
    "username": "PVECTL_TOKEN_ID",
    "token_secret": "PVECTL_TOKEN_SECRET",
    "password": "PVECTL_TOKEN_SECRET",
    "totp_secret": "PVECTL_TOTP_SECRET",
    "client_cert": "PVECTL_CLIENT_CERT",
    "client_key": "PVECTL_CLIENT_KEY",
}
"""A key of [target] -> the variable that says it in its place."""


def require_trusted(cluster: ClusterSettings) -> None:
    """Check the target before a secret is read or a connection made; raises UntrustedTarget.

    On a terminal the user is asked, and the answer is remembered.
    """
    keys = proposed(cluster)
    if not keys:
        return
    wanted = destination(cluster)
    if is_known(cluster, wanted):
        return
    if sys.stdin.isatty() and sys.stderr.isatty() and not in_ci() and capturing() is None:
        if not ask(wanted):
            raise UntrustedTarget("not confirmed", hint="nothing was sent")
        confirm(cluster, wanted)
        return
    raise _untrusted(keys, wanted)


def require_within_reach(cluster: ClusterSettings, sandbox: Path) -> None:
    """Refuse a sandbox of the state folder that links to files elsewhere; raises
    UntrustedTarget.
    """
    named = "endpoints" in cluster.trusted
    line = "" if named else cluster.reach.outside(sandbox)
    line = line or cluster.reach.links_out(sandbox)
    if line:
        raise UntrustedTarget(
            f"the sandbox {sandbox} leads outside what state files may reach",
            hint=how_to_allow(line),
        )


def is_known(cluster: ClusterSettings, wanted: Destination) -> bool:
    """Whether the target was confirmed on this machine."""
    return any(one.covers(wanted) for one in known_targets.known(home())) and not _beside(cluster)


def confirm(cluster: ClusterSettings, wanted: Destination) -> None:
    """Remember the target; raises UsageError where a proposal could have confirmed itself."""
    if _beside(cluster):
        raise UsageError(
            f"{home()} is next to the state files, where a proposal could confirm itself",
            hint="set PVECTL_HOME to a folder outside the checkout",
        )
    known_targets.remember(home(), wanted)


def ask(wanted: Destination) -> bool:
    """Show where the secret would go; only 'yes' confirms."""
    sys.stderr.write(
        "\n".join(["The state files name this target for a secret:", *lines(wanted), ""])
    )
    sys.stderr.write(
        "Compare the certificate with what `pvenode cert info` shows on the node.\n"
        f"Trust this from now on, on this machine ({home() / known_targets.FILE})? "
        "Type 'yes' to confirm: "
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"


def lines(wanted: Destination) -> Iterator[str]:
    """What is confirmed, one line each."""
    yield f"  endpoint     {clean(' '.join(wanted.endpoints))}"
    yield f"  certificate  {clean(wanted.certificate)}"
    yield f"  proxy        {clean(wanted.proxy or 'none')}"
    if wanted.username:
        yield f"  user         {clean(wanted.username)}"
    yield f"  secret       {clean(source_of(wanted.secret))}"
    if wanted.totp is not None:
        yield f"  totp         {clean(source_of(wanted.totp))}"
    if wanted.client:
        yield f"  client cert  {clean(wanted.client)}"


def source_of(secret: SecretRef | None) -> str:
    """Where a secret comes from, in words."""
    if secret is None:
        return "given from outside the state files"
    if secret.command is not None:
        return f"printed by: {shlex.join(secret.command)}"
    return f"${secret.env}" if secret.env is not None else f"file {secret.file}"


def _beside(cluster: ClusterSettings) -> bool:
    return is_proposed(home(), cluster.root or cluster.folder)


def _untrusted(keys: tuple[str, ...], wanted: Destination) -> UntrustedTarget:
    shown = wanted
    if not wanted.certificate.startswith("fingerprint"):  # not even a digest of what a file holds
        shown = wanted._replace(certificate="by ca_file" if "ca_file" in keys else "trusted")
    told = "; ".join(" ".join(line.split()) for line in lines(shown))
    told = f" ({told})"
    variables = f"set {', '.join(dict.fromkeys(VARIABLES[key] for key in keys))}, or "
    if capturing() is not None:  # they are about one cluster, and many may have the same error
        told = variables = ""
    return UntrustedTarget(
        f"only the state files, or files next to them, name the target of a secret: "
        f"{', '.join(keys)}{told}; nothing was sent",
        hint="on your own machine, once: pvectl trust\n"
        f"in CI: {variables}name a settings file outside the checkout in "
        "PVECTL_SETTINGS",
    )
