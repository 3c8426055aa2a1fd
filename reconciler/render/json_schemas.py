"""JSON Schemas of the documents that `--format json` gives, by their `kind`.

`format` of a document changes when a field goes or changes its meaning; fields may be added at any
time, so a reader must pass over those that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.model.change import Action, Cause
from reconciler.model.drift import DIFFERENCES, DriftClass
from reconciler.model.finding import Severity

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _maybe(one: Schema) -> Schema:
    """Or null."""
    described = {"description": one["description"]} if "description" in one else {}
    inner = {key: value for key, value in one.items() if key != "description"}
    return {"anyOf": [inner, {"type": "null"}], **described}


def _number(description: str) -> Schema:
    return {"type": "integer", "description": description}


def _flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}


def _map(values: Schema, description: str) -> Schema:
    return {"type": "object", "additionalProperties": values, "description": description}


def _one_of(values: Iterable[str], description: str) -> Schema:
    return {"enum": [str(one) for one in values], "description": description}


def _table(
    description: str, required: Mapping[str, Schema], optional: Mapping[str, Schema] = {}
) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": {**required, **optional},
        "required": sorted(required),
    }


_ANY: Schema = {}
_OBJECT = _map(_ANY, "the fields of an object, by name; secrets are references")

FINDING = _table(
    "something to be said that is not a change; empty fields are left out",
    {
        "code": _text("stable; `pvectl explain CODE` says more"),
        "severity": _one_of(Severity, "errors forbid the plan"),
        "message": _text("what is wrong"),
    },
    {
        "hint": _text("what to do"),
        "address": _text("the object that it is about, as in user.alice@pve"),
        "source": _table(
            "where in the files",
            {"file": _text("relative to the state folder"), "line": _number("from 1")},
            {
                "column": _number("from 1"),
                "each": _text("in a template: the value that it is expanded for, and its place"),
            },
        ),
        "allow": _text("what --allow takes to let it pass"),
        "known": _flag("no news: it was there before"),
    },
)
_CHANGE = {
    "address": _text("the object, as in user.alice@pve"),
    "action": _one_of(Action, "what happens to it"),
    "before": _maybe(_OBJECT),
    "after": _maybe(_OBJECT),
    "reason": _table("why", {"cause": _one_of(Cause, "for programs"), "text": _text("for people")}),
}
CHANGE = _table("one object before and after; null where it does not exist", _CHANGE)
LEFT_ALONE = _table(
    "undeclared objects of a kind that stay",
    {
        "kind": _text("kind of object"),
        "why": _text("why they stay"),
        "number": _number("how many"),
        "addresses": _list(_text("address"), "which"),
    },
)
_SAID = _table(
    "a sentence about access, with the facts behind it",
    {"mark": _text("+, -, ~ or !"), "text": _text("the sentence")},
)
_STEP = _table(
    "one request",
    {
        "request": _table(
            "what is sent, without secrets",
            {
                "method": _text("POST, PUT or DELETE"),
                "path": _list(_text("part"), "below /api2/json"),
                "params": _map(_ANY, "parameters"),
            },
        ),
        "changes": _list(CHANGE, "what it changes; several where one request does them all"),
        "lock": _text("the file that Proxmox VE locks for it"),
        "undo": _text("FULL, LOSSY or NONE: whether it can be rolled back"),
    },
    {
        "sink": _map(_ANY, "where the secret of a new token goes"),
        "window": _text(
            "what is otherwise than before and after, for the moment between two steps"
        ),
    },
)

_RECORD = _map(_ANY, "one record; `time` and `last` in Unix seconds")
_FINDINGS = _list(FINDING, "in order")
_KEPT = _list(LEFT_ALONE, "undeclared and left alone")
_CLUSTER = _text("endpoint")

_RUN = {
    "outcome": _text("how the run ended, in a word or two"),
    "verified": _flag("whether the cluster was read again to see how things are"),
    "objects": _map(_text("what became of it"), "address -> done, undone, untouched, unknown, ..."),
    "failure": _maybe(_text("what stopped it")),
    "failed_step": _maybe(_text("the step that it stopped at")),
    "trouble": _list(_text("an error"), "further errors, such as those of the rollback"),
    "losses": _map(_text("what"), "address -> what could not be restored"),
    "secrets": _map(_text("where"), "address -> where its secret was delivered, or not"),
    "signer": _maybe(_text("who signed the plan")),
}

SCHEMAS: Mapping[str, Schema] = {
    "plan": _table(
        "what `plan` shows, and a saved plan holds",
        {
            "cluster": _CLUSTER,
            "actor": _text("who would apply it"),
            "source": _text("commit or digest of the state files"),
            "digest": _text("of all that the plan does; --approve takes it"),
            "counts": _map(_number("how many"), "create, update, delete, requests"),
            "steps": _list(_STEP, "in the order in which they are sent"),
            "findings": _FINDINGS,
            "kept": _KEPT,
            "seen": _map(_maybe(_OBJECT), "the objects that the plan concerns, as they were"),
            "allowed": _list(_text("CODE=WHAT"), "what --allow gave"),
        },
        {
            "access": _table(
                "who gains and loses what",
                {
                    "effects": _list(_SAID, "privileges, the broadest first"),
                    "logins": _list(_SAID, "who can log in from then on, or no longer"),
                    "shared": _map(_ANY, "what several effects have in common"),
                    "more": _number("effects that were too many to be kept"),
                },
            ),
            "impact": {"description": "the effect on access in full, per principal and path"},
            "passed": _list(_text("CODE=WHAT"), "refusals that --allow let pass"),
            "files": _map(_text("digest"), "state file -> digest"),
            "identity": _text("fingerprint of the cluster's CA"),
        },
    ),
    "drift": _table(
        "what `drift` found",
        {
            "cluster": _CLUSTER,
            "source": _text("commit or digest of the state files"),
            "differences": _list(
                _table(
                    "one declared object, before as it is and after as it is declared",
                    {
                        "class": _one_of([one.code for one in DriftClass], "by whom"),
                        "difference": _one_of(list(DIFFERENCES.values()), "seen from the files"),
                        **_CHANGE,
                    },
                    {"not_given": _list(_text("key"), "keys that no file gives")},
                ),
                "declared and live differ",
            ),
            "undeclared": _list(
                _table(
                    "an object that no file declares and no plan deletes",
                    {
                        "address": _text("the object"),
                        "object": _OBJECT,
                        "rings": _flag("it is an alarm: it changes access, or its kind is watched"),
                        "new": _flag("the report before did not have it"),
                        "acknowledged": _flag("somebody has accepted it as it is"),
                    },
                ),
                "what is there besides",
            ),
            "kept": _KEPT,
            "roots": _list(
                _table(
                    "somebody who can become root",
                    {
                        "principals": _list(_text("user or token"), "who"),
                        "steps": _list(_text("step"), "how; none where they are root already"),
                        "sure": _flag("false: it depends on a node's operating system"),
                    },
                ),
                "new ways to every privilege",
            ),
            "gone": _list(_text("address"), "differences of the report before that are resolved"),
            "findings": _FINDINGS,
        },
        {
            "impact": {"description": "the effect on access in full, per principal and path"},
            "records": _table(
                "who and when, as far as it is recorded",
                {
                    "since": _maybe(_number("time of the report before, Unix seconds")),
                    "tasks": _list(_RECORD, "tasks that may have made a difference"),
                    "logins": _list(_RECORD, "who has logged in since"),
                    "applied": _list(_RECORD, "what this machine applied, and who ran it"),
                    "unseen": _maybe(_text("why logins are not known")),
                },
            ),
        },
    ),
    "report": _table(
        "how an `apply`, `resume` or `rollback` ended",
        {
            **_RUN,
            "complete": _flag("everything is as declared"),
            "restored": _flag("everything is as before"),
            "next": _text("what to do"),
        },
    ),
    "status": _table(
        "whether a run is unfinished",
        {
            "run": _maybe(
                _table(
                    "the unfinished run",
                    {
                        **_RUN,
                        "journal": _text("file"),
                        "state": _text("in words"),
                        "overtaken": _flag("another run came in between"),
                    },
                )
            ),
            "left": _maybe(
                _table("the last run, where it left something", {**_RUN, "journal": _text("file")})
            ),
            "running": _maybe({"description": "a run that is alive on this machine"}),
            "locks": _maybe(
                _list(
                    _table(
                        "a lock in the cluster",
                        {
                            "fence": _number("its number"),
                            "live": _flag("its lease has not ended"),
                            "owner": _text("who holds it"),
                            "run": _text("of which run"),
                            "until": _maybe(_number("end of its lease, Unix seconds")),
                        },
                    ),
                    "null where the cluster was not reached",
                )
            ),
            "unreachable": _maybe(_text("why the cluster was not reached")),
            "drills": _list(
                _map(_ANY, "one drill"), "unfinished restore drills, and the guests they left"
            ),
            "health": _maybe(
                _table(
                    "of the cluster; null where it was not reached",
                    {
                        "quorate": _maybe(_flag("whether the cluster has a quorum")),
                        "nodes": _map(_ANY, "node -> whether it is online"),
                        "differing": _map(_ANY, "node -> what it answers differently"),
                        "silent": _list(_text("node"), "nodes that did not answer"),
                        "clock_skew": _maybe(_number("seconds, against this machine")),
                        "troubles": _list(_map(_ANY, "one"), "what a run would be refused for"),
                    },
                )
            ),
        },
    ),
    "findings": _table(
        "what `validate` says",
        {"findings": _FINDINGS, "counts": _map(_number("how many"), "by severity")},
    ),
    "failure": _table(
        "a command that failed before it had a result",
        {
            "command": _text("as it is typed"),
            "error": _text("its code"),
            "exit_status": _number("of the command"),
            "message": _text("what happened"),
            "hint": _text("what to do"),
            "findings": _FINDINGS,
        },
    ),
}
"""kind -> its schema, without the fields that every document has."""


def schema_of(kind: str) -> Schema:
    """Raises KeyError for a kind without a schema of its own."""
    found = SCHEMAS[kind]
    own = {
        "kind": {"const": kind, "description": "what this document is"},
        "format": _number("rises when a field goes or changes its meaning"),
    }
    return {
        "$schema": _DIALECT,
        "title": f"{kind} of pvectl",
        **found,
        "properties": {**own, **found["properties"]},
        "required": sorted([*own, *found["required"]]),
    }
