"""Write files atomically, and keep training on a full disk."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.logging import print_log

from mmum.errors import InputError


def check_writable(folder: str | Path, option: str) -> None:
    """Make a folder, and check that files can be written in it before hours are spent.

    Args:
        folder (str | Path): The folder.
        option (str): The option with its value, as the user gave it, for the sentence.

    Raises:
        InputError: If no file can be written in the folder.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f'{option} cannot be written ({error.strerror or error}): give another place'
        ) from error


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary name to write to; the file is renamed once everything is on disk.

    A crash, of the process or of the machine, leaves the old file or the new one.

    Args:
        path (str | Path): The file; its folder is made.

    Yields:
        Path: The temporary name. The file is removed if writing fails.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.partial')
    try:
        partial.unlink(missing_ok=True)  # of a writing that was interrupted, with its permissions
        yield partial
        with open(partial, 'rb+') as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except Exception:
        partial.unlink(missing_ok=True)
        raise
    if hasattr(os, 'O_DIRECTORY'):  # the renaming itself, where folders can be synced
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def atomic_write(path: str | Path, data: bytes) -> None:
    """Write bytes to a file atomically."""
    with atomic_path(path) as partial:
        partial.write_bytes(data)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give a temporary name to fill; the folder is renamed once it is complete.

    Args:
        path (str | Path): The folder, which must not exist or be empty.

    Yields:
        Path: The temporary name.
    """
    partial = Path(path).with_name(f'{Path(path).name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    partial.rename(path)


@contextmanager
def warn_on_write_error(what: str) -> Iterator[None]:
    """Turn a failure to write into a warning, so that training continues.

    Args:
        what (str): What is written inside, for the warning.
    """
    try:
        yield
    except OSError as error:
        print_log(
            f'{what} could not be written ({error.strerror or error}): training continues '
            'without it; make room',
            'current',
            logging.WARNING,
        )


def printable(name: str | Path) -> str:
    """Make the name of a file fit to print: bytes that are no UTF-8 become question marks.

    Args:
        name (str | Path): As Python lists it, such bytes as surrogates.
    """
    return str(name).encode('utf-8', 'surrogateescape').decode('utf-8', 'replace')
