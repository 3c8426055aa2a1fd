"""The steps of a plan as lines: title, reason, and changed fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.kinds import kind_of
from reconciler.kinds.kind import plain_title
from reconciler.model.address import Address
from reconciler.model.change import Action, Change, Undo
from reconciler.model.field_diff import differences, fields
from reconciler.model.plan import Step
from reconciler.render.document import Block, Style, TextLine, labelled
from reconciler.text.humanize import count, listed

MARKS = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-"}
TONES = {Action.CREATE: Style.CREATE, Action.UPDATE: Style.UPDATE, Action.DELETE: Style.DELETE}

ALIKE = 6
"""Number of similar changes of one request from which they share a line."""

NAMED = 30
"""Number of them named there; the JSON document lists all."""

PARTS = "|"
"""Separators in an id."""

Remarks = Mapping[Address, Sequence[str]]
"""Remarks about a change, such as the next runs of a schedule."""


def step_blocks(steps: Sequence[Step], remarks: Remarks) -> tuple[Block, ...]:
    """One block per step, numbered from 1 in the order in which they run."""
    width = len(str(len(steps)))
    return tuple(
        _block(step, f"{str(number).rjust(width)}. ", remarks)
        for number, step in enumerate(steps, 1)
    )


def _block(step: Step, number: str, remarks: Remarks) -> Block:
    indent = len(number) + 2
    reasons = tuple(dict.fromkeys(change.reason.text for change in step.changes))
    why = [TextLine(text, Style.FAINT, indent) for text in _reason(reasons)]
    title = kind_of(step.changes[0].address).writes.title(step.changes)
    if title == plain_title(step.changes) and len(step.changes) == 1:
        change = step.changes[0]
        head = _subject(change)._replace(label=number, indent=2)
        lines = [head, *why, *_details(change, indent, remarks)]
    else:
        lines = [TextLine(title, Style.STRONG, 2, label=number), *why]
        for group in groups(step.changes):
            if len(group) >= ALIKE:
                lines += folded(group, indent)
            else:
                lines += _each(group, indent, remarks)
    lines += (TextLine(text, Style.PLAIN, indent, "~") for text in _moves(step.changes))
    lines += (TextLine(text, Style.WARNING, indent, "!") for text in _marks(step))
    if step.sink is not None:
        lines.append(TextLine(step.sink.delivery, Style.PLAIN, indent + 2))
    return tuple(lines)


def _reason(reasons: Sequence[str]) -> Iterable[str]:
    if reasons and reasons[0]:
        others = len(reasons) - 1
        yield reasons[0] + (f" (and {count(others, 'more reason')})" if others else "")


def _marks(step: Step) -> Iterable[str]:
    if step.undo is Undo.NONE:
        yield "IRREVERSIBLE: cannot be rolled back"
    if step.undo is Undo.LOSSY:
        yield "LOSSY: a rollback restores it only in part"
    if step.window:
        yield f"temporarily: {step.window}"


def groups(changes: Sequence[Change]) -> Iterable[list[Change]]:
    """Group changes that do the same to different objects, in order of first occurrence."""
    groups: dict[object, list[Change]] = {}
    for change in changes:
        key = (change.address.kind, change.before, change.after)
        groups.setdefault(key, []).append(change)
    return groups.values()


def _each(changes: Sequence[Change], indent: int, remarks: Remarks) -> Iterable[TextLine]:
    for change in changes:
        yield _subject(change)._replace(indent=indent)
        yield from _details(change, indent + 2, remarks)


def _subject(change: Change) -> TextLine:
    return TextLine(str(change.address), TONES[change.action], mark=MARKS[change.action])


def _details(change: Change, indent: int, remarks: Remarks) -> Iterable[TextLine]:
    yield from detail_lines(change, indent + 2)
    for text in remarks.get(change.address, ()):
        yield TextLine(text, Style.PLAIN, indent + 2)


def detail_lines(change: Change, indent: int) -> Iterable[TextLine]:
    """The fields of a created or deleted object, or those that change."""
    tone = TONES[change.action]
    if change.before is not None and change.after is not None:
        pairs = [(field.name, field.text) for field in differences(change.before, change.after)]
        return labelled([*pairs, *change.reason.inherits], indent, tone)
    spec = change.before if change.after is None else change.after
    given = [] if spec is None else fields(spec)
    return labelled([*given, *change.reason.inherits], indent, tone)


def folded(changes: Sequence[Change], indent: int) -> Iterable[TextLine]:
    """`acl./vms/100|*|PVEVMUser`, and below it the values of the star."""
    first = changes[0]
    rows = [change.address.id.split(PARTS) for change in changes]
    varying = [
        column
        for column in range(len(rows[0]))
        if len({len(row) for row in rows}) > 1 or len({row[column] for row in rows}) > 1
    ]
    if len({len(row) for row in rows}) > 1:
        rows, varying = [[PARTS.join(row)] for row in rows], [0]
    common = ["*" if column in varying else part for column, part in enumerate(rows[0])]
    pattern = Address(first.address.kind, PARTS.join(common))
    number = f"{len(changes):,} objects {pattern}"
    yield TextLine(number, TONES[first.action], indent, MARKS[first.action])
    names = [PARTS.join(row[column] for column in varying) for row in rows]
    yield TextLine(listed(names, NAMED), TONES[first.action], indent + 4)
    yield from detail_lines(first, indent + 4)


def _moves(changes: Sequence[Change]) -> Iterable[str]:
    """Items that move from one object to another within the same request."""
    left: dict[tuple[str, str, str], Address] = {}
    came: dict[tuple[str, str, str], Address] = {}
    for change in changes:
        if change.before is None or change.after is None:
            continue
        for field in differences(change.before, change.after):
            for items, sides in ((field.removed, left), (field.added, came)):
                for item in items:
                    sides[change.address.kind, field.name, item] = change.address
    for key, address in came.items():
        if key in left:
            yield f"{key[2]} moves from {left[key]} to {address} ({key[1]})"
