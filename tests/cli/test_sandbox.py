"""The command `sandbox` where its packages are not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from reconciler.errors import ExitStatus

WITHOUT_CHEROOT = """
import sys
sys.modules["cheroot"] = None
from reconciler.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_missing_package_is_named_with_what_installs_it(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_CHEROOT, "sandbox", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == ExitStatus.USAGE
    assert "cheroot" in ended.stderr
    assert "pip install 'pvectl[sandbox]'" in ended.stderr
