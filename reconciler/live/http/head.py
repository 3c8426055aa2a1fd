"""Read the head of an HTTP answer: the status and the few headers that matter.

The standard library reads heads with the parser of e-mails, which takes longer than sending the
request, receiving the answer and decrypting it together.
"""

from __future__ import annotations

import re
from http.client import (
    BadStatusLine,
    HTTPException,
    HTTPResponse,
    IncompleteRead,
    LineTooLong,
    RemoteDisconnected,
)
from typing import BinaryIO

_LONGEST = 65_536
"""Bytes of a line, as in http.client."""

_MOST = 100
"""Lines of a head, as in http.client."""

_BLANKS = " \t"

_NUMBER = "[0-9]{1,18}"
"""Python refuses numbers of thousands of digits."""

_WITHOUT_BODY = (204, 304)


class QuickResponse(HTTPResponse):
    """An answer whose `fields` are its headers: name in lower case -> value.

    What is neither chunked nor of a known length lasts until the connection ends (RFC 9112, 6.3).
    """

    fields: dict[str, str]

    def begin(self) -> None:
        """Read the head; raises HTTPException."""
        version, self.status, self.reason = _status(self.fp)
        fields = _fields(self.fp)
        while self.status // 100 == 1:  # interim answers
            version, self.status, self.reason = _status(self.fp)
            fields = _fields(self.fp)
        self.fields = fields
        self.version = 10 if version == "HTTP/1.0" else 11
        self.chunked = fields.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = _length(fields, self.status, chunked=self.chunked)
        kept = fields.get("connection", "").lower()
        closes = "close" in kept if self.version == 11 else "keep-alive" not in kept
        doubtful = self.chunked and "content-length" in fields  # RFC 9112, 6.3
        self.will_close = closes or doubtful or (self.length is None and not self.chunked)


def _line(file: BinaryIO) -> str:
    line = file.readline(_LONGEST + 1)
    if len(line) > _LONGEST:
        raise LineTooLong("header line")
    return line.decode("iso-8859-1")


def _status(file: BinaryIO) -> tuple[str, int, str]:
    """Version, status and reason."""
    line = _line(file)
    if not line:
        raise RemoteDisconnected("the connection ended before an answer")
    version, _, rest = line.partition(" ")
    number, _, reason = rest.strip().partition(" ")
    if not (version.startswith("HTTP/1.") and re.fullmatch("[1-9][0-9]{2}", number)):
        raise BadStatusLine(line)
    return version, int(number), reason.strip()


def _fields(file: BinaryIO) -> dict[str, str]:
    """The headers; of several with the same name, the first one. Two different lengths are refused:
    what follows the answer would pass for the next one.
    """
    fields: dict[str, str] = {}
    for _ in range(_MOST + 1):
        line = _line(file)
        if not line.endswith("\n"):
            raise IncompleteRead(b"")
        line = line[:-1].removesuffix("\r")
        if not line:
            return fields
        if "\r" in line:  # some take it for the end of a line
            raise HTTPException("a carriage return within a header")
        name, colon, text = line.partition(":")
        name, value = name.lower(), text.strip(_BLANKS)
        if colon and fields.setdefault(name, value) != value and name == "content-length":
            raise HTTPException("two lengths")
    raise HTTPException(f"got more than {_MOST} headers")


def _length(fields: dict[str, str], status: int, *, chunked: bool) -> int | None:
    """Bytes of the body; None where only its end tells."""
    if status in _WITHOUT_BODY:
        return 0
    told = fields.get("content-length", "")
    return int(told) if not chunked and re.fullmatch(_NUMBER, told) else None
