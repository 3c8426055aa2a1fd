"""Turn unexpected exceptions into pvectl errors at the boundary of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.errors import Bug, PvectlError


@contextmanager
def foreseen() -> Iterator[None]:
    """Re-raise everything as a PvectlError; an exception of any other class becomes a Bug.

    Once a request was sent, the cluster must be rolled back whatever goes wrong: a bug in this
    program or a library must not leave a change half done.
    """
    try:
        yield
    except PvectlError:
        raise
    except Exception as error:
        raise Bug.of(error) from error
