"""`python -m tests.execution.counts FILE`: how many faults were injected, check by check.

FILE is what a run of the suite wrote that had its name in $PVECTL_FAULT_COUNTS.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path


def main() -> None:
    found: Counter[str] = Counter()
    for line in Path(sys.argv[1]).read_text().splitlines():
        check, _, text = line.rpartition(" ")
        found[check] += int(text)
    for check, number in sorted(found.items()):
        sys.stdout.write(f"{number:>8,}  {check}\n")
    sys.stdout.write(f"{found.total():>8,}  in all\n")


if __name__ == "__main__":
    main()
