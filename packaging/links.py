"""Make the README of a source tree readable outside of the repository, as on a package index.

python packaging/links.py TREE [URL TAG]

With the URL of the repository the README's relative links become absolute ones into it, at that
tag, and the project's metadata names the repository. Without it, links into the repository become
plain text.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>(?!https?:|#|mailto:)[^)]+)\)")


def absolute(readme: str, url: str, tag: str) -> str:
    """The README with links into the repository at a tag; without an URL, without such links."""

    def link(found: re.Match[str]) -> str:
        if not url:
            return found["text"]
        return f"[{found['text']}]({url}/blob/{tag}/{found['target']})"

    return _LINK.sub(link, readme)


def project_urls(url: str, tag: str) -> str:
    """The table [project.urls] for pyproject.toml."""
    return (
        "\n[project.urls]\n"
        f'Homepage = "{url}"\n'
        f'Documentation = "{url}/blob/{tag}/docs/tutorial.md"\n'
        f'Changelog = "{url}/blob/{tag}/CHANGELOG.md"\n'
        f'Issues = "{url}/issues"\n'
        f'Source = "{url}"\n'
    )


def main() -> None:
    tree = Path(sys.argv[1])
    url, tag = (sys.argv[2].rstrip("/"), sys.argv[3]) if len(sys.argv) > 3 else ("", "")
    readme = tree / "README.md"
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), url, tag), encoding="utf-8")
    if url:
        with (tree / "pyproject.toml").open("a", encoding="utf-8") as project:
            project.write(project_urls(url, tag))


if __name__ == "__main__":
    main()
