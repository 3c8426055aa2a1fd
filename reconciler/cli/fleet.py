"""Several clusters at once: each has its turn in a thread, and their results are put together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from threading import Event

import typer

from reconciler.cli.common_options import CommonOptions, Output, for_target
from reconciler.cli.hints import with_options
from reconciler.cli.output import error_words, info, print_document, show, write_file
from reconciler.cli.rollout import WELL, Rollout
from reconciler.cli.signals import passed_on
from reconciler.cli.streams import write_err
from reconciler.cli.turn import Turn, taking
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import PRECEDENCE, Bug, ExitStatus, PvectlError, UsageError
from reconciler.render import fleet as documents
from reconciler.render.documents.failure import Failure
from reconciler.render.fleet import Fleet, Row
from reconciler.render.view import View
from reconciler.text.humanize import in_prose, listed

MOST = 10
"""Targets that are named."""

Work = Callable[[ClusterSettings, Settings], ExitStatus]
Waves = Sequence[Sequence[ClusterSettings]]


def on_fleet(
    common: CommonOptions,
    waves: Waves,
    settings: Settings,
    work: Work,
    rollout: Rollout | None,
) -> ExitStatus:
    """Run `work` on all clusters, `common.jobs` at a time, wave after wave.

    The results come in the order of the waves, a summary first. With a `rollout`, a wave that did
    not end well is the last one unless it is to be continued, and none is started after an
    interrupt, or when a cluster needs manual intervention.
    """
    writes, keep_going = rollout is not None, rollout is None or rollout.keep_going
    _refuse_formats(common)
    turns = [Turn(cluster.name, captured=True) for wave in waves for cluster in wave]
    halt = Event()
    left = iter(turns)
    with passed_on(halt) if writes else nullcontext():
        for number, wave in enumerate(waves, 1):
            mine = [next(left) for _ in wave]
            with ThreadPoolExecutor(max_workers=common.jobs) as executor:
                _run_wave(executor, common, wave, mine, settings, work, halt, writes=writes)
            bad = [turn.name for turn in mine if turn.status not in WELL]
            if (bad and not keep_going and number < len(waves)) or halt.is_set():
                rest = [turn.name for turn in left]
                _say_stopped(common, number, bad, rest)
                break
    _show(common, turns)
    return _worst(turns)


def _run_wave(
    executor: Executor,
    common: CommonOptions,
    wave: Sequence[ClusterSettings],
    turns: Sequence[Turn],
    settings: Settings,
    work: Work,
    halt: Event,
    *,
    writes: bool,
) -> None:
    """Wait for every cluster of a wave."""

    def one(cluster: ClusterSettings, turn: Turn) -> None:
        if halt.is_set():
            return
        _take(common, cluster, turn, settings, work)
        status = turn.status
        if writes and (status not in PRECEDENCE or status == ExitStatus.NOT_RESTORED):
            halt.set()

    futures = [
        executor.submit(one, cluster, turn) for cluster, turn in zip(wave, turns, strict=True)
    ]
    try:
        for future in futures:
            future.result()
    except KeyboardInterrupt:  # whoever only reads leaves nothing behind
        sys.stdout.flush()
        os._exit(ExitStatus.INTERRUPTED)


def _take(
    common: CommonOptions, cluster: ClusterSettings, turn: Turn, settings: Settings, work: Work
) -> None:
    """One turn; an error is kept and becomes the exit status."""
    with taking(turn):
        try:
            turn.status = work(cluster, settings)
        except typer.Exit as end:
            turn.status = end.exit_code
        except Exception as error:
            known = error if isinstance(error, PvectlError) else Bug.of(error)
            turn.status = known.exit_status
            turn.errors.append(error_words(common, known))
            turn.findings = turn.findings or known.code
            _keep_failure(common, turn, known)


def _keep_failure(common: CommonOptions, turn: Turn, error: PvectlError) -> None:
    """The error in place of each document that the target does not have."""
    again = common.again
    failure = Failure(
        common.command,
        error.code,
        int(error.exit_status),
        with_options(error.summary, again),
        with_options(error.hint, again),
        error.findings,
    )
    for output in common.outputs:
        if (output.name, output.file) not in turn.documents and (
            output.file is not None or output.name != "text"
        ):
            show(replace(common, outputs=(output,)), "failure", failure, View())


def _refuse_formats(common: CommonOptions) -> None:
    for output in common.outputs:
        if output.name not in documents.COMBINED and not for_target(output.file):
            raise UsageError(
                f"one {output.name} document holds one target only",
                hint=f"write one per target: --format '{output.name}=FILE-{{target}}', "
                "or choose one with --on NAME",
            )


def _say_stopped(
    common: CommonOptions, number: int, bad: Sequence[str], rest: Sequence[str]
) -> None:
    if rest:
        why = f"wave {number} ended with failures ({in_prose(bad)})" if bad else "interrupted"
        info(common, f"{why}; not started: {in_prose(rest)}; --continue goes on all the same")


def _show(common: CommonOptions, turns: Sequence[Turn]) -> None:
    """One document per format and file that holds all clusters; then what went wrong."""
    rows = [_row(turn) for turn in turns]
    for output in common.outputs:
        if not for_target(output.file):
            _show_one(common, output, turns, rows)
    if all(output.file is not None or output.name != "text" for output in common.outputs):
        for row in documents.summary_text(rows).splitlines():
            info(common, row)
    said: dict[str, list[str]] = {}
    for turn in turns:
        for text in turn.errors:
            said.setdefault(text, []).append(turn.name)
    for text, names in said.items():
        write_err(f"{'target' if len(names) == 1 else 'targets'} {listed(names, MOST)}:\n{text}")


def _show_one(
    common: CommonOptions, output: Output, turns: Sequence[Turn], rows: Sequence[Row]
) -> None:
    bodies = {
        turn.name: (texts[-1] if output.name in _ONE_EACH else "".join(texts))
        for turn in turns
        if (texts := turn.documents.get((output.name, output.file)))
    }
    declared = {turn.name: turn.declared for turn in turns if turn.declared}
    shared, own = documents.baseline(declared) if len(declared) > 1 else (0, [])
    text = documents.COMBINED[output.name](Fleet(rows, bodies, shared, own))
    if output.file is None:
        print_document(text)
    else:
        write_file(output.file, text)
        common.written.add(output.file)


_ONE_EACH = frozenset({"json", "sarif", "junit", "metrics", "csv"})


def _row(turn: Turn) -> Row:
    if turn.status is None:
        return Row(turn.name, turn.changes, turn.findings, turn.access, None, "not started")
    name = ExitStatus(turn.status).name.lower().replace("_", " ")
    return Row(turn.name, turn.changes, turn.findings, turn.access, int(turn.status), name)


def _worst(turns: Sequence[Turn]) -> ExitStatus:
    found = [ExitStatus(turn.status) for turn in turns if turn.status is not None]
    unranked = [status for status in found if status not in PRECEDENCE]
    return unranked[0] if unranked else min(found, key=PRECEDENCE.index)
