"""Resume a run: only undamaged checkpoints, read without running code, one job per directory."""

import os
import re
import socket
import zipfile
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import get_external_models, get_torchvision_models

from mmum.checkpoints import read_checkpoint, weights_of
from mmum.checkpoints.authors_files import as_own
from mmum.errors import InputError, preview

try:
    import fcntl
except ImportError:  # on Windows, where two jobs in one directory are not noticed
    fcntl = None  # type: ignore[assignment]


def register_safe_loader() -> None:
    """Let mmengine read all checkpoints through :func:`mmum.checkpoints.read_checkpoint`.

    This concerns ``--resume``, ``load_from``, ``init_cfg`` and testing; files, URLs, torchvision://
    and open-mmlab://. mmengine's own loader falls back to running what a pickle says. Files of the
    authors get our names.
    """
    for prefix in list(CheckpointLoader._schemes):
        CheckpointLoader.register_scheme(prefix, loader=_read_for_mmengine, force=True)


def _read_for_mmengine(filename: str, map_location: Any = None) -> dict[str, Any]:
    scheme, _, name = filename.partition('://')
    lists = {
        'torchvision': get_torchvision_models,
        'modelzoo': get_torchvision_models,
        'open-mmlab': get_external_models,
        'openmmlab': get_external_models,
    }
    if name and scheme in lists:
        urls = lists[scheme]()
        if name not in urls:
            raise InputError(
                f'{filename} is not one of the models of {scheme}://: give one of those, or a file'
            )
        filename = urls[name]
    elif name and scheme not in ('http', 'https'):
        raise InputError(
            f'{filename} cannot be read safely from {scheme}://: download it, and give '
            'the path of the file'
        )
    content = as_own(read_checkpoint(filename))
    # mmengine looks under state_dict alone, and drops no more than module. from names.
    weights = weights_of(content, filename)
    if set(weights) - set(content.get('state_dict') or ()):
        content = {**content, 'state_dict': weights}
    return content


def check_unused(work_dir: str | Path) -> None:
    """Refuse a work directory that holds the checkpoints of another run.

    A training that starts anew would overwrite them one by one.

    Args:
        work_dir (str | Path): The work directory.

    Raises:
        InputError: If it holds checkpoints.
    """
    found = sorted(
        path.name for kind in ('epoch', 'iter') for path in Path(work_dir).glob(f'{kind}_*.pth')
    )
    if found:
        raise InputError(
            f'{work_dir} holds the checkpoints of another run ({preview(found, 2)}), which a new '
            'one would overwrite: pass --resume to continue it, give another --work-dir, or remove '
            'them'
        )


def find_latest_checkpoint(work_dir: str | Path) -> str | None:
    """Find the latest checkpoint of a run that is undamaged; damaged ones are named and skipped.

    Args:
        work_dir (str | Path): Work directory of the run.

    Returns:
        str | None: Its path, or None if there is no checkpoint at all.

    Raises:
        InputError: If there are checkpoints and all are damaged.
    """
    pointer = Path(work_dir, 'last_checkpoint')
    written = sorted(Path(work_dir).glob('*_*.pth'), key=lambda path: path.stat().st_mtime)
    paths = [path for path in reversed(written) if re.fullmatch(r'(epoch|iter)_\d+', path.stem)]
    if pointer.is_file():  # what it names comes first, and need not lie here
        named = Path(pointer.read_text().strip())
        if named.is_dir():  # sharded: no archive to check
            return str(named)
        first = [path for path in (named, Path(work_dir, named.name)) if path.is_file()][:1]
        paths = first + [path for path in paths if path.name != named.name]
    for path in paths:
        damage = _damage(path)
        if damage is None:
            return str(path)
        print_log(f'--resume: skipping {path}, which is damaged ({damage})', 'current')
    if paths:
        raise InputError(
            f'all {len(paths)} checkpoints in {work_dir} are damaged: remove them to '
            'start again, or give --resume CHECKPOINT from elsewhere'
        )
    return None


def _damage(path: Path) -> str | None:
    """Find the damage of a checkpoint, or None: every byte is checked against its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken:
            return f'its part {broken} does not match its checksum'
        content = read_checkpoint(path)
    except (InputError, zipfile.BadZipFile, OSError) as error:
        if 'was refused because' in str(error):  # whole, but of a source that one should look at
            raise
        return str(error)
    return None if 'state_dict' in content else 'it holds no weights'


class WorkDirLock:
    """Keep a second job out of a work directory until :meth:`release` or the end of the process.

    Args:
        work_dir (str | Path): The work directory; it is made.

    Raises:
        InputError: If another job holds the directory, or if it cannot be written to.
    """

    def __init__(self, work_dir: str | Path) -> None:
        path = Path(work_dir, '.lock')
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(path, 'a+')
        except OSError as error:
            raise InputError(
                f'the work directory {work_dir} cannot be written to '
                f'({error.strerror}): give another --work-dir'
            ) from error
        if fcntl is None:
            return
        try:
            # lockf belongs to this process alone: a lock of flock would live on in data-loading
            # workers after a kill.
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            self.file.seek(0)
            owner = self.file.read().strip() or 'another job'
            raise InputError(
                f'the work directory {work_dir} is in use by {owner}: wait for it, or '
                'give another --work-dir'
            ) from None
        except OSError:  # a file system without locks
            return
        self.file.truncate(0)
        self.file.write(f'process {os.getpid()} on {socket.gethostname()}')
        self.file.flush()

    def release(self) -> None:
        """Let other jobs in."""
        self.file.close()
