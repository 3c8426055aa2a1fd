"""Random states for property tests: small worlds in which objects name each other often."""

from __future__ import annotations

from hypothesis import strategies as st

from reconciler.access.privileges import PRIVILEGES
from reconciler.kinds.acl import AclSpec
from reconciler.kinds.group import GroupSpec
from reconciler.kinds.role import RoleSpec
from reconciler.kinds.token import TokenSpec
from reconciler.kinds.user import UserSpec
from reconciler.model.address import Address
from reconciler.model.secret import SecretSink
from reconciler.model.state import Spec

ROLES = ("R1", "R2", "R3")
GROUPS = ("g1", "g2", "g3")
USERS = ("u1@pve", "u2@pam", "u3@pve")
TOKENS = tuple(f"{user}!{name}" for user in USERS for name in ("t1", "t2"))
PATHS = ("/", "/vms", "/vms/100", "/storage/local", "/access/groups", "/pool/p")
BUILT_IN = ("PVEAuditor", "NoAccess", "PVEVMUser")

text = st.sampled_from(("", "on call", "a:b%c", "Käfer & söhne", "line\nfeed", "x=1;y"))
expiry = st.sampled_from((0, 1_900_000_000, 2_000_000_000))
privileges = st.lists(st.sampled_from(sorted(PRIVILEGES)[:6]), unique=True).map(
    lambda names: tuple(sorted(names))
)


def some(names: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True) if names else st.just([])


@st.composite
def access_states(draw: st.DrawFn) -> dict[Address, Spec]:
    """Roles, groups, users, tokens and entries that only name each other or built-in roles."""
    state: dict[Address, Spec] = {}
    roles, groups, users = draw(some(ROLES)), draw(some(GROUPS)), draw(some(USERS))
    for name in roles:
        state[Address("role", name)] = RoleSpec(privileges=draw(privileges))
    for name in groups:
        state[Address("group", name)] = GroupSpec(comment=draw(text))
    for name in users:
        state[Address("user", name)] = UserSpec(
            enabled=draw(st.booleans()),
            expires=draw(expiry),
            firstname=draw(st.sampled_from(("", "Anna", "Ö"))),
            email=draw(st.sampled_from(("", "a@example.com"))),
            comment=draw(text),
            groups=tuple(sorted(draw(some(tuple(groups))))),
            keys="",
        )
    tokens = draw(some(tuple(t for t in TOKENS if t.partition("!")[0] in users)))
    for name in tokens:
        state[Address("token", name)] = TokenSpec(
            privsep=draw(st.booleans()), expires=draw(expiry), comment=draw(text)
        )
    principals = [f"user:{u}" for u in users] + [f"group:{g}" for g in groups]
    principals += [f"token:{t}" for t in tokens]
    for _ in range(draw(st.integers(0, 8)) if principals else 0):
        path = draw(st.sampled_from(PATHS))
        who = draw(st.sampled_from(principals))
        role = draw(st.sampled_from((*roles, *BUILT_IN)))
        state[Address("acl", f"{path}|{who}|{role}")] = AclSpec(propagate=draw(st.booleans()))
    return state


def with_sinks(state: dict[Address, Spec]) -> dict[Address, Spec]:
    """The same, where the secret of each token has somewhere to go."""
    return {
        address: spec.model_copy(update={"secret_to": SecretSink(file=address.id)})
        if isinstance(spec, TokenSpec)
        else spec
        for address, spec in state.items()
    }
