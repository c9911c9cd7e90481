"""A directory, or a file, that appears whole or not at all.

Everything is written to a hidden sibling of the final name and renamed there last, so a crash can
only ever leave the hidden one. It is locked while its writer lives, so that the next run can tell
a leftover of a killed process (which it removes) from another run at work (which it leaves alone).
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from talo_export.errors import TaloError, UsageError


def check_output(out: Path, base: Path) -> Path:
    """`out`, absolute and with its parents' links resolved, where a new directory may be made.

    Raises `UsageError` where it exists already, or lies in the base, or the base in it.
    """
    resolved = out.parent.resolve() / out.name
    root = base.resolve()
    if not out.name or out.name in (".", ".."):
        raise UsageError(f"{out} is no name for a new directory.")
    if resolved == root or resolved.is_relative_to(root) or root.is_relative_to(resolved):
        raise UsageError(f"{out} and the base {base} lie inside each other: choose another output.")
    if os.path.lexists(resolved):
        raise UsageError(f"{out} exists already: choose another output or remove it first.")
    return resolved


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A new hidden directory beside `out` (resolved), renamed to `out` when the block succeeds.

    On any failure or interruption it is removed with all that is in it, and parents made for it.
    Raises `TaloError`, which says what could not be removed, where writing fails.
    """
    lock, stage, made = -1, None, []
    done = False
    try:
        made = _make_parents(out.parent)
        remove_leftovers(out)
        lock, stage = _locked_directory(out)
        yield stage
        _sync_folders(stage)
        if os.path.lexists(out):
            raise TaloError(f"{out} appeared while it was being written: choose another output.")
        os.rename(stage, out)
        done = True
        _sync(out.parent)
    except OSError as error:
        left = (
            "nothing was left there"
            if stage is None or _removed(stage)
            else (f"its folder {stage} could not be removed: do that yourself")
        )
        raise TaloError(f"writing {out} failed ({error.strerror or error}); {left}.") from error
    finally:
        if not done:
            if stage is not None:
                _removed(stage)
            _remove_parents(made)
        if lock >= 0:
            os.close(lock)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write beside, flush to disk, rename: a reader sees the old file or the whole new one.

    Text is UTF-8. Raises TaloError where it cannot be, as where a directory above has a name in
    other bytes, and OSError that names `path`, not the file beside it.
    """
    try:
        data = content.encode() if isinstance(content, str) else content
    except UnicodeEncodeError as error:
        name = str(error.object)[max(0, error.start - 40) : error.end + 40]
        raise TaloError(
            f"{path} cannot be written: it would hold a name that is not UTF-8 (...{name}...): "
            "rename what has it."
        ) from error
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        # A read-only file system refuses this too, of a file that is not there.
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def remove_leftovers(out: Path) -> None:
    """Remove hidden directories that killed writers of `out` left behind."""
    for stage in out.parent.glob(_stage_name(out, "*")):
        try:
            descriptor = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # Gone since, or not a directory and so not ours.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(stage, ignore_errors=True)
        except OSError:
            continue  # Its writer is alive, or there is no telling on this file system.
        finally:
            os.close(descriptor)


def _stage_name(out: Path, mark: str) -> str:
    name = out.name if mark != "*" else "".join(f"[{c}]" if c in "*?[" else c for c in out.name)
    return f".{name}.talo-partial-{mark}"


def _locked_directory(out: Path) -> tuple[int, Path]:
    while True:
        stage = out.parent / _stage_name(out, secrets.token_hex(4))
        stage.mkdir()
        descriptor = os.open(stage, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(stage).st_ino == os.fstat(descriptor).st_ino:
                return descriptor, stage
        except (BlockingIOError, FileNotFoundError):
            pass  # Another run took it for a leftover in the instant before it was locked.
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                return descriptor, stage  # No locks here: leftovers then stay for people to see.
            raise
        os.close(descriptor)


def _make_parents(folder: Path) -> list[Path]:
    """Make `folder` and its parents; returns those that did not exist, innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_parents(made: list[Path]) -> None:
    for folder in made:
        try:
            folder.rmdir()
        except OSError:
            return  # Someone else put something there.


def _removed(stage: Path) -> bool:
    """Remove a directory with all that is in it; False where the file system keeps some of it."""
    shutil.rmtree(stage, ignore_errors=True)
    return not stage.exists()


def _sync_folders(root: Path) -> None:
    for folder, _, _ in os.walk(root):
        _sync(Path(folder))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
