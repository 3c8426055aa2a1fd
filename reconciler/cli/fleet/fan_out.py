"""Several clusters at once: each has its turn in a thread, and their results are put together."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from threading import Event

from reconciler.cli.common_options import CommonOptions, Output, for_target
from reconciler.cli.fleet.one_turn import Work, take
from reconciler.cli.fleet.rollout import WELL, WaveOptions
from reconciler.cli.streams import write_err
from reconciler.cli.terminal.output import info, print_document, target_file, write_file
from reconciler.cli.terminal.signals import passed_on
from reconciler.cli.turn import Turn
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import PRECEDENCE, ExitStatus, UsageError
from reconciler.render import fleet as documents
from reconciler.render.fleet import Fleet, Row
from reconciler.text.humanize import in_prose, listed, noun

MOST = 10
"""Targets that are named."""

Submit = Callable[[ClusterSettings], Future[Turn]]
Waves = Sequence[Sequence[ClusterSettings]]


def on_fleet(
    common: CommonOptions,
    waves: Waves,
    settings: Settings,
    work: Work,
    rollout: WaveOptions | None,
) -> ExitStatus:
    """Run `work` on all clusters, `common.jobs` at a time, wave after wave.

    The results come in the order of the waves, a summary first. With a `rollout`, a failed wave is
    the last one unless it is continued, and none is started after an interrupt, or when a cluster
    needs manual intervention.
    """
    writes, keep_going = rollout is not None, rollout is None or rollout.keep_going
    _refuse_formats(common)
    turns = [Turn(cluster.name, captured=True) for wave in waves for cluster in wave]
    halt = Event()
    started = 0
    listening = passed_on(halt, common.again) if writes else nullcontext()
    with _submitter(common, settings, work, writes=writes) as submit, listening:
        for number, wave in enumerate(waves, 1):
            ended = _run_wave(submit, common.jobs, wave, halt, writes=writes)
            turns[started : started + len(wave)] = ended
            started += len(wave)
            bad = [turn.name for turn in ended if turn.status not in WELL]
            if (bad and not keep_going) or halt.is_set():
                _say_stopped(common, number, bad, [turn.name for turn in turns[started:]])
                break
    _show(common, turns)
    return _worst(turns)


@contextmanager
def _submitter(
    common: CommonOptions, settings: Settings, work: Work, *, writes: bool
) -> Iterator[Submit]:
    """What begins the turn of a cluster: in a thread, or on another machine."""
    if common.executor:
        from reconciler.cli.fleet.dask_workers import dask_workers

        with dask_workers(common, writes=writes) as submit:
            yield submit
        return

    def in_thread(cluster: ClusterSettings) -> Future[Turn]:
        turn = Turn(cluster.name, captured=True, beside=common.jobs > 1)
        return threads.submit(take, common, cluster, turn, settings, work)

    with ThreadPoolExecutor(max_workers=common.jobs) as threads:
        yield in_thread


def _run_wave(
    submit: Submit, jobs: int, wave: Sequence[ClusterSettings], halt: Event, *, writes: bool
) -> list[Turn]:
    """The turn of each cluster, `jobs` at a time; none begins once `halt` is set."""
    turns = [Turn(cluster.name, captured=True) for cluster in wave]
    waiting = list(enumerate(wave))
    running: dict[Future[Turn], int] = {}
    try:
        while running or (waiting and not halt.is_set()):
            while waiting and len(running) < jobs and not halt.is_set():
                number, cluster = waiting.pop(0)
                running[submit(cluster)] = number
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(future)
                turns[number] = turn = future.result()
                needs_a_person = turn.status == ExitStatus.NOT_RESTORED
                if writes and (turn.status not in PRECEDENCE or needs_a_person):
                    halt.set()
    except KeyboardInterrupt:  # only of a command that reads, which leaves nothing behind
        sys.stdout.flush()
        os._exit(ExitStatus.INTERRUPTED)
    return turns


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
        info(common, f"{why}; not started: {in_prose(rest)}; --continue starts them anyway")


def _show(common: CommonOptions, turns: Sequence[Turn]) -> None:
    """One document per format and file that holds all clusters; then what went wrong."""
    rows = [_row(turn) for turn in turns]
    for output in common.outputs:
        if for_target(output.file):
            _write_each(common, output, turns)
        else:
            _show_one(common, output, turns, rows)
    if all(output.file is not None or output.name != "text" for output in common.outputs):
        for row in documents.summary_text(rows).splitlines():
            info(common, row)
    _say_errors(common, turns)


def _say_errors(common: CommonOptions, turns: Sequence[Turn]) -> None:
    """Each error once, with its targets. The commands in it are for all targets, if all have it, or
    for the first."""
    said: dict[str, list[str]] = {}
    for turn in turns:
        own = re.compile(rf" --on {re.escape(shlex.quote(turn.name))}(?![-.\w])")
        for text in turn.errors:
            said.setdefault(own.sub(_ON_THIS, text), []).append(turn.name)
    for text, names in said.items():
        everywhere = 1 < len(names) == len(turns)
        on = common.on if everywhere and common.on else names[0]
        what, note = noun(len(names), "target"), ""
        if len(names) > 1 and not everywhere and _ON_THIS in text:
            note = f" (commands are for {on})"
        told = text.replace(_ON_THIS, f" --on {shlex.quote(on)}")
        write_err(f"{what} {listed(names, MOST)}{note}:\n{told}")


_ON_THIS = "\0"
"""In place of the option that chooses the target; no message has this character."""


def _write_each(common: CommonOptions, output: Output, turns: Sequence[Turn]) -> None:
    """A file per target; its name has a place for that."""
    for turn in turns:
        texts = turn.documents.get((output.name, output.file))
        if texts and output.file is not None:
            write_file(target_file(output.file, turn.name), texts[-1])
            common.written.add(output.file)


def _show_one(
    common: CommonOptions, output: Output, turns: Sequence[Turn], rows: Sequence[Row]
) -> None:
    bodies = {
        turn.name: (texts[-1] if output.name in _ONE_EACH else "\n".join(texts))
        for turn in turns
        if (texts := turn.documents.get((output.name, output.file)))
    }
    declared = {turn.name: turn.declared for turn in turns if turn.declared}
    shared, own = documents.baseline(declared) if len(declared) > 1 else (0, [])
    text = documents.COMBINED[output.name](Fleet(rows, bodies, shared, own))
    if output.file is None:
        common.written.add(None)
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
