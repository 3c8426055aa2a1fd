"""Which users really have a second factor: an entry that is disabled asks for nothing."""

from __future__ import annotations

from reconciler.errors import RequestRefused
from reconciler.kinds.shared.field_types import flag
from reconciler.kinds.user.second_factors import TFA
from reconciler.kinds.user.table import SET_ELSEWHERE, UserSpec
from reconciler.live.reader import Live
from reconciler.model.api import Api


def with_second_factors(api: Api, live: Live) -> Live:
    """The same, users whose factors are all disabled without any; as it is where they cannot be
    read.

    `keys` of the user only says that there are entries (PVE::API2::TFA, `set_user_tfa_enabled`).
    """
    try:
        (rows,) = api.get([TFA])
    except RequestRefused:
        return live
    open_ = {
        row["userid"]
        for row in rows
        if not any(flag(entry.get("enable"), default=True) for entry in row["entries"])
    }
    state = {
        address: spec.model_copy(update={"keys": ""})
        if isinstance(spec, UserSpec) and spec.keys == SET_ELSEWHERE and address.id in open_
        else spec
        for address, spec in live.state.items()
    }
    return live._replace(state=state)
