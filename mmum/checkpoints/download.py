"""Download checkpoints once, to torch's hub folder."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import cache
from pathlib import Path
from urllib.parse import urlparse

import torch
from filelock import FileLock
from mmengine.logging import print_log

from mmum.errors import InputError

# As in swin_tiny-bd4d1c5c.pth: a digest of the content, so that the name says which file it is.
# Eight digits are more often a date.
NAME_WITH_DIGEST = re.compile(r'-(?=\d*[a-f])[0-9a-f]{8,64}\.\w+$')


def is_url(path: object) -> bool:
    """Whether a checkpoint is named by an address from which it can be downloaded."""
    return str(path).startswith(('http://', 'https://'))


def download(url: str) -> Path:
    """Download a URL once for all processes that see the folder.

    Files of one name at several addresses are kept apart, since ``backbone.safetensors`` is the
    name of every pre-trained backbone. Names with a digest of the content share the folder of
    other libraries.

    Args:
        url (str): The address.

    Returns:
        Path: The file.

    Raises:
        InputError: If it cannot be downloaded.
    """
    path = cached_path(url)
    if path.is_file():
        _say_copied(url, path)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(path):
            if not path.is_file():
                torch.hub.download_url_to_file(url, str(path))  # atomic
    except OSError as error:
        raise InputError(
            f'{url} cannot be downloaded to {path} ({error}): download it '
            'yourself, and give the path of the file'
        ) from error
    return path


def cached_path(url: str) -> Path:
    """Path at which the file of a URL is kept."""
    folder, name = Path(torch.hub.get_dir(), 'checkpoints'), Path(urlparse(url).path).name
    if not NAME_WITH_DIGEST.search(name):
        folder /= hashlib.sha256(url.encode()).hexdigest()[:16]
    return folder / name


@cache
def _say_copied(url: str, path: Path) -> None:
    """Say that a copy is used, once: what is at the address may have changed."""
    day = date.fromtimestamp(path.stat().st_mtime)
    print_log(f'{url}: the copy of {day} is used, remove {path} to download it again', 'current')


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Let processes that want a file in one by one, without a barrier: not all ranks may ask."""
    lock = FileLock(f'{path}.lock')
    try:
        lock.acquire()
    except NotImplementedError:  # a file system without locks: each downloads the whole file
        pass
    try:
        yield
    finally:
        lock.release()
