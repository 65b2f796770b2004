"""Images in tar files ("shards"): file systems and networks prefer one file to a million."""

import os
import re
import tarfile
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from mmengine.fileio import BaseStorageBackend, register_backend

from mmum.errors import InputError
from mmum.files import atomic_path

# Suffixes of images.
EXTENSIONS = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm')
# Names of files are bytes on Linux, which need not be UTF-8.
NAMES: Any = dict(encoding='utf-8', errors='surrogateescape')
# An image in a shard: tar://SHARD?OFFSET+SIZE/NAME
URL = re.compile(r'tar://(?P<shard>.+?\.tar)\?(?P<offset>\d+)\+(?P<size>\d+)/(?P<name>.+)')


class ShardBackend(BaseStorageBackend):
    """File backend of mmengine for ``tar://SHARD?OFFSET+SIZE/NAME``: one read per image."""

    def get(self, filepath: str) -> bytes:
        """Read an image.

        Raises:
            InputError: If the URL is none, or if the shard is truncated.
        """
        match = URL.fullmatch(str(filepath))
        if not match:
            raise InputError(
                f'{filepath} is no image in a shard: expected tar://SHARD.tar?OFFSET+SIZE/NAME'
            )
        size = int(match['size'])
        # pread keeps its own offset: forked workers share the file and its position.
        data = os.pread(_open(match['shard']).fileno(), size, int(match['offset']))
        if len(data) < size:
            raise InputError(f'{match["shard"]} is truncated at {match["name"]}: copy it again')
        return data

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        """Read a member as text."""
        return self.get(filepath).decode(encoding)


register_backend('tar', ShardBackend, prefixes='tar', force=True)


@lru_cache(maxsize=64)
def _open(path: str) -> BinaryIO:
    return open(path, 'rb')


def images_in_shard(path: str | Path, extensions: Sequence[str] = EXTENSIONS) -> list[str]:
    """List the images in a shard.

    Members come from its index ``SHARD.tar.index`` if there is one, otherwise from all its headers.

    Args:
        path (str | Path): An uncompressed tar file.
        extensions (Sequence[str]): Suffixes of images. Defaults to those of mmum.

    Returns:
        list[str]: URLs for :class:`ShardBackend`.

    Raises:
        InputError: If the file is truncated or no tar file, or if its index is another's.
    """
    path, index = Path(path), Path(f'{path}.index')
    members: list[Sequence[Any]]
    if index.is_file():
        members = [line.split('\t') for line in index.read_text(**NAMES).splitlines()]
        complete = all(len(member) == 3 for member in members)
        if not complete or members and sum(map(int, members[-1][:2])) > path.stat().st_size:
            raise InputError(
                f'{index} is not the index of {path}: remove it, the shard alone will do'
            )
    else:
        try:
            with tarfile.open(path, 'r:') as shard:
                members = [(m.offset_data, m.size, m.name) for m in shard if m.isfile()]
        except (tarfile.TarError, OSError) as error:
            raise InputError(
                f'{path} is truncated or no uncompressed tar file ({error}): make it '
                'again, or remove it'
            ) from error
    return [
        f'tar://{path}?{offset}+{size}/{name}'
        for offset, size, name in members
        if str(name).lower().endswith(tuple(extensions))
        and not os.path.basename(str(name)).startswith('.')
    ]


def place_of(image: str) -> str:
    """The shard or folder of an image."""
    match = URL.fullmatch(image)
    return match['shard'] if match else str(Path(image).parent)


def write_shards(
    files: Sequence[str],
    root: str | Path,
    out: Path,
    size: int,
    progress: Callable[[Sequence[str]], Iterable[str]] | None = None,
) -> int:
    """Pack files into shards of about a size, each with its index.

    Args:
        files (Sequence[str]): Paths relative to ``root``, which become the names in the shards.
        root (str | Path): The folder of the files.
        out (Path): Folder for ``00000.tar``, ``00000.tar.index`` ...
        size (int): Bytes per shard; the last file may exceed them.
        progress (Callable, optional): Wraps the files to show progress. Defaults to None.

    Returns:
        int: Number of shards.

    Raises:
        InputError: If a file name cannot be listed in an index.
    """
    names, number = iter(progress(files) if progress else files), 0
    name = next(names, None)
    while name is not None:
        path, lines = out / f'{number:05d}.tar', []
        with atomic_path(path) as partial, tarfile.open(partial, 'w', dereference=True) as shard:
            while name is not None and shard.offset < size:
                if '\t' in name or name.splitlines() != [name]:
                    raise InputError(f'{name!r} has a tab or a line break in its name: rename it')
                shard.add(Path(root, name), name, recursive=False)
                length = Path(root, name).stat().st_size
                # The bytes of a member are filled up to whole blocks.
                offset = shard.offset - -(-length // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                lines.append(f'{offset}\t{length}\t{name}\n')
                name = next(names, None)
        with atomic_path(f'{path}.index') as partial:
            partial.write_text(''.join(lines), **NAMES)
        number += 1
    return number
