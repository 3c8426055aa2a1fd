"""Sign and verify saved plans: detached SSH signatures by `ssh-keygen -Y`.

The formats are OpenSSH's own (PROTOCOL.sshsig; "ALLOWED SIGNERS" in ssh-keygen(1)), so that a key,
an agent or a security key signs plans as it signs commits. A signature covers the bytes of the
file.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from reconciler.atomic_write import atomic_write
from reconciler.bounded_read import read_bounded
from reconciler.errors import NotSigned, UsageError
from reconciler.model.secret import without_credentials

NAMESPACE = "pvectl-plan"
"""What a signature is for: one of a commit or of an e-mail is none of a plan."""

TIMEOUT = 120.0
"""Seconds for a passphrase to be typed, or a security key to be touched."""

LARGEST_SIGNATURE = 64 * 1024
"""Bytes; that of an RSA key of 16384 bits has 6 kB."""

PROGRAM = "ssh-keygen"


def signature_of(plan: Path) -> Path:
    """The path of a plan file's signature: next to it, where `ssh-keygen` puts it."""
    return plan.with_name(f"{plan.name}.sig")


def sign(plan: Path, key: Path) -> Path:
    """Write the signature of a plan file and return its path.

    `key`: a private key, or a public one whose private key an agent holds. Raises UsageError where
    that cannot sign, OSError where the signature cannot be written.
    """
    raw = plan.read_bytes()
    done = _keygen("sign", "-f", str(key), given=raw)
    if done.returncode or not done.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        why = _reason(done)
        raise UsageError(
            f"the plan is saved but not signed: {key} cannot sign it" + (f": {why}" if why else ""),
            hint="name a private key, or a public key that the SSH agent holds (`ssh-add -L`)",
        )
    path = signature_of(plan)
    atomic_write(path, done.stdout)
    return path


def signer(plan: Path, raw: bytes, allowed: Path) -> str:
    """The principal who signed `raw`, the bytes read from `plan`, as the file `allowed` names it.

    Raises NotSigned where the signature is missing, is of something else, or is made by a key that
    `allowed` does not list for `pvectl-plan`; UsageError where `allowed` cannot be read.
    """
    try:
        read_bounded(allowed)
    except OSError as error:
        raise UsageError(
            f"the allowed signers {allowed} cannot be read: {error.strerror}",
            hint=f'one line for each: NAME namespaces="{NAMESPACE}" ssh-ed25519 AAAA...',
        ) from None
    path = signature_of(plan)
    try:
        signature = read_bounded(path, LARGEST_SIGNATURE, regular=True)
    except OSError:
        raise _refused(f"{plan} is not signed: there is no {path.name} next to it") from None
    with tempfile.NamedTemporaryFile(suffix=".sig") as own:  # not replaced while it is verified
        own.write(signature)
        own.flush()
        found = _keygen("find-principals", "-s", own.name, "-f", str(allowed))
        names = found.stdout.decode("utf-8", "replace").splitlines()
        if found.returncode or not names:
            raise _refused(f"the key that signed {plan} is not listed in {allowed}")
        who = names[0].split(",")[0]  # a line may name several
        words = ("-f", str(allowed), "-I", who, "-s", own.name)
        done = _keygen("verify", *words, given=raw)
    if done.returncode:
        why = _reason(done)
        raise _refused(f"the signature of {plan} is not valid" + (f" ({why})" if why else ""))
    return who


def _keygen(action: str, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `ssh-keygen -Y ACTION`; a passphrase is prompted for on the terminal."""
    names = () if action == "find-principals" else ("-n", NAMESPACE)
    try:
        return subprocess.run(  # noqa: S603 - the words are ours; files are named by the operator
            [PROGRAM, "-Y", action, *words, *names],
            input=given,
            capture_output=True,
            timeout=TIMEOUT,
            env=without_credentials(os.environ),
            check=False,
        )
    except FileNotFoundError:
        raise UsageError(
            f"{PROGRAM} is not installed; it makes and verifies signatures",
            hint="install the OpenSSH client (Debian: apt install openssh-client)",
        ) from None
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{PROGRAM} did not answer within {TIMEOUT:g} seconds",
            hint="unlock the key with `ssh-add`, or touch the security key when it blinks",
        ) from None


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """The last line that ssh-keygen printed."""
    lines = (done.stderr or done.stdout).decode("utf-8", "replace").splitlines()
    said = [line.strip().rstrip(".\r") for line in lines if line.strip()]
    return said[-1] if said else ""


def _refused(summary: str) -> NotSigned:
    return NotSigned(
        summary, hint="nothing was sent; the reviewer signs the plan: pvectl plan --out --sign KEY"
    )
