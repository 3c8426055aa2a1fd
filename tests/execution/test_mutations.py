"""The engine is broken on purpose, one way at a time: each breakage is caught by the suite.

A mutation replaces one function of the product; a check that the suite runs anyway must then fail.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reconciler.execution import apply, plan_file, rollback
from reconciler.execution.journal import journal
from reconciler.execution.lock import cluster as lock
from reconciler.execution.run import context, observation, observer, outcome, sender
from reconciler.execution.run.observation import Observed
from reconciler.kinds import group
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.kind import Kind
from reconciler.kinds.user.table import UserSpec
from reconciler.model.address import Address
from reconciler.planning import builder
from reconciler.planning.ordering import order
from tests.execution import (
    checks,
    disk,
    rivals,
    test_half_done,
    test_journal,
    test_locks,
    test_plan_files,
    test_replacement,
    test_tokens,
    test_vanishing,
)
from tests.execution.pair import FIRST, SECOND
from tests.execution.worlds import Bench, bench, is_declared, plan_for, world
from tests.support.engine import NOW, TestClock

Patch = pytest.MonkeyPatch
Check = Callable[[], None]


class Mutation(NamedTuple):
    """What is broken, how, and which check must notice."""

    name: str
    breaks: Callable[[Patch], None]
    caught_by: Check


def every_third(points: Sequence[int]) -> Sequence[int]:
    return points[::3]


def on_the_pair(check: Callable[..., None], *more: Any) -> Check:
    """A check of the suite on the fixed pair of states."""

    def run() -> None:
        with world() as cluster:
            check(bench(cluster, FIRST, SECOND), *more)

    return run


def on_tokens(check: Callable[..., None], *more: Any) -> Check:
    def run() -> None:
        with world() as cluster:
            check(bench(cluster, {}, test_tokens.STATE), *more)

    return run


def on_a_deletion(check: Callable[[Bench], None]) -> Check:
    def run() -> None:
        states = {test_half_done.USER: UserSpec()}, {test_half_done.GROUP: GroupSpec()}
        with world() as cluster:
            check(bench(cluster, *states))

    return run


def on_a_cluster(check: Callable[..., None], *more: Any) -> Check:
    def run() -> None:
        with world() as cluster:
            check(cluster, *more)

    return run


def on_a_journal(check: Callable[[Path], None]) -> Check:
    def run() -> None:
        with tempfile.TemporaryDirectory() as name:
            with journal.Journal.create(Path(name) / "j.jsonl") as made:
                for number in range(3):
                    made.write("intent", step=number, direction="forward", time=1.0)
            check(made.path)

    return run


def on_a_plan_file() -> None:
    with world() as cluster, tempfile.TemporaryDirectory() as name:
        plan = plan_for(cluster.api, {test_half_done.GROUP: GroupSpec()})
        path = Path(name) / "plan.json"
        plan_file.save_plan(plan, path, NOW)
        test_plan_files.test_every_flipped_bit_is_noticed_or_changes_nothing(plan, path)


def plain(ready: Bench) -> None:
    """An apply without any fault."""
    result, path = ready.apply(ready.world.api)
    assert result.complete, result
    is_declared(ready.world, SECOND)
    assert "value of SECRET" not in path.read_text()
    assert ready.secrets.delivered
    checks.delivered_secrets_are_those_of_the_cluster(ready)


def on_a_replacement() -> None:
    with world() as cluster:
        first = test_replacement.state("/old", "a")
        test_replacement.test_nothing_is_lost_on_the_way(
            bench(cluster, first, test_replacement.SECOND)
        )


def numbers_grow() -> None:
    with world() as cluster, tempfile.TemporaryDirectory() as name:
        test_locks.test_numbers_never_go_back_when_the_clock_does(cluster, Path(name))


def many_ask_at_once() -> None:
    chance = random.Random(1)  # noqa: S311 - not for secrets
    for _ in range(10):
        test_locks.race(4, lambda: chance.randint(-5, 5), chance.choice)


def instead(*places: tuple[Any, str], of: Any = None) -> Callable[[Patch], None]:
    """Put something else, by default nothing at all, in place of these functions."""

    def breaks(patch: Patch) -> None:
        for module, name in places:
            patch.setattr(module, name, of or nothing, raising=False)

    return breaks


def nothing(*_: Any, **__: Any) -> None:
    """What a function does that was cut out."""


def edges_without(part: str) -> Callable[[Patch], None]:
    """Steps do not wait for what they name to be made, or for what names them to let go."""

    def breaks(patch: Patch) -> None:
        real = order._edges

        def edges(steps: Any) -> Any:
            made = {i for i, s in enumerate(steps) if any(c.before is None for c in s.changes)}
            gone = {i for i, s in enumerate(steps) if any(c.after is None for c in s.changes)}
            found = real(steps)
            if part == "make":
                return {later: earlier - made for later, earlier in found.items()}
            return {k: set() if k in gone else earlier for k, earlier in found.items()}

        def backwards(step: Any, index: int) -> Any:
            return (0, -index, step.changes[0].address, index)

        patch.setattr(order, "_edges", edges)
        patch.setattr(order, "_key", backwards)

    return breaks


def intent_after_send(patch: Patch) -> None:
    real = sender._record

    def late(run: Any, one: Any, name: str, **data: Any) -> None:
        if name == "done":
            real(run, one, "intent", request=one.request.to_json(), time=0.0, attempt=1)
        if name != "intent":
            real(run, one, name, **data)

    patch.setattr(sender, "_record", late)


def secret_in_the_journal(patch: Patch) -> None:
    real = sender._record

    def telling(run: Any, one: Any, name: str, **data: Any) -> None:
        values = [run.secrets.resolve(v) for _, v in one.request.params if hasattr(v, "env")]
        real(run, one, name, **data, said=values)

    patch.setattr(sender, "_record", telling)


def no_look_after_a_failure(patch: Patch) -> None:
    """The look before the request is used once more."""
    real = sender._send_until_applied

    def blind(run: Any, one: Any, sight: Any, *, more: bool) -> None:
        patch.setattr(sender, "_after", lambda *_: sight)
        real(run, one, sight, more=more)

    patch.setattr(sender, "_send_until_applied", blind)


def others_count_as_before(patch: Patch) -> None:
    real = observation.observe

    def kindly(change: Any, state: Any) -> Observed:
        seen = real(change, state)
        return Observed.BEFORE if seen is Observed.CONFLICT else seen

    for module in (apply, sender, rollback):
        patch.setattr(module, "observe", kindly)
    patch.setattr(observer, "verify", nothing)


def no_halves(patch: Patch) -> None:
    real = observation.kind_of

    def whole(address: Address) -> Kind[Any]:
        kind = real(address)
        return replace(kind, writes=replace(kind.writes, partial_states=lambda _: ()))

    patch.setattr(observation, "kind_of", whole)


def always_restored(patch: Patch) -> None:
    patch.setattr(outcome.RunReport, "restored", property(lambda _: True))


def chain_not_checked(patch: Patch) -> None:
    def trusting(line: bytes, number: int, before: str) -> Any:
        del number, before
        data = json.loads(line)
        return journal.Event(data["event"], data["data"]), data["hash"]

    patch.setattr(journal, "_event", trusting)


def torn_line_kept(patch: Patch) -> None:
    class Keeping(disk.Disk):
        def ftruncate(self, descriptor: int, size: int) -> None:
            """Leaves everything as it is."""

    patch.setattr(journal, "os", Keeping(lambda *_: 0))


def not_synced(patch: Patch) -> None:
    def append(self: Any, line: bytes) -> None:
        journal.os.write(self._descriptor, line)

    patch.setattr(journal.Journal, "_append", append)


def lock_looked_at_once(patch: Patch) -> None:
    patch.setattr(lock, "LOOK", float("inf"))
    patch.setattr(lock.ClusterLock, "note", nothing)


def seal_not_checked(patch: Patch) -> None:
    class Fitting(str):
        """Equal to every digest."""

        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

    patch.setattr(plan_file, "digest", lambda _: Fitting())


MUTATIONS = (
    Mutation("no make edges", edges_without("make"), on_the_pair(plain)),
    Mutation("no delete edges", edges_without("delete"), on_the_pair(plain)),
    Mutation("intent after send", intent_after_send, on_the_pair(plain)),
    Mutation("no intent", instead((sender, "_record")), on_the_pair(plain)),
    Mutation("secret in the journal", secret_in_the_journal, on_the_pair(plain)),
    Mutation("secrets not delivered", instead((sender, "_deliver")), on_the_pair(plain)),
    Mutation(
        "no look after a lost answer",
        no_look_after_a_failure,
        on_the_pair(checks.lost_answers_are_settled, SECOND, every_third),
    ),
    Mutation(
        "no look after a lock message",
        no_look_after_a_failure,
        on_the_pair(checks.half_done_locks_are_noticed, SECOND, every_third),
    ),
    Mutation(
        "settled too early",
        instead((sender, "SETTLE"), of=5.0),
        on_the_pair(checks.late_answers_are_awaited, SECOND, every_third),
    ),
    Mutation(
        "no wait for a request under way",
        instead((apply, "close_open"), (rollback, "close_open")),
        on_the_pair(checks.crash_with_a_late_request, SECOND, every_third),
    ),
    Mutation(
        "everything once more on resume",
        instead((apply, "is_complete"), of=lambda *_: False),
        on_a_cluster(test_half_done.test_a_new_password_that_was_recorded_is_not_sent_again),
    ),
    Mutation(
        "rollback forwards",
        instead((rollback, "sorted"), of=lambda numbers, **_: sorted(numbers)),
        on_the_pair(checks.refusals_are_undone, every_third),
    ),
    Mutation(
        "rollback forgets the first step",
        instead((rollback, "sorted"), of=lambda numbers, **_: sorted(numbers, reverse=True)[:-1]),
        on_the_pair(checks.refusals_are_undone, every_third),
    ),
    Mutation(
        "rollback starts over after a crash",
        instead((rollback, "is_undone"), of=lambda *_: False),
        on_the_pair(checks.rollback_killed_is_resumed, lambda points: points[-4:]),
    ),
    Mutation(
        "no rollback",
        instead((rollback, "_undo_step")),
        on_the_pair(checks.killed_is_rolled_back, every_third),
    ),
    Mutation(
        "back past the point of no return",
        instead((apply, "_past_pivot"), of=lambda _: ""),
        on_a_cluster(
            test_tokens.test_a_rotation_whose_sink_fails_is_finished_when_it_works_again, "9.2.1"
        ),
    ),
    Mutation(
        "restored without a proof",
        always_restored,
        on_the_pair(rivals.conflicts_are_seen_at_the_end, every_third),
    ),
    Mutation(
        "no conflicts",
        others_count_as_before,
        on_the_pair(rivals.conflicts_stop_the_run, every_third),
    ),
    Mutation(
        "no last look",
        instead((observer, "verify"), (apply, "_refuse_incomplete")),
        on_the_pair(rivals.conflicts_are_seen_at_the_end, every_third),
    ),
    Mutation(
        "what others hung on it goes too",
        instead((sender, "_reject_new_dependents")),
        on_tokens(rivals.what_hangs_on_it_is_kept),
    ),
    Mutation(
        "what is dropped is not put back",
        instead((builder, "with_restored_dependents"), of=lambda changes, _: tuple(changes)),
        on_a_replacement,
    ),
    Mutation(
        "unsent counts as unknown",
        instead((outcome, "_outcome_of_step"), of=lambda *_: outcome.Outcome.UNKNOWN),
        on_a_cluster(
            test_vanishing.test_the_wait_is_reported_and_bounded_and_nothing_unsent_is_unknown,
            False,
        ),
    ),
    Mutation(
        "half-done deletions unknown",
        no_halves,
        on_a_deletion(
            test_half_done.test_a_user_that_was_only_disabled_is_deleted_when_the_lock_is_free
        ),
    ),
    Mutation(
        "lost secrets stay lost",
        instead((sender, "renew_secrets"), (apply, "renew_secrets")),
        on_tokens(test_tokens.test_an_answer_with_a_secret_is_lost, checks.lose_after, lambda f: f),
    ),
    Mutation(
        "secrets of dead tokens stay",
        instead((rollback, "_withdraw_secrets"), of=lambda _: []),
        on_tokens(test_tokens.test_a_delivered_secret_is_withdrawn_when_its_token_is_rolled_back),
    ),
    Mutation(
        "torn line kept",
        torn_line_kept,
        on_a_journal(test_journal.test_a_torn_last_line_is_dropped_and_the_journal_continues),
    ),
    Mutation(
        "hash chain not checked",
        chain_not_checked,
        on_a_journal(test_journal.test_a_line_that_is_missing_or_moved_is_noticed),
    ),
    Mutation(
        "journal not synced",
        not_synced,
        on_the_pair(disk.nothing_without_its_record, SECOND, lambda points: points[4:5]),
    ),
    Mutation(
        "no disk space reserved for the rollback",
        instead((journal, "_drop_reserve"), of=lambda _: False),
        on_the_pair(disk.a_full_disk_is_rolled_back),
    ),
    Mutation(
        "no stale check",
        instead((plan_file, "stale"), of=lambda *_: ()),
        test_plan_files.test_a_stale_plan_is_refused_with_the_difference,
    ),
    Mutation("no seal", seal_not_checked, on_a_plan_file),
    Mutation(
        "live locks overlooked",
        instead((lock, "reject_live")),
        on_a_cluster(
            test_locks.test_a_second_run_is_refused_and_told_who_and_what_to_type, TestClock()
        ),
    ),
    Mutation(
        "no second look at the lock",
        instead((lock, "_confirm")),
        many_ask_at_once,
    ),
    Mutation(
        "lease not checked",
        instead((lock.ClusterLock, "renew")),
        on_the_pair(test_locks.sleeps_over_its_lease),
    ),
    Mutation(
        "a lock is looked at once only",
        lock_looked_at_once,
        on_the_pair(test_locks.taken_over_between_two_looks),
    ),
    Mutation(
        "a look never grows old",
        instead((context.RunContext, "is_fresh"), of=lambda *_: True),
        on_the_pair(rivals.conflicts_stop_the_run, every_third),
    ),
    Mutation(
        "an old look is not taken again",
        instead((sender, "_recent"), of=lambda _, __, sight: sight),
        on_the_pair(rivals.old_looks_are_taken_again, every_third),
    ),
    Mutation(
        "nothing behind is verified",
        instead((observer, "verify")),
        on_the_pair(rivals.conflicts_are_told_before_the_end),
    ),
    Mutation(
        "own writes are taken for a rival's",
        instead((observer, "lay_over"), of=lambda *_: None),
        on_the_pair(plain),
    ),
    Mutation(
        "no rollback before all earlier steps are verified",
        instead((observer, "Undo"), of=type("Undo", (), {"NONE": object()})),
        on_a_cluster(rivals.nothing_irreversible_on_an_unverified_past),
    ),
    Mutation("numbers go back", instead((lock, "fences"), of=lambda _: frozenset()), numbers_grow),
    Mutation(
        "the lock is drift",
        instead((group, "LOCK_PREFIX"), of="something-else-"),
        on_a_cluster(test_locks.test_a_lock_is_never_an_object_nor_drift, TestClock()),
    ),
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_engine_is_caught(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation.caught_by()
    mutation.breaks(monkeypatch)
    try:
        mutation.caught_by()
    except (Exception, pytest.fail.Exception):
        return
    raise AssertionError(f"{mutation.name}: nothing noticed")
