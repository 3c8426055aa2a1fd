"""What the engine may know about one sort of object.

A kind is one module beside this one: a spec, a TOML table, some functions, and one `KIND` value
that holds them. Nothing about a kind stands anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from reconciler.access.table import AccessTable
from reconciler.kinds.shared.answer_shape import Shape
from reconciler.model.address import Address
from reconciler.model.change import Action, Change, Undo
from reconciler.model.declared import Declaration, Declared
from reconciler.model.finding import Finding
from reconciler.model.inventory import Facts
from reconciler.model.policy import TomlTable
from reconciler.model.request import Request
from reconciler.model.secret import SecretRef, SecretSink
from reconciler.model.spec import Spec, State

S = TypeVar("S", bound=Spec)

Reads = Mapping[Request, Any]
"""The `data` of every GET that was sent, by request."""


class Need(NamedTuple):
    """A privilege that a request needs.

    `any_of`: alternatives, each a set of (path, privilege) that must all be held; the first one is
    what is asked for when none is. `propagated` privileges must also hold on everything below.
    `with_propagate`: those of the (path, privilege) that PVE wants held with the propagate flag, as
    for handing them on with that flag. `own`: the user who may do it to himself without any of
    this, if there is one; a token never counts as its user.
    """

    any_of: tuple[tuple[tuple[str, str], ...], ...]
    propagated: bool = False
    with_propagate: tuple[tuple[str, str], ...] = ()
    own: str = ""


def need(path: str, *privileges: str, propagated: bool = False) -> Need:
    """One of `privileges` on `path`."""
    return Need(tuple(((path, privilege),) for privilege in privileges), propagated)


class Place(NamedTuple):
    """Where a kind's tables stand in a TOML file.

    `[role.NAME]` is Place("role"); `[user."U".token.NAME]` is Place("token", inside="user");
    `[[acl]]` is Place("acl", array=True).
    """

    key: str
    inside: str = ""
    array: bool = False


def _itself(spec: S) -> S:
    return spec


def _as_declared(declared: S, live: S | None) -> S:
    del live
    return declared


def _nothing(*_: Any) -> tuple[()]:
    return ()


def _as_they_are(tables: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    return tables


def _full(change: Change) -> Undo:
    del change
    return Undo.FULL


VERBS = {Action.CREATE: "create", Action.UPDATE: "change", Action.DELETE: "delete"}


def plain_title(changes: Sequence[Change]) -> str:
    """`create role X`; `change 2 pool objects`."""
    kind, name = changes[0].address
    verbs = list(dict.fromkeys(VERBS[change.action] for change in changes))
    if len(changes) == 1:
        return f"{verbs[0]} {kind} {name}"
    return f"{' and '.join(verbs)} {len(changes)} {kind} objects"


def _goes_too(name: str, spec: S, gone: Address) -> S | None:
    del name, spec, gone
    return None


@dataclass(frozen=True)
class Kind(Generic[S]):
    """The functions of one kind. Every field with a default may be left out.

    `name`        prefix of addresses
    `spec`        its model
    `place`       where it stands in TOML, and `table` the model of that table
    `check_name`  (name in the file, name of the enclosing table): raises ValueError for one that
                  Proxmox VE does not take
    `declare`     (name in the file, name of the enclosing table, table) -> declarations;
                  raises ValueError for what the table's own model cannot tell
    `export`      (id, spec) -> the same table as plain values, for import; raises ValueError for
                  what no table can hold
    `named`       (id, spec) -> (name of the enclosing table or "", name in the file), for import
    `refers_to`   the kinds that its specs may name; decides what is made first
    `lock`        the file that PVE locks while writing
    `reads`       GET requests that list all objects of the kind, one each for all kinds together
    `answers`     GET as `/path/{name}?parameter` -> what its answer looks like, for all that is
                  read; checked where answers enter, before `read` sees them
    `details`     (answers so far, ids that are declared) -> further GETs, one per object
    `on_demand`   read only where the state files concern the kind, declare what it hangs on, or
                  delete what it refers to
    `read`        answers -> (id, spec) of every live object
    `sees`        what the caller must hold for a complete read
    `joined`      (id, goal, live spec, everything declared) -> the goal with what other objects say
                  of its members; also asked of objects that are not declared, with `goal` as it is
    `overlay`     (declared, live or None) -> the spec to reach: keeps what is not managed
    `completed`   (spec as it was sent, live spec) -> the spec with what PVE itself added when it
                  made the object
    `visible`     spec -> what PVE will show of it: without secrets and sinks
    `references`  (id, spec) -> the objects that it names
    `owners`      (id, spec) -> the objects on which it hangs; in mode `owned` it goes when they
                  are declared and it is not
    `detach`      (id, spec, gone) -> the spec without the object `gone` that it names;
                  None: it goes too; unchanged: `gone` cannot go before it
    `drops`       kinds of which Proxmox VE drops in silence what names an object of this kind when
                  that is deleted to be made again
    `rename`      (id, spec, old, new) -> (id, spec) that names `new` where it named `old`;
                  None: cannot follow a [[moved]]
    `tolerates`   kinds that its specs may name although they do not exist: PVE works with it,
                  and a finding says so
    `split`       change -> changes of one request each
    `requests`    changes -> requests with the changes that each of them carries
    `halfway`     change -> the states in which PVE may leave it when a request of two writes ends
                  after the first
    `sink`        change -> where the secret in the answer goes; a change to a spec with a sink from
                  the same without one asks for a new secret
    `undo`        change -> what taking it back costs
    `needs`       (change, access table at that moment) -> privileges that its request needs
    `grants`      (id, spec, access table) -> None; fills the table
    `built_in`    (id, spec) -> True for what PVE itself owns: never drift, never deleted
    `weigh`       all (id, spec) of the kind -> how many bytes they take in the file `lock`, 0 where
                  that cannot grow too large
    `survey`      (planned state, facts) -> findings about what PVE accepts in silence
    `check`       (id, spec, whole desired state) -> findings that files alone can give
    `refuse`      (change, live state and what is new) -> findings about this very change; errors
                  forbid the plan, unless their `allow` is given
    `along`       (change, live state) -> what its request changes in other objects as well, such
                  as the pool that a guest leaves; `requests` carries both in one
    `remedy`      (change, words of PVE's refusal) -> changes that lead to the same by another way,
                  each sent by itself; empty where there is none
    `secrets`     spec -> the secrets that it sends, by parameter
    `with_secrets` (spec, secrets) -> the spec that sends them again, for a secret that was changed;
                  None for a kind whose secrets cannot be changed
    `digest`      (answers, id) -> PVE's digest of the file at that moment, "" where there is none;
                  a PUT that sends it is refused when the file has changed since
    `review`      everything declared -> findings of the kind as a whole that files alone can give
    `title`       changes of one request -> what it does, in a few words
    `always`      ids that exist on every cluster without being declared
    `fold`        tables of `export` -> fewer tables that declare the same objects
    `file`        where import writes the kind; NAMEs.toml where it is empty
    """

    name: str
    spec: type[S]
    place: Place
    table: type[TomlTable]
    declare: Callable[[str, str, Any], Iterable[Declaration]]
    export: Callable[[str, S], dict[str, Any]]
    lock: str
    reads: tuple[Request, ...]
    answers: Mapping[str, Shape]
    read: Callable[[Reads], Iterable[tuple[str, S]]]
    requests: Callable[[Sequence[Change]], Sequence[tuple[Request, tuple[Change, ...]]]]
    needs: Callable[[Change, AccessTable], Iterable[Need]]
    check_name: Callable[[str, str], None] = lambda *_: None
    refers_to: frozenset[str] = frozenset()
    sees: tuple[Need, ...] = ()
    on_demand: bool = False
    details: Callable[[Reads, frozenset[str]], tuple[Request, ...]] = _nothing
    joined: Callable[[str, S, S, Mapping[Address, Declared]], S] | None = None
    overlay: Callable[[S, S | None], S] = _as_declared
    completed: Callable[[S, S], S] = _as_declared
    visible: Callable[[S], S] = _itself
    references: Callable[[str, S], Iterable[Address]] = _nothing
    owners: Callable[[str, S], Iterable[Address]] = _nothing
    detach: Callable[[str, S, Address], S | None] = _goes_too
    drops: frozenset[str] = frozenset()
    rename: Callable[[str, S, Address, Address], tuple[str, S] | None] = lambda *_: None
    tolerates: frozenset[str] = frozenset()
    split: Callable[[Change], Sequence[Change]] = lambda change: (change,)
    halfway: Callable[[Change], Iterable[S]] = _nothing
    sink: Callable[[Change], SecretSink | None] = lambda _: None
    undo: Callable[[Change], Undo] = _full
    grants: Callable[[str, S, AccessTable], None] = lambda *_: None
    built_in: Callable[[str, S], bool] = lambda *_: False
    weigh: Callable[[Sequence[tuple[str, S]]], int] = lambda _: 0
    survey: Callable[[Mapping[Address, Spec], Facts], Iterable[Finding]] = _nothing
    check: Callable[[str, S, Mapping[Address, Spec]], Iterable[Finding]] = _nothing
    refuse: Callable[[Change, State], Iterable[Finding]] = _nothing
    along: Callable[[Change, State], Iterable[Change]] = _nothing
    remedy: Callable[[Change, str], Sequence[Change]] = _nothing
    secrets: Callable[[S], Mapping[str, SecretRef]] = lambda _: {}
    with_secrets: Callable[[S, Mapping[str, SecretRef]], S] | None = None
    digest: Callable[[Reads, str], str] = lambda *_: ""
    review: Callable[[Mapping[Address, Declared]], Iterable[Finding]] = _nothing
    title: Callable[[Sequence[Change]], str] = plain_title
    always: frozenset[str] = frozenset()
    fold: Callable[[Sequence[dict[str, Any]]], Sequence[dict[str, Any]]] = _as_they_are
    named: Callable[[str, S], tuple[str, str]] = lambda name, _: ("", name)
    file: str = ""
