"""JSON Schemas of the documents of read-only commands; see `json_schemas`."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.render.json_schema_words import (
    ANY,
    Schema,
    flag,
    list_,
    map_,
    maybe,
    number,
    rows,
    table,
    text,
)

_ASKED = text("what was evaluated: the cluster, the files, or the cluster after the plan")
_LOGIN = text("active, or why it cannot log in")
_NOTES = list_(text("note"), "further remarks")
_GUESTS = (
    "guest name node jobs due newest total state shrank drilled overdue behind ahead bad left_out"
)

ANSWERS: Mapping[str, Schema] = {
    "explanation": table(
        "the answer of `explain` about a principal on a path",
        {
            "principal": text("user or token"),
            "path": text("ACL path"),
            "privilege": maybe(text("what was asked for")),
            "allowed": maybe(flag("whether it holds that; null if none was asked for")),
            "answer": text("in a sentence"),
            "asked": _ASKED,
            "before": maybe(flag("with --planned: whether it holds that before the plan")),
            "hidden": text("what could not be seen"),
            "login": _LOGIN,
            "owner": maybe(text("user of a token")),
            "privsep": flag("a token with privilege separation"),
            "expires": number("Unix seconds, 0 for never"),
            "groups": list_(text("group"), "of the user"),
            "twins": map_(ANY, "users of the same name in other realms"),
            "held": list_(text("privilege"), "what it holds there"),
            "elsewhere": list_(text("path"), "where it holds the privilege instead"),
            "sides": rows("principal entries privileges", "the user, or the token and its user"),
            "reasons": rows("cause principal text", "why it is denied"),
            "remedies": rows("pveum toml why extra", "grants that would provide it"),
            "notes": _NOTES,
        },
    ),
    "call": table(
        "the answer of `explain` about an API call",
        {
            "principal": text("user or token"),
            "call": text("method, path and parameters"),
            "params": map_(ANY, "parameters, those of the path too"),
            "allowed": maybe(flag("null if that depends on a parameter")),
            "answer": text("in a sentence"),
            "asked": _ASKED,
            "login": _LOGIN,
            "rules": rows("rule held waits", "what the call itself checks"),
            "task": rows("rule held waits", "what its task checks"),
            "pveum": list_(text("line"), "commands that would grant what is missing"),
            "toml": list_(text("table"), "the same for a state file"),
        },
    ),
    "subject": table(
        "the answer of `explain` about a role, group or other object",
        {"title": text("what it is"), "lines": map_(ANY, "label -> text")},
    ),
    "page": table(
        "the answer of `explain CODE`",
        {
            "code": text("of the finding, error or exit status"),
            "meaning": list_(text("paragraph"), "what it means"),
            "action": list_(text("paragraph"), "what to do"),
            "rows": list_(ANY, "a table, row by row"),
            "closing": text("the last line"),
        },
    ),
    "holders": table(
        "the result of `who-can`",
        {
            "privilege": text("what was asked for"),
            "path": text("ACL path"),
            "asked": _ASKED,
            "holders": rows("principal login can entries", "users and tokens that hold it"),
            "notes": _NOTES,
        },
    ),
    "escalation": table(
        "who can become root, from `escalation`",
        {
            "asked": _ASKED,
            "ways": rows("principals steps sure", "ways to every privilege"),
            "meant": list_(text("principal"), "those that are meant to be root"),
            "unmeant": list_(text("principal"), "all others"),
        },
    ),
    "graph": table(
        "who reaches what, from `graph`",
        {
            "asked": _ASKED,
            "nodes": rows("name kind holds can_log_in", "principals, groups and paths"),
            "edges": rows("from to roles dotted", "memberships and grants"),
        },
    ),
    "verification": table(
        "what `verify` found",
        {
            "asked": text("which cluster"),
            "failed": number("failed checks and calls"),
            "checks": rows(
                "source who but paths privilege expected checked failed probe ok why",
                "one privilege of one expectation",
            ),
            "calls": rows("source who call status task ok said sent", "one call of the API"),
            "disagreements": rows(
                "principal path more less", "where the cluster and pvectl disagree"
            ),
            "unknown": list_(text("name"), "names without a principal"),
            "probes": rows("token refused", "tokens tried with their secret"),
            "untried": list_(ANY, "what was not tried, and why"),
        },
    ),
    "review": table(
        "the access review, from `report`",
        {
            "cluster": text("endpoint"),
            "actor": text("the principal that read the cluster"),
            "source": text("commit or digest of the state files"),
            "taken": number("when, Unix seconds"),
            "due": number("the day of the next one, Unix seconds"),
            "release": text("of Proxmox VE"),
            "health": text("of the cluster"),
            "digest": text("of all other fields"),
            "accounts": rows(
                "principal kind realm owner login expires age privsep comment groups declared "
                "marks profile risk log second_factor twins email",
                "users and tokens",
            ),
            "profiles": list_(ANY, "what accounts can do, which refer to these by number"),
            "groups": rows("group comment members", "groups"),
            "roles": rows(
                "role privileges built_in declared purpose owner allowed_paths paths holders "
                "outside",
                "roles",
            ),
            "grants": rows(
                "path kind principal role propagate declared expires reason", "ACL entries"
            ),
            "guests": map_(ANY, "path -> name"),
            "pools": map_(ANY, "pool -> members"),
            "ways": rows("key principals steps sure", "ways to root"),
            "findings": list_(ANY, "of the lint rules and of [[rule]]"),
            "waived": list_(ANY, "those that are waived"),
            "waivers": list_(ANY, "the waivers"),
            "endings": list_(ANY, "what expires soon"),
            "recoverability": maybe(rows(_GUESTS, "guests with their backups and drills")),
            "since": maybe(map_(ANY, "what has changed since the earlier review")),
        },
    ),
    "bootstrap": table(
        "the smallest grants for pvectl itself, from `bootstrap`",
        {
            "state": text("which files"),
            "parts": rows("title principal roles commands", "one token each"),
            "warnings": list_(text("warning"), "warnings"),
        },
    ),
    "backup_status": table(
        "whether each guest has a recent backup, from `backup status`",
        {
            "cluster": text("endpoint"),
            "alarms": flag("whether anything is stale, missing or unreadable"),
            "guests": rows(_GUESTS, "each guest"),
            "orphans": map_(ANY, "deleted guest -> its archives"),
            "tasks": list_(ANY, "running and failed backup tasks"),
            "unread": map_(ANY, "storage -> why it could not be read"),
        },
    ),
    "backup_run": table(
        "the result of a backup job, from `backup run`",
        {
            "job": text("its id"),
            "storage": text("target storage"),
            "saved": number("guests that have a new archive"),
            "failed": number("guests that have none"),
            "left_out": map_(ANY, "guest -> why it was left out"),
            "nodes": rows(
                "node task guest guests ended trouble hint denied in_doubt", "the run on each node"
            ),
        },
    ),
    "drill": table(
        "the results of restore drills, from `drill`",
        {
            "cluster": text("endpoint"),
            "good": number("archives that passed"),
            "failed": number("archives that failed"),
            "results": rows(
                "guest vmid node archive made began restore boot check verdict failure hint "
                "differences notes left resumed",
                "one archive each; times in seconds",
            ),
        },
    ),
    "retention": table(
        "which archives a job will keep, from `explain retention`",
        {
            "job": text("its id"),
            "schedule": text("calendar event"),
            "rules": map_(ANY, "keep options"),
            "weeks": rows("number until held", "at the end of each week"),
            "enabled": flag("whether the job is enabled"),
            "complete": flag("whether the last week shown is the steady state"),
        },
    ),
    "journal": table(
        "one run, from `show FILE`",
        {
            "state": text("its state"),
            "finished": flag("whether it is complete"),
            "events": list_(map_(ANY, "one event"), "in order, as they were recorded"),
        },
    ),
    "log": table(
        "all runs of this machine, from `log`",
        {
            "cluster": text("endpoint"),
            "holds": flag("whether the chain of journals is intact"),
            "missing": maybe(text("the head that was asked for and not found")),
            "head": maybe(text("hash over all runs")),
            "runs": rows(
                "run began ended owner actor outcome changes digest source signer head journal "
                "trouble",
                "oldest first",
            ),
            "drills": rows(
                "run began owner actor guest archive restored_as outcome head journal trouble",
                "oldest first",
            ),
        },
    ),
    "targets": table(
        "the clusters of the settings, from `targets`",
        {"targets": rows("name endpoint wave", "in the order of the settings")},
    ),
    "fleet": table(
        "several clusters at once, from --on all",
        {
            "summary": list_(ANY, "one row per target"),
            "targets": map_(ANY, "target -> its own document"),
        },
        {"baseline": table("what the targets have in common", {"shared": ANY, "own": ANY})},
    ),
}
"""kind -> its schema, without the fields that every document has."""
