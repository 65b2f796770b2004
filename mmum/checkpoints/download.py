"""Download checkpoints once, to torch's hub folder."""

import hashlib
import re
from pathlib import Path
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_main_process

from mmum.errors import InputError

# As in swin_tiny-bd4d1c5c.pth: a digest of the content, so that the name says which file it is.
# Eight digits are more often a date.
NAME_WITH_DIGEST = re.compile(r'-(?=\d*[a-f])[0-9a-f]{8,64}\.\w+$')


def download(url: str) -> Path:
    """Download a URL once: the first rank does, other ranks where they do not see the file then.

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
    for turn in (is_main_process(), True):
        try:
            if turn and not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(url, str(path))  # atomic
        except OSError as error:
            raise InputError(
                f'{url} cannot be downloaded to {path} ({error}): download it '
                'yourself, and give the path of the file'
            ) from error
        barrier()
    return path


def cached_path(url: str) -> Path:
    """Path at which the file of a URL is kept."""
    folder, name = Path(torch.hub.get_dir(), 'checkpoints'), Path(urlparse(url).path).name
    if not NAME_WITH_DIGEST.search(name):
        folder /= hashlib.sha256(url.encode()).hexdigest()[:16]
    return folder / name
