"""Plans, runs and findings that the tests of rendering show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconciler.errors import Conflict, Interrupted, RequestRefused
from reconciler.kinds.acl.table import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.pool.membership import PoolSpec
from reconciler.kinds.realm.table import RealmSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.storage.table import StorageSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.model.change import Cause, Change, Reason
from reconciler.model.finding import Finding, Severity, Source
from reconciler.model.plan import Access, LeftAlone, Plan
from reconciler.model.run import Event, Outcome, RunReport
from reconciler.model.run_state import RunState
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.spec import Spec
from reconciler.planning.ordering.order import order

CLUSTER = "https://pve01.example.com:8006"
ACTOR = "automation@pve!pvectl"
COMMIT = "3f1c9a7d2b60"

ROLE = RoleSpec(
    privileges=(
        "Datastore.AllocateSpace",
        "Datastore.Audit",
        "VM.Audit",
        "VM.Backup",
        "VM.Snapshot",
    )
)


def change(
    address: str,
    before: Spec | None,
    after: Spec | None,
    cause: Cause = Cause.MISSING,
    text: str = "declared in access.toml:1, not in the cluster",
) -> Change:
    return Change(Address.parse(address), before, after, Reason(cause, text))


def plan(
    changes: Iterable[Change], findings: Sequence[Finding] = (), kept: Sequence[LeftAlone] = ()
) -> Plan:
    said = tuple({"mark": mark, "text": text} for mark, text in IMPACT)
    return Plan(
        CLUSTER,
        ACTOR,
        COMMIT,
        order(tuple(changes)),
        tuple(findings),
        tuple(kept),
        access=Access(said[:2], said[2:]),
    )


def first_plan() -> Plan:
    """A guest's controller on a fresh cluster."""
    token = TokenSpec(
        expires=1798761600,
        comment="backs up its guest",
        secret_to=SecretSink(file="secrets/felhom-ctl"),
    )
    return plan(
        [
            change("role.FelhomSelfBackup", None, ROLE),
            change("user.felhom-ctl@pve", None, UserSpec(comment="in-guest controller", keys="")),
            change("token.felhom-ctl@pve!ctl", None, token),
            *(
                change(
                    f"acl.{path}|{who}|FelhomSelfBackup",
                    None,
                    AclSpec(),
                    text="declared in access.toml:15, not in the cluster",
                )
                for path in ("/storage/local", "/vms/9001")
                for who in ("token:felhom-ctl@pve!ctl", "user:felhom-ctl@pve")
            ),
        ],
        kept=[LeftAlone("user", "not declared, not attached to a declared object", 3)],
    )


def busy_plan() -> Plan:
    """Everything that a plan can hold, refused."""
    differs, moved = Cause.DIFFERS, Cause.MOVED
    user = UserSpec(
        comment="on call", email="alice@example.com", groups=("admins", "night"), keys=""
    )
    alice = user.model_copy(
        update={"comment": "", "groups": ("day", "night"), "expires": 1798804800, "enabled": False}
    )
    storage = StorageSpec(
        type="dir",
        options=(("content", ("backup", "iso")), ("path", "/srv/backup"), ("shared", "1")),
    )
    scope = storage.model_copy(
        update={
            "options": (
                ("content", ("backup", "vztmpl")),
                ("nodes", ("pve01",)),
                ("path", "/srv/backup"),
                ("prune-backups", "keep-daily=7,keep-weekly=4"),
            )
        }
    )
    realm = RealmSpec(
        type="ldap",
        options=(("base_dn", "dc=example,dc=com"), ("server1", "ldap.example.com")),
        secrets=(("password", SecretRef(env="LDAP_PASSWORD")),),
    )
    changes = [
        change("user.alice@ldap", user, alice, differs, "declared in users.toml:4"),
        change("storage.local", storage, scope, differs, "declared in storage.toml:1"),
        change("realm.ldap", None, realm, text="declared in realms.toml:1, not in the cluster"),
        change("role.VMOperator", ROLE, RoleSpec(privileges=("VM.Audit", "VM.Console")), differs),
        change("group.admins", GroupSpec(comment="old"), None, moved, "it is called group.ops now"),
        change("group.ops", None, GroupSpec(comment="old"), text="declared in groups.toml:1"),
        change("pool.Dev", PoolSpec(guests=(101, 120)), PoolSpec(guests=(101,)), differs),
        change("pool.Prod", PoolSpec(guests=(200,)), PoolSpec(guests=(120, 200)), differs),
        change("token.bob@pve!ci", TokenSpec(), None, Cause.DEPENDENT, "belongs to user.bob@pve"),
        *(
            change(
                f"acl./vms/100|user:user{number:02}@pve|PVEVMUser",
                None,
                AclSpec(),
                text=f"declared in access.toml:{30 + number % 3}, not in the cluster",
            )
            for number in range(50)
        ),
        change(
            "acl./|group:admins|Administrator",
            AclSpec(),
            None,
            Cause.EXPIRED,
            "expired on 2026-07-01; declared in access.toml:90",
        ),
        change(
            "acl./pool/Dev|group:night|PVEVMAdmin",
            AclSpec(),
            AclSpec(propagate=False),
            differs,
            "declared in access.toml:70",
        ),
    ]
    made = plan(
        changes, findings(), [LeftAlone("acl", "not declared; outside the managed scope", 1)]
    )
    window = "automation@pve!pvectl lacks Pool.Audit on /pool/Dev"
    steps = [
        step._replace(window=window) if step.changes[0].address.kind == "pool" else step
        for step in made.steps
    ]
    return replace(made, steps=tuple(steps), allowed=("LIMIT_DELETE=acl",))


def findings() -> tuple[Finding, ...]:
    """One of each severity and of each shape."""
    return (
        Finding(
            "IRREVERSIBLE",
            Severity.ERROR,
            "delete token.bob@pve!ci cannot be rolled back",
            "to allow just this: --allow 'IRREVERSIBLE=token.bob@pve!ci'",
            Address("token", "bob@pve!ci"),
            allow="IRREVERSIBLE=token.bob@pve!ci",
        ),
        Finding(
            "UNKNOWN_REFERENCE",
            Severity.ERROR,
            "acl./vms/100|user:user07@pve|PVEVMUser names user.user07@pve, which is neither "
            "declared nor in the cluster",
            "did you mean user.user7@pve?",
            Address("acl", "/vms/100|user:user07@pve|PVEVMUser"),
            Source("access.toml", 31, 1),
        ),
        Finding(
            "NOT_THERE",
            Severity.WARNING,
            "acl./storage/nas|group:night|PVEAuditor names storage.nas, which is neither declared "
            "nor in the cluster; Proxmox VE accepts that silently",
            "declare storage.nas or correct its name",
            source=Source("access.toml", 44),
        ),
        Finding("GUEST_WITHOUT_BACKUP", Severity.NOTE, "guest 101 (web) is in no backup job"),
    )


IMPACT = (
    ("+", "felhom-ctl@pve!ctl gains VM.Audit, VM.Backup, VM.Snapshot on /vms/9001"),
    ("-", "group night loses VM.Console on 3 guests below /pool/Dev"),
    ("!", "alice@ldap ends with nothing: the account is switched off"),
)

DRIFTED = (
    "felhom-ctl@pve!ctl has gained VM.Audit, VM.Backup, VM.Snapshot on /vms/9001",
    "group night has lost VM.Console on 3 guests below /pool/Dev",
    "alice@ldap: active in the cluster, disabled as declared",
)

HOSTILE = (
    "\x1b[31mred\x1b[0m\x07 \u202egnp.exe\u202c | a `b` ``` <script>alert(1)</script> "
    "@octocat #1 [x](http://evil.example)\n+ fake line\r\n| x | y |\u2028&amp; $x$ \\| ~~~ "
    "www.evil.example"
)


def hostile_plan(text: str = HOSTILE) -> Plan:
    """The same text everywhere where a cluster or a file can put one."""
    comment = UserSpec(comment=text, firstname=text, email=text)
    return plan(
        [
            change("user.mallory@pve", None, comment, text=text),
            change(
                "group.night", GroupSpec(comment=text), GroupSpec(comment="x"), Cause.DIFFERS, text
            ),
            change(f"token.mallory@pve!{text}", TokenSpec(comment=text), None, text=text),
        ],
        [
            Finding("LINT", Severity.ERROR, text, text, Address("user", text), Source(text, 1, 2)),
            Finding("LINT", Severity.WARNING, text, text, Address("user", text)),
        ],
        [LeftAlone("user", text, 1)],
    )


def restored_report() -> RunReport:
    """A step was refused and everything rolled back."""
    objects = (
        (Address("role", "FelhomSelfBackup"), Outcome.UNDONE),
        (Address("user", "felhom-ctl@pve"), Outcome.UNDONE),
        (Address("token", "felhom-ctl@pve!ctl"), Outcome.UNTOUCHED),
    )
    failure = RequestRefused(
        403,
        "Permission check failed (/access/groups, User.Modify)",
        hint="`pvectl bootstrap` prints what is missing",
    )
    return RunReport("rolled back", objects, failure)


def broken_report() -> RunReport:
    """The rollback was refused."""
    objects = (
        (Address("role", "FelhomSelfBackup"), Outcome.DONE),
        (Address("group", "night"), Outcome.UNKNOWN),
        (Address("user", "felhom-ctl@pve"), Outcome.UNDONE),
    )
    conflict = Conflict(
        "an object was changed concurrently: group.night: planned comment: "
        '"a" → "b", found comment: "a" → "c"',
        hint="look at it, then plan again",
    )
    return RunReport("rolled back", objects, conflict, (RequestRefused(500, "no quorum!"),))


def lossy_report() -> RunReport:
    """A token went, and cannot come back."""
    token = (Address("token", "bob@pve!ci"), Outcome.UNKNOWN)
    user = (Address("user", "alice@ldap"), Outcome.UNDONE)
    failure = Interrupted("stopped by a signal before step 12")
    return RunReport("stuck", (user, token), failure)


def done_report() -> RunReport:
    return RunReport("done", tuple((c.address, Outcome.DONE) for c in first_plan().changes))


def journal(plan: Plan, *, ended: bool) -> RunState:
    """A run whose third step was announced and never answered; or one that came to its end."""
    begin = {
        "plan": plan.to_json(),
        "digest": plan.digest,
        "owner": "ci@runner-1 as automation@pve!pvectl",
        "run": "https://ci.example.com/runs/17",
        "fence": 17,
        "time": 1764000000.125,
    }
    events = [Event("begin", begin)]
    for number, step in enumerate(plan.steps if ended else plan.steps[:3]):
        data = {
            "step": number,
            "direction": "forward",
            "request": step.request.to_json(),
            "attempt": 1,
            "time": 1764000001.0 + number,
        }
        events.append(Event("intent", data))
        if step.sink is not None and ended:
            events.append(Event("delivered", {"step": number, "sink": str(step.sink)}))
        if ended or number < 2:
            events.append(Event("done", {"step": number, "direction": "forward"}))
    if ended:
        objects = {str(c.address): "done" for c in plan.changes}
        events.append(Event("end", {"outcome": "done", "objects": objects}))
    return RunState.of(events)
