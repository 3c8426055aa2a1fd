"""Unexpected exceptions become errors like any other at the boundary of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.errors import Bug, PvectlError


@contextmanager
def foreseen() -> Iterator[None]:
    """Whatever is raised inside leaves as a PvectlError: an exception of any other class as Bug.

    Once a request was sent, a run owes the cluster a rollback, whatever went wrong: a mistake in
    this program, a library, or the machine is no reason to leave things half done.
    """
    try:
        yield
    except PvectlError:
        raise
    except Exception as error:
        raise Bug.of(error) from error
