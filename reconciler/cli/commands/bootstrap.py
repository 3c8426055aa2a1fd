"""pvectl bootstrap: print the roles and grants that pvectl itself needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from reconciler.access.contents import ROOT, split_token
from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import Loaded, each_cluster, kinds_to_read, load_cluster
from reconciler.cli.drill.choice import require_settings
from reconciler.cli.terminal.output import check_formats, show
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError
from reconciler.model.address import Address
from reconciler.model.policy import Mode, Policy
from reconciler.planning.bootstrap.areas import on_whole_areas
from reconciler.planning.bootstrap.duties import drilling_needs, saving_needs
from reconciler.planning.bootstrap.least_privilege import (
    APPLY,
    PLAN,
    Granted,
    applying_needs,
    bootstrap,
    planning_needs,
    vanishing,
    ways_to_root,
)
from reconciler.render.documents.bootstrap import BootstrapSection, Start
from reconciler.text.shell import shell
from reconciler.text.suggest import did_you_mean

DEFAULT = "automation@pve!pvectl"
PREFIXES = (APPLY, "AutomationBackup", "AutomationDrill", PLAN)
DUTIES = {"backup": "To run backup jobs", "drill": "To run restore drills"}
"""What --for takes -> the title of what is granted for it."""

PLANNER = "plan"
"""What the token is called that only plans, when another one applies."""


@command(app, "bootstrap", Panel.ACCESS, 6)
def bootstrap_command(
    common: CommonOptions,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Only the token that plans.")
    ] = False,
    token: Annotated[
        str,
        typer.Option(
            "--token",
            metavar="USER@REALM!TOKEN",
            help="The token to grant to; by default the one in the settings, unless it is root's.",
            show_default=False,
        ),
    ] = "",
    least: Annotated[
        bool,
        typer.Option("--least", help="Grant only what is needed, with more roles and lines."),
    ] = False,
    duty: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="backup|drill",
            help="What else the token is for: backup (run backup jobs) or drill (restore drills).",
            show_default=False,
        ),
    ] = "",
) -> ExitStatus:
    """Print the roles and grants that pvectl needs for this state, as `pveum` commands that can be
    rerun.

    One token that plans and applies, and one that only plans: few lines, with a role on whole areas
    such as /pool, and in --least with nothing that could be left out. With --for one that only runs
    the declared backup jobs (`backup run`), or only restores their archives (`drill`). Computed
    from the state files, without network access; `pvectl plan` and `pvectl drill` still report a
    privilege that is missing in the cluster.
    """
    check_formats(common, "bootstrap")
    if duty and duty not in DUTIES:
        raise UsageError(
            f"--for is backup or drill, not '{duty}'", hint=did_you_mean(duty, DUTIES) or ""
        )
    if duty and plan_only:
        raise UsageError("--plan-only and --for exclude each other", hint="give one of them")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        loaded = load_cluster(cluster, settings)
        start = (
            _for(loaded, token, duty)
            if duty
            else _start(loaded, token, plan_only=plan_only, least=least)
        )
        show(common, "bootstrap", start)
        return ExitStatus.OK

    return each_cluster(common, one)


def _for(loaded: Loaded, token: str, duty: str) -> Start:
    """One token that does nothing else; by default one of its own."""
    actor = _checked(token or f"automation@pve!{duty}")
    desired = loaded.desired
    if duty == "drill":
        require_settings(desired.policy.drill)
        granted = bootstrap(drilling_needs(desired), actor, "AutomationDrill")
    else:
        granted = bootstrap(saving_needs(desired), actor, "AutomationBackup")
    pool = desired.policy.drill.pool if duty == "drill" else ""
    lines = list(_account(actor))
    if pool and Address("pool", pool) not in desired.objects:
        lines.append(shell("pveum", "pool", "add", pool))
    part = BootstrapSection(DUTIES[duty], actor, tuple(lines), granted.roles, granted.entries)
    warnings = [*_root([granted]), *_undeclared([granted], desired.policy)]
    return Start(str(loaded.cluster.folder), (part,), tuple(warnings))


def _checked(actor: str) -> str:
    if "@" not in actor or ("!" in actor and split_token(actor) is None):
        raise UsageError(
            f"'{actor}' is neither a user nor a token", hint=f"as in --token '{DEFAULT}'"
        )
    return actor


def _start(loaded: Loaded, token: str, *, plan_only: bool, least: bool) -> Start:
    target = loaded.cluster.target
    asks = target.actor if target else ""
    actor = _checked(token or (asks if asks.partition("!")[0] != ROOT else "") or DEFAULT)
    reads = tuple(planning_needs(kinds_to_read(loaded.desired)))
    smallest = [bootstrap(reads, actor if plan_only else _planner(actor), PLAN)]
    titles = ["To plan"]
    if not plan_only:
        needs = (*reads, *applying_needs(loaded.desired))
        smallest.insert(0, bootstrap(needs, actor, APPLY, vanishing(loaded.desired)))
        titles = ["To plan and to apply", "To plan only"]
    found = smallest if least else [*map(on_whole_areas, smallest)]
    parts = []
    made: set[str] = set()
    for title, one in zip(titles, found, strict=True):
        account = [line for line in _account(one.principal) if line not in made]
        made.update(account)
        parts.append(BootstrapSection(title, one.principal, tuple(account), one.roles, one.entries))
    warnings = [*_root(smallest), *_undeclared(found, loaded.desired.policy)]
    return Start(str(loaded.cluster.folder), tuple(parts), tuple(warnings))


def _planner(actor: str) -> str:
    user, _, name = actor.partition("!")
    return f"{user}!{PLANNER}" if name != PLANNER else f"{user}!{PLANNER}-only"


def _account(principal: str) -> Iterator[str]:
    split = split_token(principal)
    user = split[0] if split else principal
    if user != ROOT:
        yield shell("pveum", "user", "add", user, "--comment", "pvectl")
    if split:
        yield shell("pveum", "user", "token", "add", user, split[1], "--privsep", "1")


def _root(found: Iterable[Granted]) -> Iterator[str]:
    """Ways to root that the grants open. Managing users and tokens needs User.Modify on
    /access/groups, which makes this unavoidable.
    """
    for one in found:
        steps = [way.steps[0] for way in ways_to_root(one) if way.steps and way.sure]
        if steps:
            how = "; ".join(
                f"{step.privilege} on {step.path} (`pvectl explain {step.way}`)" for step in steps
            )
            yield (
                f"{one.principal} will be able to become root; this state needs that: "
                f"{how}. Protect its secret like root's password."
            )


def _prefixes(one: Granted) -> Iterator[str]:
    """What the names of its roles begin with."""
    for role in one.roles:
        yield from (prefix for prefix in PREFIXES if role.name.startswith(prefix))


def _undeclared(found: Iterable[Granted], policy: Policy) -> Iterator[str]:
    """Warn of kinds that are managed authoritatively: they would delete the objects made here, as
    they are undeclared.
    """
    for kind, globs in (
        (
            "role",
            sorted({f"{prefix}*" for one in found for prefix in _prefixes(one)}),
        ),
        ("user", sorted({one.principal.partition("!")[0] for one in found} - {ROOT})),
        ("token", sorted(one.principal for one in found if "!" in one.principal)),
        ("acl", sorted({f"*:{entry.principal}|*" for one in found for entry in one.entries})),
    ):
        manage = policy.managed(kind)
        lost = [glob for glob in globs if manage.covers(Address(kind, glob))]
        if manage.mode is Mode.AUTHORITATIVE and lost:
            quoted = ", ".join(f'"{glob}"' for glob in lost)
            yield (
                f"[manage] {kind} is authoritative and would delete what these lines create; "
                f"add exclude = [{quoted}]"
            )
