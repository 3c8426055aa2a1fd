"""The content of an archive: a guest's configuration, and the files of its disks.

Containers are packed as tar, with the configuration in `./etc/vzdump/pct.conf`; virtual machines
as VMA, with it in a blob of the header. Each may be compressed. The only import of zstd.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import struct
import sys
import tarfile
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PCT_CONFIG = "./etc/vzdump/pct.conf"
QEMU_CONFIG = "qemu-server.conf"
NO_CONFIG = "ERROR: archive contains no configuration file"

_HEADER = struct.Struct(">4sI16sq16sIII1984x")
_NAMES = struct.Struct(">256I")
_HEADER_SIZE = 12288
_BLOB_LIMIT = 0xFFFF
"""Bytes: the length of a blob has 16 bits."""


class BadArchive(ValueError):
    """An archive that cannot be read; the text is the message of PVE's tools."""


def pack(data: bytes, extension: str) -> bytes:
    """Compress according to the extension: `tar.zst`, `vma.gz`, or plain `tar`.

    Python has no library for lzo: such archives are not compressed.
    """
    if extension.endswith(".zst"):
        return zstd.compress(data)
    return gzip.compress(data, mtime=0) if extension.endswith(".gz") else data


def unpack(data: bytes, extension: str) -> bytes:
    """Raises BadArchive if it is not compressed according to the extension."""
    try:
        if extension.endswith(".zst"):
            return zstd.decompress(data)
        if extension.endswith(".bz2"):
            return bz2.decompress(data)
        return gzip.decompress(data) if extension.endswith((".gz", "tgz")) else data
    except (OSError, EOFError, ValueError, zstd.ZstdError) as error:
        raise BadArchive(f"decompression failed: {error}") from error


def files_of(root: Path) -> bytes:
    """The files below `root`, which may be missing, as a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        _add_files(tar, root)
    return buffer.getvalue()


def tar_of(config: str, root: Path) -> bytes:
    """A container: its configuration and the files below `root`, which may be missing."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        _add_files(tar, root)
        data = config.encode()
        member = tarfile.TarInfo(PCT_CONFIG)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _add_files(tar: tarfile.TarFile, root: Path) -> None:
    for path in sorted(root.rglob("*")):
        if path.is_dir() or (path.is_file() and not path.is_symlink()):
            tar.add(path, f"./{path.relative_to(root)}", recursive=False, filter=_nobody)


def config_of_tar(data: bytes) -> str:
    with _opened(data) as tar:
        for member in tar:
            if member.name == PCT_CONFIG and member.isfile():
                return _content(tar, member).decode("utf-8", "replace")
    raise BadArchive(NO_CONFIG)


def extract_tar(data: bytes, root: Path) -> None:
    """Extract the regular files of an archive, below `root` and nowhere else."""
    with _opened(data) as tar:
        for member in tar:
            place = PurePosixPath(member.name)
            if member.name == PCT_CONFIG or place.is_absolute() or ".." in place.parts:
                continue
            if member.isdir():
                (root / place).mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                (root / place).parent.mkdir(parents=True, exist_ok=True)
                (root / place).write_bytes(_content(tar, member))


def vma_of(config: str, disks: Mapping[str, bytes]) -> bytes:
    """A virtual machine: its configuration, and the content of each disk. Disks of the sandbox are
    small: their content is a blob beside the configuration, not a device.
    """
    names, datas, buffer = [], [], bytearray(b"\0")
    blobs = {QEMU_CONFIG: config.encode(), **{f"{key}.disk": disks[key] for key in sorted(disks)}}
    for name, data in blobs.items():
        names.append(_append(buffer, name.encode() + b"\0"))
        datas.append(_append(buffer, data))
    size = _HEADER_SIZE + len(buffer)
    head = [b"VMA\0", 1, uuid.uuid4().bytes, 0, bytes(16), _HEADER_SIZE, len(buffer), size]
    tables = _NAMES.pack(*names, *[0] * (256 - len(names)))
    tables += _NAMES.pack(*datas, *[0] * (256 - len(datas)))
    rest = (tables + bytes(4)).ljust(_HEADER_SIZE - _HEADER.size, b"\0") + buffer
    head[4] = hashlib.md5(_HEADER.pack(*head) + rest, usedforsecurity=False).digest()
    return _HEADER.pack(*head) + rest


def blobs_of_vma(data: bytes) -> dict[str, bytes]:
    """name -> content of every blob of the header."""
    if len(data) < _HEADER_SIZE or not data.startswith(b"VMA\0"):
        raise BadArchive("Failed to extract config from VMA archive: vma: wrong vma magic number")
    head = _HEADER.unpack_from(data)
    size = head[7]
    zeroed = data[:32] + bytes(16) + data[48:size]
    if hashlib.md5(zeroed, usedforsecurity=False).digest() != head[4]:
        raise BadArchive("Failed to extract config from VMA archive: vma: wrong vma header md5sum")
    buffer = data[head[5] : head[5] + head[6]]
    names, datas = (_NAMES.unpack_from(data, _HEADER.size + at * _NAMES.size) for at in (0, 1))
    return {
        _blob(buffer, name).rstrip(b"\0").decode(): _blob(buffer, content)
        for name, content in zip(names, datas, strict=True)
        if name
    }


def config_of_vma(data: bytes) -> str:
    found = blobs_of_vma(data).get(QEMU_CONFIG)
    if found is None:
        raise BadArchive("Failed to extract config from VMA archive: no configuration")
    return found.decode("utf-8", "replace")


def _append(buffer: bytearray, data: bytes) -> int:
    if len(data) > _BLOB_LIMIT:
        raise BadArchive(f"a disk of the embedded PVE holds at most {_BLOB_LIMIT} bytes")
    at = len(buffer)
    buffer += struct.pack("<H", len(data)) + data
    return at


def _blob(buffer: bytes, at: int) -> bytes:
    if at + 2 > len(buffer):
        raise BadArchive("Failed to extract config from VMA archive: vma: wrong blob offset")
    (size,) = struct.unpack_from("<H", buffer, at)
    return buffer[at + 2 : at + 2 + size]


def _opened(data: bytes) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=io.BytesIO(data), mode="r:")
    except tarfile.TarError as error:
        raise BadArchive(NO_CONFIG) from error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    try:
        return file.read() if file is not None else b""
    except tarfile.TarError as error:
        raise BadArchive("tar: Unexpected EOF in archive") from error


def _nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
