"""What is wrong with a realm: logins that get weaker, two defaults, what Proxmox VE cannot read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.kinds.realm.table import (
    RealmSpec,
)
from reconciler.kinds.shared.options import toml_name
from reconciler.model.address import Address
from reconciler.model.change import Change
from reconciler.model.finding import Finding, Severity
from reconciler.model.inventory import Facts
from reconciler.model.spec import Spec

LOCK = "domains.cfg"
BROKEN = "one of its required options is empty in /etc/pve/domains.cfg: correct it there on a node"

_PROTECTS = {
    "mode": "logins are sent as `mode` says by default, without encryption",
    "secure": "logins are sent without encryption",
    "tfa": "its users log in without a second factor",
    "verify": "the identity of the server is not verified",
}
"""Options that protect logins -> the consequence of clearing them."""


def login_weaker(change: Change) -> Iterable[Finding]:
    """Undeclared options that protect logins and would be cleared."""
    before, after = change.before, change.after
    if not (isinstance(before, RealmSpec) and isinstance(after, RealmSpec)):
        return
    gone = dict(before.options).keys() - dict(after.options).keys()
    for option in sorted(gone & _PROTECTS.keys()):
        yield Finding(
            "LOGIN_WEAKER",
            Severity.WARNING,
            f"{change.address} loses {toml_name(option)}: {_PROTECTS[option]}",
            hint=f"declare {toml_name(option)} to keep it",
            address=change.address,
        )


def check_planned(planned: Mapping[Address, Spec], facts: Facts) -> Iterable[Finding]:
    """Realms that PVE cannot read, unless the file itself was read and says more."""
    if any(one.blocks and one.file == LOCK for one in facts.unread):
        return
    for address, spec in planned.items():
        if isinstance(spec, RealmSpec) and not spec.type:
            yield Finding(
                "REALM_UNREADABLE",
                Severity.WARNING,
                f"Proxmox VE cannot read {address}: its users cannot log in, and no realm can be "
                "changed until it can",
                hint=BROKEN,
                address=address,
            )


def check_declared(
    name: str, spec: RealmSpec, desired: Mapping[Address, Spec]
) -> Iterable[Finding]:
    here = Address("realm", name)
    issuer = dict(spec.options).get("issuer-url", "https://")
    if not str(issuer).startswith(("https://", "http://")):
        yield Finding(
            "REALM_ISSUER",
            Severity.WARNING,
            f"issuer_url of {here} is '{issuer}', which is not a URL: nobody could log in",
            hint="write it as the provider does, with https://",
            address=here,
        )
    for other in sorted(desired):
        rival = desired[other]
        if spec.is_default and isinstance(rival, RealmSpec) and rival.is_default and other < here:
            yield Finding(
                "REALM_DEFAULT_TWICE",
                Severity.ERROR,
                f"{other} and {here} are both declared as the default; only one can be",
                hint="remove default = true from one of them",
                address=here,
            )
