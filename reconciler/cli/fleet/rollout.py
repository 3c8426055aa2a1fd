"""In which order clusters are changed, and when the next ones may begin."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from reconciler.desired.settings.target import ClusterSettings
from reconciler.errors import ExitStatus


class WaveOptions(NamedTuple):
    """Clusters are changed wave by wave; `keep_going`: continue after a failed wave."""

    keep_going: bool = False


def in_waves(
    clusters: Sequence[ClusterSettings], waves: Sequence[Sequence[str]]
) -> list[tuple[ClusterSettings, ...]]:
    """The clusters by the first wave that names them; those that none names come last."""
    left, found = list(clusters), []
    for globs in (*waves, ("*",)):
        wave = tuple(one for one in left if any(fnmatchcase(one.name, glob) for glob in globs))
        left = [one for one in left if one not in wave]
        found += [wave] if wave else []
    return found


WELL = (ExitStatus.OK, ExitStatus.CHANGES)
"""What all of a wave must end with for the next one to begin."""
