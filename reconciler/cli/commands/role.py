"""pvectl role: the minimal role for a set of API calls."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, unquote, urlsplit

import typer

from reconciler.access.explain.from_calls import NOBODY, UsedCall, logged, needed
from reconciler.access.explain.remediation import NewRole
from reconciler.access.explain.snippets import role_table
from reconciler.bounded_read import read_bounded
from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import each_cluster
from reconciler.cli.explain.query import is_call, parse_call
from reconciler.cli.explain.source import view_access
from reconciler.cli.terminal.output import check_formats, info, result
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus, UsageError
from reconciler.pve.calls.table import find_call
from reconciler.text.humanize import count, listed
from reconciler.text.suggest import did_you_mean

FROM_CALLS = "from-calls"
WRONG = 10
"""Number of invalid lines that are named."""
_FORM = "one call per line: POST /nodes/pve/vzdump vmid=100 storage=local"


@command(app, "role", Panel.ACCESS, 6)
def role(
    common: CommonOptions,
    action: Annotated[str, typer.Argument(metavar="from-calls", help="What to do.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Calls, or an access log.")],
    who: Annotated[
        str,
        typer.Option(
            "--who", metavar="WHO", help="In an access log: only calls by this user or token."
        ),
    ] = "",
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The name of the new role.")
    ] = "FromCalls",
    compare: Annotated[
        str,
        typer.Option(
            "--compare",
            metavar="ROLE",
            help="Also list the privileges of this role that no call needs.",
        ),
    ] = "",
) -> ExitStatus:
    """Print the minimal role and paths that allow the API calls in FILE.

    FILE has one call per line, as for `pvectl explain` (`POST /nodes/pve/vzdump vmid=100
    storage=local`), or is a node's /var/log/pveproxy/access.log, of which only successful calls
    count. An access log does not contain request parameters, so checks that depend on them are
    listed as undecided. The output is TOML for a state file; only --compare needs a cluster.
    """
    if action != FROM_CALLS:
        raise UsageError(
            f"'{action}' is not an action of `pvectl role`", hint="pvectl role from-calls FILE"
        )
    check_formats(common, "findings")
    calls = _read(common, file, who)
    found, open_ = needed(calls)
    for line in open_:
        info(common, f"not decided: {line}")
    _print(found, name)
    if not compare:
        return ExitStatus.OK
    used = frozenset(privilege for names in found.values() for privilege in names)

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        roles = view_access(cluster, settings).table.roles
        if compare not in roles:
            hint = did_you_mean(compare, sorted(roles)) or "`pvectl report` lists the roles"
            raise UsageError(f"there is no role '{compare}'", hint=hint)
        more, less = sorted(roles[compare] - used), sorted(used - roles[compare])
        result(f"# {compare} has privileges that no call needs: {', '.join(more) or 'none'}")
        result(f"# {compare} lacks: {', '.join(less) or 'none'}")
        return ExitStatus.OK

    return each_cluster(common, one)


def _print(found: Mapping[str, frozenset[str]], name: str) -> None:
    """One role per set of privileges, with the paths where it is needed."""
    if not found:
        result("# these calls need no privilege")
    sets = list(dict.fromkeys(found.values()))
    for number, names in enumerate(sets, 1):
        own = name if len(sets) == 1 else f"{name}-{number}"
        paths = [path for path, held in found.items() if held == names]
        result(role_table(NewRole(own, tuple(sorted(names)))))
        result(f"# grant {own} on: {', '.join(paths)}\n")


def _read(common: CommonOptions, file: Path, who: str) -> list[UsedCall]:
    """The calls of the file, each once; raises UsageError with all lines that are not calls."""
    try:
        lines = read_bounded(file).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    if any(logged(line) for line in lines):
        return list(_of_log(common, lines, who))
    found, wrong = {}, []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not is_call(text):
            wrong.append(f"line {number}: '{text[:60]}' is not a call")
            continue
        try:
            asked = parse_call(text, NOBODY)
        except UsageError as error:
            wrong.append(f"line {number}: {error.summary}")
            continue
        found[asked.title] = UsedCall(asked.call, dict(asked.params))
    if wrong:
        raise UsageError(
            f"{file} has {count(len(wrong), 'invalid line')}: {'; '.join(wrong[:WRONG])}"
            + ("; ..." if len(wrong) > WRONG else ""),
            hint=_FORM,
        )
    if not found:
        raise UsageError(f"{file} contains no calls", hint=_FORM)
    return list(found.values())


def _of_log(common: CommonOptions, lines: Iterable[str], who: str) -> Iterator[UsedCall]:
    """Calls that were answered; of several callers one has to be chosen."""
    entries = [one for one in map(logged, lines) if one is not None]
    answered = [one for one in entries if one.status < 400 and one.uri.startswith("/api2/")]
    callers = sorted({one.who for one in answered if "@" in one.who})
    if not callers:
        raise UsageError("no call in this log was answered", hint=_FORM)
    if who and who not in callers:
        hint = did_you_mean(who, callers) or f"callers in the log: {listed(callers, 8)}"
        raise UsageError(f"{who} made no call in this log", hint=hint)
    if not who and len(callers) > 1:
        raise UsageError(
            "the log contains calls by several users or tokens",
            hint=f"choose one with --who: {', '.join(callers)}",
        )
    unknown: Counter[str] = Counter()
    seen = set()
    for one in answered:
        if one.who not in {who, *([] if who else callers)} or (one.method, one.uri) in seen:
            continue
        seen.add((one.method, one.uri))
        parts = urlsplit(one.uri)
        path = re.sub(r"^/api2/\w+", "", unquote(parts.path))
        known = find_call(one.method, path)
        if known is None:
            unknown[f"{one.method} {path}"] += 1
            continue
        yield UsedCall(known[0], {**dict(parse_qsl(parts.query)), **known[1]})
    for text, number in sorted(unknown.items()):
        info(common, f"unknown permission checks: {text} ({number} times)")
