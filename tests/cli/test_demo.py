"""The README's first command: the demo tells its story to the end, and shows no secret."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_comes_to_its_end(tmp_path: Path) -> None:
    for name in ("examples", "state"):
        shutil.copytree(ROOT / name, tmp_path / name)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", str(tmp_path / "examples" / "demo.sh")],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert "Apply complete: all 8 objects verified." in ended.stdout
    assert len(ended.stdout.splitlines()) <= 120
    shown = ended.stdout + "".join(p.read_text() for p in tmp_path.glob(".demo/output/*.txt"))
    secrets = [
        line.split()[1] for line in (tmp_path / ".demo/pve/priv/token.cfg").read_text().splitlines()
    ]
    assert len(secrets) == 2
    assert not [secret for secret in secrets if secret in shown + ended.stderr]
