"""The import rule: which part of the package may know which other one, and each library once."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import reconciler
from reconciler.errors import ExitStatus
from reconciler.pve.release import NEWEST

ROOT = Path(reconciler.__file__).parent
TESTS = Path(__file__).parent

LAYERS = (
    {"cli"},
    {"render", "execution", "planning", "desired", "live", "sandbox"},
    {"kinds"},
    {"access"},
    {"model"},
    {"pve"},
    {"text"},
    {
        "errors",
        "invalid_value",
        "atomic_write",
        "bounded_read",
        "real_path",
        "run_command",
        "extras",
    },
)
"""From top to bottom; a part may import what lies below it, and nothing beside or above it."""

TOP = {"__main__"}
"""Modules of the package itself that start it; they may import everything."""

ONCE = {
    "apprise": "execution/notices.py",
    "backports": "sandbox/backup/packing.py",
    "cheroot": "sandbox/http/server.py",
    "cryptography": "sandbox/keys.py",
    "deepdiff": "model/field_diff.py",
    "distributed": "cli/fleet/dask_workers.py",
    "jinja2": "render/page/",
    "markupsafe": "render/page/",
    "keyring": "execution/secrets/keyring.py",
    "proxmoxer": "live/http/client.py",
    "requests": "",
    "rich": "",
    "tomli_w": "desired/toml/formatter.py",
    "typer": "cli/",
}
"""Library -> the only module, or folder, that may import it; empty: none does."""

MOST_ROLES = 4
"""Names of built-in roles that a module may know; more would be a list of them."""
PURE = {"model", "access", "planning"}
IMPURE = {
    *("asyncio", "concurrent", "getpass", "http", "logging", "multiprocessing", "os", "pathlib"),
    *("random", "secrets", "select", "shutil", "signal", "socket", "ssl", "subprocess", "sys"),
    *("tempfile", "threading", "time", "uuid"),
}
"""What reads a clock, a file, the network, the environment or a die."""


class Import(NamedTuple):
    """`module` imports `name`, as `from a import b` does with `a.b`; `line` is where."""

    module: Path
    name: str
    line: int
    for_types_only: bool

    @property
    def place(self) -> str:
        return f"{self.module.relative_to(ROOT)}:{self.line}"


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def imports(module: Path) -> Iterator[Import]:
    """All imports of a module, those within functions included."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for part in node.body
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            yield Import(module, name, getattr(node, "lineno", 0), id(node) in typing_only)


EVERY_IMPORT = [found for module in modules() for found in imports(module)]


def part_of(module: Path) -> str:
    """The part of the package to which a module belongs: its folder, or its own name."""
    return module.relative_to(ROOT).parts[0].removesuffix(".py")


def layer(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def test_every_part_has_its_place() -> None:
    parts = {part_of(module) for module in modules()} - {"__init__"} - TOP
    assert parts == set().union(*LAYERS)


def test_imports_go_downwards_only() -> None:
    wrong = []
    for found in EVERY_IMPORT:
        own, _, rest = found.name.partition(".")
        importing, imported = part_of(found.module), rest.split(".")[0]
        if own != "reconciler" or importing in TOP or imported in {importing, "__version__"}:
            continue
        if importing == "errors" and found.for_types_only:
            continue
        if layer(imported) <= layer(importing):
            wrong.append(f"{found.place} imports {found.name}")
    assert wrong == []


def test_no_module_lists_the_privileges_or_roles_of_a_release() -> None:
    """They are data (`releases.json`) and are asked of a `Release`: the cluster's own where there
    is one."""
    listing = [
        str(module.relative_to(ROOT))
        for module in modules()
        if sum(role in module.read_text(encoding="utf-8") for role in NEWEST.roles) > MOST_ROLES
    ]
    assert listing == []


def module_graph(root: Path) -> dict[str, set[str]]:
    """Module -> the modules of the same package that it imports: at the top, in a function or for
    types only. To import a name of a package is to import that package."""
    files = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts): path
        for path in sorted(root.rglob("*.py"))
    }
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        wanted = {found.name for found in imports(path)}
        known = {one if one in files else one.rpartition(".")[0] for one in wanted}
        graph[name] = (known & files.keys()) - {name}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The modules that cannot be put in an order in which each comes after what it imports."""
    reached: dict[str, set[str]] = {}
    for start, first in graph.items():
        seen: set[str] = set()
        ahead = list(first)
        while ahead:
            module = ahead.pop()
            if module not in seen:
                seen.add(module)
                ahead.extend(graph[module])
        reached[start] = seen
    together = {
        tuple(sorted({start, *(one for one in reached[start] if start in reached[one])}))
        for start in graph
        if start in reached[start]
    }
    return [list(members) for members in sorted(together)]


def test_imports_have_no_circles() -> None:
    assert circles(module_graph(ROOT)) == []


@pytest.mark.parametrize(
    "back",
    [
        "from package.first import One",
        "from package import first",
        "import package.first",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from package.first import One",
        "def later():\n    from package.first import One",
    ],
    ids=["name", "module", "whole", "types only", "in a function"],
)
def test_a_circle_is_found(back: str, tmp_path: Path) -> None:
    """However the import that closes it is written."""
    package = tmp_path / "package"
    (package / "rooms").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "rooms" / "__init__.py").write_text("from package.third import Three\n")
    (package / "first.py").write_text("from package.rooms import Three\nclass One: ...\n")
    (package / "third.py").write_text("class Three: ...\n")
    assert circles(module_graph(package)) == []
    (package / "third.py").write_text(f"{back}\nclass Three: ...\n")
    assert circles(module_graph(package)) == [["package.first", "package.rooms", "package.third"]]


@pytest.mark.parametrize("library", ONCE)
def test_each_library_is_imported_in_one_place(library: str) -> None:
    places = {
        str(found.module.relative_to(ROOT))
        for found in EVERY_IMPORT
        if found.name.split(".")[0] == library and not found.for_types_only
    }
    allowed = ONCE[library]
    assert all(allowed and place.startswith(allowed) for place in places), places


@pytest.mark.parametrize("part", sorted(PURE))
def test_pure_parts_reach_for_nothing(part: str) -> None:
    wrong = [
        f"{found.place} imports {found.name}"
        for found in EVERY_IMPORT
        if part_of(found.module) == part and found.name.split(".")[0] in IMPURE
    ]
    assert wrong == []


def _calls(module: Path, *names: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call | ast.Attribute):
            text = ast.unparse(node.func if isinstance(node, ast.Call) else node)
            if text in names:
                yield f"{module.relative_to(ROOT)}:{node.lineno} {text}"


def test_only_the_command_line_prints() -> None:
    printing = ("print", "sys.stdout", "sys.stderr", "input")
    wrong = [
        place
        for module in modules()
        if part_of(module) not in {"cli", *TOP}
        for place in _calls(module, *printing)
        if not place.startswith("sandbox/__main__.py")
    ]
    assert wrong == []


RIM = "execution/run/boundary.py"
"""Beside the command line, the only module that catches everything: what a run has started it ends,
forward or back, whatever happens."""


def test_only_the_command_line_and_the_rim_of_a_run_catch_everything() -> None:
    wrong = []
    for module in modules():
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                if caught in {"Exception", "everything"} and part_of(module) != "cli":
                    if str(module.relative_to(ROOT)) == RIM:
                        continue
                    wrong.append(f"{module.relative_to(ROOT)}:{node.lineno}")
    assert wrong == []


def test_modules_and_functions_stay_small() -> None:
    """More than these is a sign that two things live together."""
    wrong = []
    for module in modules():
        text = module.read_text(encoding="utf-8")
        if text.count("\n") > 350:
            wrong.append(f"{module.relative_to(ROOT)} has {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                lines = (node.end_lineno or 0) - node.body[0].lineno
                if lines > 50:
                    wrong.append(f"{module.relative_to(ROOT)} {node.name} has {lines} lines")
    assert wrong == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(module.relative_to(ROOT))
        for module in modules()
        if module.read_text() and not ast.get_docstring(ast.parse(module.read_text()))
    ]
    assert silent == []


def test_no_message_is_taken_apart() -> None:
    """What to do about a value travels beside what is wrong with it (`InvalidValue`)."""
    apart = ('.partition("; ")', '.split("; ")', '.rpartition("; ")')
    wrong = [
        f"{module.relative_to(ROOT)}: {cut}"
        for module in modules()
        for cut in apart
        if cut in module.read_text(encoding="utf-8")
    ]
    assert wrong == []


def test_tests_name_exit_statuses() -> None:
    """`ended.status == ExitStatus.USAGE`, not 64."""
    number = re.compile(r"\.status (?:==|!=) (\d+)\b")
    known = {str(int(status)) for status in ExitStatus}
    wrong = [
        f"{path.relative_to(TESTS)}:{line}: {found[0]}"
        for path in sorted(TESTS.rglob("*.py"))
        if path.relative_to(TESTS).parts[0] != "sandbox"
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for found in number.finditer(text)
        if found[1] in known
    ]
    assert wrong == []


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"]]
    for name in ("dask", "keyring", "notify", "sandbox"):
        lines += extras[name]
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in lines}
    declared = {name.replace("-", "_").partition(".")[0] for name in names}
    imported = {one.name.partition(".")[0] for one in EVERY_IMPORT}
    foreign = imported - set(sys.stdlib_module_names) - {"reconciler", "compression"}
    bounds = {"requests", "urllib3"}  # apprise needs them, and allows releases with known flaws
    assert foreign == declared - bounds


def test_links_in_a_circle_stop_no_command() -> None:
    """`Path.resolve` raises for them; `real_path` does not."""
    callers = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted(ROOT.rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ".resolve()" in line
    ]
    assert callers == []
