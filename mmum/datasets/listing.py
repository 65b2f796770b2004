"""The one listing of images under a folder: training, checking, packing and predicting share it."""

import os
from collections.abc import Sequence
from pathlib import Path

from mmum.datasets.shards import EXTENSIONS, images_in_shard
from mmum.errors import InputError


def list_files(folder: str | Path, extensions: Sequence[str] = EXTENSIONS) -> list[str]:
    """List the files with these suffixes under a folder, at any depth.

    Links to files and folders are followed, each folder once. Hidden files and folders (those whose
    names begin with a dot) are skipped.

    Args:
        folder (str | Path): The folder.
        extensions (Sequence[str]): Suffixes in lower case. Defaults to those of images.

    Returns:
        list[str]: Paths relative to the folder, sorted.
    """
    found, seen = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith('.')]
        relative = os.path.relpath(parent, folder)
        prefix = '' if relative == os.curdir else relative
        found += [
            os.path.join(prefix, name)
            for name in names
            if not name.startswith('.') and name.lower().endswith(tuple(extensions))
        ]
    return sorted(found)


def list_images(folder: str | Path, shards: bool = True) -> list[str]:
    """List the images under a folder and in its shards, at any depth.

    Args:
        folder (str | Path): The folder.
        shards (bool): Whether images in tar files count. Defaults to True.

    Returns:
        list[str]: Paths, or URLs of images in shards (:mod:`mmum.datasets.shards`).

    Raises:
        InputError: If the folder does not exist or holds no images.
    """
    if not Path(folder).is_dir():
        raise InputError(f'the folder {folder} does not exist: give a folder of images')
    images = []
    for name in list_files(folder, (*EXTENSIONS, '.tar') if shards else EXTENSIONS):
        path = os.path.join(folder, name)
        images += images_in_shard(path, EXTENSIONS) if name.endswith('.tar') else [path]
    if not images:
        raise InputError(
            f'the folder {folder} holds no images ({", ".join(EXTENSIONS)}): give a '
            'folder of images'
        )
    return images


def list_class_folders(folder: str | Path) -> list[str]:
    """List the class folders of a split, sorted, without hidden ones."""
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_dir() and not entry.name.startswith('.')
    )
