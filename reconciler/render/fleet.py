"""The results of several clusters in one document: a summary first, then each cluster's own."""

from __future__ import annotations

import csv as table
import io
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from reconciler.render.json import document
from reconciler.render.markdown import cells, prose
from reconciler.text.humanize import count
from reconciler.text.sanitize import clean

FORMAT = 1

ROOM = 60_000
"""Characters of a Markdown document: GitHub refuses comments of more than 65,536."""

MOST = 5
"""Names in a cell."""

_SAMPLE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")


class Row(NamedTuple):
    """One cluster in the summary; `changes` is None where nothing was compared."""

    target: str
    changes: int | None
    findings: str
    access: str
    status: int | None
    result: str

    def words(self) -> tuple[str, ...]:
        changes = "-" if self.changes is None else f"{self.changes:,}"
        result = self.result if self.status is None else f"{self.status} {self.result}"
        return (self.target, changes, self.findings or "-", self.access or "-", result)


class Own(NamedTuple):
    """What one cluster has that the baseline does not: names of objects."""

    target: str
    declared: int
    different: tuple[str, ...]
    only_here: tuple[str, ...]
    missing: tuple[str, ...]


class Fleet(NamedTuple):
    """`shared`: how many objects the baseline has; `own` is empty where files were not compared."""

    rows: Sequence[Row]
    documents: Mapping[str, str]
    shared: int = 0
    own: Sequence[Own] = ()


HEAD = ("target", "changes", "findings", "access", "exit status")
OWN_HEAD = ("target", "declared", "different", "only here", "missing")


def baseline(declared: Mapping[str, Mapping[str, str]]) -> tuple[int, list[Own]]:
    """How many objects more than half of the clusters declare, and what each has otherwise.

    `declared`: cluster -> address -> digest of the object. Where no form of an object prevails, it
    counts as different in each cluster that declares it.
    """
    votes: dict[str, Counter[str]] = {}
    for objects in declared.values():
        for address, found in objects.items():
            votes.setdefault(address, Counter())[found] += 1
    shared: dict[str, str] = {}
    for address, forms in votes.items():
        if 2 * forms.total() > len(declared):
            form, most = forms.most_common(1)[0]
            shared[address] = form if 2 * most > len(declared) else ""
    own = [
        Own(
            target,
            len(objects),
            tuple(sorted(a for a in shared if a in objects and objects[a] != shared[a])),
            tuple(sorted(objects.keys() - shared.keys())),
            tuple(sorted(shared.keys() - objects.keys())),
        )
        for target, objects in declared.items()
    ]
    return len(shared), own


def summary_text(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    lines = [HEAD, *(row.words() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    return "".join(clean(line.rstrip()) + "\n" for line in padded)


def text(fleet: Fleet) -> str:
    """Headings and the documents as they are."""
    parts = [f"\n== {clean(name)} ==\n\n{body}" for name, body in fleet.documents.items() if body]
    return summary_text(fleet.rows) + "".join(parts)


def markdown(fleet: Fleet) -> str:
    """The tables, then each document folded; those that do not fit are named."""
    whole = _table(HEAD, (row.words() for row in fleet.rows))
    if fleet.own:
        whole += (
            f"\n**Baseline: {count(fleet.shared, 'object')} that most of the targets declare**\n\n"
        )
        whole += _table(OWN_HEAD, map(_own_cells, fleet.own))
    left_out = []
    for name, body in fleet.documents.items():
        part = f"\n<details><summary>{prose(name)}</summary>\n\n{body}\n</details>\n"
        if len(whole) + len(part) > ROOM:
            left_out.append(name)
        else:
            whole += part
    if left_out:
        whole += f"\nNo room here for: {prose(_some(left_out))}; `--format markdown=FILE` with"
        whole += " `{target}` in FILE writes one document per target.\n"
    return whole


def as_json(fleet: Fleet) -> str:
    """`targets`: name -> that target's own document."""
    content = {
        "summary": [row._asdict() for row in fleet.rows],
        "targets": {name: json.loads(body) for name, body in fleet.documents.items() if body},
    }
    if fleet.own:
        content["baseline"] = {"shared": fleet.shared, "own": [one._asdict() for one in fleet.own]}
    return document("fleet", FORMAT, content)


def sarif(fleet: Fleet) -> str:
    """All runs, each marked with its target."""
    whole: dict[str, object] = {}
    runs = []
    for name, body in fleet.documents.items():
        whole = json.loads(body)
        for run in json.loads(body)["runs"]:
            details = {**run.get("automationDetails", {}), "id": f"{name}/"}
            runs.append({**run, "automationDetails": details})
    return json.dumps({**whole, "runs": runs}, indent=2, sort_keys=True) + "\n"


def junit(fleet: Fleet) -> str:
    """All suites, each named after its target."""
    root = ET.Element("testsuites", name="pvectl")
    for name, body in fleet.documents.items():
        for suite in ET.fromstring(body):  # noqa: S314 - written by pvectl itself
            suite.set("name", f"{clean(name)}: {suite.get('name', '')}")
            root.append(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def metrics(fleet: Fleet) -> str:
    """Every sample with the label `target`; each metric is described once."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for name, body in fleet.documents.items():
        label = 'target="{}"'.format(name.replace("\\", "\\\\").replace('"', '\\"'))
        for line in body.splitlines():
            if line.startswith("#"):
                known = heads.setdefault(line.split(" ")[2], [])
                known += [line] if line not in known else []
            elif (found := _SAMPLE.fullmatch(line)) is not None:
                labels = ",".join(filter(None, (label, found["labels"] or "")))
                line_here = f"{found['name']}{{{labels}}} {found['value']}"
                samples.setdefault(found["name"], []).append(line_here)
    return "".join(
        f"{line}\n" for name, found in samples.items() for line in [*heads.get(name, []), *found]
    )


def csv(fleet: Fleet) -> str:
    """Rows with the target in front; each heading once."""
    rows = io.StringIO()
    writer = table.writer(rows, lineterminator="\n")
    heading: list[str] = []
    for name, body in fleet.documents.items():
        for number, row in enumerate(table.reader(io.StringIO(body))):
            if number == 0 and row == heading:
                continue
            heading = row if number == 0 else heading
            writer.writerow(["target" if number == 0 else name, *row])
    return rows.getvalue()


COMBINED: Mapping[str, Callable[[Fleet], str]] = {
    "text": text,
    "markdown": markdown,
    "json": as_json,
    "sarif": sarif,
    "junit": junit,
    "metrics": metrics,
    "csv": csv,
}
"""The formats in which one document holds several clusters."""


def _own_cells(own: Own) -> tuple[str, ...]:
    lists = (own.different, own.only_here, own.missing)
    return (own.target, f"{own.declared:,}", *(_some(names) or "-" for names in lists))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [cells(*head), cells(*["---"] * len(head))]
    return "".join(f"{line}\n" for line in [*lines, *(cells(*map(prose, row)) for row in rows)])
