"""Where what nobody foresaw becomes an error like any other: the rim of everything a run does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.errors import Bug, PvectlError


@contextmanager
def foreseen() -> Iterator[None]:
    """Whatever is raised inside leaves as a PvectlError: an exception of any other class as Bug.

    Once a request was sent, a run owes the cluster its way back, whatever went wrong: a mistake in
    this program, a library, or the machine is no reason to leave things half done.
    """
    try:
        yield
    except PvectlError:
        raise
    except Exception as error:
        raise Bug.of(error) from error
