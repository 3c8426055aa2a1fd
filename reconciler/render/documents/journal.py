"""A run according to its journal: the state of each step, its events, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from reconciler.kinds import describe_step, specs
from reconciler.model.grant import GrantChange
from reconciler.model.plan import Step
from reconciler.model.run import Direction, Event, Outcome
from reconciler.model.run_state import RunState, StepRecord, StepState
from reconciler.model.secret import SecretRef
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Document, Fact, Section, Style, TextLine
from reconciler.render.documents.plan import SHORT
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import clock, moment

FORMAT = 1

ALIKE = 6
"""Number of steps in a row with the same state beyond which `status` counts them."""


_BACK = {
    StepState.ANNOUNCED: ("rollback sent, outcome unknown", Style.WARNING),
    StepState.DONE: ("rolled back", Style.UPDATE),
    StepState.CONFIRMED: ("rolled back, confirmed by a later read", Style.UPDATE),
    StepState.REFUSED: ("could not be rolled back", Style.ERROR),
}
_STATES = {
    StepState.NOT_STARTED: ("not started", Style.FAINT),
    StepState.ANNOUNCED: ("sent, outcome unknown", Style.WARNING),
    StepState.PARTLY_DONE: ("partly done", Style.WARNING),
    StepState.DELIVERED: ("sent, secret delivered", Style.WARNING),
    StepState.DONE: ("done", Style.GOOD),
    StepState.CONFIRMED: ("done, confirmed by a later read", Style.WARNING),
    StepState.UNKNOWN: ("sent, outcome unknown", Style.ERROR),
    StepState.DISOWNED: ("done, by this run or another one", Style.WARNING),
    StepState.REFUSED: ("refused", Style.ERROR),
    StepState.SKIPPED: ("already applied", Style.GOOD),
    StepState.WITHDRAWN: ("rolled back, secret removed", Style.UPDATE),
}
_OUTCOMES = {
    (Direction.FORWARD, StepState.DONE): Outcome.DONE,
    (Direction.FORWARD, StepState.SKIPPED): Outcome.DONE,
    (Direction.FORWARD, StepState.NOT_STARTED): Outcome.UNTOUCHED,
    (Direction.BACK, StepState.DONE): Outcome.UNDONE,
}
_UNSURE = ("created, secret possibly not delivered", Style.WARNING)


def outline(run: RunState, *, every_event: bool = True) -> Document:
    """The state of the run, step by step; with `every_event` also all events."""
    steps = _steps(run) if every_event else _folded(run)
    sections = [Section("Steps", tuple((line,) for line in steps), "step")]
    if every_event:
        sections.append(Section("Events", tuple((line,) for line in _log(run)), "event"))
    return Document(
        title=f"Run: {state(run)}",
        facts=tuple(_facts(run)),
        sections=tuple(part for part in sections if part.blocks),
        closing=tuple(_closing(run)),
    )


def _begin(run: RunState) -> Mapping[str, Any]:
    events = run.events
    return events[0].data if events and events[0].name == "begin" else {}


def state(run: RunState) -> str:
    if not run.events:
        return "empty journal, nothing was sent"
    last = run.events[-1]
    if last.name == "end":
        outcome = str(last.data.get("outcome", "ended"))
        return outcome if run.is_finished else f"{outcome}, unfinished"
    return "unfinished, rolling back" if run.was_rolling_back else "unfinished"


def _facts(run: RunState) -> Iterable[Fact]:
    data = _begin(run)
    plan = data.get("plan", {})
    digest = str(data.get("digest", ""))[:SHORT]
    pairs = [
        ("cluster", plan.get("cluster")),
        ("actor", plan.get("actor")),
        ("source", plan.get("source")),
        ("digest", digest),
        ("owner", data.get("owner")),
        ("signed by", data.get("signer")),
        ("run", data.get("run")),
        ("started", moment(data["time"]) if "time" in data else ""),
        ("file", _file(data)),
    ]
    for name, value in pairs:
        if value:
            yield Fact(name, str(value))
    for event in run.events:
        if event.name in {"rollback", "stuck"}:
            yield Fact("because", str(event.data.get("cause", {}).get("summary", "")))


def grant_in(run: RunState) -> dict[str, Any] | None:
    """The grant of grants.toml that changes together with the cluster, for programs."""
    change = _change(_begin(run))
    if change is None:
        return None
    return {**change.during._asdict(), "file": change.path, "ends": change.after is None}


def _change(data: Mapping[str, Any]) -> GrantChange | None:
    try:
        return GrantChange.from_json(data["grant"])
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _file(data: Mapping[str, Any]) -> str:
    """The grant of grants.toml that changes together with the cluster, "" for none."""
    change = _change(data)
    if change is None:
        return ""
    grant, until = change.during, moment(change.during.expires)
    if change.after is None:
        return f"{change.path}: ends {grant}"
    return f"{change.path}: {grant} until {until}"


def number_of_steps(run: RunState) -> int:
    """Number of steps in the plan of the run."""
    return len(_begin(run).get("plan", {}).get("steps", ()))


def _is_past_return(run: RunState) -> bool:
    """Whether an irreversible step was applied, or may have been."""
    steps = _begin(run).get("plan", {}).get("steps", ())
    return any(run.step(n).was_in_force and s.get("undo") == "NONE" for n, s in enumerate(steps))


def _titles(run: RunState) -> Iterable[str]:
    """The title of each step, even if another version made the plan."""
    for step in _begin(run).get("plan", {}).get("steps", ()):
        try:
            read = Step.from_json(step, specs())
            title = describe_step(read.changes)
            yield "; ".join([title, *_secrets(read)])
        except (KeyError, ValueError, TypeError, IndexError):
            yield _target(step.get("request", {}))


def _secrets(step: Step) -> Iterable[str]:
    """The sources of a step's secrets, and the sink of a new one."""
    for name, value in step.request.params:
        if isinstance(value, SecretRef):
            yield f"{name} {value}"
    if step.sink is not None:
        yield step.sink.delivery


def _target(request: Mapping[str, Any]) -> str:
    return f"{request.get('method', '')} /{'/'.join(request.get('path', ()))}"


def _steps(run: RunState) -> Iterable[TextLine]:
    states = _states(run)
    wide = max((len(words) for words, _ in states), default=0)
    for number, (title, (words, tone)) in enumerate(zip(_titles(run), states, strict=True), 1):
        yield _step(str(number).rjust(len(str(len(states)))), words.ljust(wide), title, tone)


def _folded(run: RunState) -> Iterable[TextLine]:
    """Many steps in a row with the same state share a line, which names the first of them."""
    titles, rows = list(_titles(run)), []
    for (words, tone), alike in groupby(enumerate(_states(run)), key=lambda one: one[1]):
        numbers = [number for number, _ in alike]
        first, last = numbers[0], numbers[-1]
        if len(numbers) <= ALIKE:
            rows += [(str(n + 1), words, titles[n], tone) for n in numbers]
            continue
        title = f"{len(numbers):,} steps, from: {titles[first]}"
        rows.append((f"{first + 1}-{last + 1}", words, title, tone))
    width = max((len(number) for number, *_ in rows), default=0)
    wide = max((len(words) for _, words, *_ in rows), default=0)
    for number, words, title, tone in rows:
        yield _step(number.rjust(width), words.ljust(wide), title, tone)


def _step(number: str, words: str, title: str, tone: Style) -> TextLine:
    return TextLine(title, tone, 2, label=f"{number}. {words}  ")


def _states(run: RunState) -> list[tuple[str, Style]]:
    plan = _begin(run).get("plan", {}).get("steps", ())
    return [_state(run.step(n), has_secret="sink" in step) for n, step in enumerate(plan)]


def told_by_steps(run: RunState) -> Mapping[str, Outcome]:
    """Object -> its outcome, where the states of its steps say it."""
    found: dict[str, set[Outcome | None]] = {}
    for number, step in enumerate(_begin(run).get("plan", {}).get("steps", ())):
        record = run.step(number)
        outcome = _OUTCOMES.get((record.direction, record.state))
        for change in step.get("changes", ()):
            found.setdefault(change.get("address", ""), set()).add(outcome)
    alone = ((address, outcomes.pop()) for address, outcomes in found.items() if len(outcomes) == 1)
    return {address: outcome for address, outcome in alone if outcome is not None}


def _state(step: StepRecord, *, has_secret: bool) -> tuple[str, Style]:
    if step.direction is Direction.BACK and step.state in _BACK:
        return _BACK[step.state]
    if has_secret and step.state is StepState.CONFIRMED:
        return _UNSURE
    return _STATES[step.state]


def _log(run: RunState) -> Iterable[TextLine]:
    names = max((len(event.name) for event in run.events), default=0)
    titles = list(_titles(run))
    for number, event in enumerate(run.events, 1):
        step = f"step {event.step + 1}" if event.step >= 0 else ""
        time = clock(event.data["time"]) if "time" in event.data else ""
        label = f"{number:>4}  {time.ljust(8)}  {event.name.ljust(names)}  {step.ljust(8)}  "
        yield TextLine(_details(event, titles), Style.PLAIN, 0, label=label)


def _details(event: Event, titles: Sequence[str]) -> str:
    """The data of an event, without what is shown elsewhere."""
    data = event.data
    parts = []
    if "request" in data:
        known = 0 <= event.step < len(titles)
        parts.append(titles[event.step] if known else _target(data["request"]))
    if event.direction is Direction.BACK:
        parts.append("rolling back")
    if data.get("attempt", 1) != 1:
        parts.append(f"attempt {data['attempt']}")
    if data.get("owner") and event.name == "continued":
        parts.append(f"by {data['owner']}")
    if event.name == "overtaken":
        parts.append("another run may have written since this one stopped")
    if event.name == "taking":
        parts.append(f"lock claim {data['claim']}")
    if event.name == "locked":
        parts.append(f"lock {data['fence']}")
    parts += [str(data[name]) for name in ("why", "sink", "outcome", "pivot") if data.get(name)]
    if "cause" in data:
        parts.append(str(data["cause"].get("summary", "")))
    return ", ".join(part for part in parts if part)


def _closing(run: RunState) -> Iterable[TextLine]:
    if not run.events:
        yield TextLine("Nothing was sent; the journal may be deleted.")
    elif run.is_finished:
        yield TextLine("The run is complete; there is nothing left to do.", Style.GOOD)
    elif run.is_overtaken:
        text = (
            "Another run may have written since: `pvectl resume` closes this one if everything is "
            "as declared, and lists what differs if not."
        )
        yield TextLine(text, Style.STRONG)
    elif _is_past_return(run):
        text = "It cannot be rolled back any more: fix the cause, then run `pvectl resume`."
        yield TextLine(text, Style.STRONG)
    elif run.was_rolling_back:
        text = "Run `pvectl resume` to finish the rollback."
        yield TextLine(text, Style.STRONG)
    else:
        text = "Run `pvectl resume` to finish the run, or `pvectl rollback` to undo it."
        yield TextLine(text, Style.STRONG)


def text(run: RunState, view: View) -> str:
    """The whole journal for a terminal."""
    return terminal.render(outline(run), color=view.color, width=view.width)


def status(run: RunState, view: View, running: str = "") -> str:
    """Only the state of the run, for a terminal; `running` says what writes at this moment."""
    content = outline(run, every_event=False)
    if running:
        now = TextLine(f"In progress, {running}: wait for it.", Style.STRONG)
        content = replace(content, title="Run: in progress", closing=(now,))
    return terminal.render(content, color=view.color, width=view.width)


def markdown(run: RunState, view: View) -> str:
    """The whole journal for an issue."""
    del view
    return comment.render(outline(run))


def json(run: RunState, view: View) -> str:
    """Every event, and the state of the run."""
    del view
    content = {
        "finished": run.is_finished,
        "state": state(run),
        "events": [{"event": event.name, **event.data} for event in run.events],
    }
    return document("journal", FORMAT, content)
