"""The pages of `pvectl explain CODE`: findings, errors, steps to root, exit statuses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from reconciler.errors import MEANINGS, PRECEDENCE, ExitStatus, PvectlError, UsageError
from reconciler.model.custom_rule import is_of_rule
from reconciler.planning.lint import RULES
from reconciler.render.documents.code_page import Page
from reconciler.text.suggest import did_you_mean, suggest

EXIT_STATUS = "exit-status"
CONTENTS = "codes"
SYMPTOM = "symptom"
OF_RULES = "RULE_NAME"
"""The page for the findings of every `[[rule]]`."""
_SYMPTOM = "SYMPTOM_"
_CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_HEADING = re.compile(r"^## (?P<code>\S+)$", re.MULTILINE)


def is_page(text: str) -> bool:
    """Whether the text names a page: a code, a number (an exit status), or nothing (the list of
    all).
    """
    return (
        text in {"", EXIT_STATUS} or text.isdecimal() or _CODE.fullmatch(text.upper()) is not None
    )


def is_bare_name(text: str) -> bool:
    """Whether it is neither a code nor a misspelled one, but perhaps a user without its realm."""
    code = text.upper()
    named = code in pages() or text in {"", EXIT_STATUS, SYMPTOM} or is_of_rule(code)
    return text.islower() and "_" not in text and not named and not suggest(code, pages())


def page_of(text: str) -> Page:
    """The page of a code; raises UsageError where no finding or error has that code."""
    if text == EXIT_STATUS:
        return _statuses()
    if text == SYMPTOM:
        return _symptoms()
    if not text:
        return _contents()
    known = pages()
    page = known.get(text) or known.get(text.upper())
    if page is None and is_of_rule(text.upper()):
        page = known[OF_RULES]._replace(code=text.upper())
    if page is None and text.isdecimal() and len(text) > 2:
        raise UsageError(
            f"{text} is not an exit status", hint=f"for a guest: pvectl explain WHO /vms/{text}"
        )
    if page is None:
        hint = did_you_mean(text.upper(), known)
        raise UsageError(
            f"no finding and no error has the code '{text}'",
            hint=hint or "for a user or token: pvectl explain WHO PATH [PRIV]",
        )
    return page


def is_complaint(text: str) -> bool:
    """Whether it is a sentence, or a line of a log, rather than a name, a call or a refusal."""
    return len(text.split()) > 2


def symptom_of(words: str) -> Page:
    """The symptom described in these words, misspelled ones too, as far as it can be recognised;
    otherwise the list of all.
    """
    for phrase, code in _PHRASES.items():
        if phrase in words.lower():
            return pages()[code]
    wanted = {_known_word(word) for word in _words(words)}
    known = [page for page in pages().values() if page.code.startswith(_SYMPTOM)]
    marks = {
        page.code: (len(wanted & set(_words(page.kind))), len(wanted & set(_words(_body(page)))))
        for page in known
    }
    best = max(known, key=lambda page: marks[page.code])
    return best if any(marks[best.code]) else _symptoms()


def _known_word(word: str) -> str:
    """The word of a symptom's page that is meant; itself where none is."""
    if word in _vocabulary() or len(word) < _SHORT:
        return word
    return suggest(word, _vocabulary()) or word


@cache
def _vocabulary() -> frozenset[str]:
    found = (page for page in pages().values() if page.code.startswith(_SYMPTOM))
    return frozenset(word for page in found for word in _words(f"{page.kind} {_body(page)}"))


def _body(page: Page) -> str:
    return " ".join((page.code, *page.meaning, *page.action))


def _words(text: str) -> list[str]:
    """The words of a string without stop words and endings."""
    found = re.findall(r"[a-z0-9]{3,}", text.lower().replace("_", " "))
    return [word.removesuffix("s") for word in found if word not in _COMMON]


_SHORT = 5
"""Letters below which a word is not taken for a misspelled one."""
_PHRASES = {"authentication fail": "SYMPTOM_NO_LOGIN", "no ticket": "SYMPTOM_NO_LOGIN"}
"""What Proxmox VE says and logs -> the page about it."""
_COMMON = frozenset(
    {"the", "and", "not", "cannot", "can", "for", "with", "but", "are", "has", "one"}
)


@cache
def pages() -> Mapping[str, Page]:
    """Every page by its code."""
    found = {page.code: page for page in (*_written(), *_rules(), *_errors(), *_numbers())}
    return {code: found[code] for code in sorted(found)}


def _written() -> Iterator[Page]:
    """Sections `## CODE` of the Markdown files: the kind, what it means, and as the last paragraph
    what to do.
    """
    folder = files("reconciler") / "pages"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        _, *parts = _HEADING.split(file.read_text(encoding="utf-8"))
        for code, body in zip(parts[::2], parts[1::2], strict=True):
            kind, *meaning, action = _paragraphs(body)
            yield Page(code, kind, tuple(meaning), (action,))


def _rules() -> Iterator[Page]:
    """The pages of the lint rules, from their own docstrings."""
    for rule in RULES.values():
        title = f"{rule.title[:1].upper()}{rule.title[1:]}."
        kind = f"{rule.severity}, a rule about the state files and the cluster"
        yield Page(rule.code, kind, (title, *_paragraphs(rule.page)))


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]


def _errors() -> Iterator[Page]:
    """The pages of the error classes, from their own docstrings."""
    waiting = [PvectlError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        text = " ".join((error.__doc__ or "").split())
        status = error.exit_status
        meaning = (text,) if error is not PvectlError else (MEANINGS[ExitStatus.BUG],)
        yield Page(error.code, f"error, exit status {int(status)}", meaning)


def _numbers() -> Iterator[Page]:
    for status, meaning in MEANINGS.items():
        yield Page(str(int(status)), f"exit status, {meaning}")


def _contents() -> Page:
    """Every code with the first sentence of its page; exit statuses have a table of their own."""
    return Page(
        CONTENTS,
        "the codes of findings, errors and steps to root",
        rows=tuple(
            (page.code, page.meaning[0].partition(". ")[0].removesuffix("."))
            for page in pages().values()
            if page.meaning
        ),
        closing=f"pvectl explain CODE shows one of them, pvectl explain {EXIT_STATUS} the numbers.",
    )


def _symptoms() -> Page:
    known = [page for page in pages().values() if page.code.startswith(_SYMPTOM)]
    return Page(
        SYMPTOM,
        "typical complaints when a privilege is missing",
        rows=tuple((page.code, page.kind) for page in known),
        closing="pvectl explain CODE shows one of them; so does pvectl explain symptom 'WORDS'.",
    )


def _statuses() -> Page:
    order = ", ".join(str(int(status)) for status in PRECEDENCE)
    return Page(
        EXIT_STATUS,
        "the exit statuses of pvectl; never a count",
        rows=tuple((str(int(status)), meaning) for status, meaning in MEANINGS.items()),
        closing=f"Where several apply, the first of these is given: {order}.",
    )
