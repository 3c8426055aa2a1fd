"""From the common options to loaded state files, a connection, and one read of the cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from weakref import WeakKeyDictionary

from reconciler.cli.common_options import CommonOptions, for_target
from reconciler.cli.fleet.rollout import WELL, WaveOptions, in_waves
from reconciler.cli.terminal.output import info, print_error
from reconciler.cli.trusted_targets import require_trusted, require_within_reach
from reconciler.cli.turn import Turn, capturing, taking
from reconciler.desired.files import DISK, Files
from reconciler.desired.secrets import resolve
from reconciler.desired.settings.settings import Settings, read_settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import PRECEDENCE, ExitStatus, PvectlError, Unreachable, UsageError
from reconciler.execution import identity as known
from reconciler.execution import private_folder
from reconciler.execution.journal import store
from reconciler.kinds import all_kinds
from reconciler.kinds.shared.reader import EVERYTHING
from reconciler.live.answer_check import checked
from reconciler.live.health import with_endpoints
from reconciler.live.reader import Live, read_live
from reconciler.model.api import Api
from reconciler.model.declared import Desired
from reconciler.model.policy import Mode
from reconciler.model.secret import SECRET_VARIABLE, TOTP_VARIABLE, SecretRef

ALLOW_COMMANDS = "PVECTL_ALLOW_COMMANDS"
"""The variable that, when it is 1, lets plans run the command that prints the caller's secret."""


class Loaded(NamedTuple):
    """The files of one cluster."""

    cluster: ClusterSettings
    settings: Settings
    desired: Desired


def now() -> int:
    """Unix seconds."""
    return int(time.time())


def each_cluster(
    common: CommonOptions,
    work: Callable[[ClusterSettings, Settings], ExitStatus],
    *,
    at_once: bool = False,
    rollout: WaveOptions | None = None,
) -> ExitStatus:
    """Run `work` on every selected cluster; returns the most important exit status.

    `at_once`: several clusters have their turn at the same time, and their results are put
    together. `rollout`: they are changed, in the waves of [rollout].

    When one of several clusters fails, the others still have their turn. An interrupted run ends
    the sequence, and so does one that leaves a cluster in need of manual intervention.
    """
    settings = read_settings(common.state, common.settings)
    clusters = settings.select(common.on)
    if len(clusters) == 1 and (turn := capturing()) is not None:  # sent here by another machine
        from reconciler.cli.fleet.one_turn import take

        return ExitStatus(take(common, clusters[0], turn, settings, work).status or ExitStatus.OK)
    if len(clusters) == 1:
        with taking(Turn(clusters[0].name)):
            return work(clusters[0], settings)
    if common.is_plugin:
        raise UsageError(
            "a monitoring plugin reports on one cluster", hint="choose it with --on NAME"
        )
    waves = [clusters]
    if rollout is not None:
        waves = in_waves(clusters, settings.policy.rollout.waves)
    if at_once:
        from reconciler.cli.fleet.fan_out import on_fleet

        return on_fleet(common, waves, settings, work, rollout)
    return _one_by_one(common, waves, settings, work, rollout)


def _one_by_one(
    common: CommonOptions,
    waves: Sequence[Sequence[ClusterSettings]],
    settings: Settings,
    work: Callable[[ClusterSettings, Settings], ExitStatus],
    rollout: WaveOptions | None,
) -> ExitStatus:
    """One cluster after the other, each with its own output."""
    file = next((output.file for output in common.outputs if output.file is not None), None)
    if file is not None and not for_target(file):
        raise UsageError(
            f"{file} can hold the result of one cluster only",
            hint="choose one with --on NAME, or write {target} in the name of the file",
        )
    results: list[ExitStatus] = []
    left = [cluster.name for wave in waves for cluster in wave]
    for wave in waves:
        for cluster in wave:
            left.remove(cluster.name)
            status = _turn(common, cluster, settings, work)
            if status not in PRECEDENCE:
                return status
            results.append(status)
            if status is ExitStatus.NOT_RESTORED and left:
                why = f"because target {cluster.name} needs manual intervention first"
                info(common, f"skipped, {why}: {', '.join(left)}")
                return min(results, key=PRECEDENCE.index)
        bad = [status for status in results if status not in WELL]
        if bad and left and rollout is not None and not rollout.keep_going:
            why = "because this wave failed (--continue starts the next one anyway)"
            info(common, f"skipped, {why}: {', '.join(left)}")
            break
    return min(results, key=PRECEDENCE.index)


def _turn(
    common: CommonOptions,
    cluster: ClusterSettings,
    settings: Settings,
    work: Callable[[ClusterSettings, Settings], ExitStatus],
) -> ExitStatus:
    """The work on one of several clusters; an error is printed and becomes its exit status."""
    try:
        with taking(Turn(cluster.name)):
            return work(cluster, settings)
    except PvectlError as error:
        info(common, f"target {cluster.name}:")
        as_json = common.log_format == "json"
        print_error(error, as_json=as_json, color=common.color, again=common.again)
        return error.exit_status


def load_cluster(
    cluster: ClusterSettings, settings: Settings, *, strict: bool = True, files: Files = DISK
) -> Loaded:
    """The files of a cluster; with `strict` raises FilesInvalid with every mistake."""
    from reconciler.cli.state_folder.state_files import load_for, other_release
    from reconciler.desired.loader import require_valid

    desired = load_for(cluster, settings, cluster.release, files)
    if strict:
        require_valid(desired.findings, other_release(cluster, settings, desired))
    return Loaded(cluster, settings, desired)


@contextmanager
def connect(cluster: ClusterSettings, *, read_only: bool, plans: bool = False) -> Iterator[Api]:
    """A connection, closed at the end; raises UsageError, Unreachable, SinkFailed.

    `plans`: starts reading at once what every plan reads. Unless the target is confirmed outside
    the state folder, no secret is read and nothing is connected.
    """
    target = cluster.connection()
    if target.sandbox_folder is not None:
        from reconciler.sandbox.http.direct import SandboxApi

        folder = Path(target.sandbox_folder)
        require_within_reach(cluster, folder)
        api: Api = SandboxApi(folder, target.actor or "root@pam", read_only=read_only)
    else:
        if cluster.secret is not None:
            require_trusted(cluster)
        from reconciler.live.ahead import PERHAPS, AheadApi, expected
        from reconciler.live.http.client import BESIDE_OTHERS, PARALLEL_READS, open_api

        turn, secret = capturing(), _credential(cluster, read_only=read_only)
        totp = _second_factor(cluster, read_only=read_only)
        parallel = BESIDE_OTHERS if turn is not None and turn.beside else PARALLEL_READS
        opened = open_api(target, secret, read_only=read_only, totp=totp, parallel=parallel)
        rounds = [(*known.IDENTIFYING, *expected()), PERHAPS] if plans else []
        api = AheadApi(opened, *rounds)
    try:
        yield checked(api)
    finally:
        api.close()


def _credential(cluster: ClusterSettings, *, read_only: bool) -> str:
    """The caller's secret. Read-only commands run no command of the state folder unless
    PVECTL_ALLOW_COMMANDS=1.
    """
    who = cluster.connection().actor
    if cluster.secret is None:
        unused = os.environ.get(SECRET_VARIABLE)
        alone = f"{SECRET_VARIABLE} applies to one cluster only; " if unused else ""
        raise UsageError(
            f"the secret of {who} is not set",
            hint=f"{alone or f'set {SECRET_VARIABLE}, or '}"
            'write token_secret = { file = "..." } in pvectl.toml',
        )
    return _resolved(cluster, "secret", cluster.secret, read_only=read_only)


def _second_factor(cluster: ClusterSettings, *, read_only: bool) -> str:
    """The key of the user's one-time passwords; empty for a token, and where there is none."""
    if cluster.totp is None or cluster.connection().username is None:
        return ""
    return _resolved(cluster, "totp", cluster.totp, read_only=read_only)


def _resolved(cluster: ClusterSettings, name: str, ref: SecretRef, *, read_only: bool) -> str:
    may_run = not read_only or name in cluster.trusted or os.environ.get(ALLOW_COMMANDS) == "1"
    if ref.command is not None and not may_run:
        what = "secret" if name == "secret" else "second factor"
        variable = SECRET_VARIABLE if name == "secret" else TOTP_VARIABLE
        raise UsageError(
            f"the {what} of {cluster.connection().actor} comes from a command, and commands do not "
            "run while planning",
            hint=f"set {ALLOW_COMMANDS}=1 to run it, or put the secret into {variable}",
        )
    return resolve(ref, cluster.base or cluster.folder, allow_commands=may_run)


class Here(NamedTuple):
    """The cluster that a connection leads to.

    `name` is for people; `identity` the fingerprint of its CA, "" where it is not told; `folder`
    where this machine keeps journals, lock numbers and what it remembers of this cluster.
    """

    name: str
    identity: str
    folder: Path


def name_of(cluster: ClusterSettings, api: Api) -> str:
    """The name of a cluster in plans and journals: its first endpoint, whichever one answers, after
    the name that the settings give it."""
    target = cluster.connection()
    endpoint = api.endpoint if target.sandbox_folder is not None else target.endpoints[0]
    return cluster.named(endpoint)


_asked: WeakKeyDictionary[Api, Here] = WeakKeyDictionary()
"""Each connection asks once."""


def here(cluster: ClusterSettings, api: Api, *, keep: bool = False, moved: str = "") -> Here:
    """The cluster behind a connection, known by its CA; one that does not answer is known by its
    addresses.

    `keep`, `moved`: as for `known.folder_of`. Raises CertificateNotTrusted where the CA is another
    one than before.
    """
    if api in _asked and not keep and not moved:
        return _asked[api]
    place = _find(cluster, api, keep=keep, moved=moved)
    private_folder.check(store.home(), place.folder)
    return place


def _find(cluster: ClusterSettings, api: Api, *, keep: bool, moved: str) -> Here:
    target, name = cluster.connection(), name_of(cluster, api)
    if target.sandbox_folder is not None:
        return Here(name, "", store.base_of(api.endpoint))
    private_folder.check(store.home(), store.home())
    try:
        identity = known.identify(api)
    except Unreachable:
        identity = None
    if identity is None:
        return Here(name, "", known.folder_offline(target.endpoints))
    folder = known.folder_of(identity, api.endpoint, target.endpoints, keep=keep, moved=moved)
    _asked[api] = Here(name, identity.ca, folder)
    return _asked[api]


def drills_of(place: Here) -> Path:
    """Where the drills of a cluster are recorded, closed to others."""
    from reconciler.execution.drills import store as drill_store

    folder = drill_store.folder_of(place.folder)
    private_folder.check(store.home(), folder)
    return folder


def read_cluster(
    api: Api, desired: Desired, besides: Mapping[str, frozenset[str]] = MappingProxyType({})
) -> Live:
    """The live state of everything that the state files concern, and of the objects `besides`;
    raises Blind.
    """
    from reconciler.planning.changes.replacement import kinds_dropped_by

    wanted = kinds_to_read(desired)
    wanted |= {kind: wanted.get(kind, frozenset()) | ids for kind, ids in besides.items()}
    live = read_live(api, wanted, wanted)
    whole = dict.fromkeys(sorted(kinds_dropped_by(desired, live.state)), EVERYTHING)
    if not all(wanted.get(name) == EVERYTHING for name in whole):
        wanted |= whole
        live = read_live(api, wanted, wanted)
    return live


def with_health(api: Api, live: Live) -> Live:
    """With what every endpoint says of the cluster, since the plan may be applied."""
    health = with_endpoints(api, live.facts.health, live.facts.release)
    return live._replace(facts=replace(live.facts, health=health))


def kinds_to_read(desired: Desired) -> dict[str, frozenset[str]]:
    """The kinds that a plan reads, each with the ids that need more than lists tell."""
    concerned = {*desired.objects, *desired.removed, *(moved.old for moved in desired.moved)}
    gone = {*desired.removed, *(moved.old for moved in desired.moved)}
    policy = desired.policy
    whole = {name for name in all_kinds() if policy.managed(name).mode is Mode.AUTHORITATIVE}
    whole |= {glob.kind for glob in desired.removed_globs}
    gone_kinds = whole | {address.kind for address in gone}
    declared_kinds = {address.kind for address in desired.objects}
    wanted: dict[str, frozenset[str]] = {}
    for name, kind in all_kinds().items():
        if name in whole or gone_kinds & kind.links.refers_to:
            wanted[name] = EVERYTHING
            continue
        ids = frozenset(address.id for address in concerned if address.kind == name)
        hangs = kind.toml.place.inside in declared_kinds
        if ids or hangs or not kind.reads.lazy:
            wanted[name] = ids
    return wanted


def read_whole_cluster(api: Api) -> Live:
    """Every object of every kind; raises Blind."""
    return read_live(api, all_kinds(), dict.fromkeys(all_kinds(), EVERYTHING))
