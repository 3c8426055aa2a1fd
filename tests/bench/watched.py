"""`python -m tests.bench.watched COMMAND...`: what a command took, as JSON on the last line.

A process of its own, and a small one: the system counts the memory of the parent to the child that
it starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main() -> int:
    """Run the command without its output; `seconds` and `cpu` in seconds, `peak` in MB."""
    begin = time.monotonic()
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    took = {
        "seconds": time.monotonic() - begin,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss / 1024,
    }
    print(json.dumps(took))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
