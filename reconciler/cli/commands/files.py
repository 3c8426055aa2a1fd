"""pvectl validate, fmt, schema, kinds: the state files alone, without any network."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import Annotated

import typer

from reconciler.cli.app import app
from reconciler.cli.command import CommonOptions, command
from reconciler.cli.context import each_cluster, load_cluster, now
from reconciler.cli.output import check_formats, info, result, show, width, write_file
from reconciler.desired.loader import state_files
from reconciler.desired.settings.settings import SETTINGS_FILE, Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.desired.toml.formatter import format_file
from reconciler.errors import ExitStatus
from reconciler.kinds import access_table, all_kinds
from reconciler.model.declared import Desired
from reconciler.model.finding import Finding, Severity
from reconciler.planning.checks.expectations import expectations
from reconciler.planning.lint import lint_declared
from reconciler.text.humanize import count
from reconciler.text.sanitize import clean


@command(app, "validate")
def validate(common: CommonOptions) -> ExitStatus:
    """Check the state files: every mistake at once, with file, line and column. No network.

    Expectations are checked as far as files suffice. Exit 0 when there is no error, 3 with
    mistakes, 4 when an expectation fails.
    """
    check_formats(common, "findings")

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        desired = load_cluster(cluster, settings, strict=False).desired
        wrong = any(finding.severity is Severity.ERROR for finding in desired.findings)
        by_access = [] if wrong else _by_access(desired)
        show(common, "findings", [*desired.findings, *by_access])
        if wrong:
            return ExitStatus.FILES_INVALID
        if any(finding.severity is Severity.ERROR for finding in by_access):
            return ExitStatus.REFUSED
        info(common, f"{count(len(desired.objects), 'object')} declared in {cluster.folder}")
        return ExitStatus.OK

    return each_cluster(common, one)


def _by_access(desired: Desired) -> list[Finding]:
    """Failing expectations and lint, as far as the files alone tell."""
    table, moment = access_table(desired.state), now()
    failing = expectations(table, desired.expectations, now=moment, complete=False)
    return [*failing, *lint_declared(desired, desired.state, table, (), moment, complete=False)]


@command(app, "fmt")
def fmt(
    common: CommonOptions,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 2 when a file would change.")
    ] = False,
) -> ExitStatus:
    """Bring the state files into one layout; comments and order stay."""
    settings = common.state / SETTINGS_FILE
    files = [*state_files(common.state), *([settings] if settings.is_file() else [])]
    formatted = {path: format_file(path) for path in files}
    changed = [path for path, (before, after) in formatted.items() if after != before]
    for path in changed:
        result(clean(str(path)))
        if not check:
            write_file(path, formatted[path][1].decode())
    return ExitStatus.CHANGES if check and changed else ExitStatus.OK


@command(app, "schema")
def schema(
    common: CommonOptions,
    settings: Annotated[
        bool, typer.Option("--settings", help="The schema of pvectl.toml instead.")
    ] = False,
) -> ExitStatus:
    """Print a JSON Schema of the state files, for editors."""
    del common
    from reconciler.desired.schema import schema as state_schema
    from reconciler.desired.schema import settings_schema

    wanted = settings_schema() if settings else state_schema()
    result(json.dumps(wanted, indent=2, sort_keys=True))
    return ExitStatus.OK


@command(app, "kinds")
def kinds(common: CommonOptions) -> ExitStatus:
    """List the kinds of objects that can be declared, and the keys of their tables."""
    del common
    for name, kind in all_kinds().items():
        place = kind.place
        outer = f"{place.inside}.NAME." if place.inside else ""
        table = f"[[{place.key}]]" if place.array else f"[{outer}{place.key}.NAME]"
        summary = (sys.modules[kind.read.__module__].__doc__ or "").splitlines()[0]
        result(f"{name:<11} {table}\n            {summary}")
        fields = ", ".join(kind.table.model_fields)
        indent = " " * 12
        result(
            textwrap.fill(
                f"keys: {fields}",
                width(),
                initial_indent=indent,
                subsequent_indent=f"{indent}      ",
            )
            + "\n"
        )
    return ExitStatus.OK
