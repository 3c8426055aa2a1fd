"""Heads of HTTP answers: read as the standard library reads them."""

from __future__ import annotations

import io
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from typing import Any

import pytest

from reconciler.live.http.head import QuickResponse

HEADS = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabcd",
    "another case, no blanks": b"HTTP/1.1 200 OK\r\nCONTENT-length:2\r\n\r\nabcd",
    "no length": b"HTTP/1.1 500 got timeout\r\nServer: pve-api-daemon/3.0\r\n\r\nabcd",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nabcd",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nabcd",
    "a length of too many digits": b"HTTP/1.1 200 OK\r\nContent-Length: "
    + b"9" * 5000
    + b"\r\nConnection: close\r\n\r\nabcd",
    "the same length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    b"content-length: 2\r\n\r\nabcd",
    "a folded line": b"HTTP/1.1 200 OK\r\nX: a\r\n Content-Length: 1\r\n"
    b"Content-Length: 2\r\n\r\nabcd",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    "the end of the connection": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    b"Connection: Close\r\n\r\nab",
    "an earlier version": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
    "an earlier version, kept": b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n"
    b"Content-Length: 2\r\n\r\nab",
    "no body": b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\nab",
    "no reason": b"HTTP/1.1 401\r\nContent-Length: 0\r\n\r\n",
    "a long reason": b"HTTP/1.1 403  Permission check failed (/vms/1, VM.Audit) \r\n\r\n",
    "ISO 8859-1": b"HTTP/1.1 400 f\xfcr\r\nContent-Length: 0\r\n\r\n",
    "bare newlines": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nabcd",
    "an interim answer": b"HTTP/1.1 100 Continue\r\nContent-Length: 9\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
}

BROKEN = {
    "nothing": b"",
    "no HTTP": b"220 mail.example.com ESMTP\r\n\r\n",
    "another version": b"HTTP/2 200 OK\r\n\r\n",
    "no number": b"HTTP/1.1 OK\r\n\r\n",
    "a number too small": b"HTTP/1.1 99 OK\r\n\r\n",
    "a number too large": b"HTTP/1.1 1000 OK\r\n\r\n",
    "a number too large, after a zero": b"HTTP/1.1 02000 OK\r\n\r\n",
    "a number of too many digits": b"HTTP/1.1 0999" + b"9" * 5000 + b" OK\r\n\r\n",
    "a long line": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200,
}


class _Socket:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self.content)


def received(kind: type[HTTPResponse], content: bytes) -> HTTPResponse:
    """The answer, its head read."""
    socket: Any = _Socket(content)
    answer = kind(socket, method="GET")
    answer.begin()
    return answer


@pytest.mark.parametrize("content", HEADS.values(), ids=HEADS)
def test_a_head_is_read_as_by_the_standard_library(content: bytes) -> None:
    quick, usual = received(QuickResponse, content), received(HTTPResponse, content)
    told = [
        (one.status, one.reason, one.version, one.length, one.chunked, one.will_close, one.read())
        for one in (quick, usual)
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_is_no_answer_is_refused_as_by_the_standard_library(content: bytes) -> None:
    kinds = []
    for kind in (QuickResponse, HTTPResponse):
        with pytest.raises(HTTPException) as refused:
            received(kind, content)
        kinds.append(isinstance(refused.value, RemoteDisconnected))
    assert kinds[0] == kinds[1]


def test_other_interim_answers_are_passed_over_and_odd_lines_ignored() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    answer = received(
        QuickResponse, early + b"HTTP/1.1 200 OK\r\nodd\r\nX\0: \0\r\nContent-Length: 1\r\n\r\nab"
    )
    assert (answer.status, answer.read()) == (200, b"a")


STRICTER = {
    "a carriage return within a header": b"X: a\rContent-Length: 2\r\n\r\nabcd",
    "a line that is almost empty": b"Content-Length: 2\r\n\r\r\nContent-Length: 4\r\n\r\nabcd",
    "two lengths": b"Content-Length: 2\r\nContent-Length: 4\r\n\r\nabcd",
    "the end within the headers": b"Content-Length: 2\r\nConnection: clo",
    "the end after a header": b"Content-Length: 0\r\n",
}


@pytest.mark.parametrize("rest", STRICTER.values(), ids=STRICTER)
def test_a_head_of_doubtful_meaning_is_refused(rest: bytes) -> None:
    content = b"HTTP/1.1 200 OK\r\n" + rest
    assert received(HTTPResponse, content).status == 200
    with pytest.raises(HTTPException):
        received(QuickResponse, content)


def test_a_connection_is_closed_after_an_answer_with_chunks_and_a_length() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = received(QuickResponse, head + b"2\r\nab\r\n0\r\n\r\n")
    assert (answer.will_close, answer.read()) == (True, b"ab")
