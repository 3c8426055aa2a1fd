"""A state folder and the cluster that it is for."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.command import Ended, Served, pvectl, secret_of, trust

ROOT_TOKEN = "root@pam!bootstrap"

Files = Mapping[str, bytes]
"""Name below a folder -> content"""

SELF_BACKUP = """
[role.FelhomSelfBackup]
privileges = ["VM.Audit", "VM.Snapshot", "VM.Backup", "Datastore.AllocateSpace", "Datastore.Audit"]

[user."felhom-ctl@pve"]
comment = "in-guest controller"

[user."felhom-ctl@pve".token.ctl]
secret_to = { file = "secrets/felhom-ctl" }

[[acl]]
roles = ["FelhomSelfBackup"]
paths = ["/vms/9001", "/storage/local"]
tokens = ["felhom-ctl@pve!ctl"]
"""
"""What the demo declares; five requests."""


def files_of(folder: Path) -> dict[str, bytes]:
    """Everything below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def restore(folder: Path, files: Files) -> None:
    """Make a folder hold exactly these files again."""
    for name, content in files_of(folder).items():
        if files.get(name) != content:
            (folder / name).unlink()
    for name, content in files.items():
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


@dataclass
class Site:
    """`run` is the installed command on the state folder, as root's token unless told otherwise.

    `original`: the cluster's files as they were when the test began.
    """

    folder: Path
    cluster: Served
    original: Files
    settings: str = ""
    env: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def target(self, token: str = ROOT_TOKEN, secret: str = "", **keys: object) -> None:
        """Write pvectl.toml; `keys` replace those of [target], None leaves one out."""
        given: dict[str, object] = {
            "endpoint": self.cluster.url,
            "token_id": token,
            "fingerprint": self.cluster.fingerprint,
            **keys,
        }
        lines = [f"{key} = {_toml(value)}" for key, value in given.items() if value is not None]
        text = "\n".join(["[target]", *lines, self.settings, ""])
        self.write("pvectl.toml", text)
        self.trust()
        self.env["PVECTL_TOKEN_SECRET"] = secret or secret_of(self.cluster.folder, token)

    def trust(self) -> None:
        """Confirm where pvectl.toml says that secrets go, as the administrator of this machine."""
        trust(self.state, self.home)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def write(self, name: str, text: str | bytes) -> None:
        """Write a file of the state folder."""
        self.state.mkdir(exist_ok=True)
        (self.state / name).write_bytes(text.encode() if isinstance(text, str) else text)

    def run(self, *arguments: object, stdin: str = "", env: Mapping[str, str] = {}) -> Ended:
        return pvectl(*arguments, cwd=self.folder, env={**self.env, **env}, stdin=stdin)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file of the cluster behind pvectl's back; an empty `old` appends."""
        path = self.cluster.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new) if old else text + new)

    def cluster_files(self) -> Files:
        return files_of(self.cluster.folder)

    def user_cfg(self) -> str:
        return (self.cluster.folder / "user.cfg").read_text()

    @property
    def untouched(self) -> bool:
        """Whether the cluster's files are what they were when the test began, byte for byte."""
        return self.cluster_files() == self.original

    def give_token(self, name: str, secret: str, entries: Sequence[str] = ()) -> None:
        """A user and its token, without pvectl; `entries` are lines of user.cfg."""
        user = name.partition("!")[0]
        lines = [f"user:{user}:1:0::::::", f"token:{name}:0:1::", *entries]
        self.edit("user.cfg", "", "\n".join([*lines, ""]))
        self.edit("priv/token.cfg", "", f"{name} {secret}\n")
        self.original = self.cluster_files()


def _toml(value: object) -> str:
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def clear(folder: Path) -> Path:
    """A new, empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
