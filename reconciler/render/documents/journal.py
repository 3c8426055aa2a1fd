"""A run as its journal tells it: where each step stands, what happened when, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from reconciler.kinds import kind_of, specs
from reconciler.model.plan import Step
from reconciler.model.secret import SecretRef
from reconciler.render import markdown as comment
from reconciler.render import terminal
from reconciler.render.document import Document, Fact, Section, Style, TextLine
from reconciler.render.documents.plan import SHORT
from reconciler.render.json import document
from reconciler.render.view import View
from reconciler.text.humanize import clock, moment

FORMAT = 1


class Event(Protocol):
    """One line of a journal."""

    @property
    def name(self) -> str: ...

    @property
    def data(self) -> Mapping[str, Any]: ...

    @property
    def step(self) -> int: ...


Events = Sequence[Event]

_STANDS = {
    ("intent", "forward"): ("announced, outcome not recorded", Style.WARNING),
    ("intent", "back"): ("being taken back, outcome not recorded", Style.WARNING),
    ("delivered", ""): ("sent, secret delivered", Style.WARNING),
    ("done", "forward"): ("done", Style.GOOD),
    ("done", "back"): ("taken back", Style.UPDATE),
    ("found", "forward"): ("in force, as was seen later", Style.WARNING),
    ("found", "back"): ("taken back, as was seen later", Style.UPDATE),
    ("unknown", ""): ("sent, nobody can see the outcome", Style.ERROR),
    ("disowned", ""): ("in force, by this run or by another one", Style.WARNING),
    ("refused", "back"): ("could not be taken back", Style.ERROR),
    ("refused", ""): ("refused", Style.ERROR),
    ("skipped", ""): ("was in force already", Style.GOOD),
    ("withdrawn", ""): ("taken back, its secret removed", Style.UPDATE),
}
_NOT_BEGUN = ("not begun", Style.FAINT)
_UNSURE = ("made, its secret not known to be delivered", Style.WARNING)


def outline(events: Events, *, every_event: bool = True) -> Document:
    """Where the run stands, step by step; with `every_event` also the journal itself."""
    sections = [Section("Steps", tuple((line,) for line in _steps(events)), "step")]
    if every_event:
        sections.append(Section("Events", tuple((line,) for line in _log(events)), "event"))
    return Document(
        title=f"Run: {state(events)}",
        facts=tuple(_facts(events)),
        sections=tuple(part for part in sections if part.blocks),
        closing=tuple(_closing(events)),
    )


def _begin(events: Events) -> Mapping[str, Any]:
    return events[0].data if events and events[0].name == "begin" else {}


def _is_finished(events: Events) -> bool:
    return bool(events) and events[-1].name == "end" and not events[-1].data.get("unfinished")


def _turned_back(events: Events) -> bool:
    """Whether the run is on the way back, or was when it ended."""
    turns = [event for event in events if event.name in {"rollback", "continued"}]
    return bool(turns) and (turns[-1].name == "rollback" or bool(turns[-1].data.get("back")))


def state(events: Events) -> str:
    if not events:
        return "empty journal, nothing was sent"
    last = events[-1]
    if last.name == "end":
        outcome = str(last.data.get("outcome", "ended"))
        return outcome if _is_finished(events) else f"{outcome}, not to its end"
    return "unfinished, on the way back" if _turned_back(events) else "unfinished"


def _facts(events: Events) -> Iterable[Fact]:
    data = _begin(events)
    plan = data.get("plan", {})
    digest = str(data.get("digest", ""))[:SHORT]
    pairs = [
        ("cluster", plan.get("cluster")),
        ("actor", plan.get("actor")),
        ("source", plan.get("source")),
        ("digest", digest),
        ("owner", data.get("owner")),
        ("run", data.get("run")),
        ("began", moment(data["time"]) if "time" in data else ""),
    ]
    for name, value in pairs:
        if value:
            yield Fact(name, str(value))
    for event in events:
        if event.name in {"rollback", "stuck"}:
            yield Fact("because", str(event.data.get("cause", {}).get("summary", "")))


def _is_past_return(events: Events) -> bool:
    """Whether a step that nothing takes back came into force, or may have."""
    steps = _begin(events).get("plan", {}).get("steps", ())
    return any(
        event.name in {"done", "found", "unknown"}
        and event.data.get("direction") == "forward"
        and steps[event.step].get("undo") == "NONE"
        for event in events
    )


def _titles(events: Events) -> Iterable[str]:
    """What each step does, also where the plan is of another version."""
    for step in _begin(events).get("plan", {}).get("steps", ()):
        try:
            read = Step.from_json(step, specs())
            title = kind_of(read.changes[0].address).title(read.changes)
            yield "; ".join([title, *_secrets(read)])
        except (KeyError, ValueError, TypeError, IndexError):
            yield _target(step.get("request", {}))


def _secrets(step: Step) -> Iterable[str]:
    """Where the secrets of a step come from, and where a new one goes."""
    for name, value in step.request.params:
        if isinstance(value, SecretRef):
            yield f"{name} {value}"
    if step.sink is not None:
        yield f"the new secret goes to {step.sink}"


def _target(request: Mapping[str, Any]) -> str:
    return f"{request.get('method', '')} /{'/'.join(request.get('path', ()))}"


def _steps(events: Events) -> Iterable[TextLine]:
    titles = list(_titles(events))
    secret = {
        number
        for number, step in enumerate(_begin(events).get("plan", {}).get("steps", ()))
        if "sink" in step
    }
    stands = {
        event.step: _UNSURE if event.step in secret and _is_made(event) else _stand(event)
        for event in events
        if event.step >= 0 and event.name != "redirected"
    }
    width = len(str(len(titles)))
    wide = max((len(words) for words, _ in [*stands.values(), _NOT_BEGUN]), default=0)
    for number, title in enumerate(titles):
        words, tone = stands.get(number, _NOT_BEGUN)
        label = f"{str(number + 1).rjust(width)}. {words.ljust(wide)}  "
        yield TextLine(title, tone, 2, label=label)


def _is_made(event: Event) -> bool:
    return event.name == "found" and event.data.get("direction") == "forward"


def _stand(event: Event) -> tuple[str, Style]:
    direction = str(event.data.get("direction", ""))
    if event.data.get("more"):
        return ("begun", Style.WARNING)
    alike = _STANDS.get((event.name, ""), (event.name, Style.PLAIN))
    return _STANDS.get((event.name, direction), alike)


def _log(events: Events) -> Iterable[TextLine]:
    names = max((len(event.name) for event in events), default=0)
    for number, event in enumerate(events, 1):
        step = f"step {event.step + 1}" if event.step >= 0 else ""
        time = clock(event.data["time"]) if "time" in event.data else ""
        label = f"{number:>4}  {time.ljust(8)}  {event.name.ljust(names)}  {step.ljust(8)}  "
        yield TextLine(_told(event), Style.PLAIN, 0, label=label)


def _told(event: Event) -> str:
    """What belongs to an event, without what stands elsewhere."""
    data = event.data
    parts = []
    if "request" in data:
        parts.append(_target(data["request"]))
    if data.get("direction") == "back":
        parts.append("taking back")
    if data.get("attempt", 1) != 1:
        parts.append(f"attempt {data['attempt']}")
    if data.get("owner") and event.name == "continued":
        parts.append(f"by {data['owner']}")
    if event.name == "overtaken":
        parts.append("another run may have written since this one stopped")
    if event.name == "taking":
        parts.append(f"lock of claim {data['claim']}")
    if event.name == "locked":
        parts.append(f"lock number {data['fence']}")
    parts += [str(data[name]) for name in ("why", "sink", "outcome", "pivot") if data.get(name)]
    if "cause" in data:
        parts.append(str(data["cause"].get("summary", "")))
    return ", ".join(part for part in parts if part)


def _closing(events: Events) -> Iterable[TextLine]:
    if not events:
        yield TextLine("Nothing was sent; the journal may be deleted.")
    elif _is_finished(events):
        yield TextLine("The run came to its end; nothing is left to do.", Style.GOOD)
    elif any(event.name == "overtaken" for event in events):
        text = (
            "Another run may have written since: `pvectl resume` closes this one if all of it is "
            "in force, and says what differs if not."
        )
        yield TextLine(text, Style.STRONG)
    elif _is_past_return(events):
        text = "There is only the way forward: correct the cause, then `pvectl resume`."
        yield TextLine(text, Style.STRONG)
    elif _turned_back(events):
        text = "`pvectl resume` finishes the way back; the cluster decides what is left to do."
        yield TextLine(text, Style.STRONG)
    else:
        text = "`pvectl resume` finishes the run, `pvectl rollback` takes it back."
        yield TextLine(text, Style.STRONG)


def text(events: Events, view: View) -> str:
    """The whole journal for a terminal."""
    return terminal.render(outline(events), color=view.color, width=view.width)


def status(events: Events, view: View, running: str = "") -> str:
    """Only where the run stands, for a terminal; `running` tells what writes at this moment."""
    content = outline(events, every_event=False)
    if running:
        now = TextLine(f"Running now, {running}: wait for it.", Style.STRONG)
        content = replace(content, title="Run: under way", closing=(now,))
    return terminal.render(content, color=view.color, width=view.width)


def markdown(events: Events, view: View) -> str:
    """The whole journal for an issue."""
    del view
    return comment.render(outline(events))


def json(events: Events, view: View) -> str:
    """Every event, and where the run stands."""
    del view
    content = {
        "finished": _is_finished(events),
        "state": state(events),
        "events": [{"event": event.name, **event.data} for event in events],
    }
    return document("journal", FORMAT, content)
