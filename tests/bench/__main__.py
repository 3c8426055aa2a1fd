"""Prints requests, seconds and memory for small and large clusters; exits 1 over a limit."""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from reconciler.access.analysis.impact import impact
from reconciler.access.contents import GROUP
from reconciler.access.escalation.search import escalations
from reconciler.access.evaluate import effective
from reconciler.access.review.review import About, ReviewContext, review
from reconciler.access.table import AccessTable
from reconciler.execution.journal import store
from reconciler.render import FORMATS
from reconciler.render.view import View
from tests.bench.applied import MEASURED, large_cluster, many_objects
from tests.bench.clusters import ROOT_TOKEN, declare_cluster, make_cluster, write_settings
from tests.bench.controllers import ROLE, controllers
from tests.bench.large_table import large_table
from tests.bench.long_journal import long_journal
from tests.bench.measure import requests, seconds, took
from tests.bench.ruled import rules_on
from tests.bench.scales import drift_of, slope
from tests.support.command import sandbox, secret_of, trust

RUNS = 5
SMALL, LARGE = 5, 2500
"""Guests with a controller each; four ACL entries per guest."""


class Row(NamedTuple):
    """A figure; `limit` None where there is none."""

    what: str
    figure: float
    unit: str
    limit: float | None = None

    @property
    def over(self) -> bool:
        return self.limit is not None and self.figure > self.limit

    def __str__(self) -> str:
        whole = self.unit == "requests" or (not self.unit and self.figure == int(self.figure))
        figure = f"{self.figure:,.0f}" if whole else f"{self.figure:,.2f}"
        line = f"{self.what:<66} {figure:>8} {self.unit:<9}"
        if self.limit is None:
            return line.rstrip()
        return f"{line} {'OVER' if self.over else 'ok'}, at most {self.limit:g}"


@contextmanager
def _served(folder: Path, table: AccessTable) -> Iterator[tuple[Path, dict[str, str]]]:
    """A cluster over HTTPS with a state folder that declares it, and the environment for it."""
    cluster = make_cluster(folder / "pve", table)
    state = declare_cluster(cluster, folder / "state")
    env = {
        "PVECTL_TOKEN_SECRET": secret_of(cluster, ROOT_TOKEN),
        "PVECTL_HOME": str(folder / "home"),
    }
    with sandbox(cluster) as served:
        write_settings(state, served.url, served.fingerprint)
        trust(state, folder / "home")
        yield state, env


def _plans(folder: Path) -> Iterator[Row]:
    with _served(folder / "small", controllers(SMALL)) as (state, env):
        few = requests("plan", "--state", state, env=env)["GET"]
        small = took(RUNS, "plan", "--state", state, env=env)
    yield Row("plan on 20 ACL entries", few, "requests")
    yield Row("  by the clock", small.seconds, "s")
    with _served(folder / "large", controllers(LARGE)) as (state, env):
        yield Row(
            "plan on 10,000 ACL entries, all of them declared",
            requests("plan", "--state", state, env=env)["GET"],
            "requests",
            few,
        )
        large = took(RUNS, "plan", "--state", state, env=env)
        yield Row("  by the clock, the server's time included", large.seconds, "s")
        yield Row("  pvectl's own CPU time", large.cpu, "s", 1.5)
        yield Row("  pvectl's peak memory", large.peak, "MB", 250)
        guests = AccessTable(pools=controllers(LARGE).pools)
        fresh = f"sandbox:{make_cluster(folder / 'fresh', guests)}"
        making = took(1, "plan", "--state", state, "--on", fresh, env=env)
        yield Row("plan that makes all of this: 15,000 changes", making.cpu, "s")
    with _served(folder / "random", large_table()) as (state, env):
        unruly = took(RUNS, "plan", "--state", state, env=env)
        yield Row("plan on 10,000 random entries of 3,000 users, 6,000 tokens", unruly.cpu, "s")
        yield Row("  pvectl's peak memory", unruly.peak, "MB", 250)


def _writes(folder: Path) -> Iterator[Row]:
    """50 tokens and their users get one role on 20 paths."""
    cluster = make_cluster(folder / "pve", controllers(50))
    tokens = ", ".join(f'"guest-{1000 + n}@pve!controller"' for n in range(50))
    paths = ", ".join(f'"/vms/{2000 + n}"' for n in range(20))
    state = folder / "state"
    state.mkdir()
    (state / "access.toml").write_text(
        f'[[acl]]\nroles = ["{ROLE}"]\npaths = [{paths}]\ntokens = [{tokens}]\n'
    )
    env = {
        "PVECTL_TOKEN_SECRET": secret_of(cluster, ROOT_TOKEN),
        "PVECTL_HOME": str(folder / "home"),
    }
    with sandbox(cluster) as served:
        write_settings(state, served.url, served.fingerprint)
        trust(state, folder / "home")
        sent = requests("apply", "--yes", "--state", state, env=env)
    yield Row(
        "grant one role to 50 token pairs on 20 paths: writes",
        sent["PUT /access/acl"],
        "requests",
        20,
    )


def _evaluator() -> Iterator[Row]:
    table = large_table()
    everybody = [*table.users, *table.tokens]
    cpu, found = seconds(lambda: [effective(table, who) for who in everybody])
    yield Row(f"what {len(everybody):,} principals may do, everywhere", cpu, "s")
    yield Row("  pairs of principal and path with a privilege", sum(map(len, found)), "")
    after = table.copy()
    after.add_entry("/vms", GROUP, "group001", "PVEVMUser", propagate=True)
    cpu, one = seconds(lambda: impact(table, after))
    yield Row("impact of one entry for a group on that", cpu, "s")
    yield Row("  effects", len(one.effects), "")
    after = table.copy()
    after.roles["Role00"] = after.roles["Role00"] ^ {"VM.PowerMgmt"}
    cpu, one = seconds(lambda: impact(table, after))
    yield Row("impact of a changed role on that", cpu, "s")
    yield Row("  effects", len(one.effects), "")


def _reviews() -> Iterator[Row]:
    table = large_table()
    about = About("https://pve01.example.com:8006", 1_760_000_000)
    cpu, ways = seconds(lambda: escalations(table))
    yield Row("ways to root in that", cpu, "s")
    cpu, first = seconds(lambda: review(about, {}, table, ways, ReviewContext()))
    yield Row("access review of that", cpu, "s", 15)
    after = table.copy()
    after.add_entry("/vms", GROUP, "group001", "PVEVMUser", propagate=True)
    earlier = first.to_json()
    cpu, _ = seconds(lambda: review(about, {}, after, ways, ReviewContext(earlier=earlier)))
    yield Row("  compared with an earlier one", cpu, "s")
    for name in ("html", "csv", "json"):
        cpu, text = seconds(partial(FORMATS["review"][name], first, View()))
        yield Row(f"  as {name}", cpu, "s", 10)
        yield Row("    size", len(text.encode()) / 1e6, "MB")


def _applies(folder: Path) -> Iterator[Row]:
    """Beside the same writes, one after the other, on a server that takes PVE's time."""
    few = min((many_objects(folder / f"many-{n}") for n in range(3)), key=lambda one: one.ratio)
    for what, measured in (
        ("apply on a small cluster, 6 ms for a request", few),
        ("the same, 50 ms for a request", many_objects(folder / "slow", MEASURED)),
        ("apply on 5,000 ACL entries", large_cluster(folder / "crowded")),
    ):
        yield Row(f"{what}: {measured.writes} writes", measured.applied, "s")
        yield Row("  those writes alone, over one connection", measured.raw, "s")
        yield Row("  ratio", measured.ratio, "times", 1.15)
        if measured.script:
            yield Row("  a script that sends them through proxmoxer", measured.script, "s")
            yield Row("  ratio", measured.applied / measured.script, "times")


def _scales(folder: Path) -> Iterator[Row]:
    """Nothing grows faster than what it is about."""
    plans = []
    for entries in (1000, 5000, 10_000):
        with _served(folder / f"entries-{entries}", controllers(entries // 4)) as (state, env):
            one = took(RUNS, "plan", "--state", state, env=env)
        plans.append(one)
        yield Row(f"plan on {entries:,} entries: pvectl's own CPU time", one.cpu, "s")
        yield Row("  peak memory", one.peak, "MB")
    yield Row("  slope of the CPU time", slope(plans[0].cpu, plans[-1].cpu, 10), "", 1.2)
    yield Row("  slope of the memory", slope(plans[0].peak, plans[-1].peak, 10), "", 1.2)
    (single,) = drift_of(folder / "one", 1, 8)
    (some,) = drift_of(folder / "some", 30, 8)
    many, alone = drift_of(folder / "fleet", 300, 8, 1)
    for scale in (single, some, many):
        yield Row(f"drift --on all: {scale.number} clusters", scale.seconds, "s")
        yield Row("  peak memory", scale.peak, "MB")
    yield Row("  slope of the time", slope(some.seconds, many.seconds, 10), "", 1.2)
    yield Row("  slope of the memory", slope(some.peak, many.peak, 10), "", 1.2)
    yield Row("  300 clusters with --jobs 1", alone.seconds, "s")
    yield Row("  the time of --jobs 8, as a part of that", many.seconds / alone.seconds, "", 0.25)


def _rules() -> Iterator[Row]:
    small, _ = rules_on(1250)
    cpu, found = rules_on(5000)
    yield Row("4 [[rule]] on 5,000 entries", cpu, "s", 2)
    yield Row("  findings", found, "")
    yield Row("  slope from 1,250 entries", slope(small, cpu, 4), "", 1.3)


def _journals(folder: Path) -> Iterator[Row]:
    cpu = {}
    for steps in (1000, 10_000):
        journal = long_journal(folder / f"journals-{steps}", steps)
        cpu[steps] = min(seconds(partial(store.load, journal))[0] for _ in range(RUNS))
    yield Row("a journal of 10,000 steps is read, its plan included", cpu[10_000], "s", 1)
    yield Row("  slope from 1,000 steps", slope(cpu[1000], cpu[10_000], 10), "", 1.2)


def _rows(folder: Path) -> Iterable[Row]:
    yield Row("start of pvectl --version", took(20, "--version").seconds, "s", 0.2)
    yield Row("start of pvectl plan --help", took(RUNS, "plan", "--help").seconds, "s")
    yield from _plans(folder)
    (folder / "writes").mkdir()
    yield from _writes(folder / "writes")
    yield from _applies(folder)
    yield from _scales(folder)
    yield from _evaluator()
    yield from _reviews()
    yield from _rules()
    yield from _journals(folder)


def main() -> int:
    """Print each figure as soon as it is known."""
    gc.set_threshold(1_000_000)  # as pvectl does
    over = 0
    with tempfile.TemporaryDirectory() as name:
        for row in _rows(Path(name)):
            print(row, flush=True)
            over += row.over
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
