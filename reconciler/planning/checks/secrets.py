"""Secrets that a plan sends but that are missing on this machine, or readable by others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.model.finding import SECRET_NOT_COMPARED, Finding, Severity
from reconciler.model.plan import Step
from reconciler.model.secret import SecretRef
from reconciler.planning.checks.context import PlanContext
from reconciler.text.shell import shell

SECRET_MISSING = "SECRET_MISSING"  # noqa: S105 - a code


SECRET_READABLE = "SECRET_READABLE"  # noqa: S105 - a code


def check(context: PlanContext) -> Iterable[Finding]:
    yield from missing(context.steps, context.request.missing_secrets)
    for address, names in sorted(context.request.not_compared.items()):
        if address in context.live:
            declared = context.desired.objects[address]
            yield Finding(
                SECRET_NOT_COMPARED,
                Severity.NOTE,
                f"the {' and '.join(names)} of {address} could not be compared with the cluster: "
                "this machine has not sent it, and Proxmox VE does not return it",
                "to send it: add --send-secrets; from then on this machine notices a change",
                address,
                declared.source,
            )
    for file in context.request.open_secrets:
        message = f"every account of this machine can read the secret in {file}"
        hint = f"{shell('chmod', '600', file)}; change the secret if others work on this machine"
        yield Finding(SECRET_READABLE, Severity.WARNING, message, hint)


def missing(steps: Sequence[Step], known: Mapping[SecretRef, str]) -> Iterable[Finding]:
    """One for each secret that a step sends and `known` says why it is not there."""
    for step in steps:
        for _, value in step.request.params:
            if isinstance(value, SecretRef) and value in known:
                yield secret_missing(step, known[value])


def secret_missing(step: Step, why: str, hint: str = "") -> Finding:
    """A warning: the plan may be applied where the secret is."""
    change = step.changes[0]
    return Finding(
        SECRET_MISSING,
        Severity.WARNING,
        f"{change.address} needs a secret, and {why} ({change.reason.text})",
        hint or "`pvectl apply` sends nothing until it is there",
        change.address,
    )
