"""Check expectations against a live cluster, and as its tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

from reconciler.access.contents import Principal, split_token
from reconciler.access.evaluate import index_of
from reconciler.access.expectations.call import CallOutcome, foretold
from reconciler.access.expectations.check import (
    ExpectationSubject,
    expectation_subjects,
    unknown_names,
    who_is_meant,
)
from reconciler.access.expectations.verify import (
    VerificationOutcome,
    checkpoints,
    disagreements,
    verdict,
)
from reconciler.access.table import AccessTable
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import Loaded, connect, name_of, now
from reconciler.cli.explain.source import look_with_pools
from reconciler.cli.terminal.output import info, show
from reconciler.cli.verify.calls import Trial, try_calls
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import Blind, ExitStatus, PvectlError, SinkFailed, UsageError
from reconciler.execution.secrets.delivery import TOKEN_SECRET, read_back
from reconciler.kinds import access_table
from reconciler.kinds.token import TokenSpec
from reconciler.live.answer_check import checked
from reconciler.live.permissions import ask
from reconciler.live.reader import Live
from reconciler.model.address import Address
from reconciler.model.api import Api
from reconciler.model.declared import CallExpectation, Expectation
from reconciler.model.request import request
from reconciler.model.secret import SecretSink
from reconciler.planning.findings.access_summary import real_paths
from reconciler.render.documents.verification import ProbeResult, Verification
from reconciler.render.view import View
from reconciler.text.suggest import did_you_mean

PROBE_SECRET = "PVECTL_PROBE_SECRET"  # noqa: S105 - the name of a variable


def verify_expectations(
    common: CommonOptions, loaded: Loaded, probe_as: str, *, probing: bool
) -> ExitStatus:
    """Ask the cluster about every principal, then try each token whose secret is available.

    A caller that sees nothing else asks about itself and makes its own calls; raises Blind where no
    expectation concerns it.
    """
    with connect(loaded.cluster, read_only=True) as api:
        try:
            live = look_with_pools(api, loaded.desired)
        except Blind as blind:
            done = _alone(common, loaded, api, blind, probing=probing)
        else:
            done = _of_everybody(common, loaded, api, live, probe_as, probing=probing)
    show(common, "verification", done, View())
    return ExitStatus.REFUSED if done.failed else ExitStatus.OK


def _of_everybody(
    common: CommonOptions,
    loaded: Loaded,
    api: Api,
    live: Live,
    probe_as: str,
    *,
    probing: bool,
) -> Verification:
    desired = loaded.desired
    table = access_table(live.state, live.facts.pve, live.facts.strays)
    paths = real_paths(live.state, live.facts)
    wanted = expectation_subjects(table, desired.expectations, paths)
    answers = ask(api, checkpoints(wanted), index_of(table).listed)
    outcomes = list(verdict(table, wanted, answers, now=now()))
    callers = {one: who_is_meant(table, one.who) for one in desired.calls}
    tokens = sorted({*_tokens(wanted), *filter(split_token, chain(*callers.values()))})
    secrets = _secrets(loaded, tokens, probe_as) if probing else {}
    probes, calls = [], []
    for token, secret in secrets.items():
        mine = [one for one, who in callers.items() if token in who]
        probe, found, made = _try(common, loaded.cluster, token, secret, wanted, table, mine)
        probes.append(probe)
        outcomes += found
        calls += made
    for one, meant in callers.items():
        calls += (foretold(table, one, who) for who in meant if who not in secrets)
    names: list[tuple[Expectation | CallExpectation, str]] = [
        *((one.expectation, name) for one in wanted for name in one.unknown),
        *((one, name) for one in desired.calls for name in unknown_names(table, one.who)),
    ]
    return Verification(
        f"{name_of(loaded.cluster, api)} as it is now, seen by {api.actor}",
        tuple(outcomes),
        disagreements(table, wanted, answers),
        tuple(names),
        tuple(probes),
        tuple(token for token in tokens if probing and token not in secrets),
        tuple(calls),
    )


def _alone(
    common: CommonOptions, loaded: Loaded, api: Api, blind: Blind, *, probing: bool
) -> Verification:
    """The expectations that concern the caller, which can ask about itself only."""
    who, owner = api.actor, api.actor.partition("!")[0]
    table = AccessTable(users={owner: Principal()}, tokens={who: Principal()})
    listed = api.get([request("GET", "access", "permissions")])[0]
    wanted = [
        one
        for one in expectation_subjects(table, loaded.desired.expectations, listed)
        if who in one.principals
    ]
    calls = [one for one in loaded.desired.calls if who in who_is_meant(table, one.who)]
    if not (wanted or calls):
        raise blind
    answers = ask(api, [spot for spot in checkpoints(wanted) if spot.principal == who], listed)
    with connect(loaded.cluster, read_only=not probing) as own:
        trial = Trial(loaded.cluster.reach, partial(info, common), probing)
        made = try_calls(own, calls, trial)
    return Verification(
        f"{name_of(loaded.cluster, api)} as it is now, by {who} about itself alone",
        tuple(verdict(table, wanted, answers, who)),
        probes=(ProbeResult(who),),
        calls=tuple(made),
    )


def _tokens(wanted: tuple[ExpectationSubject, ...]) -> list[str]:
    """The tokens that expectations concern."""
    return sorted({who for one in wanted for who in one.principals if split_token(who)})


def _secrets(loaded: Loaded, tokens: list[str], probe_as: str) -> Mapping[str, str]:
    """Token to secret, for tokens whose sink can be read here and for the one given with --as."""
    found = {}
    for token in tokens:
        declared = loaded.desired.objects.get(Address("token", token))
        spec = declared.spec if declared else None
        if isinstance(spec, TokenSpec) and spec.secret_to is not None:
            secret = _delivered(loaded.cluster, spec.secret_to, token)
            if secret:
                found[token] = secret
    if probe_as:
        if probe_as not in tokens:
            hint = did_you_mean(probe_as, tokens) or f"they concern {', '.join(tokens) or 'none'}"
            raise UsageError(f"no expectation concerns a token {probe_as}", hint=hint)
        secret = os.environ.get(PROBE_SECRET, "")
        if not secret:
            raise UsageError(f"{PROBE_SECRET} is not set", hint=f"to the secret of {probe_as}")
        found[probe_as] = secret
    return found


def _delivered(cluster: ClusterSettings, sink: SecretSink, token: str) -> str | None:
    """The content of a sink, where it is a token secret: a proposal may name any file."""
    if cluster.reach.missing(sink, cluster.folder):
        return None
    try:
        secret = read_back(sink, cluster.folder, token)
    except SinkFailed:
        return None
    return secret if secret and TOKEN_SECRET.fullmatch(secret) else None


def _try(
    common: CommonOptions,
    cluster: ClusterSettings,
    token: str,
    secret: str,
    wanted: tuple[ExpectationSubject, ...],
    table: AccessTable,
    calls: list[CallExpectation],
) -> tuple[ProbeResult, list[VerificationOutcome], list[CallOutcome]]:
    """Connect as the token, ask for its own permissions, and make its calls."""
    mine = [spot for spot in checkpoints(wanted) if spot.principal == token]
    try:
        with _connected_as(cluster, token, secret, read_only=not calls) as api:
            answers = ask(api, mine, index_of(table).listed)
            made = try_calls(api, calls, Trial(cluster.reach, partial(info, common)))
    except PvectlError as error:
        return ProbeResult(token, error.summary), [], []
    return ProbeResult(token), list(verdict(table, wanted, answers, token)), made


@contextmanager
def _connected_as(
    cluster: ClusterSettings, token: str, secret: str, *, read_only: bool
) -> Iterator[Api]:
    target = cluster.connection()
    if target.sandbox_folder is not None:
        from reconciler.sandbox.http.direct import SandboxApi

        yield checked(SandboxApi(Path(target.sandbox_folder), token, read_only=read_only))
        return
    from reconciler.live.http.client import open_api

    mine = target.model_copy(update={"token_id": token, "username": None})
    api = open_api(mine, secret, read_only=read_only)
    try:
        yield checked(api)
    finally:
        api.close()
