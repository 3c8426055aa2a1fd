"""make fuzz: every target for a while, with atheris, from the corpus on.

`python -m tests.fuzz [--seconds N] [TARGET...]`. What fails is kept in `.fuzz/`, with a line that
says how to run it again; mend it as a kind, then keep it in `tests/fuzz/corpus/TARGET/`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
TARGETS = sorted(path.name for path in CORPUS.iterdir())
"""As in `tests.fuzz.targets`, which may be imported only where it is instrumented."""

ROOT = Path(__file__).parents[2]
FOUND = ROOT / ".fuzz"
LIMITS = ("-rss_limit_mb=2048", "-timeout=30", "-max_len=4096")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=600, help="for each target; default 600")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given, words = parser.parse_known_args()
    unknown = sorted(set(given.targets) - set(TARGETS))
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if given.one:
        return _fuzz(given.targets[0], words)
    return max(_start(name, given.seconds) for name in given.targets or TARGETS)


def _fuzz(name: str, words: list[str]) -> int:
    import atheris

    with atheris.instrument_imports(include=["reconciler"]):
        from tests.fuzz import targets
    atheris.Setup([sys.argv[0], *words], targets.TARGETS[name])
    atheris.Fuzz()
    return 0


def _start(name: str, seconds: int) -> int:
    """One target in a process of its own, which libFuzzer may end."""
    seeds, found = FOUND / "corpus" / name, FOUND / name
    seeds.mkdir(parents=True, exist_ok=True)
    found.mkdir(exist_ok=True)
    words = [sys.executable, "-m", "tests.fuzz", name, "--one", f"-max_total_time={seconds}"]
    words += [*LIMITS, f"-artifact_prefix={found}/", str(seeds), str(CORPUS / name)]
    began = time.monotonic()
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    runs = re.findall(r"^#(\d+)", done.stderr, re.MULTILINE)
    took = time.monotonic() - began
    print(f"{name:>10}: {int(runs[-1]) if runs else 0:>9,} inputs in {took:>5.0f} s", end="")
    if done.returncode == 0:
        print(", nothing found", flush=True)
        return 0
    print(f", FAILED; see {found}", flush=True)
    print(done.stdout[-4000:], done.stderr[-2000:], file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
