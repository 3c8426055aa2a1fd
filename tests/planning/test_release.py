"""A cluster's own privileges and built-in roles decide, and differences are reported."""

from __future__ import annotations

from reconciler.access.analysis.lockout import administrators
from reconciler.access.contents import USER, Principal
from reconciler.access.evaluate import privileges
from reconciler.access.table import AccessTable
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.role import ROLES, built_in_roles
from reconciler.kinds.storage.table import StorageSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.declared import Declared, Desired
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.inventory import Facts
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest
from reconciler.pve.release import NEWEST, Release, known_releases, release_of

ANNA = Address("user", "anna@pve")


def of_the_future() -> Release:
    """10.0, with one more privilege in PVEVMUser, and one more built-in role that holds it."""
    roles = {name: sorted(held) for name, held in NEWEST.roles.items()}
    for name in ("Administrator", "PVEVMUser"):
        roles[name].append("VM.Teleport")
    roles["PVETeleporter"] = ["VM.Teleport"]
    rows = [{"roleid": name, "privs": ",".join(held), "special": 1} for name, held in roles.items()]
    own = {"roleid": "custom", "privs": "VM.Audit", "special": 0}
    return release_of("10.0.1", built_in_roles({ROLES: [*rows, own]}))


def findings(release: Release, role: str = "PVEVMUser") -> list[Finding]:
    entry = Address("acl", f"/vms/100|user:anna@pve|{role}")
    spec = AclSpec(propagate=True)
    here = Source("access.toml", 1)
    desired = Desired(objects={ANNA: Declared(UserSpec(), here), entry: Declared(spec, here)})
    request = PlanRequest("sandbox:x", "", 1_800_000_000)
    return list(build_plan(desired, {}, Facts(release.version, pve=release), request).plan.findings)


def codes(release: Release, role: str = "PVEVMUser") -> set[str]:
    return {finding.code for finding in findings(release, role)}


def test_a_new_privilege_of_a_built_in_role_is_evaluated() -> None:
    table = AccessTable(users={"anna@pve": Principal()}, release=of_the_future())
    table.add_entry("/vms/100", USER, "anna@pve", "PVEVMUser", propagate=True)
    assert "VM.Teleport" in privileges(table, "anna@pve", "/vms/100")
    assert "VM.Teleport" in privileges(table, "root@pam", "/")
    assert "custom" not in table.roles


def test_who_lacks_a_new_privilege_is_not_an_administrator() -> None:
    table = AccessTable(users={"anna@pve": Principal()}, release=of_the_future())
    table.roles["all-of-9"] = NEWEST.privileges
    table.add_entry("/", USER, "anna@pve", "all-of-9", propagate=True)
    assert "anna@pve" not in administrators(table)


def test_a_release_of_the_future_is_reported_once_and_not_refused() -> None:
    found = [one for one in findings(of_the_future()) if "RELEASE" in one.code]
    assert [one.code for one in found] == ["RELEASE_DIFFERS", "UNTESTED_RELEASE"]
    assert all(one.severity is Severity.WARNING for one in found)
    text = found[0].message
    assert "new privilege VM.Teleport" in text
    assert "new built-in role PVETeleporter" in text
    assert "PVEVMUser also holds VM.Teleport" in text


def test_a_role_that_only_this_cluster_has_built_in_may_be_granted() -> None:
    assert "UNKNOWN_REFERENCE" not in codes(of_the_future(), "PVETeleporter")
    assert "UNKNOWN_REFERENCE" in codes(NEWEST, "PVETeleporter")


def test_a_new_storage_of_a_type_or_content_that_the_release_lacks_is_refused() -> None:
    """One that is there keeps what it has."""
    place, options = Address("storage", "x"), (("content", ("import",)), ("path", "/srv/x"))
    spec = StorageSpec(type="dir", options=options)
    desired = Desired(objects={place: Declared(spec, Source("a.toml", 1))})
    request = PlanRequest("sandbox:x", "", 1_800_000_000)

    def told(version: str, live: StorageSpec | None) -> list[str]:
        facts = Facts(version, pve=known_releases()[version])
        state = {place: live} if live else {}
        found = build_plan(desired, state, facts, request).plan.findings
        return [one.message for one in found if one.code == "NOT_IN_RELEASE"]

    (text,) = told("8.2", None)
    assert (
        text
        == 'storage.x: the cluster\'s Proxmox VE 8.2 does not know content "import" (since 8.3)'
    )
    assert told("8.2", spec) == told("8.4", None) == []


def test_an_older_release_is_compared_with_itself() -> None:
    old = known_releases()["8.4"]
    assert "VM.Monitor" in old.privileges
    assert "UNTESTED_RELEASE" in codes(old)
    assert "RELEASE_DIFFERS" not in codes(old)


def test_a_supported_release_goes_without_saying() -> None:
    for version in ("9.0", "9.1", "9.2"):
        assert not {"UNTESTED_RELEASE", "RELEASE_DIFFERS"} & codes(known_releases()[version])
