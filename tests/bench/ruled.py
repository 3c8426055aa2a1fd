"""`[[rule]]` on a cluster in which every entry is looked at, and half of them break a rule."""

from __future__ import annotations

from reconciler.access.evaluate import index_of
from reconciler.kinds.acl.table import AclSpec
from reconciler.model.acl_entry import AclEntry
from reconciler.model.address import Address
from reconciler.model.custom_rule import CustomRule
from reconciler.model.finding import Source
from reconciler.model.spec import Spec
from reconciler.planning.lint.custom import broken_rules
from reconciler.planning.lint.rule import LintContext
from tests.bench.controllers import controllers
from tests.bench.measure import seconds

_SOURCE = Source("rules.toml", 1)
RULES = (
    CustomRule("all", _SOURCE, exclusive=("VM.Backup", "VM.Snapshot"), paths=("/vms/*",)),
    CustomRule("nobody", _SOURCE, exclusive=("VM.Allocate", "Permissions.Modify")),
    CustomRule("roles", _SOURCE, roles=("PVE*",), paths=("/storage/*",)),
    CustomRule("tokens", _SOURCE, lifetime=90 * 86400),
)


def rules_on(entries: int) -> tuple[float, int]:
    """Seconds, and how many findings."""
    table = controllers(entries // 4)
    state: dict[Address, Spec] = {
        AclEntry(path, kind, who, role).address: AclSpec(propagate=flag)
        for path, kinds in table.acl.items()
        for kind, holders in kinds.items()
        for who, roles in holders.items()
        for role, flag in roles.items()
    }
    index_of(table)
    scene = LintContext(state, table, now=1, complete=True)
    cpu, found = seconds(lambda: broken_rules(RULES, scene))
    return cpu, len(found)
