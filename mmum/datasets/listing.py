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


def read_list(path: str | Path, folder: str, labels: bool = False) -> list[tuple[str, int]]:
    """Read a list of images, one per line, as people write them.

    A byte order mark, blank lines and blanks around a name do not matter; backslashes are read as
    slashes. Without ``labels``, a number after the name is left out if no file has such a name.

    Args:
        path (str | Path): The list.
        folder (str): Folder that the names are relative to. The files are looked for there, of more
            than 100000 some 1000 throughout the list; not where it is a URL.
        labels (bool): Whether every line ends with a label, a whole number. Defaults to False.

    Returns:
        list[tuple[str, int]]: Name and label (-1 without labels).

    Raises:
        InputError: If the list does not exist or is empty, or a line has no label or names no file.
    """
    if not Path(path).is_file():
        raise InputError(f'the list {path} does not exist: give a text file with an image per line')
    text = Path(path).read_text(encoding='utf-8-sig', errors='surrogateescape')
    lines = [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise InputError(f'the list {path} is empty: give a text file with an image per line')
    every = max(1, len(lines) // 1000) if len(lines) > 100000 else 1
    numbered = False  # whether names without the number were those of files
    found = []
    for position, (number, line) in enumerate(lines):
        whole = line.replace('\\', '/')
        name, _, last = whole.rpartition(' ')
        has_number = bool(name) and last.lstrip('-').isdigit()
        if labels and not has_number:
            raise InputError(
                f'line {number} of {path} should be FILE LABEL with a whole number, and is "{line}"'
            )
        short = name.rstrip()
        candidates = [short] if labels else [whole, *([short] if has_number else [])]
        chosen = candidates[-1] if numbered else candidates[0]
        if '://' not in folder and position % every == 0:
            there = [c for c in candidates if os.path.exists(os.path.join(folder, c))]
            if not there:
                raise InputError(
                    f'line {number} of {path} names {candidates[0]}, which is not in {folder}: '
                    'complete the folder, or mend the list or data_prefix'
                )
            chosen, numbered = there[0], there[0] != whole and not labels
        found.append((chosen, int(last) if labels else -1))
    return found
