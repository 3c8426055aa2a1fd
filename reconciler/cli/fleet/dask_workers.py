"""Turns on the workers of a dask scheduler. No secret is transferred: each worker has the state
files at the same path, and resolves their secrets itself.

A worker that is lost while it reads is replaced by another one. A turn that writes is never started
twice: its journal is on the worker, and its lock in the cluster.
"""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from reconciler import __version__
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.turn import COMMAND_LINE, Turn, taking
from reconciler.desired.settings.target import ENVIRONMENT, ClusterSettings
from reconciler.errors import (
    ApplyNotRestored,
    Bug,
    PvectlError,
    Unreachable,
    UsageError,
)
from reconciler.extras import install_command

RETRIES = 3
"""How often a turn that only reads is started again."""

PATIENCE = "5s"
"""In which the scheduler must answer."""

_WITH_VALUE = ("--state", "--settings", "--on", "--format", "--jobs", "--executor", "--log-format")
_FLAGS = ("--color", "--no-color", "--quiet")


@contextmanager
def dask_workers(
    common: CommonOptions, *, writes: bool
) -> Iterator[Callable[[ClusterSettings], Future[Turn]]]:
    """What begins a turn on a worker; raises UsageError, Unreachable."""
    address = common.executor.partition("=")[2]
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--executor dask needs a package that is not installed: {error.name}",
            hint=f"{install_command('dask')}, here and on the workers",
        ) from None
    warnings.filterwarnings("ignore", module="distributed")
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise Unreachable(
            f"no dask scheduler answers at {address}: {str(error) or 'time-out'}",
            hint="correct --executor, or start one: dask scheduler",
        ) from None
    with client, client.get_executor(pure=False, retries=0 if writes else RETRIES) as executor:

        def submit(cluster: ClusterSettings) -> Future[Turn]:
            words = arguments(common, cluster.name, writes=writes)
            once = f"pvectl-{uuid.uuid4()}" if writes else ""
            asked = executor.submit(work_there, words, cluster.name, once, __version__)
            answer: Future[Turn] = Future()
            asked.add_done_callback(lambda done: answer.set_result(_ended(done, cluster.name)))
            return answer

        yield submit


def _ended(done: Future[Turn], target: str) -> Turn:
    """The turn, or what kept it from coming back."""
    error = done.exception()
    if error is None:
        return done.result()
    lost = Unreachable(
        f"the work on {target} did not come back: {type(error).__name__}: {error}",
        hint="see the logs of the dask workers, then try again",
    )
    return _failed(Turn(target, captured=True), lost)


def _failed(turn: Turn, error: PvectlError) -> Turn:
    from reconciler.render.documents.findings import error_text

    turn.status = int(error.exit_status)
    turn.findings = error.code
    turn.errors.append(error_text(error, color=False))
    return turn


def arguments(common: CommonOptions, target: str, *, writes: bool) -> list[str]:
    """The command line of this process for one target, good in every working folder."""
    words: list[str] = []
    left = iter(COMMAND_LINE)
    for word in left:
        if word in _WITH_VALUE:
            next(left, None)
        elif not (word in _FLAGS or word.partition("=")[0] in _WITH_VALUE):
            words.append(word)
    words += ["--state", str(common.state.absolute()), "--on", target]
    if common.settings is not None:
        words += ["--settings", str(common.settings.absolute())]
    for name, file in common.outputs:
        words += ["--format", name if file is None else f"{name}={file}"]
    if writes and "--yes" not in words:
        words.append("--yes")
    return [*words, "--color" if common.color else "--no-color"]


def work_there(words: Sequence[str], target: str, once: str, version: str) -> Turn:
    """On a worker: the command for one target. `once`: the name under which the scheduler knows
    that it was started; it is not started again."""
    from reconciler.cli.app import call

    turn = Turn(target, captured=True)
    try:
        _refuse_worker(version)
        _refuse_again(once, target)
        with taking(turn):
            status = call(words)
    except Exception as error:
        return _failed(turn, error if isinstance(error, PvectlError) else Bug.of(error))
    turn.status = int(status or 0) if turn.status is None else int(turn.status)
    return turn


def _refuse_worker(version: str) -> None:
    if version != __version__:
        raise UsageError(
            f"this worker has pvectl {__version__}, not {version}",
            hint="install the same version on all workers",
        )
    given = [name for name in ENVIRONMENT if os.environ.get(name)]
    if given:
        raise UsageError(
            f"{given[0]} is set on the worker, but several clusters are selected",
            hint="unset it there; each target says where it is",
        )


def _refuse_again(once: str, target: str) -> None:
    """Raises ApplyNotRestored for what was started before; from now on it was."""
    if not once:
        return
    from distributed import Event

    mark = Event(once)
    if mark.is_set():
        raise ApplyNotRestored(
            f"the worker that changed {target} was lost, and the run is not repeated",
            hint=f"where its $PVECTL_HOME is: pvectl status --on {target}",
        )
    mark.set()
