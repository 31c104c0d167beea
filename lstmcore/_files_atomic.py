"""Writing a file so that at any moment there is the old one or the new one, and never a part."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def write_atomically(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file, or replace one, in one step.

    The parts go into a new file in the same folder, ``.lstmcore-….tmp``, which takes the name
    ``path`` once all of it is on the disk. Only a process that is killed in between leaves that
    file behind.

    Parameters
    ----------
    path : Path
        The file. A link is followed. A file that was there before hands on its permissions.
    parts : iterable of bytes-like
        The content.

    Raises
    ------
    OSError
        If the file can't be written. What was there before is then unchanged.
    ValueError
        If ``path`` is something else than a regular file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from lstmcore._files_atomic import write_atomically
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "a")
    ...     write_atomically(path, [b"all ", b"of it"])
    ...     path.read_bytes()
    b'all of it'
    """
    target = Path(os.path.realpath(path))
    mode = _mode_of(target)
    part = target.parent / f".lstmcore-{secrets.token_hex(8)}.tmp"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - of a descriptor
            if mode is not None:
                os.fchmod(descriptor, mode)
            for content in parts:
                rest = memoryview(content)
                while rest:
                    rest = rest[file.write(rest) :]
            os.fsync(descriptor)
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    _sync_folder(target.parent)


def _mode_of(target: Path) -> int | None:
    """Return the permissions of what is to be replaced, None where there is nothing."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"path must be a file, but {str(target)!r} is a directory.")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"path must be a regular file, but {str(target)!r} is none.")
    return stat.S_IMODE(status.st_mode)


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk too, where folders can be opened."""
    with suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
