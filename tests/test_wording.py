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
    r"begun\b": "started",
    r"tak(?:es?|en) (?:it )?away\b": "remove, revoke",
    r"somebody else made\b": "created concurrently",
    r"taken out of\b": "removed from",
    r"(?:is|are) told at\b": "is reported at",
    r"come to (?:its|their) end\b": "end, complete",
    r"end(?:ed)? well\b": "succeed",
    r"stands? in the way\b": "prevents; `fix N errors`",
    r"all the same\b(?! version)": "anyway",
    r"nothing brings back\b": "cannot be restored",
}
"""Pattern of lower-case text -> what to write instead. A literal start makes the search fast."""
GONE = (
    "a grant to nobody",
    "after a run that did not end",
    "announced, outcome not recorded",
    "cannot be taken back",
    "concerns nobody",
    "decide for one",
    "did not stay in force",
    "every change is in force",
    "in neither, or cannot though in both",
    "is not known here",
    "is taken for yes",
    "members of declared groups that no file names",
    "must be a text",
    "not seen in force",
    "nothing is expected",
    "only the way forward",
    "takes over what is there",
    "the answer is no http",
    "the line below the error says",
    "the secret given",
    "these changes wait for each other",
    "told no secret",
    "when its turn comes",
    "without a question",
)
"""Fragments of sentences that were written before, in lower case."""


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
        found += [f"{path.relative_to(ROOT)}: {gone!r}" for gone in GONE if gone in text]
    assert not found, "\n".join(found)
