"""Files that are whole or not there, and a disk that may be full."""
import json
import logging
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from mmengine.logging import print_log

from mmum.errors import InputError

ROOT = Path(__file__).resolve().parents[1]  # of the repository: configs/ and tools/ lie in it


def check_writable(folder, option):
    """Makes a folder.

    Args:
        folder (str | Path): The folder.
        option (str): What the user gave for it, with the value, for the sentence.

    Raises:
        InputError: Before hours are spent, if no file can be written in it.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f'{option} cannot be written ({error.strerror or error}): give another place') from error


@contextmanager
def atomic_path(path):
    """Gives another name to write to; the file takes its own when all is on disk, also if the machine stops.

    Args:
        path (str | Path): The file; its folder is made.

    Yields:
        Path: Where to write. It is removed if that fails.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.partial')
    try:
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


def atomic_write(path, data):
    """Writes bytes to a file, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_bytes(data)


@contextmanager
def atomic_folder(path):
    """Gives another name to fill; the folder takes its own when it is whole: an interrupted one is never taken for it."""
    partial = Path(path).with_name(f'{Path(path).name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    partial.rename(path)


def logged(work_dir):
    """What the runs in a work directory logged: a dict for every line, but one that a kill cut off."""
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                pass


@contextmanager
def warn_on_write_error(what):
    """A training goes on without something that could not be written, and says so.

    Args:
        what (str): What is written inside.
    """
    try:
        yield
    except OSError as error:
        print_log(f'{what} could not be written ({error.strerror or error}): training goes on without; make room', 'current',
                  logging.WARNING)
