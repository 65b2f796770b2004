"""Going on with a run: only whole checkpoints, read without running code, and one job a work directory."""
import os
import re
import socket
import zipfile
from pathlib import Path

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import get_external_models, get_torchvision_models

from mmum.checkpoints import read_checkpoint
from mmum.errors import InputError

try:
    import fcntl
except ImportError:  # not on Windows: there two jobs are not told apart
    fcntl = None


def register_safe_loader():
    """Lets mmengine read checkpoints through :func:`mmum.checkpoints.read_checkpoint`, for everything: ``--resume``,
    ``load_from``, ``init_cfg``, testing; files, URLs, torchvision:// and open-mmlab://. Its own loader falls back to running
    what a pickle says."""
    for prefix in list(CheckpointLoader._schemes):
        CheckpointLoader.register_scheme(prefix, loader=_read_for_mmengine, force=True)


def _read_for_mmengine(filename, map_location=None):
    scheme, _, name = filename.partition('://')
    lists = {'torchvision': get_torchvision_models, 'modelzoo': get_torchvision_models,
             'open-mmlab': get_external_models, 'openmmlab': get_external_models}
    if name and scheme in lists:
        urls = lists[scheme]()
        if name not in urls:
            raise InputError(f'{filename} is not one of the models of {scheme}://: give one of those, or a file')
        filename = urls[name]
    elif name and scheme not in ('http', 'https'):
        raise InputError(f'{filename} cannot be read safely from {scheme}://: download it, and give the path of the file')
    return read_checkpoint(filename)


def find_latest_checkpoint(work_dir):
    """The newest checkpoint of a run that is whole; damaged ones are skipped, and named.

    Args:
        work_dir (str | Path): Of the run.

    Returns:
        str | None: Its path, or None where there is no checkpoint at all.

    Raises:
        InputError: If there are checkpoints, and all are damaged.
    """
    pointer = Path(work_dir, 'last_checkpoint')
    found = sorted(Path(work_dir).glob('*_*.pth'), key=lambda path: path.stat().st_mtime, reverse=True)
    found = [path for path in found if re.fullmatch(r'(epoch|iter)_\d+', path.stem)]
    if pointer.is_file():  # first what it names, which need not lie here
        named = Path(pointer.read_text().strip())
        if named.is_dir():  # sharded: not for this check
            return str(named)
        first = [path for path in (named, Path(work_dir, named.name)) if path.is_file()][:1]
        found = first + [path for path in found if path.name != named.name]
    for path in found:
        fault = _fault(path)
        if fault is None:
            return str(path)
        print_log(f'--resume: skipping {path}, which is damaged ({fault})', 'current')
    if found:
        raise InputError(f'all {len(found)} checkpoints in {work_dir} are damaged: remove them to start again, or give '
                         '--resume CHECKPOINT from elsewhere')
    return None


def _fault(path):
    """What is wrong with a checkpoint, or None: every byte is checked against its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken:
            return f'its part {broken} does not have the checksum it should have'
        content = read_checkpoint(path)
    except (InputError, zipfile.BadZipFile, OSError) as error:
        return str(error)
    return None if 'state_dict' in content else 'it holds no weights'


class WorkDirLock:
    """Keeps a second job out of a work directory for as long as this process lives.

    Args:
        work_dir (str | Path): Made if it is not there.

    Raises:
        InputError: If another job holds it, or it cannot be written to.
    """

    def __init__(self, work_dir):
        path = Path(work_dir, '.lock')
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(path, 'a+')
        except OSError as error:
            raise InputError(f'the work directory {work_dir} cannot be written to ({error.strerror}): give another --work-dir'
                             ) from error
        if fcntl is None:
            return
        try:
            # of this process alone: a lock of flock would live on in data-loading workers after a kill
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            self.file.seek(0)
            owner = self.file.read().strip() or 'another job'
            raise InputError(f'the work directory {work_dir} is in use by {owner}: wait for it, or give another '
                             '--work-dir') from None
        except OSError:  # a file system without locks
            return
        self.file.truncate(0)
        self.file.write(f'process {os.getpid()} on {socket.gethostname()}')
        self.file.flush()
