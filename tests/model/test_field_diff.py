"""Every difference is shown, in words that people use; a secret never is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.kinds.backup.table import BackupSpec, Selection
from reconciler.kinds.realm.table import RealmSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.storage.table import StorageSpec
from reconciler.kinds.user.table import UserSpec
from reconciler.model.field_diff import differences, fields, in_one_line, object_text
from reconciler.model.secret import SecretRef
from reconciler.model.spec import Spec
from reconciler.pve.realm_options import REALM_OPTIONS
from reconciler.pve.schema import ParameterTable, secret_names
from reconciler.pve.secret_params import is_secret_param
from reconciler.pve.storage_options import STORAGE_OPTIONS

WORDS = st.sampled_from(["", "a", "b", "0", "1", "x y"])
LISTS = st.lists(st.sampled_from("abc"), unique=True).map(tuple)
USERS = st.builds(
    UserSpec,
    enabled=st.booleans(),
    expires=st.sampled_from([0, 1798761600, 10**18]),
    firstname=WORDS,
    comment=WORDS,
    groups=LISTS,
    keys=st.none() | WORDS,
    password=st.none() | st.just(SecretRef(env="P")),
)
STORAGES = st.builds(
    StorageSpec,
    type=st.just("dir"),
    options=st.dictionaries(
        st.sampled_from(["content", "shared", "maxfiles", "path"]),
        st.one_of(st.sampled_from(["0", "1", "z"]), LISTS.filter(bool)),
    ),
    secrets=st.dictionaries(st.just("password"), st.just(SecretRef(file="s/p"))),
)


def _texts(before: Spec, after: Spec) -> dict[str, str]:
    return {one.name: one.text for one in differences(before, after)}


@given(before=st.one_of(USERS, STORAGES), data=st.data())
def test_what_differs_is_shown_and_nothing_else(before: Spec, data: st.DataObject) -> None:
    after = data.draw(USERS if isinstance(before, UserSpec) else STORAGES)
    shown = _texts(before, after)
    assert all(shown.values())
    differing = {
        name for name in type(before).model_fields if _told(before, name) != _told(after, name)
    }
    assert shown.keys() & type(before).model_fields.keys() == differing - {"options", "secrets"}
    assert bool(shown) == bool(differing)


def _told(spec: Spec, name: str) -> object:
    value = getattr(spec, name)
    return None if value in (None, "", ()) else value


def test_a_secret_that_is_sent_was_never_known_to_be_unset() -> None:
    options = {"base_dn": "dc=x", "server1": "s", "user_attr": "uid"}
    before = _section(RealmSpec, type="ldap", options=options)
    after = before.model_copy(update={"secrets": (("password", SecretRef(env="P")),)})
    assert _texts(before, after) == {"password": "(unknown) → (secret from $P)"}


def test_lists_dates_switches_and_cleared_fields_read_as_words() -> None:
    before = UserSpec(comment="on call", groups=("a", "b"), expires=1798761600)
    after = UserSpec(enabled=False, groups=("b", "c"), email="x@example.com")
    assert _texts(before, after) == {
        "enabled": "yes → no",
        "expires": "2027-01-01 → never",
        "email": "(not set) → x@example.com",
        "comment": '"on call" → (cleared)',
        "groups": "+c -a",
    }


def _section(spec: Any, **fields: Any) -> Any:
    """As the files give it: tables in place of pairs."""
    return spec(**fields)


def test_options_stand_one_per_line_and_switches_are_words() -> None:
    spec = _section(StorageSpec, type="dir", options={"content": ["iso", "backup"], "shared": "1"})
    assert [tuple(one) for one in fields(spec)] == [
        ("type", "dir"),
        ("content", "iso, backup"),
        ("shared", "yes"),
    ]


def test_the_selection_of_a_job_is_shown_part_by_part() -> None:
    before = BackupSpec(schedule="02:30", selection=Selection(guests=(101, 102)))
    after = BackupSpec(schedule="02:30", selection=Selection(all=True, exclude=(102,)))
    assert _texts(before, after) == {
        "guests": "-101 -102",
        "all": "no → yes",
        "exclude": "+102",
    }


def test_a_list_in_another_order_is_a_difference() -> None:
    before, after = RoleSpec(privileges=("A", "B")), RoleSpec(privileges=("B", "A"))
    assert _texts(before, after) == {"privileges": "A, B → B, A"}


def test_a_secret_shows_its_source_and_never_its_text() -> None:
    realm = _section(
        RealmSpec,
        type="openid",
        options={"client-id": "pve", "client-key": "canary-1"},
        secrets={"password": SecretRef(env="LDAP_PASSWORD")},
    )
    other = realm.model_copy(update={"options": (("client-key", "canary-2"),), "secrets": ()})
    shown = [one.text for one in fields(realm)] + list(_texts(realm, other).values())
    shown += [one.text for one in fields(UserSpec(keys="canary3"))]
    assert "canary" not in " ".join(shown)
    assert "(secret from $LDAP_PASSWORD)" in shown
    assert _texts(realm, other)["client-key"] == "(hidden) → another value (hidden)"


def test_long_values_are_shortened() -> None:
    (comment,) = fields(UserSpec(comment="x" * 5000))
    assert comment.text == f'"{"x" * 160}…" (5,000 characters)'
    (groups,) = fields(UserSpec(groups=tuple(f"g{n:03}" for n in range(100))))
    assert groups.text.endswith("g039 and 60 more")


def _pruned(keep: str) -> Any:
    return _section(StorageSpec, type="dir", options={"prune-backups": keep})


def test_only_the_parts_of_a_property_string_that_change_are_shown() -> None:
    before = _section(
        StorageSpec, type="dir", options={"prune-backups": "keep-daily=7,keep-last=3"}
    )
    after = _section(
        StorageSpec, type="dir", options={"prune-backups": "keep-daily=14,keep-weekly=4"}
    )
    assert _texts(before, after) == {
        "prune-backups.keep-daily": "7 → 14",
        "prune-backups.keep-last": "3 → (cleared)",
        "prune-backups.keep-weekly": "(not set) → 4",
    }
    every = _pruned("keep-all=1")
    assert _texts(before, every)["prune-backups.keep-all"] == "(not set) → yes"
    unset = StorageSpec(type="dir")
    assert _texts(unset, every) == {"prune-backups": "(not set) → keep-all=1"}


def test_one_line_says_the_same_as_the_lines_of_a_plan() -> None:
    before = UserSpec(comment="on call", groups=("a",))
    after = UserSpec(comment="gone", groups=("a", "b"), enabled=False)
    assert in_one_line(before, after) == 'enabled: yes → no; comment: "on call" → gone; groups: +b'
    assert object_text(before) == 'comment "on call", groups a'
    assert (object_text(None), object_text(UserSpec())) == ("absent", "present")


@pytest.mark.parametrize(
    ("model", "table"), [(StorageSpec, STORAGE_OPTIONS), (RealmSpec, REALM_OPTIONS)]
)
def test_what_its_table_calls_secret_is_never_shown(
    model: type[StorageSpec] | type[RealmSpec], table: ParameterTable
) -> None:
    secret = secret_names(table)
    assert secret
    one, other = (dict.fromkeys(secret, f"canary-{number}") for number in (1, 2))
    before, after = (model.model_validate({"options": options}) for options in (one, other))
    shown = " ".join([*(f.text for f in fields(before)), in_one_line(before, after)])
    assert "canary" not in shown
    assert all(is_secret_param(name) for name in secret)
