"""JSON Schemas of the documents that `--format json` gives, by their `kind`.

`format` of a document changes when a field goes or changes its meaning; fields may be added at any
time, so a reader must pass over those that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.change import Action, Cause
from reconciler.model.drift import DIFFERENCES, DriftClass
from reconciler.model.finding import Severity
from reconciler.model.session import SessionMoment
from reconciler.render.json_schema_words import (
    ANY,
    Schema,
    flag,
    list_,
    map_,
    maybe,
    number,
    one_of,
    rows,
    table,
    text,
)
from reconciler.render.json_schemas_of_answers import ANSWERS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_CLASSES = [one.code for one in DriftClass]
_OBJECT = map_(ANY, "the fields of an object, by name; secrets are references")

_SOURCE = table(
    "where in the files",
    {"file": text("relative to the state folder"), "line": number("from 1")},
    {
        "column": number("from 1"),
        "each": text("in a template: the value that it is expanded for, and its location"),
    },
)
FINDING = table(
    "a finding; empty fields are omitted",
    {
        "code": text("stable; `pvectl explain CODE` says more"),
        "severity": one_of(Severity, "errors forbid the plan"),
        "message": text("what is wrong"),
    },
    {
        "hint": text("what to do"),
        "address": text("the object that it is about, as in user.alice@pve"),
        "source": _SOURCE,
        "allow": text("the value of --allow that permits it"),
        "known": flag("it was reported before"),
    },
)
_CHANGE = {
    "address": text("the object, as in user.alice@pve"),
    "action": one_of(Action, "what happens to it"),
    "before": maybe(_OBJECT),
    "after": maybe(_OBJECT),
    "reason": table(
        "why",
        {"cause": one_of(Cause, "for programs"), "text": text("for people")},
        {
            "expires": number("end of the grant, Unix seconds"),
            "purpose": text("the reason of the grant"),
            "inherits": map_(text("value"), "what it takes from another object, by field"),
        },
    ),
}
CHANGE = table("one object before and after; null where it does not exist", _CHANGE)
LEFT_ALONE = table(
    "undeclared objects of a kind that are kept",
    {
        "kind": text("kind of object"),
        "why": text("why they are kept"),
        "number": number("how many"),
        "addresses": list_(text("address"), "which"),
    },
)
_SAID = {"mark": text("+, -, ~ or !"), "text": text("the sentence")}
_EFFECT = table(
    "a sentence about access, with the facts behind it: indexes into `shared`, from 0",
    {
        **_SAID,
        "who": list_(number("place"), "in `shared.who`"),
        "gains": number("index into `shared.rights`"),
        "loses": number("index into `shared.rights`"),
        "where": list_(number("place"), "in `shared.where`"),
    },
)
_LOGIN = table(
    "a sentence about who can log in",
    {
        **_SAID,
        "principals": list_(text("user or token"), "who"),
        "before": text("active, or why it cannot log in"),
        "after": text("the same afterwards"),
    },
)
_SESSION = table(
    "a sentence about those who are logged in",
    {
        **_SAID,
        "principals": list_(text("user or token"), "who"),
        "moment": one_of(SessionMoment, "when they notice it"),
    },
)
_SHARED = table(
    "what several effects have in common",
    {
        "who": rows("group users tokens", "principals"),
        "rights": rows("privileges role", "privileges; `role` has just these"),
        "where": rows("path below but pool guests storages", "paths; `below`: how many below"),
    },
)
_STEP = table(
    "one request",
    {
        "request": table(
            "what is sent, without secrets",
            {
                "method": text("POST, PUT or DELETE"),
                "path": list_(text("part"), "below /api2/json"),
                "params": map_(ANY, "parameters"),
            },
        ),
        "changes": list_(CHANGE, "what it changes; several where one request does them all"),
        "lock": text("the file that Proxmox VE locks for it"),
        "undo": text("FULL, LOSSY or NONE: whether it can be rolled back"),
    },
    {
        "sink": map_(ANY, "where the secret of a new token goes"),
        "window": text("exposure window: what differs from both before and after meanwhile"),
    },
)

_RECORD = map_(ANY, "one record; `time` and `last` in Unix seconds")
_FINDINGS = list_(FINDING, "in order")
_KEPT = list_(LEFT_ALONE, "undeclared and left alone")
_CLUSTER = text("endpoint")

_RUN = {
    "outcome": text("how the run ended, in a word or two"),
    "verified": flag("whether the cluster was read again to verify it"),
    "objects": map_(text("what became of it"), "address -> done, undone, untouched, unknown, ..."),
    "failure": maybe(text("what stopped it")),
    "failed_step": maybe(text("the step that it stopped at")),
    "trouble": list_(text("an error"), "further errors, such as those of the rollback"),
    "losses": map_(text("what"), "address -> what could not be restored"),
    "secrets": map_(text("where"), "address -> where its secret was delivered, or not"),
    "signer": maybe(text("who signed the plan")),
}

SCHEMAS: Mapping[str, Schema] = {
    "plan": table(
        "what `plan` shows, and a saved plan holds",
        {
            "cluster": text("endpoint; empty where the plan compares with a state folder"),
            "actor": text("the principal that would apply it"),
            "source": text("commit or digest of the state files"),
            "digest": text("digest of the plan, for --approve"),
            "counts": map_(number("how many"), "create, update, delete, requests"),
            "steps": list_(_STEP, "in the order in which they are sent"),
            "findings": _FINDINGS,
            "kept": _KEPT,
            "seen": map_(maybe(_OBJECT), "the objects that the plan concerns, before it"),
            "allowed": list_(text("CODE=WHAT"), "values of --allow"),
        },
        {
            "access": table(
                "who gains and loses what",
                {
                    "effects": list_(_EFFECT, "privileges, the broadest first"),
                    "logins": list_(_LOGIN, "who can log in from then on, or no longer"),
                    "shared": _SHARED,
                    "more": number("number of effects left out"),
                    "sessions": list_(_SESSION, "what those who are logged in notice, and when"),
                },
            ),
            "impact": {"description": "the effect on access in full, per principal and path"},
            "passed": list_(text("CODE=WHAT"), "refusals permitted by --allow"),
            "files": map_(text("digest"), "state file -> digest"),
            "identity": text("fingerprint of the cluster's CA"),
            "against": text("the state folder that the plan compares with instead of a cluster"),
        },
    ),
    "drift": table(
        "what `drift` found",
        {
            "cluster": _CLUSTER,
            "source": text("commit or digest of the state files"),
            "differences": list_(
                table(
                    "one declared object; before: live, after: declared",
                    {
                        "class": one_of(_CLASSES, "by whom"),
                        "difference": one_of(list(DIFFERENCES.values()), "seen from the files"),
                        **_CHANGE,
                    },
                    {
                        "not_given": list_(text("key"), "keys that no file gives"),
                        "source": _SOURCE,
                    },
                ),
                "declared and live differ",
            ),
            "undeclared": list_(
                table(
                    "an object that no file declares and no plan deletes",
                    {
                        "address": text("the object"),
                        "object": _OBJECT,
                        "class": one_of(_CLASSES, "whether it left the files"),
                        "rings": flag("raises an alarm: changes access, or its kind is watched"),
                        "new": flag("not in the previous report"),
                        "acknowledged": flag("accepted with `drift --acknowledge`"),
                    },
                ),
                "undeclared objects",
            ),
            "kept": _KEPT,
            "roots": list_(
                table(
                    "a principal that can become root",
                    {
                        "principals": list_(text("user or token"), "who"),
                        "steps": list_(text("step"), "how; none if it already is root"),
                        "sure": flag("false: it depends on a node's operating system"),
                    },
                ),
                "new ways to every privilege",
            ),
            "gone": list_(text("address"), "differences of the previous report that are resolved"),
            "findings": _FINDINGS,
        },
        {
            "impact": {"description": "the effect on access in full, per principal and path"},
            "records": table(
                "who and when, as far as it is recorded",
                {
                    "since": maybe(number("time of the previous report, Unix seconds")),
                    "tasks": list_(_RECORD, "tasks that may have caused a difference"),
                    "logins": list_(_RECORD, "who has logged in since"),
                    "applied": list_(_RECORD, "what this machine applied, and who ran it"),
                    "unseen": maybe(text("why logins are not known")),
                },
            ),
        },
    ),
    "report": table(
        "how an `apply`, `resume` or `rollback` ended",
        {
            **_RUN,
            "complete": flag("everything is as declared"),
            "restored": flag("everything is as before"),
            "next": text("what to do"),
        },
    ),
    "status": table(
        "whether a run is unfinished",
        {
            "run": maybe(
                table(
                    "the unfinished run",
                    {
                        **_RUN,
                        "journal": text("file"),
                        "state": text("in words"),
                        "overtaken": flag("another run may have written since"),
                        "grant": maybe(
                            map_(ANY, "what it does to grants.toml, and whether it ends")
                        ),
                    },
                )
            ),
            "left": maybe(
                table("the last run, if it left anything", {**_RUN, "journal": text("file")})
            ),
            "running": maybe({"description": "a run in progress on this machine"}),
            "locks": maybe(
                list_(
                    table(
                        "a lock in the cluster",
                        {
                            "fence": number("its number"),
                            "live": flag("its lease has not expired"),
                            "owner": text("who holds it"),
                            "run": text("URL of its CI run"),
                            "until": maybe(number("end of its lease, Unix seconds")),
                        },
                    ),
                    "null if the cluster was not reached",
                )
            ),
            "unreachable": maybe(text("why the cluster was not reached")),
            "drills": list_(
                map_(ANY, "one drill"), "unfinished restore drills, and the guests they left"
            ),
            "health": maybe(
                table(
                    "of the cluster; null if it was not reached",
                    {
                        "quorate": maybe(flag("whether the cluster has a quorum")),
                        "nodes": map_(ANY, "node -> whether it is online"),
                        "differing": map_(ANY, "endpoint -> what it answers differently"),
                        "silent": list_(text("node"), "nodes that did not answer"),
                        "clock_skew": maybe(number("seconds, compared with this machine")),
                        "troubles": list_(map_(ANY, "one"), "why a run would be refused"),
                    },
                )
            ),
        },
    ),
    "findings": table(
        "the result of `validate`",
        {"findings": _FINDINGS, "counts": map_(number("how many"), "by severity")},
    ),
    "failure": table(
        "a command that failed before it had a result",
        {
            "command": text("as typed"),
            "error": text("its code"),
            "exit_status": number("of the command"),
            "message": text("what happened"),
            "hint": text("what to do"),
            "findings": _FINDINGS,
        },
    ),
    **ANSWERS,
}
"""kind -> its schema, without the fields that every document has."""


def schema_of(kind: str) -> Schema:
    """Raises KeyError for a kind without a schema of its own."""
    found = SCHEMAS[kind]
    own = {
        "kind": {"const": kind, "description": "what this document is"},
        "format": number("incremented when a field is removed or changes its meaning"),
    }
    return {
        "$schema": _DIALECT,
        "title": f"{kind} of pvectl",
        **found,
        "properties": {**own, **found["properties"]},
        "required": sorted([*own, *found["required"]]),
    }
