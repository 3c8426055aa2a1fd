"""user.cfg as PVE writes it: its normal form (`write_user_config`)."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.access.contents import GROUP, ROOT, USER
from reconciler.pve.acl_paths import segments
from reconciler.sandbox.config.perltext import encode_text, file_bytes, number_text, true
from reconciler.sandbox.config.usercfg import AclNode, User, UserConfig


def render(cfg: UserConfig) -> bytes:
    """Users with their tokens, groups, pools, roles, then the ACL tree; a blank line between."""
    blocks = [
        [line for name in sorted(cfg.users) for line in _user_lines(name, cfg.users[name])],
        [
            _line("group", name, ",".join(sorted(group.users)), _text(group.comment))
            for name, group in sorted(cfg.groups.items())
        ],
        [
            _line("pool", name, _text(pool.comment), _joined(pool.vms), _joined(pool.storage))
            for name, pool in sorted(cfg.pools.items())
        ],
        [_line("role", name, ",".join(sorted(cfg.roles[name]))) for name in sorted(cfg.roles)],
        [
            line
            for path in sorted(cfg.acl, key=segments)
            for line in _acl_lines(path, cfg.acl[path])
        ],
    ]
    return file_bytes("\n".join("".join(block) for block in blocks))


def _line(*fields: object) -> str:
    return ":".join(str(part) for part in fields) + ":\n"


def _text(value: str | None) -> str:
    return encode_text(value) if true(value) else ""


def _joined(names: Iterable[object]) -> str:
    return ",".join(sorted(str(name) for name in names))


def _user_lines(name: str, user: User) -> Iterable[str]:
    yield _line(
        "user",
        name,
        int(user.enable),
        number_text(user.expire),
        _text(user.firstname),
        _text(user.lastname),
        user.email if true(user.email) else "",
        _text(user.comment),
        user.keys if true(user.keys) else "",
    )
    for sub in sorted(user.tokens):
        token = user.tokens[sub]
        yield _line(
            "token",
            f"{name}!{sub}",
            number_text(token.expire),
            int(token.privsep),
            _text(token.comment),
        )


def _acl_lines(path: str, node: AclNode) -> Iterable[str]:
    """Principals with the same roles and flag share a line; entries of root@pam are dropped."""
    for flag in (False, True):
        holders: dict[str, list[str]] = {}
        for kind, principals in node.kinds():
            for name, roles in principals.items():
                given = ",".join(sorted(role for role, value in roles.items() if value == flag))
                if given and (kind, name) != (USER, ROOT):
                    holders.setdefault(given, []).append(f"@{name}" if kind == GROUP else name)
        for given in sorted(holders):
            yield _line("acl", int(flag), path, ",".join(sorted(holders[given])), given)
