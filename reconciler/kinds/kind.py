"""What the engine may know about one kind of object, and how a kind is written.

How a kind is written
---------------------
A kind is a module or a folder beside this one: a spec, a TOML table, some functions, and one `KIND`
that holds them. Kinds are discovered automatically, and everything about a kind is in its module.

    class RoleSpec(Spec):                       # an object as Proxmox VE has it; no name in it
        privileges: frozenset[str] = frozenset()

    class RoleTable(TomlTable):                 # an object as the file has it
        privileges: list[str]

    ROLES = request("GET", "access", "roles")

    KIND = Kind(
        name="role",
        spec=RoleSpec,
        toml=Toml(Place("role"), RoleTable, _declare, _export),
        reads=Reading((ROLES,), {"/access/roles": Rows(...)}, _parse),
        writes=Writing("user.cfg", _requests, _needs, file_size=_file_size),
        fill_access=_fill_access,
    )

Each facet answers one question, and its own docstring says what each of its functions gets, returns
and raises:

- `toml`     how it is written in a state file
- `reads`    how it is read from Proxmox VE, and which privileges that takes
- `writes`   which requests make a change, which privileges they take, what taking it back costs
- `links`    which objects it names, and what becomes of it when they go
- `secrets`  what it sends and receives that must never be shown
- `checks`   what is wrong with it, told before anything is sent
- `fill_access`  what it means for who may do what

A field without a default must be given; a facet with defaults may be left out. Functions are pure:
they get values and return values. `name` and `id` are the part of an address behind the kind:
`role.Ops` has the id `Ops`. `tests/kinds/test_contract.py` tells what a new kind still lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
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
from reconciler.model.session import SessionEffect
from reconciler.model.spec import Spec, State

S = TypeVar("S", bound=Spec)

Answers = Mapping[Request, Any]
"""The `data` of every GET that was sent, by request."""


class Need(NamedTuple):
    """A privilege that a request needs.

    `any_of`: alternatives, each a set of (path, privilege) that must all be held; the first one is
    what is asked for when none is. `propagated` privileges must also hold on everything below.
    `with_propagate`: those of the (path, privilege) that PVE wants held with the propagate flag, as
    for handing them on with that flag. `own`: the user, who may do it to itself without any of
    this, if there is one; a token never counts as its user.
    """

    any_of: tuple[tuple[tuple[str, str], ...], ...]
    propagated: bool = False
    with_propagate: tuple[tuple[str, str], ...] = ()
    own: str = ""


def need(path: str, *privileges: str, propagated: bool = False) -> Need:
    """One of `privileges` on `path`."""
    return Need(tuple(((path, privilege),) for privilege in privileges), propagated)


class TablePlace(NamedTuple):
    """Where a kind's tables are in a TOML file.

    `[role.NAME]` is TablePlace("role"), `[user."U".token.NAME]` TablePlace("token", inside="user"),
    `[[acl]]` TablePlace("acl", array=True).
    """

    key: str
    inside: str = ""
    array: bool = False

    def __str__(self) -> str:
        """`[role.NAME]`, `[[acl]]`, `[user.NAME.token.NAME]`."""
        outer = f"{self.inside}.NAME." if self.inside else ""
        return f"[[{self.key}]]" if self.array else f"[{outer}{self.key}.NAME]"


class AlarmWhen(Enum):
    """When an undeclared object is an alarm (`pvectl drift`)."""

    ALWAYS = "it grants access, or lets someone log in, by itself"
    GRANTED = "once an ACL entry names it"
    NEW = "when the previous report did not have it: it may carry data away"
    NEVER = "it grants no access"


VERBS = {Action.CREATE: "create", Action.UPDATE: "change", Action.DELETE: "delete"}


def plain_title(changes: Sequence[Change]) -> str:
    """`create role X`; `change 2 pool objects`."""
    kind, name = changes[0].address
    verbs = list(dict.fromkeys(VERBS[change.action] for change in changes))
    if len(changes) == 1:
        return f"{verbs[0]} {kind} {name}"
    return f"{' and '.join(verbs)} {len(changes)} {kind} objects"


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


def _goes_too(name: str, spec: S, gone: Address) -> S | None:
    del name, spec, gone
    return None


@dataclass(frozen=True)
class Toml(Generic[S]):
    """How an object is written in a state file.

    - `place`: where, and `table`: the model of that table.
    - `declare` (name in the file, name of the enclosing table, table) -> declarations. Raises
      ValueError for what the table's own model cannot tell.
    - `export` (id, spec) -> the same table as plain values, for `import`. Raises ValueError for
      what no table can hold.
    - `check_name` (name in the file, name of the enclosing table). Raises ValueError for a name
      that Proxmox VE does not take.
    - `name_of` (id, spec) -> (name of the enclosing table or "", name in the file), for `import`.
    - `merge_tables`: tables of `export` -> fewer tables that declare the same objects.
    - `file`: where `import` writes the kind; KINDs.toml where it is empty.
    """

    place: TablePlace
    table: type[TomlTable]
    declare: Callable[[str, str, Any], Iterable[Declaration]]
    export: Callable[[str, S], dict[str, Any]]
    check_name: Callable[[str, str], None] = lambda *_: None
    name_of: Callable[[str, S], tuple[str, str]] = lambda name, _: ("", name)
    merge_tables: Callable[[Sequence[dict[str, Any]]], Sequence[dict[str, Any]]] = _as_they_are
    file: str = ""


@dataclass(frozen=True)
class Reading(Generic[S]):
    """How objects are read from Proxmox VE.

    - `requests`: GETs that list all objects of the kind; one that several kinds name is sent once.
    - `answer_shapes`: GET as `/path/{name}?parameter` -> what its answer looks like, for all that
      is read. Checked where answers enter, so that `parse` need not.
    - `parse`: answers -> (id, spec) of every live object.
    - `needs`: the privileges without which PVE leaves objects out of its answers.
    - `details` (answers so far, ids that are declared) -> further GETs, one per object.
    - `always_there`: those of them that every cluster answers.
    - `lazy`: read only where the state files concern the kind, declare what it belongs to, or
      delete what it refers to.
    - `as_read`: spec -> what PVE will show of it, without secrets and sinks.
    - `builtin_ids`: ids that exist on every cluster without being declared.
    - `is_builtin` (id, spec) -> True for what PVE itself owns: never drift, never deleted.
    - `digest` (answers, id) -> PVE's digest of the file at that moment, "" where there is none. A
      PUT that sends it is refused when the file has changed since.
    """

    requests: tuple[Request, ...]
    answer_shapes: Mapping[str, Shape]
    parse: Callable[[Answers], Iterable[tuple[str, S]]]
    needs: tuple[Need, ...] = ()
    details: Callable[[Answers, frozenset[str]], tuple[Request, ...]] = _nothing
    always_there: tuple[Request, ...] = ()
    lazy: bool = False
    as_read: Callable[[S], S] = _itself
    builtin_ids: frozenset[str] = frozenset()
    is_builtin: Callable[[str, S], bool] = lambda *_: False
    digest: Callable[[Answers, str], str] = lambda *_: ""


@dataclass(frozen=True)
class Writing(Generic[S]):
    """How a change is made, and what taking it back costs.

    - `lock`: the file that PVE locks while it writes, such as `user.cfg`.
    - `requests`: changes -> requests, each with the changes that it carries.
    - `needs` (change, access table at that moment) -> privileges that its request takes.
    - `split`: change -> changes of one request each.
    - `join_members` (id, goal, live spec, everything declared) -> the goal with what other objects
      say of its members; asked of undeclared objects, too, with the live spec as goal.
    - `merge_with_live` (declared, live or None) -> the spec to reach; keeps what is not managed.
    - `completed` (spec as it was sent, live spec) -> the spec with what PVE itself added to it when
      it made the object.
    - `coupled_changes` (change, live state) -> what its request changes in other objects as well,
      such as the pool that a guest leaves; `requests` carries both in one.
    - `partial_states`: change -> the states in which PVE may leave the object when a request of two
      writes ends after the first.
    - `fallbacks` (change, text of PVE's refusal) -> changes that lead to the same state by another
      way, each sent by itself; empty where there is none.
    - `undo`: change -> whether it can be rolled back, and what is lost then.
    - `title`: changes of one request -> what it does, in a few words.
    - `file_size`: all (id, spec) of the kind -> the bytes that they take in `lock`, 0 where that
      file cannot grow too large.
    """

    lock: str
    requests: Callable[[Sequence[Change]], Sequence[tuple[Request, tuple[Change, ...]]]]
    needs: Callable[[Change, AccessTable], Iterable[Need]]
    split: Callable[[Change], Sequence[Change]] = lambda change: (change,)
    join_members: Callable[[str, S, S, Mapping[Address, Declared]], S] | None = None
    merge_with_live: Callable[[S, S | None], S] = _as_declared
    completed: Callable[[S, S], S] = _as_declared
    coupled_changes: Callable[[Change, State], Iterable[Change]] = _nothing
    partial_states: Callable[[Change], Iterable[S]] = _nothing
    fallbacks: Callable[[Change, str], Sequence[Change]] = _nothing
    undo: Callable[[Change], Undo] = _full
    title: Callable[[Sequence[Change]], str] = plain_title
    file_size: Callable[[Sequence[tuple[str, S]]], int] = lambda _: 0


@dataclass(frozen=True)
class Links(Generic[S]):
    """Which objects an object names, and what becomes of it when they go.

    - `refers_to`: the kinds that its specs may name; what is named is made first.
    - `references` (id, spec) -> the objects that it names.
    - `owners` (id, spec) -> the objects to which it belongs. In mode `owned` it is deleted when
      they are declared and it is not.
    - `without` (id, spec, gone) -> the spec without the object `gone` that it names; None: it goes,
      too; unchanged: `gone` cannot go before it.
    - `rename` (id, spec, old, new) -> (id, spec) that names `new` where it named `old`; None: it
      cannot follow a [[moved]].
    - `silently_deletes`: kinds of which PVE drops, without a word, what names an object of this
      kind when that is deleted to be made again.
    - `acl_parent`: the path below which its objects have an ACL path: `/pool` for `/pool/NAME`.
    - `entries_vanish`: PVE deletes the ACL entries on that path together with the object.
    - `inherits` (spec, planned state) -> field -> value and where it is from, in words: what PVE
      takes from an object that the spec names, where the spec itself says nothing.
    - `may_dangle`: kinds that its specs may name although the object does not exist: PVE works with
      it, and a finding says so.
    """

    refers_to: frozenset[str] = frozenset()
    references: Callable[[str, S], Iterable[Address]] = _nothing
    owners: Callable[[str, S], Iterable[Address]] = _nothing
    without: Callable[[str, S, Address], S | None] = _goes_too
    rename: Callable[[str, S, Address, Address], tuple[str, S] | None] = lambda *_: None
    silently_deletes: frozenset[str] = frozenset()
    acl_parent: str = ""
    entries_vanish: bool = False
    inherits: Callable[[S, State], Mapping[str, str]] = lambda *_: {}
    may_dangle: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Secrets(Generic[S]):
    """What an object sends and receives that must never be shown.

    - `sent`: spec -> the secrets that it sends, by parameter.
    - `with_sent` (spec, secrets) -> the spec that sends them again, for a secret that was changed.
      None for a kind whose secrets cannot be changed.
    - `answered`: answers -> id -> the secrets that PVE returns to a reader, by parameter; "" for
      one that is not set.
    - `shown`: answers -> id -> what PVE returns in place of a secret, such as the fingerprint of a
      key, by parameter; "" for one that is not set.
    - `sink`: change -> where the secret in the answer goes. A change to a spec with a sink from the
      same without one asks for a new secret.
    """

    sent: Callable[[S], Mapping[str, SecretRef]] = lambda _: {}
    with_sent: Callable[[S, Mapping[str, SecretRef]], S] | None = None
    answered: Callable[[Answers], Mapping[str, Mapping[str, str]]] = lambda _: {}
    shown: Callable[[Answers], Mapping[str, Mapping[str, str]]] = lambda _: {}
    sink: Callable[[Change], SecretSink | None] = lambda _: None


@dataclass(frozen=True)
class Checks(Generic[S]):
    """Checks, reported before anything is sent; each gives findings, each at its own moment.

    - `declared_object` (id, spec, whole desired state): from the files alone, object by object.
    - `declared_kind`: everything declared, once: from the files alone.
    - `planned_state` (planned state, facts): beside the cluster; what PVE accepts in silence.
    - `change` (change, live state and what is new): each change of a plan. Errors forbid the plan,
      unless their `allow` is given.
    - `undeclared`: when an object that no file declares is an alarm.
    """

    declared_object: Callable[[str, S, Mapping[Address, Spec]], Iterable[Finding]] = _nothing
    declared_kind: Callable[[Mapping[Address, Declared]], Iterable[Finding]] = _nothing
    planned_state: Callable[[Mapping[Address, Spec], Facts], Iterable[Finding]] = _nothing
    change: Callable[[Change, State], Iterable[Finding]] = _nothing
    undeclared: AlarmWhen = AlarmWhen.NEVER


@dataclass(frozen=True)
class Kind(Generic[S]):
    """One kind of object; the module's docstring explains how to write one.

    `name` is the prefix of its addresses, `spec` the model of one object without its name.
    `fill_access` (id, spec, access table) adds to the table what the object means for access.
    `sessions` (change, planned state) -> what it means for those who are logged in, beyond who can
    log in at all.
    """

    name: str
    spec: type[S]
    toml: Toml[S]
    reads: Reading[S]
    writes: Writing[S]
    links: Links[S] = field(default_factory=Links)
    secrets: Secrets[S] = field(default_factory=Secrets)
    checks: Checks[S] = field(default_factory=Checks)
    fill_access: Callable[[str, S, AccessTable], None] = lambda *_: None
    sessions: Callable[[Change, State], Iterable[SessionEffect]] = _nothing
