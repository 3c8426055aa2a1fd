"""Deliver new token secrets: to a file, a command, a line of an env file, or the keyring.

What is written is never shown, logged or kept; errors name the sink only.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reconciler.errors import SinkFailed
from reconciler.execution.secrets.keyring import get_entry, set_entry
from reconciler.model.secret import SecretRef, SecretSink, without_credentials
from reconciler.real_path import real_path
from reconciler.run_command import run_command

COMMAND_TIMEOUT = 60.0
"""Seconds that a command has to take a secret."""

TOKEN_SECRET = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What Proxmox VE makes: a UUID (PVE::TokenConfig)."""


def probe(sink: SecretSink, folder: Path) -> None:
    """Try the sink without leaving a trace; raises SinkFailed when it would fail, or when the file
    holds anything but a token secret, which would be overwritten.

    A command is only looked up, not run.
    """
    if sink.command is not None:
        _executable(sink.command[0] if sink.command else "", folder)
    elif sink.keyring is not None:
        set_entry(sink.keyring, "pvectl-probe", "probe")
        set_entry(sink.keyring, "pvectl-probe", None)
    else:
        path = _path(sink, folder)
        with _parent(path, folder, keep=False) as (parent, name):
            if sink.env_file is not None:
                _read(parent, name, str(sink))
            else:
                _refuse_strangers(parent, name, path)
            temporary = _write_new(parent, name, b"\0" * 64, sink)
            os.unlink(temporary, dir_fd=parent)


def deliver(
    sink: SecretSink, folder: Path, token_id: str, secret: str, own: Sequence[SecretRef] = ()
) -> None:
    """Deliver the secret of a token; raises SinkFailed.

    Files get mode 0600 and are written atomically; missing folders are created with mode 0700;
    symbolic links are not followed. A command gets the secret on standard input and the token's id
    in $PVECTL_TOKEN, without the variable that `own` names in its environment.
    """
    if sink.command is not None:
        _run(sink.command, folder, token_id, secret, own)
    elif sink.keyring is not None:
        set_entry(sink.keyring, token_id, secret)
    else:
        _replace(sink, folder, lambda old: _with_secret(sink, old, secret))


def withdraw(sink: SecretSink, folder: Path, token_id: str) -> None:
    """Remove what `deliver` wrote, where that is possible; raises SinkFailed.

    What a command did with the secret stays, and so does what was printed; it is worthless without
    its token. A file whose content was replaced meanwhile stays as well.
    """
    if sink.stdout is not None:
        return
    if sink.keyring is not None:
        if get_entry(sink.keyring, token_id) is not None:
            set_entry(sink.keyring, token_id, None)
    elif _holds_secret(sink, folder, token_id):
        _replace(sink, folder, lambda old: _with_secret(sink, old, None))


def _holds_secret(sink: SecretSink, folder: Path, token_id: str) -> bool:
    """Whether the sink's file exists and was not replaced."""
    if sink.command is not None or not _path(sink, folder).exists():
        return False
    held = read_back(sink, folder, token_id) or ""
    return sink.env_file is not None or bool(TOKEN_SECRET.fullmatch(held))


def read_back(sink: SecretSink, folder: Path, token_id: str) -> str | None:
    """The secret that the sink holds; None where it holds none or is unreadable."""
    if sink.keyring is not None:
        return get_entry(sink.keyring, token_id)
    if sink.command is not None or sink.stdout is not None or not _path(sink, folder).exists():
        return None
    with _parent(_path(sink, folder), folder, keep=False) as (parent, name):
        text = _read(parent, name, str(sink))
    if sink.file is not None:
        return text.removesuffix("\n") or None
    found = _line(sink).search(text)
    words = shlex.split(found["value"]) if found else []
    return words[0] if words else None


def _path(sink: SecretSink, folder: Path) -> Path:
    """The path of the sink; raises SinkFailed for a state file, under whatever name."""
    path = folder / (sink.file or sink.env_file or "")
    if path.suffix == ".toml" and real_path(path).parent == real_path(folder):
        raise _failed(str(path), "it is a state file")
    return path


@contextmanager
def _parent(path: Path, folder: Path, *, keep: bool) -> Iterator[tuple[int, str]]:
    """The opened folder of `path` and the file's name; folders created on the way are kept if
    `keep`.

    Below the state folder no symbolic link is followed. Raises SinkFailed.
    """
    inside = path.is_relative_to(folder)
    start = folder if inside else Path(path.anchor or ".")
    parts = path.relative_to(start).parts
    flags = os.O_RDONLY | os.O_DIRECTORY | (os.O_NOFOLLOW if inside else 0)
    made: list[Path] = []
    opened = -1
    if not parts:
        raise _failed(str(path), "it is a folder")
    try:
        opened = os.open(start, os.O_RDONLY | os.O_DIRECTORY)
        here = start
        for part in parts[:-1]:
            here /= part
            try:
                inner = os.open(part, flags, dir_fd=opened)
            except FileNotFoundError:
                os.mkdir(part, 0o700, dir_fd=opened)
                made.append(here)
                inner = os.open(part, flags, dir_fd=opened)
            os.close(opened)
            opened = inner
        _refuse_links(opened, parts[-1], path)
        yield opened, parts[-1]
    except OSError as error:
        raise _failed(str(path), error.strerror or "") from None
    finally:
        if opened >= 0:
            os.close(opened)
        if not keep:
            for folder_made in reversed(made):
                folder_made.rmdir()


def _refuse_links(parent: int, name: str, path: Path) -> None:
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise _failed(str(path), "it is a symbolic link, which is not followed")
    if not stat.S_ISREG(mode):
        raise _failed(str(path), "it is not a regular file")


def _read(parent: int, name: str, sink: str) -> str:
    """The text of the file, or "" when there is none."""
    try:
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        return ""
    with os.fdopen(opened, "rb") as file:
        raw = file.read()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass
    raise _failed(sink, "the existing file is not UTF-8")


def _refuse_strangers(parent: int, name: str, path: Path) -> None:
    """Raise SinkFailed for a file that holds anything but a token secret. An earlier secret of the
    token may be replaced: it stops working when this one is issued.
    """
    text = _read(parent, name, str(path)).strip()
    if text and not TOKEN_SECRET.fullmatch(text):
        raise SinkFailed(
            f"{path} contains something other than a token secret, which would be overwritten",
            hint="move the file away, or name another one in secret_to",
        )


def _write_new(parent: int, name: str, content: bytes, sink: SecretSink) -> str:
    """Write a new file beside `name`, mode 0600, same owner; returns its name."""
    temporary = f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    opened = os.open(temporary, flags, 0o600, dir_fd=parent)
    try:
        with os.fdopen(opened, "wb") as file:
            os.fchmod(opened, 0o600)
            _keep_owner(opened, parent, name)
            file.write(content)
            file.flush()
            os.fsync(opened)
    except OSError as error:
        os.unlink(temporary, dir_fd=parent)
        raise _failed(str(sink), error.strerror or "") from None
    return temporary


def _keep_owner(opened: int, parent: int, name: str) -> None:
    try:
        old = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(opened, old.st_uid, old.st_gid)


def _replace(sink: SecretSink, folder: Path, change: Callable[[str], str]) -> None:
    """Replace the text of the sink's file; an empty result removes the file."""
    with _parent(_path(sink, folder), folder, keep=True) as (parent, name):
        text = change(_read(parent, name, str(sink)) if sink.env_file is not None else "")
        if not text and sink.file is not None:
            os.unlink(name, dir_fd=parent)
        else:
            temporary = _write_new(parent, name, text.encode(), sink)
            os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        os.fsync(parent)


def _with_secret(sink: SecretSink, old: str, secret: str | None) -> str:
    """The new text of the file; with None, without the secret."""
    if sink.file is not None:
        return "" if secret is None else f"{secret}\n"
    pattern, replaced, lines = _line(sink), False, []
    new = "" if secret is None else f"{sink.variable}={shlex.quote(secret)}\n"
    for line in old.splitlines(keepends=True):
        if not pattern.match(line):
            lines.append(line)
        elif not replaced:
            lines.append(new)
            replaced = True
    if not replaced:
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        lines.append(new)
    return "".join(lines)


def _line(sink: SecretSink) -> re.Pattern[str]:
    return re.compile(
        rf"^[ \t]*(?:export[ \t]+)?{re.escape(sink.variable or '')}[ \t]*=(?P<value>.*)$",
        re.MULTILINE,
    )


def _executable(name: str, folder: Path) -> None:
    found = os.access(folder / name, os.X_OK) if "/" in name else shutil.which(name)
    if not found:
        raise SinkFailed(
            f"the command '{name}' for the token secret was not found",
            hint="install it, or correct secret_to",
        )


def _run(
    command: tuple[str, ...], folder: Path, token_id: str, secret: str, own: Sequence[SecretRef]
) -> None:
    env = {**without_credentials(os.environ, own), "PVECTL_TOKEN": token_id}
    ended = run_command(command, folder, env, COMMAND_TIMEOUT, secret.encode())
    if ended.trouble:
        raise SinkFailed(
            f"the command '{command[0]}' for the secret of {token_id} {ended.trouble}",
            hint="it receives the secret on stdin and must exit with 0; correct the command, "
            "or secret_to in the state files",
        )


def _failed(name: str, why: str) -> SinkFailed:
    return SinkFailed(
        f"cannot write the secret to {name}: {why}",
        hint="correct secret_to, or make the folder writable for the account that runs pvectl",
    )
