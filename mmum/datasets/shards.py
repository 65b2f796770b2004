"""Images in tar files ("shards"): a million files are one, which file systems and networks of many machines prefer."""
import os
import re
import tarfile
from functools import lru_cache
from pathlib import Path

from mmengine.fileio import BaseStorageBackend, register_backend

from mmum.datasets.checks.images import EXTENSIONS
from mmum.errors import InputError
from mmum.files import atomic_path

# An image in a shard: tar://SHARD?OFFSET+SIZE/NAME
URL = re.compile(r'tar://(?P<shard>.+?\.tar)\?(?P<offset>\d+)\+(?P<size>\d+)/(?P<name>.+)')


class ShardBackend(BaseStorageBackend):
    """mmengine's file backend for ``tar://SHARD?OFFSET+SIZE/NAME``: one read, wherever in the shard the image lies."""

    def get(self, filepath):
        match = URL.fullmatch(str(filepath))
        if not match:
            raise InputError(f'{filepath} is no image in a shard: expected tar://SHARD.tar?OFFSET+SIZE/NAME')
        size = int(match['size'])
        # at its own place: workers that were forked share the file and its position
        data = os.pread(_open(match['shard']).fileno(), size, int(match['offset']))
        if len(data) < size:
            raise InputError(f'{match["shard"]} is cut short at {match["name"]}: copy it again')
        return data

    def get_text(self, filepath, encoding='utf-8'):
        return self.get(filepath).decode(encoding)


register_backend('tar', ShardBackend, prefixes='tar', force=True)


@lru_cache(maxsize=64)
def _open(path):
    return open(path, 'rb')


def images_in_shard(path, extensions=EXTENSIONS):
    """URLs of the images in a shard, from its index ``SHARD.tar.index`` if it has one, else from all of its headers.

    Args:
        path (str | Path): An uncompressed tar file.
        extensions (Sequence[str]): Which members are images. Defaults to those of mmum.

    Raises:
        InputError: If it is no whole tar file, or its index is another's.
    """
    path, index = Path(path), Path(f'{path}.index')
    if index.is_file():
        lines = [line.split('\t') for line in index.read_text().splitlines()]
        if any(len(line) != 3 for line in lines) or lines and sum(map(int, lines[-1][:2])) > path.stat().st_size:
            raise InputError(f'{index} is not the index of {path}: remove it, the shard alone will do')
    else:
        try:
            with tarfile.open(path, 'r:') as shard:
                lines = [(member.offset_data, member.size, member.name) for member in shard if member.isfile()]
        except (tarfile.TarError, OSError) as error:
            raise InputError(f'{path} is no whole, uncompressed tar file ({error}): make it again, or remove it') from error
    return [f'tar://{path}?{offset}+{size}/{name}' for offset, size, name in lines if name.lower().endswith(tuple(extensions))]


def place_of(image):
    """Where an image lies: its shard, or its folder."""
    match = URL.fullmatch(image)
    return match['shard'] if match else str(Path(image).parent)


def write_shards(files, root, out, size, progress=None):
    """Packs files into shards of about a size, each with its index.

    Args:
        files (Sequence[Path]): The files.
        root (Path): The folder that their names in the shards begin below.
        out (Path): Folder for ``00000.tar``, ``00000.tar.index`` ...
        size (int): Bytes of a shard; the last file may go beyond.
        progress (Callable, optional): Wraps the files to show progress.

    Returns:
        int: Number of shards.
    """
    files, number = iter(progress(files) if progress else files), 0
    file = next(files, None)
    while file is not None:
        path, lines = out / f'{number:05d}.tar', []
        with atomic_path(path) as partial, tarfile.open(partial, 'w') as shard:
            while file is not None and shard.offset < size:
                if set(str(file)) & set('\t\n'):
                    raise InputError(f'{file!s} has a tab or a line break in its name: rename it')
                shard.add(file, str(file.relative_to(root)), recursive=False)
                length = file.stat().st_size
                # a member's bytes are filled up to whole blocks
                lines.append(f'{shard.offset - -(-length // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE}\t{length}\t'
                             f'{file.relative_to(root)}\n')
                file = next(files, None)
        with atomic_path(f'{path}.index') as partial:
            partial.write_text(''.join(lines))
        number += 1
    return number
