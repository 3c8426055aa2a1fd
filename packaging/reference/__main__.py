"""The reference in docs/reference, and the man pages, from the code itself.

python packaging/reference                   write docs/reference
python packaging/reference --check           fail where it differs from the code
python packaging/reference --man FOLDER      write the man pages
"""

from __future__ import annotations

import argparse
import gzip
import sys
from pathlib import Path

import commands
import tables

HERE = Path(__file__).parent
REFERENCE = HERE.parents[1] / "docs" / "reference"


def pages() -> dict[str, str]:
    """Path below docs/reference -> its text."""
    return {**tables.pages(HERE / "examples"), **commands.pages()}


def write(wanted: dict[str, str]) -> None:
    for path in REFERENCE.rglob("*.md"):
        if str(path.relative_to(REFERENCE)) not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (REFERENCE / name).parent.mkdir(parents=True, exist_ok=True)
        (REFERENCE / name).write_text(text, encoding="utf-8")


def differing(wanted: dict[str, str]) -> list[str]:
    """The pages that are missing, too many, or not what the code says."""
    there = {
        str(path.relative_to(REFERENCE)): path.read_text(encoding="utf-8")
        for path in REFERENCE.rglob("*.md")
    }
    return sorted(
        name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name)
    )


def write_man_pages(folder: Path) -> None:
    """Compressed, and without a time, so that the same code gives the same files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in commands.man_pages().items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--man", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    if given.man:
        write_man_pages(given.man)
    elif given.check:
        wrong = differing(pages())
        sys.stderr.writelines(f"docs/reference/{name}: run `make reference`\n" for name in wrong)
        return bool(wrong)
    else:
        write(pages())
    return 0


if __name__ == "__main__":
    sys.exit(main())
