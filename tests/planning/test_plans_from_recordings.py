"""The demo's state folder against recorded clusters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reconciler.cli.context import read_cluster
from reconciler.desired.loader import load
from reconciler.desired.settings.settings import read_settings
from reconciler.model.api import Api
from reconciler.model.plan import Plan
from reconciler.planning.builder import build_plan
from reconciler.planning.request import PlanRequest
from reconciler.render.documents.plan import text
from reconciler.render.view import View

STATE = Path(__file__).parents[2] / "state"
ACCESS = {"role", "group", "user", "token", "acl"}


def plan(api: Api) -> Plan:
    desired = load(STATE, settings=read_settings(STATE))
    live = read_cluster(api, desired)
    question = PlanRequest(cluster=api.endpoint, actor=api.actor, now=1_800_000_000)
    return build_plan(desired, live.state, live.facts, question).plan


def test_what_the_demo_does_on_a_fresh_cluster(
    cassette_api: Callable[[str], Api], golden: Callable[[str, str], None]
) -> None:
    planned = plan(cassette_api("reading-fresh"))
    assert planned.refusals == ()
    golden("plan-demo.txt", text(planned, View()))


def test_there_is_nothing_to_do_in_access_where_it_was_done(
    cassette_api: Callable[[str], Api],
) -> None:
    planned = plan(cassette_api("reading-self-backup"))
    assert [change for change in planned.changes if change.address.kind in ACCESS] == []
    assert planned.refusals == ()
