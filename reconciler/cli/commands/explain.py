"""pvectl explain: show why a principal may or may not do something, or what a code means."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.access.analysis.affected import owner_of
from reconciler.access.any_member import stands_for, with_member
from reconciler.access.contents import TOKEN
from reconciler.access.evaluate import privileges
from reconciler.access.explain.denial import denial_reasons, held_on
from reconciler.access.explain.explain import Explanation, explain
from reconciler.access.login import Login
from reconciler.access.review.privilege_catalog import least
from reconciler.access.trace import Decision
from reconciler.cli.app import app
from reconciler.cli.command import Panel, command
from reconciler.cli.common_options import CommonOptions
from reconciler.cli.context import connect, each_cluster, now
from reconciler.cli.explain.call import explain_call
from reconciler.cli.explain.code_pages import (
    SYMPTOM,
    is_bare_name,
    is_complaint,
    is_page,
    page_of,
    symptom_of,
)
from reconciler.cli.explain.notes import kinds_for, notes_on
from reconciler.cli.explain.query import (
    AccessQuery,
    check_place,
    check_privilege,
    check_token,
    find_principal,
    is_call,
    is_question,
    parse_query,
)
from reconciler.cli.explain.retention import RETENTION, explain_retention
from reconciler.cli.explain.source import (
    AccessView,
    FromFiles,
    PlannedOption,
    check_sources,
    view_access,
)
from reconciler.cli.explain.subject import explain_subject, is_subject
from reconciler.cli.terminal.output import check_formats, show
from reconciler.desired.settings.settings import Settings
from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import Blind, ExitStatus
from reconciler.model.request import request
from reconciler.render.documents.explanation_facts import Explained
from reconciler.render.view import View
from reconciler.text.humanize import listed

_NAMED = 8
"""Members of a group that a note names."""


@command(app, "explain", Panel.ACCESS, 1)
def explain_command(
    common: CommonOptions,
    subject: Annotated[
        str,
        typer.Argument(
            metavar="WHO|TEXT|CALL|CODE",
            help="User, token, group:NAME or role.NAME; a pasted 'Permission check failed (...)'; "
            "an API call, such as 'POST /nodes/pve/lxc vmid=100'; a complaint in a sentence; "
            "symptom; the code of a finding or an error; or exit-status.",
            show_default=False,
        ),
    ] = "",
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="For example /vms/100.", show_default=False)
    ] = "",
    privilege: Annotated[
        str, typer.Argument(metavar="PRIV", help="For example VM.Backup.", show_default=False)
    ] = "",
    who: Annotated[
        str,
        typer.Option("--who", metavar="WHO", help="Who got the pasted refusal, or makes the call."),
    ] = "",
    from_files: FromFiles = False,
    planned: PlannedOption = False,
) -> ExitStatus:
    """Explain why a principal may or may not do something, and which grant would allow it.

    Shows every ACL entry along the path with its effect and, for a missing privilege, the smallest
    grant as a state file and as a shell command. For an API call: each rule that it checks, and
    what is missing. With `retention JOB`: the archives that a declared backup job will keep in the
    next weeks. With a code: what it means and what to do; without arguments: all codes. Exit 0
    whatever the answer is; 8 when the caller cannot see enough.
    """
    bare = not path and subject != RETENTION and is_bare_name(subject)
    if not path and subject != RETENTION and is_page(subject) and not bare:
        check_formats(common, "page")
        show(common, "page", page_of(subject))
        return ExitStatus.OK
    if subject == RETENTION:
        return explain_retention(common, path)
    told = " ".join((path, privilege)) if subject == SYMPTOM else "" if path else subject
    if (subject == SYMPTOM and path) or (is_complaint(told) and not is_question(told)):
        check_formats(common, "page")
        show(common, "page", symptom_of(told))
        return ExitStatus.OK
    check_sources(from_files=from_files, planned=planned)
    if is_call(subject):
        return explain_call(common, subject, who, from_files=from_files, planned=planned)
    if bare or is_subject(subject, path):
        return explain_subject(common, subject, path, from_files=from_files, planned=planned)
    check_formats(common, "explanation")
    question = parse_query(subject, path, privilege, who)

    def one(cluster: ClusterSettings, settings: Settings) -> ExitStatus:
        try:
            seen = view_access(
                cluster,
                settings,
                from_files=from_files,
                planned=planned,
                kinds=kinds_for(question.path),
            )
        except Blind as blind:
            told = _own_answer(cluster, question, blind)
        else:
            told = _told(seen, question, now())
        show(common, "explanation", told, View(now=now()))
        return ExitStatus.OK

    return each_cluster(common, one)


def _told(seen: AccessView, question: AccessQuery, moment: int) -> Explained:
    who, path = find_principal(seen.table, question.who), question.path
    question, group = question._replace(who=who), stands_for(who)
    if group:
        earlier = None if seen.before is None else with_member(seen.before, group)
        seen = seen._replace(table=with_member(seen.table, group), before=earlier)
    for name in question.privileges:
        check_privilege(seen.table, name)
    check_token(seen.table, who, path)
    check_place(seen.table, path)
    chosen = _chosen(seen, question)
    found = explain(seen.table, who, path, chosen, moment)
    before = None
    if seen.before is not None and chosen:
        before = explain(seen.before, who, path, chosen, moment).allowed
    held = held_on(seen.table, who, chosen) if chosen and not found.allowed else ()
    realm = "" if group else (found.owner or who).rpartition("@")[2]
    return Explained(
        found,
        seen.asked,
        reasons=denial_reasons(seen.table, found.decision, chosen) if chosen else (),
        giving=frozenset(role for role, names in seen.table.roles.items() if chosen in names),
        or_else=tuple(name for name in question.privileges if name != chosen),
        elsewhere=held if found.login is Login.ACTIVE else (),
        realm=(seen.realms or {}).get(realm, ""),
        twins={
            twin: chosen in privileges(seen.table, twin, path) if chosen else False
            for twin in found.twins
        },
        notes=(
            *_of_group(seen, group),
            *_of_nobody(found),
            *_idle(seen, found),
            *notes_on(seen, path, realm),
        ),
        before=before,
    )


def _chosen(seen: AccessView, question: AccessQuery) -> str:
    """Of several privileges that would do, the one that is held; otherwise the least powerful."""
    held = privileges(seen.table, question.who, question.path)
    given = question.privileges
    return next((name for name in given if name in held), least(given) if given else "")


def _of_group(seen: AccessView, group: str) -> tuple[str, ...]:
    """A note on the members that a group has."""
    members = sorted(one for one in seen.table.groups.get(group, ()) if not stands_for(one))
    if not members:
        return ()
    return (
        f"This is what {group} alone gives. Entries of their own, and other groups, may give its "
        f"members more or less: {listed(members, _NAMED)}.",
    )


def _of_nobody(found: Explanation) -> tuple[str, ...]:
    """A note on entries of a user that does not exist, which PVE keeps and evaluates."""
    named = found.groups or any(side.entries for side in found.decision.sides)
    if found.login is not Login.ABSENT or found.owner or not named:
        return ()
    return (
        f"Entries for {found.principal} have no effect while the user does not exist, and apply "
        "at once to a new user of that name.",
    )


def _idle(seen: AccessView, found: Explanation) -> tuple[str, ...]:
    """A note on entries of a token without privilege separation, which holds what its user holds
    (`roles` of PVE::AccessControl).
    """
    if not found.owner or found.privsep:
        return ()
    own = {
        f"{role} on {path}"
        for path, kinds in seen.table.acl.items()
        for role in kinds.get(TOKEN, {}).get(found.principal, ())
    }
    if not own:
        return ()
    return (
        f"{found.principal} has no privilege separation, so it has the privileges of its user, and "
        f"its own entries have no effect: {', '.join(sorted(own))}.",
    )


def _own_answer(cluster: ClusterSettings, question: AccessQuery, blind: Blind) -> Explained:
    """The answer about the caller itself, which needs no privilege to ask; raises Blind for anyone
    else.
    """
    with connect(cluster, read_only=True) as api:
        if api.actor != question.who:
            raise blind
        asked = request("GET", "access", "permissions", path=question.path)
        held = {
            name: bool(flag) for name, flag in api.get([asked])[0].get(question.path, {}).items()
        }
        given = question.privileges
        chosen = next((name for name in given if name in held), given[0] if given else "")
        owner = owner_of(question.who)
        return Explained(
            Explanation(
                question.who,
                question.path,
                Login.ACTIVE,
                Decision(question.who, question.path, held),
                owner or "",
                privilege=chosen,
            ),
            f"{api.endpoint} as it is now; {api.actor} may only ask about itself",
            hidden="the ACL entries behind it are hidden from this principal; "
            "ask as one with PVEAuditor on /",
            or_else=tuple(name for name in given if name != chosen),
        )
