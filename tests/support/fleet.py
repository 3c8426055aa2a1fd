"""Several clusters over HTTPS, served by threads of this process, and a state folder for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.sandbox.http.server import Sandbox, running
from reconciler.sandbox.settings import Settings
from tests.support.command import Ended, copy_fixture, pvectl, secret_of, trust

TOKEN = "root@pam!bootstrap"
ACCESS = """[role.Looks]
privileges = ["VM.Audit"]

[group.ops]
comment = "site ${site}"

[user."anna@pve"]
groups = ["ops"]

[[acl]]
roles = ["Looks"]
paths = ["/vms"]
groups = ["ops"]
"""


@dataclass
class Fleet:
    """`state` declares the same for each cluster, but for one variable."""

    folder: Path
    served: dict[str, Sandbox]

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def run(self, *arguments: object, stdin: str = "") -> Ended:
        """pvectl in the folder, with a home of its own."""
        env = {"PVECTL_HOME": str(self.folder / "home")}
        return pvectl(*arguments, env=env, stdin=stdin, cwd=self.folder)

    def cluster(self, name: str) -> Path:
        return self.folder / name

    def shut_out(self, name: str) -> None:
        """The cluster knows the token no more."""
        self.cluster(name).joinpath("priv", "token.cfg").write_text("")


@contextmanager
def fleet(
    folder: Path, names: Sequence[str], rest: str = "", settings: Settings | None = None
) -> Iterator[Fleet]:
    """Clusters of these names; `rest` ends pvectl.toml."""
    state = folder / "state"
    state.mkdir()
    (state / "access.toml").write_text(ACCESS)
    served, tables = {}, []
    with ExitStack() as stack:
        for name in names:
            cluster = copy_fixture("fresh", folder / name)
            sandbox = stack.enter_context(running(cluster, settings=settings))
            (state / f"{name}.secret").write_text(secret_of(cluster, TOKEN))
            served[name] = sandbox
            tables.append(
                f'[target.{name}]\nendpoint = "{sandbox.url}"\ntoken_id = "{TOKEN}"\n'
                f'fingerprint = "{sandbox.fingerprint}"\n'
                f'token_secret = {{ file = "{name}.secret" }}\nvars = {{ site = "{name}" }}\n'
            )
        (state / "pvectl.toml").write_text("\n".join([*tables, rest]))
        trust(state, folder / "home")
        yield Fleet(folder, served)
