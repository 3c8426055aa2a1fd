"""Phrases that read as translated do not come back."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("reconciler", "tests", "docs", "examples", "action", "packaging", "state")
ENDINGS = {".py", ".md", ".toml", ".yml", ".html", ".sh"}
RECORDED = {"golden", "data", "corpus"}
INSTEAD = {
    r"(?<!there) (?:is|are) no (?!longer\b|more\b|one\b)\w": "is not a ...",
    r"separated by blanks\b": "separated by spaces",
    r" anew\b": "again",
    r"com(?:e|es|ing) into force\b": "take effect",
    r"tak(?:e|es|en|ing) back\b": "roll back, undo, revoke",
    r"way back\b": "rollback",
    r" hangs? on\b": "belongs to, depends on",
    r"left out, since\b": "skipped: ...",
    r"in vain\b": "unused, without effect",
    r"fits no\b": "matches no",
    r"nobody can be asked\b": "no terminal to confirm on",
    r"change out of band\b": "out-of-band change",
    r"to mend\b": "to fix",
    r" himself\b": "itself",
}
"""Pattern of lower-case text -> what to write instead. A literal start makes the search fast."""


def test_no_translated_phrase_comes_back() -> None:
    files = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")]
    for folder in FOLDERS:
        files += (path for path in (ROOT / folder).rglob("*") if path.suffix in ENDINGS)
    found = []
    for path in files:
        if path == Path(__file__) or RECORDED & {*path.parts}:
            continue
        text = " ".join(path.read_text(encoding="utf-8").lower().replace("#", " ").split())
        for phrase, better in INSTEAD.items():
            for match in re.finditer(phrase, text):
                around = text[max(0, match.start() - 30) : match.end() + 20]
                found.append(f"{path.relative_to(ROOT)}: ...{around}...: write {better!r}")
    assert not found, "\n".join(found)
